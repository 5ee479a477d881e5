package dnsutil

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// spfTexts are a domain's SPF records; ok is false if the DNS gives no answer, which is
// noted.
func (f *finder) spfTexts(domain string) (texts []string, ok bool) {
	answer, ok := f.look(domain, dns.TypeTXT)
	odd := func(text string) bool { return len(text) > len("v=spf1") && text[len("v=spf1")] != ' ' }
	return slices.DeleteFunc(versioned(textsOf(answer.Records), "v=spf1"), odd), ok
}

// meantSPF is a text of a domain that was meant for a record of SPF; "" if there is none.
func (f *finder) meantSPF(domain string) string {
	answer, _ := f.look(domain, dns.TypeTXT)
	for _, text := range textsOf(answer.Records) {
		if strings.Contains(strings.ToLower(text), "v=spf1") {
			return text
		}
	}
	return ""
}

// checkSPF looks who may send mail in the domain's name (RFC 7208).
func (f *finder) checkSPF() {
	domain := f.Site.Domain
	if texts, ok := f.spfTexts(domain); ok {
		f.checkSPFOf(domain, texts)
	}
	if host := f.Site.Host; host != domain {
		f.checkHelo(host)
	}
}

func (f *finder) checkSPFOf(domain string, texts []string) {
	want := f.want("spf", domain)
	switch len(texts) {
	case 0:
		what := domain + " has no SPF record."
		if meant := f.meantSPF(domain); meant != "" {
			what = fmt.Sprintf("%s has a text that is no SPF record, as it does not begin with v=spf1 and a space: %s.", domain, shown(meant))
		}
		f.bad(LevelError, trouble{
			name: domain, what: what,
			why: "Everybody can send in the domain's name; Gmail and others ask for one.", records: want,
		})
		return
	case 1:
	default:
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("%s has %d SPF records.", domain, len(texts)),
			why:  "One alone is allowed: with several none counts (RFC 7208 section 4.5).",
			mend: "Make one of them, with the terms of all: " + merged(texts) + ".",
		})
		return
	}
	old := f.old
	facts := f.readSPF(domain, texts[0])
	f.old = old
	before := len(f.found)
	if len(facts.problems) == 0 && facts.lookups <= maxSPFLookups {
		mended := f.checkSenders(domain, texts[0], ended(texts[0], facts.end))
		f.checkSPFFacts(domain, facts, mended)
	} else {
		f.checkSPFFacts(domain, facts, ended(texts[0], facts.end))
	}
	if good := !slices.ContainsFunc(f.found[before:], func(one Finding) bool { return one.Level != LevelNote }); good {
		f.ok(domain, "SPF lets this server send for %s: %s", domain, shortened(texts[0]))
	}
}

// checkSPFFacts says what is wrong with a record, whoever sends. mended is the record with
// all that is to be changed.
func (f *finder) checkSPFFacts(domain string, facts spfFacts, mended string) {
	for _, p := range facts.problems[:min(len(facts.problems), 5)] {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("The SPF record of %s is broken: %s.", domain, p),
			why: "A broken record counts as a failure or as none.", mend: "Correct it; what this server needs is below.", records: f.want("spf", domain), replace: true,
		})
	}
	for _, o := range facts.open[:min(len(facts.open), 5)] {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("SPF lets everybody send in the name of %s: %s.", domain, o),
			why: "Forged mail passes, and is laid at your door.", mend: "Name the networks that really send, and end the record with -all.",
		})
	}
	if facts.lookups > maxSPFLookups {
		f.bad(LevelError, trouble{
			name: domain, what: fmt.Sprintf("The SPF record of %s takes %d lookups in the DNS; %d are allowed.", domain, facts.lookups, maxSPFLookups),
			why:  "Beyond that the record counts as broken (RFC 7208 section 4.6.4).",
			mend: "Remove services that no longer send for you, and write ip4: and ip6: in place of a and mx where addresses hardly change.",
		})
	}
	const why = "Others have no reason to mistrust mail that comes from elsewhere."
	switch facts.end {
	case '-', '~', '+': // the last is open already
	case '?':
		f.bad(LevelWarning, trouble{name: domain, what: fmt.Sprintf("The SPF record of %s ends in ?all, which says nothing.", domain), why: why, records: f.spfRecord(domain, mended), replace: true})
	default:
		f.bad(LevelWarning, trouble{name: domain, what: fmt.Sprintf("The SPF record of %s does not say what all others may do.", domain), why: why, records: f.spfRecord(domain, mended), replace: true})
	}
	if facts.ptr {
		f.bad(LevelNote, trouble{name: domain, what: fmt.Sprintf("The SPF record of %s uses ptr.", domain), why: "It is slow, and some do not look at it any more (RFC 7208 section 5.5).",
			mend: "Name addresses or mx in place of it."})
	}
}

