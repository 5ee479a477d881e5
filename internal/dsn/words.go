package dsn

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxSubject   = 200 // octets of the original's subject that are quoted
	maxAddresses = 50  // of a group that are named in words
	maxQuotes    = 5   // replies that are quoted for a group
	maxLines     = 20  // of a reply that are quoted
	maxGroups    = 100 // that are told in words
)

// kind is what the words to the sender distinguish, in the order they tell it.
type kind int

const (
	failed kind = iota
	held
	delayed
	relayed
	expanded
	delivered
	kinds
)

// kind is what the words call the recipient's state.
func (rc *Recipient) kind() kind {
	switch rc.action() {
	case Delayed:
		if rc.Held {
			return held
		}
		return delayed
	case Delivered:
		return delivered
	case Expanded:
		return expanded
	case Relayed:
		return relayed
	}
	return failed
}

// phrases are what is said of all recipients of a kind.
type phrases struct{ subject, one, many, section string }

func (k kind) phrases() phrases {
	return [kinds]phrases{
		failed: {"Undelivered", "Your message to %s could not be delivered.",
			"Your message could not be delivered to %d addresses.", "It could not be delivered to:"},
		held: {"On hold", "Your message to %s is on hold and has not been sent yet.",
			"Your message is on hold and has not been sent yet to %d addresses.", "It is on hold, and not sent yet, for:"},
		delayed: {"Delayed", "Your message to %s has not been delivered yet. We keep trying; you need not do anything.",
			"Your message has not been delivered yet to %d addresses. We keep trying; you need not do anything.", "It has not been delivered yet, but we keep trying, to:"},
		relayed: {"Sent on", "Your message to %s has been sent on to the next mail server, which took it. That server does not tell us when it delivers, so this is the last you hear of it, unless something goes wrong there.",
			"Your message to %d addresses has been sent on to the next mail servers, which took it. They do not tell us when they deliver, so this is the last you hear of it, unless something goes wrong there.", "It has been sent on to the next mail server, which will not tell us when it delivers, for:"},
		expanded: {"Passed on", "Your message to %s has been passed on to several addresses. What becomes of it there is not reported, unless something goes wrong.",
			"Your message to %d addresses has been passed on to several others. What becomes of it there is not reported, unless something goes wrong.", "It has been passed on to several addresses, of which success is not reported, for:"},
		delivered: {"Delivered", "Your message to %s has been delivered.",
			"Your message has been delivered to %d addresses.", "It has been delivered to:"},
	}[k]
}

// group is recipients of whom the same is to be said.
type group struct {
	kind      kind
	before    string // paragraphs above the quotes, joined by "\n"
	after     string // and below
	addresses []string
	quotes    []quote
}

// quote is a reply of another server.
type quote struct {
	host, text string
	masked     string // text without the address
	address    string // the first it was about
}

// subject is the subject of the report.
func (r *Report) subject(o *original) string {
	first := kinds
	for i := range r.Recipients {
		first = min(first, r.Recipients[i].kind())
	}
	about := shorten(o.subject, maxSubject)
	switch {
	case about == "" && o.missing():
		about = "your message of " + r.Arrival.Format("2 January 2006")
	case about == "":
		about = "(no subject)"
	}
	return first.phrases().subject + ": " + about
}

// words is the first part of the report: what a person reads. Lines end in LF and are
// at most 76 characters long, words longer than that excepted.
func (r *Report) words(o *original) string {
	zone := r.Now.Location()
	if _, offset := o.date.Zone(); !o.date.IsZero() && max(offset, -offset) <= 14*60*60 {
		zone = o.date.Location() // the sender's own
	}
	groups := r.groups(zone)
	l := new(letter)
	sections := l.opening(groups)
	l.about(r, o, zone)
	last := kinds
	for i, g := range groups {
		if i == maxGroups {
			l.paragraph("", "What became of further recipients is in the attached part for mail programs.")
			break
		}
		if sections && g.kind != last {
			l.paragraph("", g.kind.phrases().section)
		}
		last = g.kind
		l.group(g, sections || len(groups) > 1 || len(g.addresses) > 1)
	}
	l.closing(r, o, groups)
	return l.b.String()
}

