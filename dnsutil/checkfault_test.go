package dnsutil

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"kurir/dnsutil/dnstest"
)

func TestCheckMXFaults(t *testing.T) {
	const mx = "example.org. 3600 IN MX"
	run(t, []fault{
		{what: "none", old: mx, want: []string{"error mx: example.org has no MX record."}, records: []string{"10 mail.example.org."}},
		{what: "null MX", old: mx, new: "example.org. MX 0 .", want: []string{"error mx: example.org says that it takes no mail (null MX)."}},
		{what: "elsewhere", old: mx, new: "example.org. MX 10 backup.example.net.", want: []string{"error mx: No MX record of example.org leads to this server, mail.example.org."}, records: []string{"10 mail.example.org."}},
		{what: "elsewhere first", new: "example.org. MX 5 backup.example.net.", want: []string{"warning mx: Mail for example.org goes to backup.example.net first (preference 5, this server has 10)."}},
		{what: "elsewhere as well", new: "example.org. MX 10 backup.example.net.", want: []string{"warning mx: Mail for example.org goes to backup.example.net as often as here (preference 10, this server has 10)."}},
		{what: "a backup", new: "example.org. MX 50 backup.example.net.", want: []string{"note mx: backup.example.net takes mail for example.org when this server cannot be reached (preference 50)."}},
		{what: "no such host", new: "example.org. MX 50 gone.example.net.", want: []string{"error mx: The MX record of example.org names gone.example.net, which has no address."}},
		{what: "an address", new: "example.org. MX 50 192.0.2.25.", want: []string{`error mx: The MX record of example.org names "192.0.2.25", which is no host's name.`}},
		{what: "an alias", old: mx, new: "example.org. MX 10 mx.example.org.\nmx.example.org. CNAME mail.example.org.", want: []string{
			"warning mx: The MX record of example.org names mx.example.org, which is an alias (CNAME).",
			"note mx: Mail for example.org comes here under the name mx.example.org, while this server calls itself mail.example.org."}},
	})
}

func TestCheckAddressFaults(t *testing.T) {
	run(t, []fault{
		{what: "no IPv6", old: "mail.example.org. 3600 IN AAAA", want: []string{"warning address: mail.example.org does not lead to 2001:db8::25.", "error ptr: 2001:db8::25 has the name mail.example.org, which does not lead back to it."}, records: []string{"2001:db8::25"}},
		{what: "another address as well", new: "mail.example.org. A 192.0.2.99", want: []string{"warning address: mail.example.org leads to 192.0.2.99 as well, which is not known as this server's."}},
		{what: "a private address", new: "mail.example.org. A 10.0.0.5", want: []string{
			"warning address: mail.example.org leads to 10.0.0.5 as well", "error address: mail.example.org leads to 10.0.0.5, a private address."}},
		{what: "no PTR", old: "25.2.0.192.in-addr.arpa.", want: []string{"error ptr: 192.0.2.25 has no name (PTR)."}, records: []string{"mail.example.org."}},
		{what: "the provider's PTR", old: "25.2.0.192.in-addr.arpa.", new: "25.2.0.192.in-addr.arpa. PTR host-25.example.net.", want: []string{"error ptr: 192.0.2.25 has the name host-25.example.net, which does not lead back to it."}},
		{what: "the provider's PTR, confirmed", old: "25.2.0.192.in-addr.arpa.", new: "25.2.0.192.in-addr.arpa. PTR host-25.example.net.\nhost-25.example.net. A 192.0.2.25",
			want: []string{"warning ptr: 192.0.2.25 has the name host-25.example.net, not mail.example.org."}},
	})
	s := wholeSite(t)
	s.Addresses = nil
	r := checkOf(t, s, rightZone(t), true)
	if text := lines(r); !strings.Contains(text, "whether they are this server's is not known here") || !strings.Contains(text, "192.0.2.25 has the name mail.example.org") {
		t.Error(text)
	}
	r = checkOf(t, s, "example.org. MX 10 mail.example.org.", false)
	if text := lines(r); !strings.Contains(text, "error    address    mail.example.org has no address.") {
		t.Error(text)
	}
}

