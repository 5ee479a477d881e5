package dnsutil

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"flag"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, text)
	}
}

// rsaText is as long as the record of a key of 2048 bits.
var rsaText = "v=DKIM1; k=rsa; p=" + strings.Repeat("MIIBIjANBgkqhkiG9w0B", 20)

const ed25519Text = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

// certificate is one that an issuer gave to host; the same each time.
func certificate(t testing.TB, host, issuer string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 7))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Unix(4e9, 0),
		Issuer: pkix.Name{Organization: []string{issuer}}, Subject: pkix.Name{Organization: []string{issuer}},
	}
	b, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// services are all that kurir offers.
var services = []Service{{"submissions", 465}, {"submission", 587}, {"imaps", 993}, {"imap", 143}, {"pop3s", 995}, {"pop3", 110}}

// wholeSite has everything.
func wholeSite(t testing.TB) Site {
	return Site{
		Domain: "example.org", Host: "mail.example.org",
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
		Services:  services,
		DKIM: []DKIMKey{
			{Name: "r2._domainkey.example.org", Value: rsaText},
			{Name: "e2._domainkey.example.org", Value: ed25519Text},
			{Name: "e3._domainkey.example.org", Value: ed25519Text, Next: true},
			{Name: "e1._domainkey.example.org", Value: ed25519Text, Retired: true},
		},
		Reports: "postmaster@example.org", Chain: []*x509.Certificate{certificate(t, "mail.example.org", "Let's Encrypt")},
		PolicyHost: "www.example.org", AutoconfigHost: "www.example.org",
	}
}

// loads reads a zone file as a server would, and gives its records by name and type.
func loads(t *testing.T, zone string) map[string][]dns.RR {
	t.Helper()
	all := map[string][]dns.RR{}
	p := dns.NewZoneParser(strings.NewReader(zone), "", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		key := rr.Header().Name + " " + dns.Type(rr.Header().Rrtype).String()
		all[key] = append(all[key], rr)
	}
	if p.Err() != nil {
		t.Fatalf("%v in:\n%s", p.Err(), zone)
	}
	return all
}

func TestZoneGolden(t *testing.T) {
	golden(t, "records/whole.zone", wholeSite(t).Zone(false))
	golden(t, "records/all.zone", wholeSite(t).Zone(true))
	golden(t, "records/elsewhere.zone", Site{
		Domain: "example.net", Host: "mail.example.org", Addresses: wholeSite(t).Addresses[:1], DMARC: "none",
		Services:   []Service{{"submissions", 1465}, {"pop3", 0}},
		Smarthosts: []string{"smtp.example.com"}, Chain: wholeSite(t).Chain,
	}.Zone(true))
}

// Every record of the list stands in the zone file: as itself in the domain's own zone.
func TestZoneLoads(t *testing.T) {
	s := wholeSite(t)
	zone := loads(t, s.Zone(true))
	for _, r := range s.Records() {
		found := zone[dns.Fqdn(r.Name)+" "+r.Type]
		if r.Elsewhere {
			if len(found) > 0 {
				t.Errorf("%s %s is of another zone", r.Name, r.Type)
			}
			continue
		}
		if !slices.ContainsFunc(found, func(rr dns.RR) bool {
			if txt, ok := rr.(*dns.TXT); ok {
				return strings.Join(txt.Txt, "") == r.Value
			}
			return rr.String() == r.rr.String()
		}) {
			t.Errorf("%s %s %s is not in the zone: %v", r.Name, r.Type, r.Value, found)
		}
	}
	// RFC 1035 section 3.3: a string has 255 octets at most.
	key := zone["r2._domainkey.example.org. TXT"][0].(*dns.TXT)
	if len(key.Txt) != 2 || len(key.Txt[0]) != 255 || len(key.Txt[1]) != len(rsaText)-255 {
		t.Errorf("the long key is in %d strings", len(key.Txt))
	}
	for name := range loads(t, s.Zone(false)) {
		if strings.HasSuffix(name, "TLSA") || strings.HasSuffix(name, "CAA") {
			t.Errorf("%s is optional and no comment", name)
		}
	}
}

