package dnsutil

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"kurir/dnsutil/dnstest"
)

// rightZone is what the world should see of wholeSite, signed.
func rightZone(t testing.TB) string {
	s := wholeSite(t)
	text := s.Zone(true) + `
example.org. 3600 IN SOA ns1.example.org. admin.example.org. 1 3600 600 86400 300
example.org. 3600 IN NS ns1.example.org.
example.org. 3600 IN NS ns2.example.net.
example.org. 3600 IN DS 12345 13 2 49fd46e6c4b45c55d4ac69cbd3cd34ac1afe51de000000000000000000000000
example.org. 3600 IN A 192.0.2.80
ns1.example.org. 3600 IN A 192.0.2.53
ns2.example.net. 3600 IN A 198.51.100.53
www.example.org. 3600 IN A 192.0.2.80
backup.example.net. 3600 IN A 198.51.100.25
backup.example.com. 3600 IN A 198.51.100.26
_spf.example.net. 3600 IN TXT "v=spf1 ip4:198.51.100.0/24 -all"
`
	for _, r := range s.Records() {
		if r.Type == "PTR" {
			text += r.ZoneLine() + "\n"
		}
	}
	return text
}

// judged is SPF as far as the tests need it: an address passes that is in the record, or
// that mx or a are for.
func judged(r *Resolver) func(ctx context.Context, ip netip.Addr, helo, sender string) (string, string) {
	return func(ctx context.Context, ip netip.Addr, helo, sender string) (string, string) {
		_, domain, ok := strings.Cut(sender, "@")
		if !ok {
			domain = helo
		}
		texts, _ := r.LookupTXT(ctx, domain)
		for _, text := range versioned(texts, "v=spf1") {
			for _, w := range strings.Fields(text)[1:] {
				if w == "mx" || w == "a" || strings.HasSuffix(w, ":"+ip.String()) {
					return "pass", ""
				}
			}
		}
		return "fail", "the record does not name it"
	}
}

// checkOf checks a site by a zone text. All answers are marked as verified if signed.
func checkOf(t testing.TB, s Site, zone string, signed bool, change ...func(*Checker, *dnstest.Server)) Report {
	t.Helper()
	srv := dnstest.Start(t, zone)
	if signed {
		srv.Authentic()
	}
	r := &Resolver{Servers: []string{srv.Addr()}, Timeout: 2 * time.Second, Tries: 1}
	policy := STSPolicy{Mode: STSEnforce, MX: []string{"*.example.org", "*.example.net"}, MaxAge: 7 * 24 * time.Hour}
	c := &Checker{Site: s, Resolver: r, SPF: judged(r), Policy: func(context.Context, string) (STSPolicy, error) { return policy, nil }}
	for _, f := range change {
		f(c, srv)
	}
	return c.Check(t.Context())
}

// lines are the findings, one a line, as people may read them.
func lines(r Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %-10s %s\n", f.Level, f.Area, f.What)
		if f.Why != "" {
			fmt.Fprintf(&b, "%20s%s %s\n", "", f.Why, f.Mend)
		}
		for _, rec := range f.Records {
			fmt.Fprintf(&b, "%20s%s\n", "", rec.ZoneLine())
		}
	}
	return b.String()
}

// bads are the findings that are not ok: "level area: what".
func bads(r Report) []string {
	var all []string
	for _, f := range r.Findings {
		if f.Level != LevelOK {
			all = append(all, fmt.Sprintf("%s %s: %s", f.Level, f.Area, f.What))
		}
	}
	return all
}

// A domain that publishes what it should has nothing to mend.
func TestCheckRight(t *testing.T) {
	r := checkOf(t, wholeSite(t), rightZone(t), true, func(c *Checker, _ *dnstest.Server) { c.Lists = []List{{Zone: "list.test"}} })
	if len(bads(r)) > 0 || r.Errors+r.Warnings > 0 {
		t.Errorf("not right: %q", bads(r))
	}
	golden(t, "check/right.txt", lines(r))
}