func TestCheckSPFFaults(t *testing.T) {
	const spf = "example.org. 3600 IN TXT"
	with := func(text string) string { return "example.org. TXT \"" + text + "\"\n" }
	includes := ""
	for i := range 11 {
		includes += fmt.Sprintf(" include:_s%d.example.net", i)
	}
	var bomb strings.Builder
	for i := range 11 {
		fmt.Fprintf(&bomb, "_s%d.example.net. TXT \"v=spf1 include:_s%d.example.net include:_s%d.example.net ~all\"\n", i, (i+1)%11, (i+2)%11)
	}
	run(t, []fault{
		{what: "none", old: spf, want: []string{"error spf: example.org has no SPF record."}, records: []string{"v=spf1 mx -all"}},
		{what: "another text alone", old: spf, new: with("v=spf10 a"), want: []string{"error spf: example.org has a text that is no SPF record"}},
		{what: "a space in front", old: spf, new: with(" v=spf1 mx -all"), want: []string{`error spf: example.org has a text that is no SPF record, as it does not begin with v=spf1 and a space: " v=spf1 mx -all".`}, records: []string{"v=spf1 mx -all"}},
		{what: "a semicolon", old: spf, new: with("v=spf1; mx; -all"), want: []string{`error spf: example.org has a text that is no SPF record`}, records: []string{"v=spf1 mx -all"}},
		{what: "several", new: with("v=spf1 include:_spf.example.net ~all"), want: []string{"error spf: example.org has 2 SPF records."}},
		{what: "everybody", old: spf, new: with("v=spf1 mx +all"), want: []string{"error spf: SPF lets everybody send in the name of example.org: +all in the record of example.org."}},
		{what: "everybody by network", old: spf, new: with("v=spf1 mx ip4:0.0.0.0/0 -all"), want: []string{"error spf: SPF lets everybody send in the name of example.org: ip4:0.0.0.0/0 in the record"}},
		{what: "everybody by an include", old: spf, new: with("v=spf1 mx include:open.test -all") + "open.test. TXT \"v=spf1 all\"", want: []string{"error spf: SPF lets everybody send in the name of example.org: +all in the record of open.test."}},
		{what: "?all", old: spf, new: with("v=spf1 mx ?all"), want: []string{"warning spf: The SPF record of example.org ends in ?all, which says nothing."}, records: []string{"v=spf1 mx ~all"}},
		{what: "no end", old: spf, new: with("v=spf1 mx"), want: []string{"warning spf: The SPF record of example.org does not say what all others may do."}, records: []string{"v=spf1 mx -all"}},
		{what: "not this server", old: spf, new: with("v=spf1 ip4:192.0.2.25 include:_spf.example.net -all"), want: []string{"error spf: SPF does not let 2001:db8::25 send for example.org (fail)."},
			records: []string{"v=spf1 ip6:2001:db8::25 ip4:192.0.2.25 include:_spf.example.net -all"}},
		{what: "neither address", old: spf, new: with("v=spf1 include:_spf.example.net ~all"), want: []string{"error spf: SPF does not let 192.0.2.25, 2001:db8::25 send for example.org (fail)."},
			records: []string{"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 include:_spf.example.net ~all"}},
		{what: "neither address, and no end", old: spf, new: with("v=spf1 include:_spf.example.net"), want: []string{
			"error spf: SPF does not let 192.0.2.25, 2001:db8::25 send", "warning spf: The SPF record of example.org does not say what all others may do."},
			records: []string{"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 include:_spf.example.net -all\nv=spf1 ip4:192.0.2.25 ip6:2001:db8::25 include:_spf.example.net -all"}},
		{what: "too many lookups", old: spf, new: with("v=spf1 mx" + includes + " -all"), want: slices.Concat([]string{
			"error spf: The SPF record of example.org is broken: include:_s0.example.net leads to _s0.example.net, which has 0 SPF records where it should have one."},
			slices.Repeat([]string{"error spf: The SPF record of example.org is broken"}, 4), []string{"error spf: The SPF record of example.org takes 12 lookups in the DNS; 10 are allowed."})},
		{what: "an include bomb", old: spf, new: with("v=spf1 mx include:_s0.example.net -all") + bomb.String(), want: []string{"error spf: The SPF record of example.org takes"}},
		{what: "a circle", old: spf, new: with("v=spf1 mx redirect=_s0.example.net") + "_s0.example.net. TXT \"v=spf1 redirect=example.org\"", want: []string{
			"error spf: The SPF record of example.org is broken: redirect=example.org leads in a circle.", "warning spf: The SPF record of example.org does not say"}},
		{what: "a redirect", old: spf, new: with("v=spf1 mx redirect=_spf.example.net")},
		{what: "a macro", old: spf, new: with("v=spf1 mx exists:%{i}.list.test include:%{d}.test -all")},
		{what: "nonsense", old: spf, new: with("v=spf1 mx ipv4:192.0.2.1 ip4:300.1.1.1 include: ip4=192.0.2.1 -all"), want: []string{
			`error spf: The SPF record of example.org is broken: in the record of example.org, "ipv4:192.0.2.1" is not known.`,
			`error spf: The SPF record of example.org is broken: in the record of example.org, "ip4:300.1.1.1" is no network.`,
			`error spf: The SPF record of example.org is broken: in the record of example.org, "include:" names no domain.`,
			`error spf: The SPF record of example.org is broken: in the record of example.org, "ip4=192.0.2.1" has to be written with a colon.`}},
		{what: "ptr", old: spf, new: with("v=spf1 mx ptr -all"), want: []string{"note spf: The SPF record of example.org uses ptr."}},
		{what: "none for the server", old: "mail.example.org. 3600 IN TXT", want: []string{"note spf: mail.example.org has no SPF record of its own."}, records: []string{"v=spf1 a -all"}},
		{what: "two for the server", new: "mail.example.org. TXT \"v=spf1 mx -all\"", want: []string{"error spf: mail.example.org has 2 SPF records."}},
		{what: "a wrong one for the server", old: "mail.example.org. 3600 IN TXT", new: "mail.example.org. TXT \"v=spf1 -all\"", want: []string{
			"warning spf: SPF does not let 192.0.2.25 greet as mail.example.org (fail).", "warning spf: SPF does not let 2001:db8::25 greet as"}},
	})
	s := wholeSite(t)
	s.Smarthosts = []string{"smtp.example.com"}
	if got := bads(checkOf(t, s, rightZone(t), true)); len(got) != 1 || !strings.HasPrefix(got[0], "note spf: Mail leaves through smtp.example.com;") {
		t.Errorf("%q", got)
	}
	if got := merged([]string{"v=spf1 mx -all", "v=spf1 include:a.test mx ~all"}); got != "v=spf1 mx include:a.test ~all" {
		t.Error(got)
	}
}

