package mailauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseDMARC(t *testing.T) {
	for _, c := range []struct{ txt, want string }{ // p sp np psd flags
		{"v=DMARC1; p=reject", "reject   u "},
		{"v=DMARC1;p=quarantine;sp=none;np=reject;psd=y;t=y;adkim=s;aspf=s", "quarantine none reject y testing dkim spf "},
		{" v = DMARC1 ; P = Reject ; PSD=N", "reject   n "},
		{"v=DMARC1", "none   u "}, // section 4.7: p is RECOMMENDED, "none" if it is not there
		{"v=DMARC1;", "none   u "},
		{"v=DMARC1; rua=mailto:a@example.org", "none   u "},
		{"v=DMARC1; p=reject; pct=0; rf=x; new=y; ;;x", "reject   u "}, // unknown tags are ignored
		{"v=DMARC1; p=reject; psd=x; t=maybe; adkim=x; aspf=", "reject   u "},
		{"v=DMARC1; p=reject; p=none", "reject   u "},
		{"v=DMARC1; p=block; sp=reject; rua=mailto:a@example.org", "none   u "}, // section 4.10.1
		{"v=DMARC1; p=reject; sp=x; rua=,mailto:a@example.org", "none   u "},
		{"v=DMARC1; p=reject; np=x; rua=nothing", "none   u unusable "},
		{"v=DMARC1; p=block", "none   u unusable "},
		{"v=DMARC1; p=", "none   u unusable "},
		{"v=dmarc1; p=reject", ""}, // "The value of this tag MUST match precisely"
		{"V=DMARC1; p=none", "none   u "},
		{"p=reject; v=DMARC1", ""}, // "It MUST be the first tag in the list."
		{"v=DMARC1 p=reject", ""},
		{"v=DMARC2; p=reject", ""},
		{"v=spf1 -all", ""},
		{"", ""},
		{"v=DMARC1; p=reject; x=" + strings.Repeat("x", maxDMARCRecord), ""},
	} {
		if got := shape(parseDMARC(c.txt)); got != c.want {
			t.Errorf("%.60q: %q, want %q", c.txt, got, c.want)
		}
	}
}

// shape is a record in one line.
func shape(r *dmarcRecord) string {
	if r == nil {
		return ""
	}
	s := fmt.Sprintf("%s %s %s %c ", r.p, r.sp, r.np, r.psd)
	for _, f := range []struct {
		is   bool
		word string
	}{{r.testing, "testing"}, {r.strictDKIM, "dkim"}, {r.strictSPF, "spf"}, {r.unusable, "unusable"}} {
		if f.is {
			s += f.word + " "
		}
	}
	return s
}

// RFC 9989 section 4.10: "a shortcut is built into the process so that Author Domains with
// more than eight labels do not result in more than eight DNS queries."
func TestWalkNames(t *testing.T) {
	for domain, want := range map[string]string{
		"com":                     "com",
		"a.mail.example.com":      "a.mail.example.com mail.example.com example.com com",
		"a.b.c.d.e.example.com":   "a.b.c.d.e.example.com b.c.d.e.example.com c.d.e.example.com d.e.example.com e.example.com example.com com",
		"a.b.c.d.e.f.g.h":         "a.b.c.d.e.f.g.h b.c.d.e.f.g.h c.d.e.f.g.h d.e.f.g.h e.f.g.h f.g.h g.h h",
		"a.b.c.d.e.f.g.h.i.j.com": "a.b.c.d.e.f.g.h.i.j.com e.f.g.h.i.j.com f.g.h.i.j.com g.h.i.j.com h.i.j.com i.j.com j.com com",
	} {
		got := walkNames(domain)
		if strings.Join(got, " ") != want || len(got) > 8 {
			t.Errorf("%s: %s", domain, strings.Join(got, " "))
		}
	}
}

// records is a zone of DMARC records, domain and record in turn.
func records(pairs ...string) *zone {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "_dmarc." + pairs[i]
	}
	return texts(pairs...)
}

