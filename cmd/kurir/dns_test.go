package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/internal/config"
)

const ours = "--ipv4 192.0.2.25 --ipv6 2001:db8::25"

// dnsSite has a domain whose name is not that of its server.
func dnsTestSite(t *testing.T, more ...string) *testSite {
	t.Helper()
	s := newTestSite(t, more...)
	contains(t, s.must("", "domain", "add", "example.test"), "kurir dns records example.test")
	return s
}

func (s *testSite) dns(line string) string {
	s.t.Helper()
	return s.must("", strings.Fields("dns "+line)...)
}

// squeezed has one blank for many, so that a table's widths do not matter.
func squeezed(text string) string { return regexp.MustCompile(" +").ReplaceAllString(text, " ") }

func TestDNSRecords(t *testing.T) {
	s := dnsTestSite(t)
	contains(t, squeezed(s.dns("records Example.TEST. "+ours)),
		"example.test MX 10 mail.example.test.\n Mail for example.test comes to this server.",
		"mail.example.test A 192.0.2.25\nmail.example.test AAAA 2001:db8::25\n mail.example.test is this machine.",
		"v=spf1 mx -all", "v=DKIM1; k=ed25519; p=", "v=DKIM1; k=rsa; p=", "v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test",
		"_imaps._tcp.example.test SRV 0 0 0 .", // on loopback alone
		"25.2.0.192.in-addr.arpa", "of kurir's own CA")
	zone := s.dns("records example.test --zone " + ours)
	contains(t, zone, "\nexample.test. 3600 IN MX 10 mail.example.test.\n", "\n; 25.2.0.192.in-addr.arpa. 3600 IN PTR mail.example.test.\n", "; Note: The certificate")
	contains(t, s.dns("records other.test "+ours), "kurir domain add other.test", "It belongs into the zone of mail.example.test.")

	var all recordsJSON
	if err := json.Unmarshal([]byte(s.dns("records example.test --json "+ours)), &all); err != nil {
		t.Fatal(err)
	}
	if all.Domain != "example.test" || all.Host != "mail.example.test" || len(all.Records) < 10 || all.Records[0].Type != "MX" || len(all.Notes) != 2 {
		t.Errorf("%+v", all)
	}
	s.serve() // and once more by its control socket
	if beside := s.dns("records example.test --zone " + ours); beside != zone {
		t.Errorf("beside the server:\n%s", beside)
	}
}

// Without the data the rest is told.
func TestDNSRecordsWithoutData(t *testing.T) {
	s := newTestSite(t)
	contains(t, s.dns("records example.test "+ours), "MX", "The data could not be asked, so nothing is said of DKIM keys: there is no data directory")
}

func TestDNSUsage(t *testing.T) {
	s := dnsTestSite(t)
	for line, want := range map[string]string{
		"records":              "DOMAIN is missing",
		"records not/a/domain": "is not a domain name",
		"records example.test --ipv4 192.168.1.4":       "192.168.1.4 is a private address",
		"records example.test --ipv4 100.64.0.1":        "is a private address",
		"records example.test --ipv6 fd00::1":           "is a private address",
		"records example.test --ipv6 192.0.2.1":         "is no IPv6 address",
		"records example.test --ipv4 ::ffff:192.0.2.1":  "is no IPv4 address",
		"records example.test --ipv4 somewhere":         "is no IPv4 address",
		"records example.test --dmarc refuse":           "none of none, quarantine and reject",
		"records example.test --mta-sts-host 192.0.2.1": "is not a domain name",
		"records example.test --include 192.0.2.1":      "is not a domain name",
		"records example.test --all":                    "--all belongs to --zone",
		"records example.test --zone --json":            "exclude each other",
	} {
		if code, _, errs := s.do("", strings.Fields("dns "+line)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("kurir dns %s: exit %d: %s", line, code, errs)
		}
	}
}

// What the configuration says is in the records: ports, sources, smarthosts.
func TestDNSFollowsConfig(t *testing.T) {
	s := dnsTestSite(t, "[relay]", `smarthost = "smtp.example.com:587"`, `source_ipv4 = "192.0.2.77"`)
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, strings.Replace(string(text), "127.0.0.1:40005", ":1993", 1))
	out := squeezed(s.dns("records example.test --mta-sts-host www.example.test --autoconfig-host www.example.test"))
	contains(t, out, "192.0.2.77", "_imaps._tcp.example.test SRV 0 1 1993 mail.example.test.", "v=spf1 mx a:smtp.example.com ~all",
		"autoconfig.example.test CNAME www.example.test.")
	if strings.Contains(out, "mta-sts") {
		t.Errorf("MTA-STS with a CA of our own:\n%s", out)
	}
}

