package mailauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"

	"kurir/dnsutil"
	"kurir/internal/mailauth/sig"
)

// maxQuestions is how often the DNS is asked for one check. RFC 7208 section 4.6.4 allows
// 10 terms that ask, each mx and ptr with up to 10 hosts.
const maxQuestions = 111

// SPF is the outcome of [CheckSPF].
type SPF struct {
	Result Result // None, Neutral, Pass, Fail, SoftFail, TempError or PermError
	Domain string // that was asked, in A-labels and lower case; "" if there is none that is a name
	Helo   bool   // it is that of HELO, as there is no sender
	Reason string // in words for the admin, without a full stop
}

// CheckSPF tells whether the domain of sender lets a client at ip send its mail (RFC 7208).
// Without a sender ("", the null reverse-path) it is the name of HELO that is asked about,
// for postmaster there (section 2.4). At most 10 terms may ask the DNS, at most 2 in vain,
// all in 20 s. What a domain explains (exp=) is not asked for.
func CheckSPF(ctx context.Context, r Resolver, ip netip.Addr, helo, sender string) SPF {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	ip = ip.Unmap().WithZone("")
	local, domain := "postmaster", helo
	if at := strings.LastIndexByte(sender, '@'); at >= 0 {
		local, domain = sender[:at], sender[at+1:]
	}
	outcome := SPF{Result: None, Helo: sender == ""}
	ascii, err := dnsutil.Name(domain)
	if err != nil || !strings.Contains(ascii, ".") {
		outcome.Reason = fmt.Sprintf("%s is no domain that could be asked", sig.Shown(domain))
		return outcome
	}
	outcome.Domain = ascii
	if local == "" {
		local = "postmaster" // section 4.3
	}
	local = strings.ReplaceAll(local, "@", "_") // of a quoted one: the spf package parts at the first
	if name, err := dnsutil.Name(helo); err == nil {
		helo = name
	}
	asked := &spfResolver{family: familyOf(r, ip), ip6: ip.Is6()}
	result, err := spf.CheckHostWithSender(ip.AsSlice(), helo, local+"@"+ascii, spf.WithContext(ctx), spf.WithResolver(asked))
	outcome.Result = Result(result)
	outcome.Reason = spfReason(outcome, ip, err)
	return outcome
}

// spfReason says in words what an outcome means.
func spfReason(s SPF, ip netip.Addr, err error) string {
	switch s.Result {
	case Pass:
		return fmt.Sprintf("%s lets %s send its mail", s.Domain, ip)
	case Fail:
		return fmt.Sprintf("%s says that %s does not send its mail", s.Domain, ip)
	case SoftFail:
		return fmt.Sprintf("%s says that %s probably does not send its mail", s.Domain, ip)
	case Neutral:
		return fmt.Sprintf("%s does not say whether %s sends its mail", s.Domain, ip)
	case None:
		return fmt.Sprintf("%s has no SPF record", s.Domain)
	case TempError:
		return fmt.Sprintf("the SPF record of %s cannot be worked out now: %v", s.Domain, err)
	}
	for _, m := range []struct {
		is    error
		words string
	}{
		{spf.ErrLookupLimitReached, "it takes more than 10 questions to the DNS"},
		{spf.ErrVoidLookupLimitReached, "it asks for more than 2 names that are not there"},
		{spf.ErrTooManyMXRecords, "it takes more than 10 mail servers"},
		{spf.ErrMultipleRecords, "there are several"},
		{spf.ErrNoResult, "it leads to a domain that has none"},
		{spf.ErrUnknownField, "it has a term that is not known"},
		{spf.ErrInvalidIP, "it has an address that is none"},
		{spf.ErrInvalidMask, "it has a network that is none"},
		{spf.ErrInvalidMacro, "it has a macro that is none"},
		{spf.ErrInvalidDomain, "it has a domain that is none"},
	} {
		if errors.Is(err, m.is) {
			return fmt.Sprintf("the SPF record of %s is wrong: %s", s.Domain, m.words)
		}
	}
	return fmt.Sprintf("the SPF record of %s is wrong", s.Domain)
}

// spfResolver asks for one check, within a bound, for names as RFC 7208 has them. All its
// errors are *net.DNSError, which the spf package looks for.
type spfResolver struct {
	family
	ip6   bool // the client's address; exists: asks for IPv4 all the same (section 5.7)
	count int
}

// LookupTXT gives the TXT records of a name, wrong SPF records as such.
func (r *spfResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name, err := r.next(name)
	if err != nil {
		return nil, err
	}
	found, err := r.Resolver.LookupTXT(ctx, name)
	all := make([]string, 0, len(found))
	for _, txt := range found {
		all = append(all, spfRecord(txt))
	}
	return all, plainDNSError(name, err)
}

// LookupMX gives the MX records of a name.
func (r *spfResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	name, err := r.next(name)
	if err != nil {
		return nil, err
	}
	all, err := r.Resolver.LookupMX(ctx, name)
	return all, plainDNSError(name, err)
}

// LookupIPAddr gives the addresses of a name.
func (r *spfResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	name, err := r.next(name)
	if err != nil {
		return nil, err
	}
	look := r.family.LookupIPAddr
	if r.ip6 {
		look = r.Resolver.LookupIPAddr
	}
	all, err := look(ctx, name)
	return all, plainDNSError(name, err)
}

// LookupAddr gives the names of an address.
func (r *spfResolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if _, err := r.next(addr); err != nil {
		return nil, err
	}
	all, err := r.Resolver.LookupAddr(ctx, addr)
	return all, plainDNSError(addr, err)
}

// next counts a question, and cuts labels off a name that a macro has made too long, from
// the left (section 7.3).
func (r *spfResolver) next(name string) (string, error) {
	if r.count++; r.count > maxQuestions {
		return "", &net.DNSError{Err: "too many questions", Name: sig.Shown(name), IsTemporary: true}
	}
	for len(strings.TrimSuffix(name, ".")) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return "", &net.DNSError{Err: "no name", Name: sig.Shown(name), IsNotFound: true}
		}
		name = rest
	}
	return name, nil
}

// plainDNSError is an error as the *net.DNSError that it is or wraps; one that is none is
// temporary.
func plainDNSError(name string, err error) error {
	var e *net.DNSError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		e = &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true}
	case !e.IsNotFound && !e.IsTemporary:
		again := *e
		again.IsTemporary = true
		e = &again
	}
	return e
}