func TestOrganization(t *testing.T) {
	for _, c := range []struct {
		what, domain, want string
		z                  *zone
	}{
		// The examples of section 4.10.2.
		{"fewest labels", "a.mail.example.com", "example.com", records("mail.example.com", "v=DMARC1", "example.com", "v=DMARC1")},
		{"below a registry", "a.mail.example.com", "example.com", records("com", "v=DMARC1; psd=y")},
		{"psd=n ends it", "a.mail.example.com", "mail.example.com", records("mail.example.com", "v=DMARC1; psd=n", "example.com", "v=DMARC1")},
		{"psd=y in between", "a.b.mail.example.com", "b.mail.example.com", records("mail.example.com", "v=DMARC1; psd=y", "example.com", "v=DMARC1")},
		{"its own psd=y does not count", "mail.example.com", "mail.example.com", records("mail.example.com", "v=DMARC1; psd=y", "example.com", "v=DMARC1")},
		{"nothing", "a.mail.example.com", "a.mail.example.com", records()},
		{"only its own", "a.example.com", "a.example.com", records("a.example.com", "v=DMARC1")},
		{"several are none", "a.example.com", "a.example.com", records("example.com", "v=DMARC1", "example.com", "v=DMARC1; p=none")},
		{"others beside it", "a.example.com", "example.com", records("example.com", "v=spf1 -all", "example.com", "v=DMARC1")},
		// Registries that do not say psd=y.
		{"a registry's", "a.example.co.uk", "example.co.uk", records("co.uk", "v=DMARC1; p=reject")},
		{"a registry's, itself", "co.uk", "co.uk", records("co.uk", "v=DMARC1; p=reject")},
		{"a registry's psd=n", "a.example.co.uk", "co.uk", records("co.uk", "v=DMARC1; psd=n")},
		{"a company's that takes customers", "a.github.io", "github.io", records("github.io", "v=DMARC1")},
		{"a name within", "a.corp", "corp", records("corp", "v=DMARC1")},
	} {
		tr := tree{ctx: t.Context(), r: c.z, known: map[string]leaf{}}
		found, err := tr.walk(c.domain)
		if got := organization(c.domain, found); got != c.want || err != nil {
			t.Errorf("%s: %s, %v, want %s", c.what, got, err, c.want)
		}
	}
}

func spfFor(result Result, domain string) SPF {
	return SPF{Result: result, Domain: domain, Reason: "SPF words"}
}

func dkimFor(pairs ...string) (all []DKIM) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, DKIM{Result: Result(pairs[i]), Domain: pairs[i+1], Reason: "DKIM words"})
	}
	return all
}

