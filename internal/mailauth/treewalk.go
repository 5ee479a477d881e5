package mailauth

import (
	"context"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxLabels: a longer name is asked for itself, and then from its last 7 labels on, so that
// one walk asks at most 8 questions (RFC 9989 section 4.10).
const maxLabels = 8

// tree asks for the DMARC records of one message, each once.
type tree struct {
	ctx   context.Context
	r     Resolver
	known map[string]leaf
}

// leaf is what there is at one name.
type leaf struct {
	name   string
	record *dmarcRecord // nil: none
	err    error
}

// at gives what there is at a name.
func (t *tree) at(name string) leaf {
	if l, ok := t.known[name]; ok {
		return l
	}
	l := leaf{name: name}
	txts, err := t.r.LookupTXT(t.ctx, "_dmarc."+name)
	switch {
	case err == nil:
		l.record = onlyRecord(txts)
	case !notFound(err):
		l.err = err
	}
	t.known[name] = l
	return l
}

// walk gives the records at domain and above it, the longest name first (RFC 9989 section
// 4.10). The error is one of the DNS, and temporary.
func (t *tree) walk(domain string) ([]leaf, error) {
	var found []leaf
	for _, name := range walkNames(domain) {
		l := t.at(name)
		if l.err != nil && name != domain && isRegistry(name) {
			break // what a registry says here matters little: one that fails holds up nobody's mail
		}
		if l.err != nil {
			return nil, l.err
		}
		if l.record == nil {
			continue
		}
		found = append(found, l)
		if l.record.psd != 'u' {
			break
		}
	}
	return found, nil
}

// walkNames are the names that a walk from domain asks for.
func walkNames(domain string) []string {
	names := []string{domain}
	labels := strings.Split(domain, ".")
	rest := labels[1:]
	if len(labels) >= maxLabels {
		rest = labels[len(labels)-maxLabels+1:]
	}
	for ; len(rest) > 0; rest = rest[1:] {
		names = append(names, strings.Join(rest, "."))
	}
	return names
}

// organization gives the organizational domain of domain from what a walk has found (RFC
// 9989 section 4.10.2). The record of a registry without psd= counts as one with psd=y:
// else all domains below it would speak for each other.
func organization(domain string, found []leaf) string {
	for _, l := range found {
		switch {
		case l.record.psd == 'n':
			return l.name
		case l.name != domain && isPSD(l):
			return oneBelow(domain, l.name)
		}
	}
	if len(found) == 0 {
		return domain
	}
	return found[len(found)-1].name
}

// isPSD tells whether a record is one of a public suffix.
func isPSD(l leaf) bool { return l.record.psd == 'y' || l.record.psd == 'u' && isRegistry(l.name) }

// oneBelow is the name one label longer than above, on the way to domain.
func oneBelow(domain, above string) string {
	rest := strings.TrimSuffix(domain, "."+above)
	return rest[strings.LastIndexByte(rest, '.')+1:] + "." + above
}

// isRegistry tells whether the public suffix list knows a name as one below which a
// registry gives out names to anybody.
func isRegistry(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return icann && suffix == name
}