// A bomb is read with a bound on questions.
func TestSPFBounded(t *testing.T) {
	zone := rightZone(t) + "example.test. TXT \"v=spf1 include:x0.test -all\"\n"
	for i := range 100 {
		zone += fmt.Sprintf("x%d.test. TXT \"v=spf1 include:x%d.test ?all\"\n", i, i+1)
	}
	srv := dnstest.Start(t, zone)
	c := &Checker{Resolver: &Resolver{Servers: []string{srv.Addr()}}}
	facts := c.finder(t.Context(), "spf").readSPF("example.test", "v=spf1 include:x0.test -all")
	if facts.lookups != maxSPFRecords || srv.Count("", 0) > maxSPFRecords || facts.end != '-' {
		t.Errorf("%d lookups, %d questions, %c", facts.lookups, srv.Count("", 0), facts.end)
	}
	if _, problems := parseSPF("v=spf1" + strings.Repeat(" a", 501)); len(problems) != 1 {
		t.Error(problems)
	}
}

func TestCheckDKIMFaults(t *testing.T) {
	const name = "e2._domainkey.example.org."
	with := func(text string) string { return name + " TXT \"" + text + "\"\n" }
	wrong := func(words string) []string { return []string{"error dkim: The DKIM record e2 is not right: " + words} }
	const key = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	run(t, []fault{
		{what: "missing", old: name, want: []string{"error dkim: The DKIM key e2 is not published."}, records: []string{ed25519Text}},
		{what: "the next is missing", old: "e3._domainkey.example.org.", want: []string{"warning dkim: The DKIM key e3 is not published."}},
		{what: "a former is gone", old: "e1._domainkey.example.org."},
		{what: "revoked", old: name, new: with("v=DKIM1; k=ed25519; p="), want: wrong("its key is empty, by which it is revoked.")},
		{what: "another", old: name, new: with("v=DKIM1; k=ed25519; p=22qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="), want: wrong("it has another key.")},
		{what: "cut short", old: name, new: with("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS"), want: wrong("its key ends after 13 of 43 characters")},
		{what: "garbled", old: name, new: with("v=DKIM1; k=ed25519; p=###"), want: wrong("its key cannot be read")},
		{what: "another kind", old: name, new: with("v=DKIM1; " + key), want: wrong(`it is of the kind "rsa", not ed25519.`)},
		{what: "no key", old: name, new: with("v=DKIM1"), want: wrong("it has no key (p=).")},
		{what: "another version", old: name, new: with("v=DKIM2; k=ed25519; " + key), want: wrong("it does not begin with v=DKIM1.")},
		{what: "another hash", old: name, new: with("v=DKIM1; k=ed25519; h=sha1; " + key), want: wrong("it does not allow the hash sha256")},
		{what: "another service", old: name, new: with("v=DKIM1; k=ed25519; s=tlsrpt; " + key), want: wrong("it is not for mail")},
		{what: "a test", old: name, new: with("v=DKIM1; k=ed25519; t=s:y; " + key), want: []string{"warning dkim: The DKIM key e2 is marked as a test (t=y)."}},
		{what: "written otherwise", old: name, new: with("k=ed25519 ; s=email:other; h=sha256; t=s; p= 11qYAYKxCrfVS/7TyWQHOg7 hcvPapiMlrwIaaPcHURo")},
		{what: "twice", new: with("v=DKIM1; k=ed25519; p=22"), want: []string{"error dkim: e2._domainkey.example.org has 2 texts where there should be one."}},
	})
	s := wholeSite(t)
	s.DKIM = nil
	if got := bads(checkOf(t, s, rightZone(t), true)); len(got) != 1 || !strings.HasPrefix(got[0], "note dkim: The DKIM keys are not known here") {
		t.Errorf("%q", got)
	}
}