func TestEvaluateDMARC(t *testing.T) {
	const reject, quarantine = "v=DMARC1; p=reject", "v=DMARC1; p=quarantine"
	fails := spfFor(Fail, "else.test")
	for _, c := range []struct {
		what, from string
		z          *zone
		spf        SPF
		dkim       []DKIM
		want       string // result, domain, policy
		words      string
	}{
		{"no record", "example.org", records(), fails, nil, "none  ", "example.org has no DMARC record"},
		{"nothing holds", "example.org", records("example.org", reject), fails, nil, "fail example.org reject", "nothing shows that example.org sent this: SPF is fail for else.test, and there is no DKIM signature"},
		{"bad signatures", "example.org", records("example.org", reject), SPF{}, dkimFor("fail", "example.org", "permerror", ""), "fail example.org reject", "SPF was not asked, and DKIM is fail for example.org, permerror"},
		{"signed by itself", "example.org", records("example.org", reject), fails, dkimFor("fail", "x.test", "pass", "example.org"), "pass example.org reject", "it is signed by example.org"},
		{"sent by itself", "example.org", records("example.org", reject), spfFor(Pass, "example.org"), nil, "pass example.org reject", "SPF words"},
		{"a stranger's signature", "example.org", records("example.org", reject, "x.test", reject), spfFor(Pass, "x.test"), dkimFor("pass", "x.test"), "fail example.org reject", ""},
		{"relaxed: below", "example.org", records("example.org", reject), fails, dkimFor("pass", "mail.example.org"), "pass example.org reject", "it is signed by mail.example.org"},
		{"relaxed: above", "mail.example.org", records("example.org", quarantine), fails, dkimFor("pass", "example.org"), "pass example.org quarantine", ""},
		{"relaxed: beside", "a.example.org", records("example.org", reject), spfFor(Pass, "b.example.org"), nil, "pass example.org reject", ""},
		{"relaxed: not a label", "example.org", records("example.org", reject), spfFor(Pass, "notexample.org"), nil, "fail example.org reject", ""},
		{"d=com", "example.com", records("example.com", reject), fails, dkimFor("pass", "com"), "fail example.com reject", ""},
		{"an organization of its own below", "example.org", records("example.org", reject, "sub.example.org", "v=DMARC1; psd=n"), fails, dkimFor("pass", "sub.example.org"), "fail example.org reject", ""},
		{"two of one registry", "a.co.uk", records("co.uk", reject), fails, dkimFor("pass", "b.co.uk"), "fail co.uk reject", ""},
		{"strict DKIM", "example.org", records("example.org", reject+"; adkim=s"), fails, dkimFor("pass", "mail.example.org"), "fail example.org reject", ""},
		{"strict DKIM, the same", "example.org", records("example.org", reject+"; adkim=s; aspf=s"), fails, dkimFor("pass", "example.org"), "pass example.org reject", ""},
		{"strict SPF", "example.org", records("example.org", reject+"; aspf=s"), spfFor(Pass, "mail.example.org"), nil, "fail example.org reject", ""},
		{"softfail is no pass", "example.org", records("example.org", reject), spfFor(SoftFail, "example.org"), nil, "fail example.org reject", ""},
		{"policy is no pass", "example.org", records("example.org", reject), fails, dkimFor("policy", "example.org"), "fail example.org reject", ""},

		{"sp", "a.example.org", records("example.org", reject+"; sp=quarantine"), fails, nil, "fail example.org quarantine", ""},
		{"sp does not count for itself", "example.org", records("example.org", reject+"; sp=none; np=none"), fails, nil, "fail example.org reject", ""},
		{"its own record first", "a.example.org", records("a.example.org", quarantine+"; sp=none", "example.org", reject), fails, nil, "fail a.example.org quarantine", ""},
		{"not that in between", "a.b.example.org", records("b.example.org", "v=DMARC1; p=none", "example.org", reject), fails, nil, "fail example.org reject", ""},
		{"np: not in the DNS", "none.example.org", records("example.org", "v=DMARC1; p=none; sp=quarantine; np=reject"), fails, nil, "fail example.org reject", ""},
		{"np: it is there", "a.example.org", withAddress(records("example.org", "v=DMARC1; p=none; sp=quarantine; np=reject"), "a.example.org"), fails, nil, "fail example.org quarantine", ""},
		{"np: nobody knows", "a.example.org", failing(records("example.org", "v=DMARC1; p=none; sp=quarantine; np=reject"), "a.example.org"), fails, nil, "fail example.org quarantine", ""},
		{"t: one step less", "example.org", records("example.org", reject+"; t=y"), fails, nil, "fail example.org quarantine", ""},
		{"t: two of one", "example.org", records("example.org", quarantine+"; t=y"), fails, nil, "fail example.org none", ""},
		{"t: none stays", "example.org", records("example.org", "v=DMARC1; p=none; t=y"), fails, nil, "fail example.org none", ""},
		{"the registry's", "a.example.bank", records("bank", "v=DMARC1; p=none; sp=reject; psd=y"), fails, nil, "fail bank reject", ""},
		{"no policy that there is", "example.org", records("example.org", "v=DMARC1; p=block"), fails, nil, "none  ", "a policy that is none"},

		{"DNS fails for its own", "example.org", failing(records("example.org", reject), "_dmarc.example.org"), spfFor(Pass, "example.org"), nil, "temperror  ", "the DMARC record of example.org cannot be asked for"},
		{"DNS fails above", "a.b.example.org", failing(records("b.example.org", reject), "_dmarc.example.org"), fails, nil, "temperror  ", ""},
		{"a registry fails", "a.example.com", failing(records("example.com", reject), "_dmarc.com"), fails, nil, "fail example.com reject", ""},
		{"SPF not known", "example.org", records("example.org", reject), spfFor(TempError, "example.org"), nil, "temperror example.org reject", "it is not known now whether example.org sent this: SPF words"},
		{"a stranger's SPF not known", "example.org", records("example.org", reject), spfFor(TempError, "else.test"), nil, "fail example.org reject", ""},
		{"SPF given up", "example.org", records("example.org", reject), spfFor(TempError, ""), nil, "temperror example.org reject", "SPF words"},
		{"SPF given up, signed", "example.org", records("example.org", reject), spfFor(TempError, ""), dkimFor("pass", "mail.example.org"), "pass example.org reject", ""},
		{"DKIM given up", "example.org", records("example.org", reject+"; adkim=s"), fails, dkimFor("temperror", ""), "temperror example.org reject", "DKIM words"},
		{"a key not known", "example.org", records("example.org", quarantine), fails, dkimFor("temperror", "mail.example.org"), "temperror example.org quarantine", "DKIM words"},
		{"a key not known, another holds", "example.org", records("example.org", reject), fails, dkimFor("temperror", "example.org", "pass", "mail.example.org"), "pass example.org reject", ""},
		{"a key not known, strict", "example.org", records("example.org", reject+"; adkim=s"), fails, dkimFor("temperror", "mail.example.org"), "fail example.org reject", ""},
		{"an organization not known", "example.org", failing(records("example.org", reject), "_dmarc.mail.example.org"), fails, dkimFor("pass", "mail.example.org"), "temperror example.org reject", "the organization of mail.example.org"},
	} {
		m := EvaluateDMARC(t.Context(), c.z, c.from, c.spf, c.dkim)
		if got := fmt.Sprintf("%s %s %s", m.Result, m.Domain, m.Policy); got != c.want || !strings.Contains(m.Reason, c.words) || m.From != c.from {
			t.Errorf("%s: %s (%s), want %s (%s)", c.what, got, m.Reason, c.want, c.words)
		}
		if m.Testing != strings.HasPrefix(c.what, "t: ") {
			t.Errorf("%s: testing is %v", c.what, m.Testing)
		}
	}
}

