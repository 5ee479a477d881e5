// Package mailauth says who stands behind a message: SPF, DKIM, DMARC, the name of the
// client's address, and the field that tells of it.
//
// Each check is a function of the message and the DNS, with the words of RFC 8601 as its
// outcome and a reason in words for the admin. Nothing is decided here: what becomes of a
// message is said elsewhere. Nothing is kept.
//
// Whatever the message and the DNS hold, the work is bounded: questions, signatures, octets
// of header and of records, and time.
package mailauth

import (
	"context"
	"errors"
	"net"
	"strings"
)

// Resolver asks the DNS as [net.Resolver] does. Errors are a [*net.DNSError], with
// IsNotFound for a name that is missing or has no such records; others are temporary.
// One that has LookupNetIP as well is asked for addresses of one family where the other
// is of no use.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Result is the outcome of a check, in the words of RFC 8601 section 2.7.
type Result string

// The results. Not all methods have all of them.
const (
	None      Result = "none"      // there is nothing to check
	Neutral   Result = "neutral"   // there is, but it says nothing
	Pass      Result = "pass"      // it holds
	Fail      Result = "fail"      // it does not
	SoftFail  Result = "softfail"  // it probably does not (SPF)
	Policy    Result = "policy"    // it holds, but not as is asked for here
	TempError Result = "temperror" // not known now, but may be later
	PermError Result = "permerror" // it makes no sense, and will make none later
)

// notFound tells whether the DNS says that there is nothing; otherwise an error of a
// lookup is temporary.
func notFound(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

// inDomain tells whether a name is that of a domain or one below it. Both are in lower
// case.
func inDomain(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}
