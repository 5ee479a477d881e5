package policy

import (
	"fmt"
	"strings"

	"kurir/internal/mailauth"
)

// Mode says what is done about the wishes of those whose domain a message claims to be from.
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // refuse and junk as they ask
	Mark    Mode = "mark"    // only say so, in the header and in the log
	Off     Mode = "off"     // do not ask
)

// Rules are what the administrator wants. The zero value is the default.
type Rules struct {
	DMARC     Mode     // "" means Enforce
	Own       Mode     // the same for the domains of this server, without their wish; "" means Enforce: what nothing proves is junk
	SPFReject bool     // refuse where SPF alone says fail
	Sealers   []string // domains whose ARC seals are believed, in lower case
}

// decide makes the verdict of what was found out. The first rule that fits decides.
func decide(r Rules, a Arrival, f facts) Verdict {
	vouched := f.vouched(r.Sealers)
	var marks []string
	for _, rule := range []struct {
		mode   Mode
		reason func() Verdict
	}{
		{Enforce, func() Verdict { return unread(f) }},
		{Enforce, func() Verdict { return allowed(a) }},
		{Enforce, func() Verdict { return twoAuthors(f) }},
		{r.DMARC, func() Verdict { return byDMARC(r, f, vouched) }},
		{Enforce, func() Verdict { return bySPF(r, f, vouched) }},
		{Enforce, func() Verdict { return noAuthor(f) }},
		{r.Own, func() Verdict { return byOwn(f, vouched) }},
		{Enforce, func() Verdict { return byGate(a) }},
	} {
		if rule.mode == Off {
			continue
		}
		v := rule.reason()
		switch {
		case v.Reason == "":
		case rule.mode == Mark && v.Decision != Accept:
			marks = append(marks, wouldHave(v))
		default:
			return v
		}
	}
	v := accepted(f, vouched)
	v.Reason = strings.Join(append(marks, v.Reason), "; ")
	return v
}

// wouldHave says what would have become of a message, if it were not for Mark.
func wouldHave(v Verdict) string {
	return "it would have " + [...]string{"been taken", "gone to Junk", "been put off", "been refused"}[v.Decision] + ": " + v.Reason
}

// unread puts off what we cannot read ourselves.
func unread(f facts) Verdict {
	if f.err == nil {
		return Verdict{}
	}
	return Verdict{Decision: Later, Status: "4.3.0", Reason: "local error, try again later"}
}

func allowed(a Arrival) Verdict {
	if !a.Trusted {
		return Verdict{}
	}
	return Verdict{Decision: Accept, Reason: "the administrator has allowed this client or sender"}
}

// twoAuthors refuses what programs would show different authors of (RFC 5322 section 3.6
// wants one From field).
func twoAuthors(f facts) Verdict {
	if f.froms < 2 {
		return Verdict{}
	}
	return Verdict{Decision: Refuse, Status: "5.7.1", Reason: "the message has several From fields, and programs differ in which of them they show"}
}

// byDMARC does what the owner of the author's domain asks for (RFC 9989). The client is to
// try again only if the message would be refused otherwise, or if nobody knows.
func byDMARC(r Rules, f facts, vouched string) Verdict {
	d := f.dmarc
	if d.Result != mailauth.Fail && d.Result != mailauth.TempError || vouched != "" {
		return Verdict{}
	}
	switch {
	case d.Policy == "none":
		return Verdict{}
	case d.Policy == "quarantine":
		return Verdict{Decision: Junk, Reason: fmt.Sprintf(
			"%s asks to treat with suspicion what does not prove to come from it (DMARC p=quarantine): %s", owner(f), whyNot(f))}
	case d.Policy == "":
		return Verdict{Decision: Later, Status: "4.4.3", Reason: fmt.Sprintf(
			"cannot find out now what %s asks for by DMARC, try again later: %s", f.from, orElse(d.Reason, "its DNS does not answer"))}
	case d.Result == mailauth.TempError || f.mayBeVouched(r.Sealers):
		return Verdict{Decision: Later, Status: "4.4.3", Reason: fmt.Sprintf(
			"cannot find out now whether this comes from %s, which asks to refuse what does not, try again later: %s", owner(f), whyNot(f))}
	}
	if f.spf.Result == "" { // it might have passed, and the fault is ours
		return Verdict{Decision: Junk, Reason: fmt.Sprintf(
			"%s asks to refuse what does not prove to come from it (DMARC p=reject), which cannot be told for sure here: %s", owner(f), whyNot(f))}
	}
	return Verdict{Decision: Refuse, Status: "5.7.26", Reason: fmt.Sprintf(
		"%s asks to refuse what does not prove to come from it (DMARC p=reject), and its administrator can have your server listed in SPF or sign with DKIM: %s", owner(f), whyNot(f))}
}

// bySPF refuses what SPF alone rules out, if the administrator says so (RFC 7208 section 8.4).
func bySPF(r Rules, f facts, vouched string) Verdict {
	if !r.SPFReject || f.dmarc.Result == mailauth.Pass || vouched != "" {
		return Verdict{}
	}
	for _, s := range []mailauth.SPF{f.spf, f.helo} {
		if s.Result == mailauth.Fail {
			return Verdict{Decision: Refuse, Status: "5.7.23", Reason: fmt.Sprintf(
				"%s says by SPF that your server may not send for it, and its administrator can list it there: %s", s.Domain, orElse(s.Reason, "fail"))}
		}
	}
	return Verdict{}
}

// noAuthor puts among junk what has no author whose domain could be asked, or one that
// others may not see.
func noAuthor(f facts) Verdict {
	if f.fromErr == nil {
		return Verdict{}
	}
	return Verdict{Decision: Junk, Reason: fmt.Sprintf("the author cannot be told: %v", f.fromErr)}
}

// byOwn puts among junk what claims to be from a domain of this server, whose users send
// it from here, if nothing proves it: many publish their records only later, or ask by
// DMARC for reports alone, and nobody is imitated as often as the own boss.
func byOwn(f facts, vouched string) Verdict {
	if !f.own || vouched != "" || f.proven() {
		return Verdict{}
	}
	return Verdict{Decision: Junk, Reason: fmt.Sprintf(
		"it claims to come from %s, which is a domain of this server, but was not sent here and nothing proves it: %s", f.from, whyNot(f))}
}

// byGate follows an earlier check.
func byGate(a Arrival) Verdict {
	if !a.Junk {
		return Verdict{}
	}
	return Verdict{Decision: Junk, Reason: orElse(strings.Join(a.Notes, "; "), "an earlier check wants it so")}
}

// accepted says how far a message can be believed.
func accepted(f facts, vouched string) Verdict {
	v := Verdict{Decision: Accept}
	switch {
	case f.from == "":
		v.Reason = "nothing speaks against it"
	case f.proven():
		v.Reason = fmt.Sprintf("it comes from %s: %s", f.from, proof(f))
	case vouched != "":
		v.Reason = fmt.Sprintf("%s, whose ARC seal is trusted, had found that it comes from %s", vouched, f.from)
	case f.dmarc.Result == mailauth.Fail:
		v.Reason = fmt.Sprintf("nothing proves that it comes from %s, which does not ask to refuse such mail (DMARC p=none): %s", f.from, whyNot(f))
	default:
		v.Reason = fmt.Sprintf("nothing proves that it comes from %s, which publishes no wish for such mail: %s", f.from, whyNot(f))
	}
	return v
}