// A domain that publishes nothing gets all records to publish.
func TestCheckEmpty(t *testing.T) {
	r := checkOf(t, wholeSite(t), `
example.org. 3600 IN SOA ns1.example.net. admin.example.org. 1 3600 600 86400 300
example.org. 3600 IN NS ns1.example.net.
ns1.example.net. 3600 IN A 192.0.2.53`, false)
	golden(t, "check/empty.txt", lines(r))
	missing := map[string]bool{}
	for _, f := range r.Findings {
		for _, rec := range f.Records {
			missing[rec.Name+" "+rec.Type] = true
		}
	}
	for _, rec := range wholeSite(t).Records() {
		if key := rec.Name + " " + rec.Type; !missing[key] && rec.Need != Optional && !strings.HasPrefix(key, "e1.") && !strings.HasPrefix(key, "_autodiscover") && !strings.HasPrefix(key, "mta-sts.") {
			t.Errorf("%s is not said to be missing", key)
		}
	}
}

// fault is one thing wrong in rightZone, and what is found then.
type fault struct {
	what    string
	old     string // a line that begins so is replaced; "": a line is added
	new     string
	want    []string // findings that begin so, and no others but ok
	records []string // that are said to mend it; nil: any
}

func (f fault) run(t *testing.T) {
	zone := ""
	hit := f.old == ""
	for line := range strings.Lines(rightZone(t)) {
		if f.old != "" && strings.HasPrefix(line, f.old) {
			hit = true
			continue
		}
		zone += line
	}
	if !hit {
		t.Fatalf("%s: no line begins with %q", f.what, f.old)
	}
	r := checkOf(t, wholeSite(t), zone+f.new, true)
	got := bads(r)
	for i := range max(len(got), len(f.want)) {
		if i >= len(got) || i >= len(f.want) || !strings.HasPrefix(got[i], f.want[i]) {
			t.Errorf("%s: found\n  %s\nwant\n  %s", f.what, strings.Join(got, "\n  "), strings.Join(f.want, "\n  "))
			break
		}
	}
	var records []string
	for _, one := range r.Findings {
		if one.Level != LevelOK && one.Mend == "" && len(one.Records) == 0 {
			t.Errorf("%s: %q does not say how to mend it", f.what, one.What)
		}
		if one.Level != LevelOK && (one.Why == "" || strings.Contains(one.What+one.Why+one.Mend, "%!")) {
			t.Errorf("%s: %+v", f.what, one)
		}
		for _, rec := range one.Records {
			records = append(records, rec.Value)
		}
	}
	for _, w := range f.records {
		if !strings.Contains(strings.Join(records, "\n"), w) {
			t.Errorf("%s: records %q, want %q", f.what, records, w)
		}
	}
}

func run(t *testing.T, faults []fault) {
	t.Helper()
	for _, f := range faults {
		f.run(t)
	}
}

func TestCheckZoneFaults(t *testing.T) {
	run(t, []fault{
		{what: "a name server without an address", old: "ns2.example.net.", want: []string{"warning zone: The name server ns2.example.net of example.org has no address.", "note zone: example.org has one name server"}},
		{what: "one name server", old: "example.org. 3600 IN NS ns2", want: []string{"note zone: example.org has one name server: ns1.example.org."}},
		{what: "a wildcard text", new: `*.example.org. TXT "hello"`, want: []string{`note wildcard: Every name below example.org that does not exist has a TXT record: "hello".`}},
		{what: "a wildcard MX", new: `*.example.org. MX 5 other.example.net.`, want: []string{`note wildcard: Every name below example.org that does not exist has a MX record`}},
	})
}

// A domain that is not there, and one whose DNS is silent, are one finding each.
func TestCheckNoZone(t *testing.T) {
	r := checkOf(t, wholeSite(t), "example.net. A 192.0.2.1", false)
	if got := bads(r); len(got) != 1 || got[0] != "error zone: example.org does not exist in the DNS." || r.Errors != 1 {
		t.Errorf("%q", got)
	}
	r = checkOf(t, wholeSite(t), rightZone(t), false, func(_ *Checker, s *dnstest.Server) { s.ServFail() })
	if got := bads(r); len(got) != 1 || !strings.HasPrefix(got[0], "error zone: The DNS gives no answer about example.org: the DNS of example.org is out of order") {
		t.Errorf("%q", got)
	}
}

// One name that fails does not hide the rest.
func TestCheckPartly(t *testing.T) {
	r := checkOf(t, wholeSite(t), rightZone(t), true, func(_ *Checker, s *dnstest.Server) { s.ServFail("_dmarc.example.org", "25.2.0.192.in-addr.arpa") })
	got := strings.Join(bads(r), "\n")
	if r.Warnings != 2 || r.Errors != 0 || !strings.Contains(got, "warning dmarc: TXT of _dmarc.example.org could not be looked up") || !strings.Contains(got, "warning ptr: PTR of 25.2.0.192.in-addr.arpa") {
		t.Error(got)
	}
}

