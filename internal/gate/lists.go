package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// listTime bounds all questions to lists about one client.
const listTime = 5 * time.Second

// List is a list of addresses in the DNS (RFC 5782).
type List struct {
	Zone    string   // "bl.example.net"
	Answers []Answer // that are a listing; empty: all that can be
	Weight  int      // zero means 1
}

// Answer is the addresses from the first to the last that a list may answer with.
type Answer struct{ First, Last netip.Addr }

// listing is an entry found.
type listing struct {
	zone   string
	weight int
	text   string // the list's words, "" if it has none
}

// found is what the lists say of a client.
type found struct {
	black, white []listing
	weight       int // of black
}

// inquiry is the questions about one client. The nil one has found nothing.
type inquiry struct {
	done chan struct{} // closed when all have been answered, or time is over
	mu   sync.Mutex
	found
}

// inquire asks all lists about a client, beside each other; nil: there is nobody to ask,
// or no list can know the address.
func (g *Gate) inquire(ctx context.Context, ip netip.Addr) *inquiry {
	if len(g.o.DNSBL)+len(g.o.DNSWL) == 0 || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return nil
	}
	q := &inquiry{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, listTime)
	var all sync.WaitGroup // ends with ctx
	ask := func(l List, white bool) {
		all.Go(func() {
			got, err := l.look(ctx, g.o.Resolver, ip, white)
			if err != nil && !errors.Is(ctx.Err(), context.Canceled) && g.trouble.say(l.Zone, g.o.Now()) {
				g.o.Log.Warn("a list in the DNS is of no use, its word does not count", "list", l.Zone, "error", err)
			}
			q.add(got, white)
		})
	}
	for _, l := range g.o.DNSBL {
		ask(l, false)
	}
	for _, l := range g.o.DNSWL {
		ask(l, true)
	}
	go func() { // ends with the questions
		all.Wait()
		cancel()
		close(q.done)
	}()
	return q
}

func (q *inquiry) add(l *listing, white bool) {
	if l == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if white {
		q.white = append(q.white, *l)
		return
	}
	q.black = append(q.black, *l)
	q.weight += l.weight
}

// wait returns all that is found, or what is so far when ctx ends.
func (q *inquiry) wait(ctx context.Context) found {
	if q == nil {
		return found{}
	}
	select {
	case <-q.done:
	case <-ctx.Done():
	}
	return q.now()
}

// now returns what is found so far.
func (q *inquiry) now() found {
	if q == nil {
		return found{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.found
}

// look asks one list. Nil without an error: it does not have the address. Errors: it gave
// no answer, or one that is no listing.
func (l List) look(ctx context.Context, r Resolver, ip netip.Addr, white bool) (*listing, error) {
	name := reversed(ip) + "." + l.Zone
	answers, err := r.LookupNetIP(ctx, "ip4", name)
	var none *net.DNSError
	switch {
	case errors.As(err, &none) && none.IsNotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, a := range answers {
		a = a.Unmap()
		if fault := l.fault(a, white); fault != "" {
			return nil, fmt.Errorf("it answers %v, which is %s", a, fault)
		}
		if !l.counts(a) {
			continue
		}
		got := &listing{zone: l.Zone, weight: max(l.Weight, 1)}
		if texts, err := r.LookupTXT(ctx, name); err == nil && len(texts) > 0 {
			got.text = shorten(texts[0])
		}
		return got, nil
	}
	return nil, nil
}

// fault says why an answer is no listing, whatever the settings; "": it may be one.
// RFC 5782 section 2.1: listings are in 127.0.0.0/8, and 127.0.0.1 is none.
func (l List) fault(a netip.Addr, white bool) string {
	switch {
	case !a.Is4() || !a.IsLoopback():
		return "no answer of a list: its domain may have changed hands"
	case a.As4()[1] == 255 && a.As4()[2] == 255:
		return "how lists refuse to answer: ask it through a resolver of your own (dns.servers), not one that many use"
	case white && a.As4() == [4]byte{127, 0, 0, 255}:
		return "how it refuses those who ask too much"
	case a.As4() == [4]byte{127, 0, 0, 1} && len(l.Answers) == 0:
		return "no answer of a list that works"
	}
	return ""
}

// counts tells whether an answer is a listing by the settings.
func (l List) counts(a netip.Addr) bool {
	for _, r := range l.Answers {
		if !a.Less(r.First) && !r.Last.Less(a) {
			return true
		}
	}
	return len(l.Answers) == 0
}

// Probe checks that a list works as RFC 5782 section 5 has it: 127.0.0.2 is in it, and
// 127.0.0.1 is not. The error says what is wrong.
func (l List) Probe(ctx context.Context, r Resolver) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	got, err := l.look(ctx, r, netip.AddrFrom4([4]byte{127, 0, 0, 2}), false)
	switch {
	case err != nil:
		return err
	case got == nil:
		return errors.New("it does not have 127.0.0.2, as each such list should: it does not work any more, or the answers named are not its own")
	}
	got, err = l.look(ctx, r, netip.AddrFrom4([4]byte{127, 0, 0, 1}), false)
	switch {
	case err != nil:
		return err
	case got != nil:
		return errors.New("it has 127.0.0.1, as no such list should: it lists everybody")
	}
	return nil
}

// reversed is an address as lists name it: octets, or the nibbles of IPv6, from the last
// to the first (RFC 5782 section 2).
func reversed(ip netip.Addr) string {
	var parts []string
	if ip.Is4() {
		for _, b := range ip.As4() {
			parts = append([]string{fmt.Sprint(b)}, parts...)
		}
		return strings.Join(parts, ".")
	}
	for _, b := range ip.As16() {
		parts = append([]string{fmt.Sprintf("%x.%x", b&15, b>>4)}, parts...)
	}
	return strings.Join(parts, ".")
}

// shorten keeps what fits into a reply of a list's words.
func shorten(text string) string {
	text = ascii(text)
	const most = 160
	if len(text) > most {
		text = text[:most-3] + "..."
	}
	return text
}

// join names listings.
func join(all []listing) string {
	var parts []string
	for _, l := range all {
		s := l.zone
		if l.text != "" {
			s += " (" + l.text + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " and ")
}
