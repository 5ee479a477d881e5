package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// The kinds of [Error]. All but [ErrTemporary] will be the same when asked again soon.
var (
	// ErrNotFound: there is no such name (NXDOMAIN).
	ErrNotFound = errors.New("no such name")
	// ErrNoData: the name is there, what was asked for is not.
	ErrNoData = errors.New("no such record")
	// ErrTemporary: there is no answer now: servers that fail, refuse, are silent or talk
	// nonsense, aliases that lead in a circle, or a caller who could not wait.
	ErrTemporary = errors.New("no answer from the DNS")
	// ErrName: that is no domain name.
	ErrName = errors.New("no domain name")
	// ErrNullMX: the domain says that it takes no mail (RFC 7505).
	ErrNullMX = errors.New("the domain takes no mail")
	// ErrLoop: mail for the domain would come back to us (RFC 5321 section 5.1).
	ErrLoop = errors.New("mail would come back to this server")
)

// Causes of ErrTemporary that have words of their own.
var (
	errServFail  = errors.New("server failure")
	errRefused   = errors.New("refused")
	errTimeout   = errors.New("no answer in time")
	errNoServer  = errors.New("server cannot be reached")
	errBroken    = errors.New("broken answer")
	errCircle    = errors.New("aliases lead in a circle")
	errLongChain = errors.New("too many aliases")
)

// Error is a question that has no good answer. Its text is fit for a stranger: what it
// means, without our own servers.
type Error struct {
	Name   string // that was asked for, in A-labels; as it came if it is no name
	Type   uint16 // the record type, dns.TypeMX for mail servers as a whole; 0 if nothing was asked
	Server string // "ip:port" that gave the last answer, or none; "" if it doesn't matter
	Err    error  // one of the kinds
	Cause  error  // more about it, for a log; may be nil

	text string // in place of the usual words
}

// Unwrap gives the kind and the cause to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Error is one line of printable ASCII that a sender of mail understands, without a full
// stop.
func (e *Error) Error() string {
	if e.text != "" {
		return e.text
	}
	switch e.Err {
	case ErrNotFound:
		return fmt.Sprintf("%s does not exist in the DNS", e.Name)
	case ErrNoData:
		return fmt.Sprintf("%s has no %s in the DNS", e.Name, recordWords(e.Type))
	case ErrTemporary:
		return e.temporary()
	case ErrName:
		return fmt.Sprintf("%s is not a domain name", shown(e.Name))
	case ErrNullMX:
		return fmt.Sprintf("%s takes no mail: its DNS says so", e.Name)
	case ErrLoop:
		return fmt.Sprintf("the mail servers of %s lead back to this server", e.Name)
	}
	return fmt.Sprintf("%s: %v", e.Name, e.Err)
}

// temporary tells in words what is wrong just now.
func (e *Error) temporary() string {
	for _, m := range []struct {
		is    error
		words string // with the name for %s
	}{
		{errServFail, "the DNS of %s is out of order"},
		{errRefused, "the DNS refuses to answer for %s"},
		{errCircle, "the DNS of %s leads in a circle, from alias to alias"},
		{errLongChain, "the DNS of %s leads from alias to alias without end"},
		{errBroken, "the DNS of %s gives answers that make no sense"},
		{errTimeout, "the DNS of %s does not answer"},
		{errNoServer, "no DNS server could be asked for %s"},
		{context.Canceled, "looking up %s was interrupted"},
	} {
		if errors.Is(e.Cause, m.is) {
			return fmt.Sprintf(m.words, e.Name)
		}
	}
	return fmt.Sprintf("the DNS of %s does not answer", e.Name)
}

// recordWords names what was looked for.
func recordWords(qtype uint16) string {
	switch qtype {
	case dns.TypeMX:
		return "mail server"
	case dns.TypeA:
		return "IPv4 address"
	case dns.TypeAAAA:
		return "IPv6 address"
	}
	return dns.Type(qtype).String() + " record"
}

// shown is a name that may be anything: short, quoted, in ASCII.
func shown(name string) string {
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "") + "..."
	}
	return fmt.Sprintf("%+q", name)
}
