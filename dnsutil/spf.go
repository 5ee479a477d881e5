package dnsutil

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bounds of looking at SPF records.
const (
	maxSPFLookups = 10 // RFC 7208 section 4.6.4
	maxSPFRecords = 30 // that are read for one domain
	maxSPFTerms   = 500
)

// spfTerm is one term of a record (RFC 7208 section 12).
type spfTerm struct {
	qualifier byte   // '+', '-', '~' or '?'; 0 for a modifier
	name      string // in lower case
	value     string // behind ':' or '='; with a macro it is not expanded
	bits      string // behind '/', of a and mx: "24", "24//64", "/64"
}

// asks tells whether the term costs a lookup.
func (t spfTerm) asks() bool {
	return slices.Contains([]string{"include", "a", "mx", "ptr", "exists", "redirect"}, t.name)
}

// parseSPF reads the terms of a record behind "v=spf1". problems are those that make it
// of no worth (RFC 7208 section 4.6), in words.
func parseSPF(text string) (terms []spfTerm, problems []string) {
	words := strings.Fields(text)
	if len(words) > 0 {
		words = words[1:]
	}
	if len(words) > maxSPFTerms {
		return nil, []string{fmt.Sprintf("it has %d terms", len(words))}
	}
	for _, word := range words {
		t, problem := parseSPFTerm(word)
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		terms = append(terms, t)
	}
	for _, name := range []string{"redirect", "exp"} {
		if n := countTerms(terms, name); n > 1 {
			problems = append(problems, fmt.Sprintf("%s= is there %d times", name, n))
		}
	}
	return terms, problems
}

func countTerms(terms []spfTerm, name string) (n int) {
	for _, t := range terms {
		if t.name == name {
			n++
		}
	}
	return n
}

func parseSPFTerm(word string) (t spfTerm, problem string) {
	rest := word
	t.qualifier = '+'
	if strings.ContainsAny(rest[:1], "+-~?") {
		t.qualifier, rest = rest[0], rest[1:]
	}
	end := strings.IndexAny(rest, ":=/")
	if end < 0 {
		end = len(rest)
	}
	t.name = strings.ToLower(rest[:end])
	sep := rest[end:min(end+1, len(rest))]
	t.value = rest[min(end+1, len(rest)):]
	if sep == "=" {
		if t.qualifier = 0; !isModifier(rest[:end]) || len(rest) < len(word) {
			return t, fmt.Sprintf("%s is neither a mechanism nor a modifier", shown(word))
		}
		switch {
		case slices.Contains([]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"}, t.name):
			return t, fmt.Sprintf("%s has to be written with a colon", shown(word))
		case t.value == "" && t.name == "redirect":
			return t, "redirect= names no domain"
		}
		return t, ""
	}
	switch t.name {
	case "all":
		if sep != "" {
			problem = fmt.Sprintf("%s has to be all alone", shown(word))
		}
	case "include", "exists":
		if t.value == "" {
			problem = fmt.Sprintf("%s names no domain", shown(word))
		}
	case "a", "mx":
		if sep == "/" {
			t.value, t.bits = "", t.value
		} else {
			t.value, t.bits, _ = strings.Cut(t.value, "/")
		}
	case "ptr":
	case "ip4", "ip6":
		if !isSPFNetwork(t.name, t.value) {
			problem = fmt.Sprintf("%s is no network", shown(word))
		}
	default:
		problem = fmt.Sprintf("%s is not known", shown(word))
	}
	return t, problem
}

// isSPFNetwork tells whether an address, or one with the length of its prefix, is of the
// family that the mechanism is about.
func isSPFNetwork(name, value string) bool {
	_, err := spfNetwork(name, value)
	return err == nil
}

func spfNetwork(name, value string) (netip.Prefix, error) {
	address, bits, sized := strings.Cut(value, "/")
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, err
	}
	if a.Is4() != (name == "ip4") {
		return netip.Prefix{}, fmt.Errorf("%s is of the other family", address)
	}
	n := a.BitLen()
	if sized {
		if n, err = strconv.Atoi(bits); err != nil {
			return netip.Prefix{}, err
		}
	}
	return a.Prefix(n)
}

