package mailauth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const spfZone = `
example.org.         TXT "v=spf1 ip4:192.0.2.1 include:more.example.org ~all"
more.example.org.    TXT "v=spf1 ip6:2001:db8::/32 a:host.example.org -all"
host.example.org.    A 192.0.2.7
strict.example.org.  TXT "v=spf1 mx " "-all"
strict.example.org.  MX 10 host.example.org.
says.example.org.    TXT "v=spf1 ?all"
silent.example.org.  TXT "other"
twice.example.org.   TXT "v=spf1 -all"
twice.example.org.   TXT "v=spf1 +all"
macro.example.org.   TXT "v=spf1 exists:%{ir}.%{l1r-}.%{d2}.macro.example.org -all"
1.2.0.192.joe.example.org.macro.example.org. A 127.0.0.2
long.example.org.    TXT "v=spf1 exists:%{l}.%{l}.%{l}.%{l}.%{l}.cut.example.org -all"
mx.example.net.      TXT "v=spf1 a -all"
mx.example.net.      A 192.0.2.1
xn--mnchen-3ya.example. TXT "v=spf1 ip4:192.0.2.1 -all"
exp.example.org.     TXT "v=spf1 -all exp=why.example.org"
why.example.org.     TXT "because"
typo.example.org.    TXT "v=spf1 ip4:192.0.2.1 inclde:x -all"
leads.example.org.   TXT "v=spf1 include:none.example.org -all"
broken.example.org.  TXT "v=spf1 include:fails.example.org -all"
six.example.org.     TXT "v=spf1 a:half.example.org -all"
half.example.org.    A 192.0.2.8
loop.example.org.    TXT "v=spf1 include:loop.example.org -all"
redir.example.org.   TXT "v=spf1 redirect=redir.example.org"
void.example.org.    TXT "v=spf1 a:n1.example.org a:n2.example.org a:n3.example.org +all"
nomx.example.org.    TXT "v=spf1 mx ?all"
nomx.example.org.    MX 0 .
`

func TestCheckSPF(t *testing.T) {
	r, s := served(t, spfZone)
	s.ServFail("fails.example.org")
	s.Raw(func(q *dns.Msg, _ bool) [][]byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
		if q.Question[0].Qtype == dns.TypeA {
			m.Rcode = dns.RcodeSuccess
			rr, _ := dns.NewRR("half.example.org. 60 A 192.0.2.8")
			m.Answer = append(m.Answer, rr)
		}
		b, _ := m.Pack()
		return [][]byte{b}
	}, "half.example.org")
	for _, c := range []struct {
		ip, sender string
		want       Result
		domain     string
		words      string
	}{
		{"192.0.2.1", "a@example.org", Pass, "example.org", "example.org lets 192.0.2.1 send its mail"},
		{"192.0.2.7", "a@Example.ORG", Pass, "example.org", ""},
		{"::ffff:192.0.2.7", "a@strict.example.org", Pass, "strict.example.org", "lets 192.0.2.7 send"},
		{"2001:db8::5", "a@example.org", Pass, "example.org", ""},
		{"192.0.2.9", "a@example.org", SoftFail, "example.org", "probably does not send its mail"},
		{"192.0.2.9", "a@strict.example.org", Fail, "strict.example.org", "strict.example.org says that 192.0.2.9 does not send its mail"},
		{"192.0.2.9", "a@says.example.org", Neutral, "says.example.org", "does not say whether"},
		{"192.0.2.9", "a@silent.example.org", None, "silent.example.org", "has no SPF record"},
		{"192.0.2.9", "a@none.example.org", None, "none.example.org", "has no SPF record"},
		{"192.0.2.9", "a@twice.example.org", PermError, "twice.example.org", "is wrong: there are several"},
		{"192.0.2.1", "joe-tag@macro.example.org", Pass, "macro.example.org", ""},
		{"192.0.2.1", "ann-tag@macro.example.org", Fail, "macro.example.org", ""},
		{"192.0.2.1", strings.Repeat("l", 63) + "@long.example.org", Fail, "long.example.org", ""},
		{"192.0.2.1", "", Pass, "mx.example.net", ""}, // RFC 7208 section 2.4
		{"192.0.2.2", "", Fail, "mx.example.net", ""},
		{"192.0.2.1", "a@m\u00fcnchen.example", Pass, "xn--mnchen-3ya.example", ""},
		{"192.0.2.1", "\"a@strict.example.org\"@example.org", Pass, "example.org", ""},
		{"192.0.2.1", "@example.org", Pass, "example.org", ""},
		{"192.0.2.1", "a@localhost", None, "", "localhost is no domain that could be asked"},
		{"192.0.2.1", "a@[192.0.2.1]", None, "", "no domain that could be asked"},
		{"192.0.2.9", "a@exp.example.org", Fail, "exp.example.org", ""},
		{"192.0.2.1", "a@typo.example.org", PermError, "typo.example.org", "a term that is not known"},
		{"192.0.2.1", "a@leads.example.org", PermError, "leads.example.org", "it leads to a domain that has none"},
		{"192.0.2.1", "a@broken.example.org", TempError, "broken.example.org", "cannot be worked out now"},
		{"192.0.2.1", "a@fails.example.org", TempError, "fails.example.org", "cannot be worked out now"},
		{"192.0.2.8", "a@six.example.org", Pass, "six.example.org", ""}, // AAAA fails, but is of no use
		{"2001:db8::8", "a@six.example.org", TempError, "six.example.org", ""},
		{"192.0.2.1", "a@loop.example.org", PermError, "loop.example.org", "more than 10 questions"},
		{"192.0.2.1", "a@redir.example.org", PermError, "redir.example.org", "more than 10 questions"},
		{"192.0.2.1", "a@void.example.org", PermError, "void.example.org", "more than 2 names that are not there"},
		{"192.0.2.1", "a@nomx.example.org", Neutral, "nomx.example.org", ""},
	} {
		got := CheckSPF(t.Context(), r, netip.MustParseAddr(c.ip), "mx.example.net", c.sender)
		wantResult(t, c.ip+" "+c.sender, got.Result, c.want, got.Reason, c.words)
		if got.Domain != c.domain || got.Helo != (c.sender == "") {
			t.Errorf("%s: %+v", c.sender, got)
		}
	}
	if n := s.Count("why.example.org", 0); n != 0 {
		t.Error("what a domain explains is asked for")
	}
}