// ended is a record that says what all others may do, if it did not say so.
func ended(text string, end byte) string {
	switch words := strings.Fields(text); end {
	case '?':
		for i, w := range words {
			if strings.EqualFold(w, "?all") {
				words[i] = "~all"
			}
		}
		return strings.Join(words, " ")
	case 0:
		return strings.Join(append(words, "-all"), " ")
	}
	return text
}

// checkSenders asks whether mail from this server passes, and returns the record in which
// it does.
func (f *finder) checkSenders(domain, text, mended string) string {
	if hosts := f.Site.Smarthosts; len(hosts) > 0 {
		f.bad(LevelNote, trouble{
			name: domain, what: fmt.Sprintf("Mail leaves through %s; which addresses it comes from is not known here.", strings.Join(hosts, ", ")),
			why: "They have to be in the SPF record.", mend: "Its provider says what to include: compare it with the record.",
		})
		return mended
	}
	var failed []netip.Addr
	var first, why string
	for _, a := range f.Site.Addresses {
		result, reason, ok := f.judge(a, "postmaster@"+domain)
		if !ok || result == "pass" {
			continue
		}
		if failed = append(failed, a); first == "" {
			first, why = result, reason
		}
	}
	if len(failed) == 0 {
		return mended
	}
	t := trouble{
		name: domain, what: fmt.Sprintf("SPF does not let %s send for %s (%s).", joined(failed), domain, first),
		why: "Others mistrust or refuse what this server sends" + because(why) + ".",
	}
	if want := f.want("spf", domain); len(want) > 0 && strings.EqualFold(want[0].Value, strings.TrimSpace(text)) {
		t.mend = "The record itself is right: it goes by the MX record and the server's addresses, which have to be mended."
	} else {
		mended = allowed(mended, failed)
		t.mend, t.records, t.replace = "Add the server to the record.", f.spfRecord(domain, mended), true
	}
	f.bad(LevelError, t)
	return mended
}

// judge asks what SPF says of a sender. Sender "" is that of a report.
func (f *finder) judge(a netip.Addr, sender string) (result, reason string, ok bool) {
	if f.SPF == nil {
		return "", "", false
	}
	result, reason = f.SPF(f.ctx, a, f.Site.Host, sender)
	return result, reason, true
}

// because is a reason in brackets.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + strings.TrimSuffix(reason, ".") + ")"
}

// checkHelo looks at the record of the server's own name, by which its reports are judged
// (RFC 7208 section 2.4).
func (f *finder) checkHelo(host string) {
	texts, ok := f.spfTexts(host)
	if !ok {
		return
	}
	want := f.want("spf", host)
	switch len(texts) {
	case 0:
		f.bad(LevelNote, trouble{name: host, what: host + " has no SPF record of its own.",
			why: "Reports of this server, which have no sender, are judged by its name.", records: want})
		return
	case 1:
	default:
		f.bad(LevelError, trouble{name: host, what: fmt.Sprintf("%s has %d SPF records.", host, len(texts)), why: "One alone is allowed: with several none counts.", records: want, replace: true})
		return
	}
	good := true
	for _, a := range f.Site.Addresses {
		if result, reason, ok := f.judge(a, ""); ok && result != "pass" {
			good = false
			f.bad(LevelWarning, trouble{name: host, what: fmt.Sprintf("SPF does not let %s greet as %s (%s).", a, host, result),
				why: "Reports of this server are mistrusted" + because(reason) + ".", records: want, replace: true})
		}
	}
	if good {
		f.ok(host, "SPF of the server's own name: %s", shortened(texts[0]))
	}
}

// spfRecord is one to be published in place of the present one.
func (f *finder) spfRecord(domain, text string) []Record {
	return []Record{f.Site.text("spf", domain, text, Required, "Who may send mail in the name of "+domain+".")}
}

// allowed is a record that lets addresses send, too.
func allowed(text string, addresses []netip.Addr) string {
	words := strings.Fields(text)
	for i, a := range addresses {
		term := "ip4:"
		if a.Is6() {
			term = "ip6:"
		}
		words = slices.Insert(words, 1+i, term+a.String())
	}
	return strings.Join(words, " ")
}

// merged is one record with the terms of several, and the strictest end.
func merged(texts []string) string {
	words := []string{"v=spf1"}
	end := ""
	for _, text := range texts {
		for _, w := range strings.Fields(text)[1:] {
			if strings.HasSuffix(strings.ToLower(w), "all") && len(w) <= 4 {
				if end == "" || w == "~all" { // the mildest of - and ~, so that nothing is refused that was not
					end = w
				}
				continue
			}
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	if end == "" || end == "+all" || end == "?all" || end == "all" {
		end = "~all"
	}
	return strings.Join(append(words, end), " ")
}

// shortened is a text for a line, without control characters.
func shortened(s string) string {
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:120], "") + "..."
	}
	return s
}
