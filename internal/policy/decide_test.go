package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
)

const author = "example.org"

// failed are facts about a message that proves nothing, whose author's domain asks for p.
func failed(p string) facts {
	return facts{
		froms: 1, from: author,
		spf:   mailauth.SPF{Result: mailauth.SoftFail, Domain: "bounce.example", Reason: "not in the list"},
		dkim:  []mailauth.DKIM{{Result: mailauth.Fail, Domain: author, Reason: "body was changed"}},
		dmarc: mailauth.DMARC{Result: mailauth.Fail, From: author, Domain: author, Policy: p},
	}
}

// proven are facts about a message that is what it says.
func proven() facts {
	return facts{
		froms: 1, from: author, spf: mailauth.SPF{Result: mailauth.Pass, Domain: author},
		dkim:  []mailauth.DKIM{{Result: mailauth.Pass, Domain: author}},
		dmarc: mailauth.DMARC{Result: mailauth.Pass, From: author, Domain: author, Policy: "reject"},
	}
}

// chain is one of sets that passed; each says domain: results.
func chain(sets ...string) arc.Chain {
	c := arc.Chain{Result: mailauth.Pass}
	for i, s := range sets {
		domain, results, _ := strings.Cut(s, ": ")
		c.Sets = append(c.Sets, arc.Set{Instance: i + 1, Domain: domain, Results: " " + results})
	}
	return c
}

// with changes facts.
func with(f facts, change func(*facts)) facts {
	f.dkim = slices.Clone(f.dkim)
	change(&f)
	return f
}

