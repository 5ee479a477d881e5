package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Modes of an MTA-STS policy (RFC 8461 section 3.2).
const (
	STSEnforce = "enforce" // nothing goes to a host that is not as the policy has it
	STSTesting = "testing" // it goes, and it is noted
	STSNone    = "none"    // there is no policy any more
)

// maxSTSAge is the longest that a policy is kept for (RFC 8461 section 3.2).
const maxSTSAge = 31557600 // seconds

// STSPolicy is what a domain says of its mail servers by MTA-STS (RFC 8461 section 3.2).
type STSPolicy struct {
	Mode   string        // STSEnforce, STSTesting or STSNone
	MX     []string      // names in A-labels; "*.example.net" is one label below example.net
	MaxAge time.Duration // in whole seconds, a year at most
}

// Allows tells whether a host is one of the policy's mail servers (RFC 8461 section 4.1).
func (p STSPolicy) Allows(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(p.MX, func(mx string) bool {
		below, ok := strings.CutPrefix(mx, "*.")
		if !ok {
			return mx == host
		}
		label, rest, dot := strings.Cut(host, ".")
		return dot && label != "" && rest == below
	})
}

// String is the policy as its host serves it.
func (p STSPolicy) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", p.Mode)
	for _, mx := range p.MX {
		fmt.Fprintf(&b, "mx: %s\r\n", mx)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", p.MaxAge/time.Second)
	return b.String()
}

// ParseSTSPolicy reads a policy as its host serves it (RFC 8461 section 3.2). Lines that
// are not known count for nothing, and neither does a second one of a name, but for mx.
func ParseSTSPolicy(text string) (STSPolicy, error) {
	var p STSPolicy
	seen := map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if value = strings.TrimLeft(value, " \t"); !ok || !isSTSName(name) || strings.ContainsFunc(value, isControl) {
			return STSPolicy{}, fmt.Errorf("no line of a policy: %s", shown(line))
		}
		if seen[name] && name != "mx" {
			continue
		}
		seen[name] = true
		if err := p.set(name, value); err != nil {
			return STSPolicy{}, err
		}
	}
	for _, name := range []string{"version", "mode", "max_age", "mx"} {
		if !seen[name] && (name != "mx" || p.Mode != STSNone) {
			return STSPolicy{}, fmt.Errorf("the policy has no line %q", name)
		}
	}
	return p, nil
}

// set takes one line of a policy.
func (p *STSPolicy) set(name, value string) error {
	switch name {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("unknown version %s", shown(value))
		}
	case "mode":
		if value != STSEnforce && value != STSTesting && value != STSNone {
			return fmt.Errorf("unknown mode %s", shown(value))
		}
		p.Mode = value
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || len(value) > 10 {
			return fmt.Errorf("no max_age: %s", shown(value))
		}
		p.MaxAge = time.Duration(min(n, maxSTSAge)) * time.Second
	case "mx":
		mx := strings.ToLower(value)
		if !isHostname(strings.TrimPrefix(mx, "*.")) {
			return fmt.Errorf("no mail server: %s", shown(value))
		}
		p.MX = append(p.MX, mx)
	}
	return nil
}

// ParseSTSRecord gives the id in a TXT record for MTA-STS (RFC 8461 section 3.1), which
// tells one policy from the next.
func ParseSTSRecord(text string) (id string, err error) {
	fields := strings.Split(text, ";")
	if fields[0] = strings.TrimRight(fields[0], " \t"); fields[0] != "v=STSv1" {
		return "", fmt.Errorf("no record of MTA-STS: %s", shown(text))
	}
	for i, f := range fields[1:] {
		f = strings.Trim(f, " \t")
		if f == "" && i == len(fields)-2 {
			break
		}
		name, value, ok := strings.Cut(f, "=")
		if !ok || !isSTSName(name) || value == "" || strings.ContainsFunc(value, notSTSValue) {
			return "", fmt.Errorf("no field of a record of MTA-STS: %s", shown(f))
		}
		if name == "id" && id == "" {
			if len(value) > 32 || !isAlphanumeric(value) {
				return "", fmt.Errorf("no id of a policy: %s", shown(value))
			}
			id = value
		}
	}
	if id == "" {
		return "", errors.New("the record of MTA-STS has no id")
	}
	return id, nil
}

// STSRecord gives the id of a domain's policy. Possible errors: [ErrNotFound], [ErrNoData],
// also, with a cause, for a record that cannot be read and for more than one,
// [ErrTemporary], [ErrName].
func (r *Resolver) STSRecord(ctx context.Context, domain string) (id string, err error) {
	ascii, err := Name(domain)
	if err != nil {
		return "", err
	}
	name := "_mta-sts." + ascii
	answer, err := r.Lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return "", err
	}
	var found []string
	for _, rr := range answer.Records {
		if txt, ok := rr.(*dns.TXT); ok {
			if text := strings.Join(txt.Txt, ""); strings.HasPrefix(text, "v=STSv1;") || strings.HasPrefix(text, "v=STSv1 ") {
				found = append(found, text)
			}
		}
	}
	e := &Error{Name: name, Type: dns.TypeTXT, Err: ErrNoData}
	switch len(found) {
	case 0:
		return "", e
	case 1:
	default:
		e.Cause = errors.New("more than one record")
		e.text = fmt.Sprintf("%s has %d records of MTA-STS, where one is allowed", name, len(found))
		return "", e
	}
	if id, e.Cause = ParseSTSRecord(found[0]); e.Cause != nil {
		e.text = fmt.Sprintf("the record of MTA-STS at %s cannot be read: %v", name, e.Cause)
		return "", e
	}
	return id, nil
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// isSTSName tells sts-ext-name (RFC 8461 section 3.1).
func isSTSName(s string) bool {
	return s != "" && len(s) <= 32 && isAlphanumeric(s[:1]) && strings.Trim(s, alphanumeric+"_-.") == ""
}

func isAlphanumeric(s string) bool { return s != "" && strings.Trim(s, alphanumeric) == "" }

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func notSTSValue(c rune) bool { return c <= ' ' || c >= 0x7f || c == '=' }
