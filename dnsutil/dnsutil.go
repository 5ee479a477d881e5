// Package dnsutil asks the DNS, and chooses the hosts that take mail for a domain.
//
// A [Resolver] is a stub: it asks recursive servers, those that it is given or the
// system's, over UDP with EDNS0 and over TCP where an answer does not fit (RFC 1035, 6891,
// 7766). It believes a server only as far as its question went: an answer counts for the
// name and type asked for, CNAME chains are followed within it, and whatever else it
// carries is left aside. Answers are kept for their TTL, negative ones as RFC 2308 says,
// within bounds of number and memory; callers that want the same thing at the same time
// share one question.
//
// On top of that, [Resolver.MX], [Resolver.Addresses] and [Resolver.Route] are RFC 5321
// section 5.1 with RFC 7505. [Resolver.TLSA] is for DANE (RFC 7672), [Resolver.STSRecord]
// and [STSFetcher] for MTA-STS (RFC 8461).
//
// A [Site] says which records a domain should publish for its mail server, and a [Checker]
// what the world sees of them, and how to mend it.
//
// Names come in as people write them, in U-labels or A-labels, with or without the dot at
// the end. They go out in lower case and A-labels, without that dot.
//
// Errors are an [*Error] of one of six kinds, whose text a sender of mail may read. The
// package knows nothing of SMTP nor of mail storage.
package dnsutil

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A Resolver asks DNS servers and keeps their answers. The zero value asks the system's.
// Fields are set before the first question; methods are safe for concurrent use.
type Resolver struct {
	// Servers are asked in this order: "ip", "ip:port" or "[ip]:port". Empty: those of
	// /etc/resolv.conf, which is looked at again when it changes.
	Servers []string
	// Timeout is how long one server may take for one question, and once more if it is
	// asked again over TCP. Zero: 3 s, or what "options timeout" of resolv.conf says if its
	// servers are used.
	Timeout time.Duration
	// Tries is how often all servers are asked. Zero: 2, or what "options attempts" says.
	Tries int
	// MaxCache is how many answers are kept, 32 MiB of them at most. Zero: 10,000; less
	// than zero: none.
	MaxCache int
	// MaxTTL is how long an answer is kept at most. Zero: 24 h.
	MaxTTL time.Duration
	// NegativeTTL is how long it is kept at most that something isn't there. Zero: 1 h.
	NegativeTTL time.Duration
	// Trust says of which servers it is believed that they have verified an answer, if they
	// say so. Zero: [TrustLoopback].
	Trust Trust
	// ResolvConf is the system's list of servers. "": /etc/resolv.conf.
	ResolvConf string
	// Dial connects to a server, network being "udp" or "tcp". Nil: the system does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock of the cache. Nil: time.Now.
	Now func() time.Time
	// Log gets servers' failures (warn for those of our own servers, debug for a
	// domain's). Nil: nothing is logged.
	Log *slog.Logger

	changed atomic.Pointer[servers] // nil: Servers and Trust hold

	system system
	health health

	mu      sync.Mutex // guards what follows
	cache   cache
	flights map[question]*flight
	slots   chan struct{} // one for each question on its way to a server
}

// Answer is what the DNS says to a question.
type Answer struct {
	// Records are those of the type asked for, at the end of the CNAME chain. They are
	// shared: not to be changed.
	Records []dns.RR
	// Name is the end of the CNAME chain, the name asked for if there is none, without the
	// dot at the end. It is known with [ErrNotFound] and [ErrNoData], too. An alias may lead
	// to a name that is no host's; odd octets in it are escaped as in zone files.
	Name string
	// Authentic tells that the server has verified all of it with DNSSEC (the AD bit, RFC
	// 6840 section 5.8). That is worth as much as the way to that server.
	Authentic bool
	// Secure tells that it is Authentic, and that the servers are such as [Resolver.Trust]
	// has it.
	Secure bool
	// Expires is when the first of the records, or of the aliases on the way, does.
	Expires time.Time
}

// maxChain is how many aliases are followed for one name.
const maxChain = 12

// question is the key of cache and flights. The name is fully qualified and in lower
// case, in the form that the dns package gives to names.
type question struct {
	name  string
	qtype uint16
}

// Lookup asks for the records of a type that name has, class IN. Aliases are followed,
// unless the type is CNAME itself: a target that an answer doesn't tell about is asked for
// in turn. Possible errors: [ErrNotFound], [ErrNoData], [ErrTemporary], [ErrName]; when
// ctx ends, ErrTemporary and its error.
func (r *Resolver) Lookup(ctx context.Context, name string, qtype uint16) (Answer, error) {
	ascii, err := Name(name)
	if err != nil {
		return Answer{}, err
	}
	return r.lookup(ctx, ascii, qtype)
}

// lookup is Lookup for a name in the form that the dns package gives to names, without the
// dot at the end.
func (r *Resolver) lookup(ctx context.Context, ascii string, qtype uint16) (Answer, error) {
	q := question{dns.Fqdn(ascii), qtype}
	fail := func(kind, cause error, server string) error {
		return &Error{Name: ascii, Type: qtype, Server: server, Err: kind, Cause: cause}
	}
	answer := Answer{Authentic: true}
	links := 0
	for seen := []string{}; ; {
		seen = append(seen, q.name)
		res, err := r.ask(ctx, q)
		if err != nil {
			return Answer{}, fail(ErrTemporary, err, "")
		}
		answer.Name = bare(res.name)
		answer.Authentic = answer.Authentic && res.authentic
		if answer.Expires.IsZero() || res.expires.Before(answer.Expires) {
			answer.Expires = res.expires
		}
		answer.Secure = answer.Authentic && r.Trusted()
		if res.kind != nil {
			return answer, fail(res.kind, res.cause, res.server)
		}
		if !res.more {
			answer.Records = res.records
			return answer, nil
		}
		if links += res.links; links > maxChain {
			return Answer{}, fail(ErrTemporary, errLongChain, res.server)
		}
		if slices.Contains(seen, res.name) {
			return Answer{}, fail(ErrTemporary, errCircle, res.server)
		}
		q.name = res.name
	}
}

func (r *Resolver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Resolver) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.New(slog.DiscardHandler)
}

// or is the value of an option, or its default.
func or[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}