func TestDecide(t *testing.T) {
	const good = "lists.example: lists.example; dmarc=pass header.from=example.org"
	sealed := func(p string, sets ...string) facts {
		return with(failed(p), func(f *facts) { f.chain = chain(sets...) })
	}
	trusting := Rules{Sealers: []string{"lists.example", "other.example"}}
	noRecord := with(failed(""), func(f *facts) { f.dmarc = mailauth.DMARC{Result: mailauth.None, From: author} })
	unknown := with(failed(""), func(f *facts) { f.dmarc.Result = mailauth.TempError; f.dmarc.Reason = "no answer" })
	spfFail := with(noRecord, func(f *facts) { f.spf.Result = mailauth.Fail })
	for _, c := range []struct {
		name  string
		rules Rules
		a     Arrival
		f     facts
		want  Decision
		words string // in the reason
	}{
		{"proven", Rules{}, Arrival{}, proven(), Accept, "it comes from example.org: DKIM signature of example.org, SPF of example.org"},
		{"reject", Rules{}, Arrival{}, failed("reject"), Refuse, "example.org asks to refuse"},
		{"reject, by the domain above", Rules{}, Arrival{}, with(failed("reject"), func(f *facts) { f.from = "news.example.org" }), Refuse, "news.example.org (by the record of example.org) asks to refuse"},
		{"reject says why", Rules{}, Arrival{}, failed("reject"), Refuse, "SPF of bounce.example: softfail (not in the list); DKIM signature of example.org: fail (body was changed)"},
		{"quarantine", Rules{}, Arrival{}, failed("quarantine"), Junk, "p=quarantine"},
		{"p=none", Rules{}, Arrival{}, failed("none"), Accept, "does not ask to refuse such mail (DMARC p=none)"},
		{"no record", Rules{}, Arrival{}, noRecord, Accept, "publishes no wish"},
		{"no record, but SPF", Rules{}, Arrival{}, with(noRecord, func(f *facts) { f.spf = mailauth.SPF{Result: mailauth.Pass, Domain: "mail.example.org"} }), Accept, "it comes from example.org: SPF of mail.example.org"},

		{"record unknown", Rules{}, Arrival{}, unknown, Later, "try again later: no answer"},
		{"DKIM unknown, reject", Rules{}, Arrival{}, with(failed("reject"), func(f *facts) { f.dmarc.Result = mailauth.TempError }), Later, "cannot find out now whether this comes from example.org"},
		{"DKIM unknown, quarantine", Rules{}, Arrival{}, with(failed("quarantine"), func(f *facts) { f.dmarc.Result = mailauth.TempError }), Junk, "p=quarantine"},
		{"DKIM unknown, p=none", Rules{}, Arrival{}, with(failed("none"), func(f *facts) { f.dmarc.Result = mailauth.TempError }), Accept, "nothing proves"},
		{"SPF unknown, but proven", Rules{}, Arrival{}, with(proven(), func(f *facts) { f.spf.Result = mailauth.TempError }), Accept, "it comes from"},

		{"mark", Rules{DMARC: Mark}, Arrival{}, failed("reject"), Accept, "would have been refused: example.org asks"},
		{"mark unknown", Rules{DMARC: Mark}, Arrival{}, unknown, Accept, "would have been put off: "},
		{"off", Rules{DMARC: Off}, Arrival{}, failed("reject"), Accept, ""},

		{"sealed, trusted", trusting, Arrival{}, sealed("reject", good), Accept, "lists.example, whose ARC seal is trusted, had found that it comes from example.org"},
		{"sealed, record unknown", trusting, Arrival{}, with(unknown, func(f *facts) { f.chain = chain(good) }), Accept, "lists.example"},
		{"sealed, nobody trusted", Rules{}, Arrival{}, sealed("reject", good), Refuse, ""},
		{"sealed, chain broken", trusting, Arrival{}, with(sealed("reject", good), func(f *facts) { f.chain.Result = mailauth.Fail }), Refuse, ""},
		{"sealed, chain unknown", trusting, Arrival{}, with(sealed("reject", good), func(f *facts) { f.chain.Result = mailauth.TempError }), Later, ""},
		{"sealed by a stranger, chain unknown", trusting, Arrival{}, with(sealed("reject", good, "evil.example: x; none"), func(f *facts) { f.chain.Result = mailauth.TempError }), Refuse, ""},
		{"sealed, a stranger after", trusting, Arrival{}, sealed("reject", good, "evil.example: evil.example; dmarc=pass header.from=example.org"), Refuse, ""},
		{"sealed, a stranger before", trusting, Arrival{}, sealed("reject", "evil.example: evil.example; dmarc=pass header.from=example.org", "lists.example: lists.example; dmarc=fail header.from=example.org"), Refuse, ""},
		{"sealed by two", trusting, Arrival{}, sealed("reject", good, "other.example: other.example; dmarc=fail header.from=example.org"), Accept, "lists.example"},
		{"sealed, another author", trusting, Arrival{}, sealed("reject", "lists.example: x.example; dmarc=pass header.from=example.net"), Refuse, ""},
		{"sealed, DKIM alone", trusting, Arrival{}, sealed("quarantine", "lists.example: x.example; dkim=pass header.d=mail.example.org"), Accept, "lists.example"},
		{"sealed, as Microsoft's servers write", trusting, Arrival{}, sealed("reject", "lists.example: mx.example.com 1; spf=pass smtp.mailfrom=example.org; dmarc=pass action=none header.from=example.org; dkim=pass header.d=example.org; arc=none"), Accept, "lists.example"},
		{"sealed, as Google's servers write", trusting, Arrival{}, sealed("quarantine", "lists.example: mx.example.com; dkim=pass header.i=@example.org header.s=s1 header.b=7xMqvV6k; arc=none"), Accept, "lists.example"},
		{"sealed, as Zoho's servers write", trusting, Arrival{}, sealed("reject", "lists.example: mx.example.com; dkim=pass header.i=example.org; dmarc=pass header.from=<bob@example.org>"), Accept, "lists.example"},
		{"sealed, an identity of another", trusting, Arrival{}, sealed("quarantine", "lists.example: mx.example.com; dkim=pass header.i=example.org@evil.example"), Junk, ""},
		{"sealed, DKIM of another", trusting, Arrival{}, sealed("quarantine", "lists.example: x.example; dkim=pass header.d=notexample.org"), Junk, ""},
		{"sealed, DKIM but DMARC failed", trusting, Arrival{}, sealed("quarantine", "lists.example: x.example; dmarc=fail header.from=example.org; dkim=pass header.d=example.org"), Junk, ""},
		{"sealed, no results", trusting, Arrival{}, sealed("reject", "lists.example: ;;;"), Refuse, ""},

		{"SPF alone", Rules{}, Arrival{}, spfFail, Accept, ""},
		{"SPF alone refuses", Rules{SPFReject: true}, Arrival{}, spfFail, Refuse, "bounce.example says by SPF"},
		{"SPF of HELO refuses", Rules{SPFReject: true}, Arrival{}, with(noRecord, func(f *facts) { f.helo = mailauth.SPF{Result: mailauth.Fail, Domain: "mx.bounce.example", Helo: true} }), Refuse, "mx.bounce.example says by SPF"},
		{"SPF softfail refuses not", Rules{SPFReject: true}, Arrival{}, noRecord, Accept, ""},
		{"SPF refuses not what DMARC knows", Rules{SPFReject: true}, Arrival{}, with(proven(), func(f *facts) { f.spf.Result = mailauth.Fail }), Accept, ""},

		{"two From", Rules{}, Arrival{}, facts{froms: 2, fromErr: errors.New("several From fields")}, Refuse, "several From fields"},
		{"no author", Rules{}, Arrival{}, facts{fromErr: errors.New("no From field")}, Junk, "no From field"},

		{"own", Rules{}, Arrival{}, with(noRecord, func(f *facts) { f.own = true }), Junk, "a domain of this server"},
		{"own, p=none", Rules{}, Arrival{}, with(failed("none"), func(f *facts) { f.own = true }), Junk, "a domain of this server"},
		{"own, reject", Rules{}, Arrival{}, with(failed("reject"), func(f *facts) { f.own = true }), Refuse, "asks to refuse"},
		{"own, proven by DKIM", Rules{}, Arrival{}, with(noRecord, func(f *facts) { f.own = true; f.dkim[0].Result = mailauth.Pass }), Accept, "it comes from"},
		{"own, vouched", trusting, Arrival{}, with(noRecord, func(f *facts) { f.own = true; f.chain = chain(good) }), Accept, "lists.example"},
		{"own, marked", Rules{Own: Mark}, Arrival{}, with(noRecord, func(f *facts) { f.own = true }), Accept, "would have gone to Junk: it claims"},
		{"own, off", Rules{Own: Off}, Arrival{}, with(noRecord, func(f *facts) { f.own = true }), Accept, "publishes no wish"},

		{"allowed", Rules{}, Arrival{Trusted: true, Junk: true}, failed("reject"), Accept, "the administrator has allowed"},
		{"the gate's junk", Rules{}, Arrival{Junk: true, Notes: []string{"listed by bl.example"}}, proven(), Junk, "listed by bl.example"},
		{"the gate's junk is refused first", Rules{}, Arrival{Junk: true}, failed("reject"), Refuse, ""},
		{"unread", Rules{}, Arrival{Trusted: true}, facts{err: errors.New("disk on fire at /var/lib")}, Later, "local error"},
		{"nobody's address", Rules{}, Arrival{}, with(failed("reject"), func(f *facts) { f.spf = mailauth.SPF{} }), Junk, "SPF was not checked"},
		{"nobody's address, DNS down", Rules{}, Arrival{}, with(failed("reject"), func(f *facts) { f.spf = mailauth.SPF{}; f.dmarc.Result = mailauth.TempError }), Later, ""},
	} {
		v := decide(c.rules, c.a, c.f)
		if v.Decision != c.want || !strings.Contains(v.Reason, c.words) || v.Reason == "" {
			t.Errorf("%s: %s %q, want %s %q", c.name, v.Decision, v.Reason, c.want, c.words)
		}
		if refused := v.Decision == Refuse || v.Decision == Later; refused != (v.Status != "") || refused && v.Status[0] != map[Decision]byte{Refuse: '5', Later: '4'}[v.Decision] {
			t.Errorf("%s: status %q of %s", c.name, v.Status, v.Decision)
		}
	}
}

// RFC 7372 section 3.3: several checks have failed; 3.1: SPF alone. RFC 7208 section 8.6:
// the DNS has failed.
func TestStatus(t *testing.T) {
	for want, v := range map[string]Verdict{
		"5.7.26": decide(Rules{}, Arrival{}, failed("reject")),
		"5.7.23": decide(Rules{SPFReject: true}, Arrival{}, with(failed("none"), func(f *facts) { f.spf.Result = mailauth.Fail })),
		"4.4.3":  decide(Rules{}, Arrival{}, with(failed(""), func(f *facts) { f.dmarc.Result = mailauth.TempError })),
		"5.7.1":  decide(Rules{}, Arrival{}, facts{froms: 2, fromErr: errors.New("x")}),
	} {
		if v.Status != want {
			t.Errorf("status %s of %q, want %s", v.Status, v.Reason, want)
		}
	}
}

func TestRelated(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"example.org", "example.org", true}, {"Example.ORG", "example.org", true},
		{"mail.example.org", "example.org", true}, {"example.org", "mail.example.org", true},
		{"notexample.org", "example.org", false}, {"a.example.org", "b.example.org", false},
		{"", "example.org", false}, {"", "", false},
	} {
		if got := related(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
	}
}