func find(t *testing.T, all []Record, area, name string) Record {
	t.Helper()
	for _, r := range all {
		if r.Area == area && r.Name == name {
			return r
		}
	}
	t.Fatalf("no record %s of %s", name, area)
	return Record{}
}

func TestRecords(t *testing.T) {
	s := wholeSite(t)
	sum := sha256.Sum256(s.Chain[0].RawSubjectPublicKeyInfo)
	if r := find(t, s.Records(), "tlsa", "_25._tcp.mail.example.org"); r.Value != "3 1 1 "+hex.EncodeToString(sum[:]) || r.Need != Optional {
		t.Errorf("%+v", r)
	}
	if r := find(t, s.Records(), "ptr", "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"); !r.Elsewhere || r.Value != "mail.example.org." {
		t.Errorf("%+v", r)
	}
	s.Include = []string{"spf.example.com"}
	s.Smarthosts = []string{"smtp.example.com"}
	if r := find(t, s.Records(), "spf", "example.org"); r.Value != "v=spf1 mx include:spf.example.com -all" {
		t.Errorf("%+v", r)
	}
	// RFC 8461 section 3.1: an id of 1 to 32 letters and digits, which changes with the policy.
	id := s.PolicyID()
	s.Host = "mx.example.org"
	if len(id) != 16 || id == s.PolicyID() {
		t.Errorf("ids %s and %s", id, s.PolicyID())
	}
	s.Chain = []*x509.Certificate{certificate(t, "mail.example.org", "Nobody's CA")}
	for _, r := range s.Records() {
		if r.Area == "caa" {
			t.Errorf("the CA is not known: %+v", r)
		}
		if r.rr == nil || r.Why == "" || r.TTL == 0 || strings.ContainsAny(r.Why, "\n\t") {
			t.Errorf("%+v", r)
		}
	}
	// A domain that is its server's name has one SPF record.
	same := Site{Domain: "example.org", Host: "example.org"}.Records()
	if n := len(slices.DeleteFunc(same, func(r Record) bool { return r.Area != "spf" })); n != 1 {
		t.Errorf("%d SPF records", n)
	}
}

// RFC 8461 section 5: what others do with the policy depends on its mode, and so does what
// is said of the record. Each mode has an id of its own.
func TestPolicyModes(t *testing.T) {
	ids := map[string]string{}
	for mode, words := range map[string]string{"": "or not at all", "testing": "send mail all the same", "none": "asks for nothing"} {
		s := wholeSite(t)
		s.PolicyMode = mode
		r := find(t, s.Records(), "mta-sts", "_mta-sts.example.org")
		if !strings.Contains(r.Why, words) || r.Value != "v=STSv1; id="+s.PolicyID() {
			t.Errorf("%q: %+v", mode, r)
		}
		if other, ok := ids[s.PolicyID()]; ok {
			t.Errorf("%q has the id of %q", mode, other)
		}
		ids[s.PolicyID()] = mode
		p, err := ParseSTSPolicy(s.Policy())
		if err != nil || p.Mode != cmp.Or(mode, "enforce") {
			t.Errorf("%q: %+v, %v", mode, p, err)
		}
	}
}

// Odd octets in a text stay what they are.
func TestTextRecord(t *testing.T) {
	text := `a "quoted" \ text; ` + strings.Repeat("x", 600)
	r := Site{Domain: "example.org"}.text("dkim", "k._domainkey.example.org", text, Required, "why")
	txt := r.rr.(*dns.TXT)
	b := packed(t, &dns.Msg{Answer: []dns.RR{txt}})
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatal(err)
	}
	if got := textOf(m.Answer[0]); got != text || r.Value != text {
		t.Errorf("%q", got)
	}
	loads(t, r.ZoneLine())
}