// DNSSEC: not signed, and signed without a resolver that verifies it.
func TestCheckUnsigned(t *testing.T) {
	r := checkOf(t, wholeSite(t), rightZone(t), false)
	if got := bads(r); len(got) == 0 || !strings.HasPrefix(got[0], "note zone: The zone example.org is signed with DNSSEC, but the resolver") {
		t.Errorf("%q", got)
	}
	zone := strings.Replace(rightZone(t), "example.org. 3600 IN DS", "other.test. 3600 IN DS", 1)
	r = checkOf(t, wholeSite(t), zone, false)
	if got := bads(r); len(got) == 0 || !strings.HasPrefix(got[0], "note zone: The zone example.org is not signed with DNSSEC.") {
		t.Errorf("%q", got)
	}
}

// Which record above holds for a name without one (RFC 9989 sections 4.10.1 and 4.10.2),
// and what it asks for there.
func TestDMARCAbove(t *testing.T) {
	record := func(name, tags string) string { return "_dmarc." + name + ". TXT \"v=DMARC1; " + tags + "\"\n" }
	for _, c := range []struct{ zone, above, policy string }{
		{"", "", ""},
		{record("example.org", "p=reject"), "example.org", "reject"},
		{record("example.org", "p=reject; sp=none"), "example.org", "none"},
		{record("example.org", "p=reject; np=drop"), "example.org", "none"},
		{record("example.org", "p=quarantine; t=y"), "example.org", "none"},
		{record("example.org", "rua=mailto:x@example.org"), "example.org", ""},
		{record("b.example.org", "p=reject") + record("example.org", "p=quarantine"), "example.org", "quarantine"},
		{record("b.example.org", "p=reject; psd=n") + record("example.org", "p=quarantine"), "b.example.org", "reject"},
		{record("b.example.org", "p=reject") + record("example.org", "p=quarantine; psd=y"), "b.example.org", "reject"},
		{record("c.b.example.org", "p=reject") + record("example.org", "p=quarantine; psd=y"), "example.org", "quarantine"},
		{record("example.org", "p=reject") + record("example.org", "p=none"), "", ""},
	} {
		srv := dnstest.Start(t, c.zone)
		f := (&Checker{Resolver: &Resolver{Servers: []string{srv.Addr()}}}).finder(t.Context(), "dmarc")
		if above, policy := f.dmarcAbove("a.c.b.example.org"); above != c.above || policy != c.policy {
			t.Errorf("%s: %q of %q, want %q of %q", c.zone, policy, above, c.policy, c.above)
		}
	}
}

// The zone of a name below is that of the domain above.
func TestCheckBelow(t *testing.T) {
	s := wholeSite(t)
	s.Domain = "shop.example.org"
	r := checkOf(t, s, rightZone(t)+"\nshop.example.org. MX 10 mail.example.org.\n", true)
	text := lines(r)
	if !strings.Contains(text, "The zone example.org has 2 name servers.") || !strings.Contains(text, "The DMARC policy of example.org holds for shop.example.org, too: quarantine.") {
		t.Error(text)
	}
	weak := strings.Replace(rightZone(t), "v=DMARC1;", "v=DMARC1; sp=none;", 1)
	r = checkOf(t, s, weak+"\nshop.example.org. MX 10 mail.example.org.\n", true)
	if text := lines(r); !strings.Contains(text, "The DMARC policy of example.org holds for shop.example.org, too, and asks for nothing there.") {
		t.Error(text)
	}
	// Its reports may go to the domain above, and to one beside it, without a word from there.
	r = checkOf(t, s, rightZone(t)+"\nshop.example.org. MX 10 mail.example.org.\n_dmarc.shop.example.org. TXT \"v=DMARC1; p=reject; rua=mailto:x@example.org,mailto:x@reports.example.org\"\n", true)
	if text := lines(r); !strings.Contains(text, "ok       dmarc      The DMARC policy is reject") {
		t.Error(text)
	}
	r = checkOf(t, s, rightZone(t)+"\nshop.example.org. CNAME www.example.org.\n", true)
	if text := lines(r); !strings.Contains(text, "error    zone       shop.example.org is an alias (CNAME) of www.example.org.") {
		t.Error(text)
	}
}