func withAddress(z *zone, name string) *zone {
	z.ip = map[string][]string{name: {"192.0.2.1"}}
	return z
}

func failing(z *zone, names ...string) *zone {
	for _, name := range names {
		z.fail[name] = true
	}
	return z
}

// One question where the names are the same, and few where they are not, whatever signs.
func TestDMARCQuestions(t *testing.T) {
	z := records("example.org", "v=DMARC1; p=reject")
	EvaluateDMARC(t.Context(), z, "example.org", spfFor(Pass, "example.org"), nil)
	if !slices.Equal(z.asked, []string{"_dmarc.example.org"}) {
		t.Errorf("asked for %v", z.asked)
	}
	z.asked = nil
	var many []DKIM
	for i := range 10 {
		many = append(many, DKIM{Result: Pass, Domain: fmt.Sprintf("a%d.b.c.d.e.f.g.h.example.org", i)}, DKIM{Result: Pass, Domain: fmt.Sprintf("x%d.test", i)})
	}
	m := EvaluateDMARC(t.Context(), failing(records("example.org", "v=DMARC1; p=reject; psd=n")), "example.org", SPF{}, many)
	wantResult(t, "below", m.Result, Pass, m.Reason, "")
	z = records("a.b.example.org", "v=DMARC1; p=reject")
	for i := range many {
		many[i].Domain = fmt.Sprintf("x%d.c.d.e.f.a.b.example.org", i)
		z.txt["_dmarc."+many[i].Domain] = []string{"v=DMARC1; psd=n"}
	}
	m = EvaluateDMARC(t.Context(), z, "a.b.example.org", SPF{}, many)
	wantResult(t, "organizations of their own", m.Result, Fail, m.Reason, "")
	if n := z.questions(); n > 4+len(many) {
		t.Errorf("%d questions", n)
	}
}

func FuzzDMARC(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=x; rua=mailto:a@b", "a.example.co.uk")
	f.Add("v=DMARC1", "com")
	f.Fuzz(func(t *testing.T, txt, domain string) {
		r := parseDMARC(txt)
		if r != nil && (!slices.Contains([]string{"none", "quarantine", "reject"}, r.policy(true)) || r.policy(false) == "") {
			t.Fatalf("%+v", r)
		}
		names := walkNames(domain)
		if len(names) > 8 || names[0] != domain {
			t.Fatalf("%q: %q", domain, names)
		}
		for _, name := range names[1:] {
			if !inDomain(domain, name) || !inDomain(domain, oneBelow(domain, name)) {
				t.Fatalf("%q is not above %q", name, domain)
			}
		}
	})
}