// groups puts together the recipients of whom the same is to be said.
func (r *Report) groups(zone *time.Location) []*group {
	type key struct {
		kind          kind
		before, after string
	}
	known := map[key]*group{}
	var byKind [kinds][]*group
	for i := range r.Recipients {
		rc := &r.Recipients[i]
		k := key{rc.kind(), strings.Join(rc.reason(), "\n"), strings.Join(r.outlook(rc, zone), "\n")}
		g := known[k]
		if g == nil {
			g = &group{kind: k.kind, before: k.before, after: k.after}
			known[k] = g
			byKind[k.kind] = append(byKind[k.kind], g)
		}
		g.add(rc)
	}
	var all []*group
	for _, gs := range byKind {
		all = append(all, gs...)
	}
	return all
}

func (g *group) add(rc *Recipient) {
	address := shorten(plain(rc.Address), maxAddress)
	g.addresses = append(g.addresses, address)
	if rc.Code == 0 || g.kind == delivered || g.kind == expanded || g.kind == relayed || len(g.quotes) == maxQuotes {
		return
	}
	q := quote{host: host(rc.Host), address: address}
	q.text = shorten(rc.replied()+" "+strings.ToValidUTF8(rc.Text, "\uFFFD"), maxDiagnostic)
	q.masked = q.text
	if rc.Address != "" {
		q.masked = strings.ReplaceAll(q.text, rc.Address, "")
	}
	if slices.ContainsFunc(g.quotes, func(known quote) bool { return known.host == q.host && known.masked == q.masked }) {
		return
	}
	g.quotes = append(g.quotes, q)
}

// reason says why, in paragraphs.
func (rc *Recipient) reason() []string {
	switch rc.kind() {
	case relayed, expanded, delivered:
		return nil
	}
	why, advice := class(rc.Code, rc.status())
	if rc.Code != 0 {
		if known := Explain(rc.Code, rc.status(), rc.Text, rc.Host); known != "" {
			return strings.Split(known, "\n")
		}
	} else if text := shorten(plain(rc.Text), maxDiagnostic); text != "" {
		why = sentence(text)
	}
	if rc.kind() == failed && advice != "" {
		why += " " + advice
	}
	return []string{why}
}

// outlook says what was tried and what comes next, in paragraphs.
func (r *Report) outlook(rc *Recipient, zone *time.Location) []string {
	switch rc.kind() {
	case failed:
		s := rc.status()
		late := strings.HasSuffix(s, ".4.7") // delivery time expired
		if !late && (rc.Attempts < 2 || s[0] != '4' && rc.Code/100 != 4) {
			return nil
		}
		often := ""
		if rc.Attempts > 1 {
			often = fmt.Sprintf("%d times ", rc.Attempts)
		}
		return []string{"We have tried " + often + "since " + when(r.Arrival, zone) + ", and have given up now."}
	case held:
		next := "The administrator of " + r.hostname() + " decides whether it is sent. Please do not send it again in the meantime."
		if !rc.Until.IsZero() {
			next += " If nothing has been decided by " + when(rc.Until, zone) + ", it will not be sent, and you will be told."
		}
		return []string{next}
	case delayed:
		next := "Please do not send it again."
		if !rc.Until.IsZero() {
			next = "We go on trying until " + when(rc.Until, zone) + ". Please do not send it again: if it can't be delivered by then, you will be told."
		}
		return []string{next}
	}
	return nil
}

// when is a point in time as people write it, with its distance from UTC.
func when(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	s := t.Format("Monday, 2 January 2006, 15:04") + " (UTC"
	_, offset := t.Zone()
	if offset == 0 {
		return s + ")"
	}
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	s += fmt.Sprintf("%c%d", sign, offset/3600)
	if m := offset / 60 % 60; m != 0 {
		s += fmt.Sprintf(":%02d", m)
	}
	return s + ")"
}

// sentence ends s with a full stop, if it has no end of its own.
func sentence(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