// An old answer that others may keep is said, for as long as it lives.
func TestCheckOldAnswers(t *testing.T) {
	zone := strings.Replace(rightZone(t), "example.org. 3600 IN MX 10 mail.example.org.", "example.org. 7200 IN MX 10 other.example.net.\nother.example.net. A 192.0.2.99", 1)
	r := checkOf(t, wholeSite(t), zone, true)
	for _, f := range r.Findings {
		left := time.Until(f.OldUntil).Round(time.Minute)
		if f.Level == LevelError && (f.Area != "mx" || left < 118*time.Minute || left > 2*time.Hour) {
			t.Errorf("%s: the old answer lives for %v", f.What, left)
		}
	}
	if r.Errors != 1 {
		t.Errorf("%q", bads(r))
	}
	// Of two answers the one that goes first.
	zone = strings.Replace(rightZone(t), "mail.example.org. 3600 IN A 192.0.2.25", "mail.example.org. 600 IN A 192.0.2.26", 1)
	for _, f := range checkOf(t, wholeSite(t), zone, true).Findings {
		if left := time.Until(f.OldUntil).Round(time.Minute); f.Area == "address" && f.Level == LevelError && left != 10*time.Minute {
			t.Errorf("%s: remembered for %v", f.What, left)
		}
	}
	// What is not there is remembered, too (RFC 2308).
	zone = strings.Replace(rightZone(t), "_dmarc.example.org. 3600 IN TXT", "nothing.example.org. 3600 IN TXT", 1)
	for _, f := range checkOf(t, wholeSite(t), zone, true).Findings {
		if left := time.Until(f.OldUntil).Round(time.Minute); f.Area == "dmarc" && left != 5*time.Minute {
			t.Errorf("%s: remembered for %v", f.What, left)
		}
	}
}

// A check ends, whatever the DNS does.
func TestCheckBounded(t *testing.T) {
	began := time.Now()
	s := wholeSite(t)
	r := checkOf(t, s, rightZone(t), true, func(c *Checker, srv *dnstest.Server) {
		c.Resolver.Timeout = 50 * time.Millisecond
		srv.Silent()
		srv.Authentic("example.org")
	})
	if took := time.Since(began); took > 20*time.Second || r.Warnings == 0 {
		t.Errorf("%v, %q", took, bads(r))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := (&Checker{Site: s, Resolver: &Resolver{Servers: []string{"192.0.2.1"}}}).Check(ctx); r.Errors != 1 {
		t.Errorf("%q", bads(r))
	}
}

func TestCheckLists(t *testing.T) {
	zone := rightZone(t) + `
25.2.0.192.list.test. A 127.0.0.2
25.2.0.192.list.test. TXT "see https://list.test/192.0.2.25"
25.2.0.192.closed.test. A 127.255.255.254
25.2.0.192.policy.test. A 127.0.0.10
`
	r := checkOf(t, wholeSite(t), zone, true, func(c *Checker, _ *dnstest.Server) {
		c.Lists = []List{{Zone: "list.test"}, {Zone: "closed.test"}, {Zone: "policy.test", Counts: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.9") }}}
	})
	got := strings.Join(bads(r), "\n")
	for _, w := range []string{"error list: 192.0.2.25 is on the list list.test: see https://list.test/192.0.2.25.", "note list: The list closed.test does not answer this resolver (127.255.255.254)."} {
		if !strings.Contains(got, w) {
			t.Errorf("%q is missing in:\n%s", w, got)
		}
	}
	if text := lines(r); !strings.Contains(text, "2001:db8::25 is not on the list list.test.") || !strings.Contains(text, "192.0.2.25 is not on the list policy.test.") {
		t.Error(text)
	}
}

func TestTagList(t *testing.T) {
	tags, odd := tagList(` V = DMARC1 ;p=none; rua=mailto:a@x.test?b=c;; nonsense ;`)
	if got := fmt.Sprint(tags, odd); got != "[{v DMARC1} {p none} {rua mailto:a@x.test?b=c}] [nonsense]" {
		t.Error(got)
	}
	if valueOf(tags, "p") != "none" || valueOf(tags, "sp") != "" {
		t.Error(tags)
	}
	texts := []string{"v=spf1", "V=SPF1 mx", "v=spf10 a", " v=spf1\ta", "x", "v=spf1;"}
	if got := versioned(texts, "v=spf1"); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if s := data(&dns.MX{Hdr: dns.RR_Header{Name: "x.test.", Rrtype: dns.TypeMX, Class: 1}, Mx: "m.test."}); s != "0 m.test." {
		t.Errorf("%q", s)
	}
}
