package web

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Trouble remembers in memory the last handshakes of TLS that failed, for whoever looks at
// the pages from the same address: a device that does not trust the certificate never says
// whose it is. The zero value is ready; its methods may be called from any goroutine.
type Trouble struct {
	mu   sync.Mutex
	last []trouble // the newest at the end
}

// maxTrouble bounds what is remembered.
const maxTrouble = 500

type trouble struct {
	from    netip.Prefix
	attempt Attempt
}

// network is what devices in one place have in common: an IPv4 address, or an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // of no address: the zero prefix, which Recent finds nothing for
	return p
}

// Note remembers that a device at an address failed to begin TLS. Protocol is in words.
func (t *Trouble) Note(remote netip.Addr, protocol string, err error) {
	at := Attempt{Time: time.Now(), Count: 1, Remote: remote.Unmap().String(), Protocol: protocol, NoTLS: tlsProblem(err.Error())}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == maxTrouble {
		t.last = append(t.last[:0], t.last[1:]...)
	}
	t.last = append(t.last, trouble{network(remote), at})
}

// Recent returns what failed at the address of a viewer, the newest first.
func (t *Trouble) Recent(viewer netip.Addr, most int) []Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Attempt
	from := network(viewer)
	for _, one := range slices.Backward(t.last) {
		if from.IsValid() && one.from == from && len(all) < most {
			all = append(all, one.attempt)
		}
	}
	return all
}

// tlsProblem says why a handshake failed, in words that go behind a colon.
func tlsProblem(text string) string {
	for _, p := range []struct{ words, why string }{
		{"certificate", "the device does not trust this server’s certificate, or expects another name than the one that it was given"},
		{"unknown ca", "the device does not trust this server’s certificate"},
		{"unsupported versions", "the device knows old versions of TLS only"},
		{"protocol version", "the device knows old versions of TLS only"},
		{"does not look like a TLS handshake", "the device did not encrypt; choose SSL/TLS for this port"},
		{"timeout", "the device began and then said nothing; on this port it may have to be SSL/TLS"},
		{"took too long", "the device began and then said nothing; on this port it may have to be SSL/TLS"},
		{"EOF", "the device broke off, perhaps because it does not trust the certificate"},
		{"reset", "the device broke off, perhaps because it does not trust the certificate"},
	} {
		if strings.Contains(text, p.words) {
			return p.why
		}
	}
	return "the device and the server did not agree on how"
}