func TestCheckDMARCFaults(t *testing.T) {
	const name = "_dmarc.example.org."
	with := func(text string) string { return name + " TXT \"" + text + "\"\n" }
	broken := func(words string) []string { return []string{"error dmarc: The DMARC record is broken: " + words} }
	const rua = "; rua=mailto:x@example.org"
	run(t, []fault{
		{what: "none", old: name, want: []string{"error dmarc: example.org has no DMARC record."}, records: []string{"v=DMARC1; p=quarantine"}},
		{what: "another text", old: name, new: with("hello"), want: []string{`error dmarc: _dmarc.example.org has a text that is no DMARC record: "hello".`}},
		{what: "a space in front", old: name, new: with(" v=DMARC1; p=reject" + rua), want: []string{`error dmarc: _dmarc.example.org has a text that is no DMARC record: " v=DMARC1; p=reject`}},
		{what: "several", new: with("v=DMARC1; p=reject"), want: []string{"error dmarc: _dmarc.example.org has 2 DMARC records."}},
		{what: "p=none", old: name, new: with("v=DMARC1; p=none" + rua), want: []string{"note dmarc: The DMARC policy is p=none"}, records: []string{"v=DMARC1; p=quarantine" + rua}},
		{what: "p=none, and no reports", old: name, new: with("v=DMARC1; sp=none; p=none"), want: []string{"note dmarc: The DMARC policy is p=none", "note dmarc: Nobody gets reports"},
			records: []string{"v=DMARC1; sp=none; p=quarantine; rua=mailto:postmaster@example.org\nv=DMARC1; sp=none; p=quarantine; rua=mailto:postmaster@example.org"}},
		{what: "no policy", old: name, new: with("v=DMARC1" + rua), want: broken("it has no policy (p=).")},
		{what: "a wrong policy", old: name, new: with("v=DMARC1; p=refuse" + rua), want: broken("p=refuse is none of")},
		{what: "a wrong policy for names below", old: name, new: with("v=DMARC1; p=reject; sp=drop" + rua), want: broken("sp=drop is none of")},
		{what: "a wrong policy for names that are not there", old: name, new: with("v=DMARC1; p=reject; np=drop" + rua), want: broken("np=drop is none of")},
		{what: "small letters", old: name, new: with("v=dmarc1; p=reject" + rua), want: broken("it has to begin with v=DMARC1, in these letters.")},
		{what: "no =", old: name, new: with("v=DMARC1; p=reject; hello" + rua), want: broken(`"hello" has no "=".`)},
		{what: "a test", old: name, new: with("v=DMARC1; p=reject; t=y" + rua), want: []string{"note dmarc: The DMARC policy is marked as a test"}},
		{what: "pct", old: name, new: with("v=DMARC1; p=reject; pct=20" + rua), want: []string{"note dmarc: The DMARC record has pct=20."}},
		{what: "no reports", old: name, new: with("v=DMARC1; p=reject"), want: []string{"note dmarc: Nobody gets reports"}},
		{what: "reports to nowhere", old: name, new: with("v=DMARC1; p=reject; rua=x@example.org"), want: []string{`warning dmarc: "x@example.org" is no address for reports`}},
		{what: "reports elsewhere", old: name, new: with("v=DMARC1; p=reject; rua=mailto:x@example.net!10m"), want: []string{"warning dmarc: The reports are to go to example.net, which does not say that it wants them."}, records: []string{"v=DMARC1"}},
		{what: "reports elsewhere, wanted", old: name, new: with("v=DMARC1; p=reject; rua=mailto:x@example.net") + "example.org._report._dmarc.example.net. TXT \"v=DMARC1;\""},
		{what: "no TLS-RPT", old: "_smtp._tls.example.org.", want: []string{"note tls-rpt: Nobody is told when TLS"}, records: []string{"v=TLSRPTv1"}},
		{what: "TLS-RPT to nobody", old: "_smtp._tls.example.org.", new: "_smtp._tls.example.org. TXT \"v=TLSRPTv1; rua=x@example.org\"", want: []string{"warning tls-rpt: The TLS-RPT record names nobody"}},
		{what: "TLS-RPT twice", new: "_smtp._tls.example.org. TXT \"v=TLSRPTv1; rua=mailto:y@example.org\"", want: []string{"warning tls-rpt: _smtp._tls.example.org has 2 TLS-RPT records."}},
	})
}