// Records that ask for as much as they can cost a bounded number of questions, whatever
// they lead to.
func TestSPFBombs(t *testing.T) {
	var b strings.Builder
	for i := range 12 { // each includes twelve others, which do the same
		fmt.Fprintf(&b, "i%d.bomb.test. TXT \"v=spf1", i)
		for k := range 6 {
			fmt.Fprintf(&b, " include:i%d.bomb.test", (i+k+1)%12)
		}
		b.WriteString(" -all\"\n")
	}
	mx, ptr := "", ""
	for i := range 10 {
		mx += fmt.Sprintf("mx.test. MX 10 h%d.mx.test.\nh%d.mx.test. A 192.0.2.%d\n", i, i, 100+i)
		ptr += fmt.Sprintf("1.2.0.192.in-addr.arpa. PTR p%d.test.\n", i)
	}
	b.WriteString(mx + ptr + "many.test. TXT \"v=spf1" + strings.Repeat(" mx:mx.test", 9) + " ptr:x.test -all\"\n")
	for i := range 11 {
		fmt.Fprintf(&b, "wide.test. MX 10 w%d.test.\n", i)
	}
	b.WriteString("toomany.test. TXT \"v=spf1 mx:wide.test +all\"\n")
	giant := strings.Repeat(`"`+strings.Repeat("ip4:198.51.100.1 ", 15)[:254]+`" `, 200)
	fmt.Fprintf(&b, "giant.test. TXT \"v=spf1 \" %s\n", giant)
	b.WriteString("macro.test. TXT " + `"v=spf1 exists:` + strings.Repeat("%{l}.", 40) + `test -all"` + "\n")
	r, s := served(t, b.String())
	for _, c := range []struct {
		domain string
		most   int
		want   Result
		words  string
	}{
		{"i0.bomb.test", 11, PermError, "more than 10 questions"},
		{"many.test", maxQuestions, Fail, ""},
		{"toomany.test", 2, PermError, "more than 10 mail servers"},
		{"giant.test", 2, PermError, "a term that is not known"},
		{"macro.test", 2, Fail, ""},
	} {
		s.ResetCounts()
		got := CheckSPF(t.Context(), r, testIP, "mx.example.net", strings.Repeat("l", 60)+"@"+c.domain)
		wantResult(t, c.domain, got.Result, c.want, got.Reason, c.words)
		if n := s.Count("", 0); n > c.most+1 { // one more over TCP
			t.Errorf("%s: %d questions", c.domain, n)
		}
	}
}

// A resolver that isn't ours, with errors of its own, is as good.
func TestSPFOtherResolver(t *testing.T) {
	z := texts("example.org", "v=spf1 a -all")
	z.ip = map[string][]string{"example.org": {"192.0.2.1", "2001:db8::1"}}
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		got := CheckSPF(t.Context(), z, netip.MustParseAddr(ip), "x", "a@example.org")
		wantResult(t, ip, got.Result, Pass, got.Reason, "")
	}
	got := CheckSPF(t.Context(), stuck{}, testIP, "x", "")
	wantResult(t, "HELO that is no domain", got.Result, None, got.Reason, "x is no domain")
}

func FuzzSPFRecord(f *testing.F) {
	for _, record := range []string{"v=spf1 a mx/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all", "v=spf1 exists:%{ir}.%{l1r-}.x.org redirect=%{d}", "v=spf1 exp=a.b x=%{c} ?all"} {
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record string) {
		if len(record) > 500 {
			return
		}
		got := CheckSPF(t.Context(), texts("example.org", record), testIP, "mx.example.net", "a@example.org")
		if got.Result == "" || got.Reason == "" {
			t.Fatalf("%q: %+v", record, got)
		}
		if seen := spfRecord(record); seen != record && got.Result != PermError && got.Result != None {
			t.Fatalf("%q is %+v", record, got)
		}
	})
}