// spfFacts is what is known of a domain's SPF, with all that it includes.
type spfFacts struct {
	lookups  int      // that a check of a stranger costs
	end      byte     // qualifier of the last word about all others; 0: there is none
	problems []string // that make the record of no worth
	open     []string // terms by which everybody may send, and where they stand
	ptr      bool     // a mechanism that is not to be used any more (RFC 7208 section 5.5)
	seen     []string
}

// readSPF reads a domain's record and those that it leads to. The first is text.
func (f *finder) readSPF(domain, text string) spfFacts {
	var facts spfFacts
	f.followSPF(&facts, domain, text)
	return facts
}

func (f *finder) followSPF(facts *spfFacts, domain, text string) {
	facts.seen = append(facts.seen, domain)
	terms, problems := parseSPF(text)
	for _, p := range problems {
		facts.problems = append(facts.problems, fmt.Sprintf("in the record of %s, %s", domain, p))
	}
	hasAll := countTerms(terms, "all") > 0
	for _, t := range terms {
		if t.name == "redirect" && hasAll { // then it is of no effect, RFC 7208 section 6.1
			continue
		}
		if t.asks() {
			facts.lookups++
		}
		facts.ptr = facts.ptr || t.name == "ptr"
		if t.qualifier == '+' && opensAll(t) {
			facts.open = append(facts.open, fmt.Sprintf("%s in the record of %s", t, domain))
		}
		switch t.name {
		case "all":
			if len(facts.seen) == 1 || facts.end == 0 {
				facts.end = t.qualifier
			}
			return // what comes behind is never looked at, but for modifiers without effect
		case "include", "redirect":
			end := facts.end
			f.includeSPF(facts, t)
			if t.name == "include" {
				facts.end = end
			}
		}
	}
}

// includeSPF follows an include or a redirect.
func (f *finder) includeSPF(facts *spfFacts, t spfTerm) {
	target, err := Name(t.value)
	if strings.Contains(t.value, "%") || len(facts.seen) >= maxSPFRecords {
		return // what it stands for differs from mail to mail
	}
	if err != nil {
		facts.problems = append(facts.problems, fmt.Sprintf("%s names no domain", shown(t.String())))
		return
	}
	if slices.Contains(facts.seen, target) {
		if t.name == "redirect" || target == facts.seen[0] {
			facts.problems = append(facts.problems, fmt.Sprintf("%s leads in a circle", t))
		}
		return
	}
	texts, ok := f.spfTexts(target)
	switch {
	case !ok:
	case len(texts) == 1:
		f.followSPF(facts, target, texts[0])
	default:
		facts.problems = append(facts.problems, fmt.Sprintf("%s leads to %s, which has %d SPF records where it should have one", t, target, len(texts)))
	}
}

// opensAll tells whether a term fits every sender.
func opensAll(t spfTerm) bool {
	switch t.name {
	case "all":
		return true
	case "ip4", "ip6":
		p, err := spfNetwork(t.name, t.value)
		return err == nil && p.Bits() <= 4
	case "a", "mx":
		return t.bits == "0" || strings.HasPrefix(t.bits, "0//")
	}
	return false
}

// String is the term as it was written, without the qualifier that goes without saying.
func (t spfTerm) String() string {
	s := t.name
	switch {
	case t.qualifier == 0:
		return s + "=" + t.value
	case t.qualifier != '+':
		s = string(t.qualifier) + s
	case t.name == "all":
		s = "+all"
	}
	if t.value != "" {
		s += ":" + t.value
	}
	if t.bits != "" {
		s += "/" + t.bits
	}
	return s
}

// isModifier tells whether a modifier could have the name (RFC 7208 section 4.6.1).
func isModifier(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789-_.", c) < 0) {
			return false
		}
	}
	return name != ""
}
