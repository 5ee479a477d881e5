// Package setup holds the steps by which a machine becomes a mail server, one function
// each: what is typed is understood, and the machine and its network are looked at. A step
// looks only through what it is handed (a resolver, a dialer, a folder such as /proc), makes
// nothing durable, and answers with a [Step] that a person can act on. The conversation around them, and
// all that is made, is the command setup.
package setup

import (
	"fmt"
	"strings"

	"kurir/dnsutil"
	"kurir/internal/directory"
)

// Outcome is how a step ended.
type Outcome string

// The outcomes, from good to bad.
const (
	OK      Outcome = "ok"      // looked at, and right
	Done    Outcome = "done"    // made now
	Kept    Outcome = "kept"    // was there already, and left as it is
	Skipped Outcome = "skipped" // not wanted, or not possible here
	Todo    Outcome = "todo"    // somebody has to do it; the rest goes on without
	Problem Outcome = "problem" // it stands in the way of the server
)

// Step is one thing that was looked at or made.
type Step struct {
	Name    string  `json:"name"` // a word, by which it can be left out: "ports", "disk", …
	Outcome Outcome `json:"outcome"`
	Text    string  `json:"text"`          // what is so, in a sentence
	Why     string  `json:"why,omitempty"` // why that is bad; "" if it is not
	Do      string  `json:"do,omitempty"`  // what to do about it; "": nothing
}

// step makes a Step.
func step(name string, o Outcome, format string, args ...any) Step {
	return Step{Name: name, Outcome: o, Text: fmt.Sprintf(format, args...)}
}

// because adds why it is bad and what to do about it.
func (s Step) because(why, do string) Step {
	s.Why, s.Do = why, do
	return s
}

// ParseDomain understands the domain that mail is wanted for, as it is typed: in any case,
// in letters of any script, with a dot at the end or a slip such as "www.", "@" or "https://"
// in front. It returns it in A-labels and lower case. The error says what is wrong with it.
func ParseDomain(typed string) (string, error) {
	text := strings.TrimSpace(typed)
	for _, slip := range []string{"http://", "https://"} {
		text = strings.TrimPrefix(text, slip)
	}
	text = strings.TrimPrefix(strings.TrimSuffix(text, "/"), "@")
	switch {
	case text == "":
		return "", fmt.Errorf("a domain is missing: what is to come behind the @ of your addresses, such as example.org")
	case strings.Contains(text, "@"):
		return "", fmt.Errorf("%q is a mail address: give the domain alone, what is behind the @", typed)
	}
	name, err := hostname(text)
	if err != nil {
		return "", fmt.Errorf("%q is no domain name such as example.org: %w", typed, err)
	}
	if !strings.Contains(name, ".") {
		return "", fmt.Errorf("%q has no dot: mail on the Internet needs a registered domain such as example.org", typed)
	}
	if rest, ok := strings.CutPrefix(name, "www."); ok && strings.Contains(rest, ".") {
		return rest, nil
	}
	return name, nil
}

// ParseHostname understands the name that the server is to have. A single word is put in
// front of the domain. The host may be the domain itself.
func ParseHostname(typed, domain string) (string, error) {
	text := strings.TrimSpace(typed)
	if text == "" {
		return "mail." + domain, nil
	}
	name, err := hostname(text)
	if err != nil {
		return "", fmt.Errorf("%q is no host name such as mail.%s: %w", typed, domain, err)
	}
	if !strings.Contains(name, ".") {
		name += "." + domain
	}
	if name == "localhost" || strings.HasPrefix(name, "localhost.") || strings.HasSuffix(name, ".local") || strings.HasSuffix(name, ".localdomain") {
		return "", fmt.Errorf("%s is a name that only this machine knows: other servers need one that is in the DNS, such as mail.%s", name, domain)
	}
	return name, nil
}

// hostname is a name without underscores, in A-labels.
func hostname(text string) (string, error) {
	name, err := dnsutil.Name(text)
	if err != nil {
		return "", fmt.Errorf("only letters, digits and hyphens can be in it, with dots between the parts")
	}
	for label := range strings.SplitSeq(name, ".") {
		if strings.Contains(label, "_") || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", fmt.Errorf("the part %q cannot be in the name of a host", label)
		}
	}
	return name, nil
}

// ParseAccount understands the first account's address, which is in the domain. A single
// word is the part in front of the @; nothing is admin.
func ParseAccount(typed, domain string) (string, error) {
	text := strings.TrimSpace(typed)
	if text == "" {
		text = "admin"
	}
	if !strings.Contains(text, "@") {
		text += "@" + domain
	}
	a, err := directory.ParseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%q is no mail address such as you@%s", typed, domain)
	}
	address := a.String()
	if at := strings.LastIndexByte(address, '@'); address[at+1:] != domain {
		return "", fmt.Errorf("%s is not an address in %s: the first account has to be in the domain that is set up", address, domain)
	}
	return address, nil
}

// CheckElsewhere is nil for an address that a test message can go to: none, or one that is
// not in the domain.
func CheckElsewhere(typed, domain string) error {
	if typed == "" {
		return nil
	}
	a, err := directory.ParseAddress(typed)
	switch {
	case err != nil || a.Local == "":
		return fmt.Errorf("%q is no mail address such as you@example.net", typed)
	case a.Domain == domain:
		return fmt.Errorf("%s is in %s itself: give an address that you have elsewhere, so that the way there is tried", typed, domain)
	}
	return nil
}