// What a proxy on this machine passes on is offered; keys that sign nothing are not
// published.
func TestDNSProxyAndNoSigning(t *testing.T) {
	s := dnsTestSite(t, "[proxy]", `networks = ["127.0.0.0/8"]`, "[dkim]", "sign = false")
	out := squeezed(s.dns("records example.test " + ours))
	contains(t, out, "_imaps._tcp.example.test SRV 0 1 40005 mail.example.test.", "kurir signs nothing (dkim.sign")
	if strings.Contains(out, "v=DKIM1") || strings.Contains(out, "No mail comes in") {
		t.Error(out)
	}
	contains(t, s.must("", "domain", "alias", "add", "other.test", "example.test"), "kurir dns records other.test")
	s.world(s.published())
	contains(t, s.dns("check example.test "+ours), "note     The DKIM keys are not known here", "0 errors, 0 warnings")
}

func TestDNSPrivateMachine(t *testing.T) {
	s := dnsTestSite(t, "[relay]", `source_ipv4 = "10.0.0.5"`)
	contains(t, s.dns("records example.test"), "only private addresses (10.0.0.5), which must not be published: say with --ipv4")
}

func TestDNSCertificate(t *testing.T) {
	now := time.Now()
	cert := certificate(t, "mail.example.test", now, now.Add(24*time.Hour))
	s := dnsTestSite(t, "[tls]", `cert = "`+cert+`"`, `key = "`+cert+`"`)
	out := squeezed(s.dns("records example.test --mta-sts-host www.example.test " + ours))
	contains(t, out, "TLSA 3 1 1 ", "Optional. Other servers know", "mta-sts.example.test", "mode: enforce", "https://mta-sts.example.test/.well-known/mta-sts.txt")
	var all recordsJSON
	if err := json.Unmarshal([]byte(s.dns("records example.test --json --mta-sts-host www.example.test "+ours)), &all); err != nil {
		t.Fatal(err)
	}
	if all.Policy == nil || !strings.Contains(all.Policy.Text, "mx: mail.example.test\n") || len(all.Notes) != 1 {
		t.Errorf("%+v", all)
	}
	write(t, cert, "nothing")
	contains(t, s.dns("records example.test "+ours), "The certificate could not be read", "holds none")
}

func TestParseIfInet6(t *testing.T) {
	got := parseIfInet6("20010db8000000000000000000000025 02 40 00 80 eth0\n20010db8000000000000000000000026 02 40 00 01 eth0\n" +
		"20010db8000000000000000000000027 02 40 00 20 eth0\nnonsense\nzz 02 40 00 01 eth0\n")
	if len(got) != 2 || !got[netip.MustParseAddr("2001:db8::26")] || !got[netip.MustParseAddr("2001:db8::27")] {
		t.Errorf("%v", got)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "127.0.0.1": false,
		"169.254.1.1": false, "100.64.1.1": false, "198.18.0.1": false, "::1": false, "fe80::1": false, "fd12::1": false, "224.0.0.1": false, "0.0.0.0": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestWrapped(t *testing.T) {
	const text = "Mail for example.org comes to this server."
	for _, c := range []struct {
		width int
		want  string
	}{
		{0, "note     " + text + "\n"},
		{80, "note     " + text + "\n"},
		{9 + len(text), "note     " + text + "\n"},
		{8 + len(text), "note     Mail for example.org comes to this\n  server.\n"},
		{20, "note     Mail for\n  example.org comes\n  to this server.\n"},
		{3, "note     Mail\n  for\n  example.org\n  comes\n  to\n  this\n  server.\n"},
	} {
		if got := wrapped("note     ", "  ", text, c.width); got != c.want {
			t.Errorf("width %d: %q, want %q", c.width, got, c.want)
		}
	}
	if got := wrapped("ok  ", "", "münchen.example é", 19); got != "ok  münchen.example\né\n" {
		t.Errorf("characters are counted, not octets: %q", got)
	}
}

// With [web] https this server has the policy and the apps' settings itself.
func TestDNSRecordsOfPages(t *testing.T) {
	cfg := config.Default()
	site := dnsTarget{Site: dnsutil.Site{Domain: "example.test", Host: "mail.example.test"}}
	site.findPages(cfg)
	if site.PolicyHost != "" || site.AutoconfigHost != "" {
		t.Errorf("without pages: %+v", site.Site)
	}
	cfg.Web.HTTPS, cfg.Web.MTASTS = []string{":443"}, "testing"
	site.findPages(cfg)
	var got []string
	for _, r := range site.Records() {
		got = append(got, r.Name+" "+r.Type+" "+r.Value)
	}
	contains(t, strings.Join(got, "\n"), "mta-sts.example.test CNAME mail.example.test.", "autoconfig.example.test CNAME mail.example.test.",
		"autodiscover.example.test CNAME mail.example.test.", "_autodiscover._tcp.example.test SRV 0 1 443 mail.example.test.")
	contains(t, site.Policy(), "mode: testing\n")
}