func TestCheckServiceFaults(t *testing.T) {
	const imaps = "_imaps._tcp.example.org."
	run(t, []fault{
		{what: "missing", old: imaps, want: []string{"note srv: Mail apps do not find imaps by themselves (SRV)."}, records: []string{"0 1 993 mail.example.org."}},
		{what: "another port", old: imaps, new: imaps + " SRV 0 1 143 mail.example.org.", want: []string{"warning srv: _imaps._tcp.example.org names port 143; it is 993."}},
		{what: "elsewhere", old: imaps, new: imaps + " SRV 0 1 993 imap.example.net.", want: []string{"warning srv: _imaps._tcp.example.org leads to imap.example.net, not to mail.example.org."}},
		{what: "denied", old: imaps, new: imaps + " SRV 0 0 0 .", want: []string{"warning srv: _imaps._tcp.example.org says that there is no imaps; this server offers it."}},
		{what: "autoconfig to nowhere", old: "autoconfig.example.org.", want: []string{"note autoconfig: autoconfig.example.org has no address."}},
		{what: "another CA", old: "mail.example.org. 3600 IN CAA", new: "example.org. CAA 0 issue \"sectigo.com; x=y\"", want: []string{"warning caa: The CAA records of example.org allow sectigo.com, but the certificate is from letsencrypt.org."}, records: []string{`0 issue "letsencrypt.org"`}},
		{what: "no CA", old: "mail.example.org. 3600 IN CAA", new: "mail.example.org. CAA 0 issue \";\"", want: []string{"warning caa: The CAA records of mail.example.org let no CA issue certificates."}},
		{what: "no CAA", old: "mail.example.org. 3600 IN CAA"},
	})
	s := wholeSite(t)
	s.Services = []Service{{"pop3", 0}, {"imap", 0}, {"imaps", 0}}
	s.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")}
	zone := strings.Replace(rightZone(t), "_imap._tcp.example.org. 3600 IN SRV 10 1 143 mail.example.org.", "_imap._tcp.example.org. SRV 0 0 0 .", 1)
	zone = strings.Replace(zone, "_imaps._tcp.example.org. 3600 IN SRV 0 1 993 mail.example.org.", "_imaps._tcp.example.org. SRV 0 1 993 imap.example.net.", 1)
	if got := bads(checkOf(t, s, zone, true)); len(got) != 1 || got[0] != "warning srv: _pop3._tcp.example.org leads here, but pop3 is not offered." {
		t.Errorf("%q", got)
	}
}
