package dnsutil

import (
	"fmt"
	"net/netip"
)

// Trust says whose word counts that DNSSEC has verified an answer. The word comes over the
// same way as the answer: whoever can change the one can change the other.
type Trust int

const (
	// TrustLoopback believes servers on this machine, if all servers are. The relay at
	// 127.0.0.11 that containers have is none of them: it repeats what others say.
	TrustLoopback Trust = iota
	// TrustAll believes all servers: the network up to them is safe.
	TrustAll
	// TrustNone believes none.
	TrustNone
)

// ParseTrust reads "auto" for TrustLoopback, "yes" for TrustAll and "no" for TrustNone.
func ParseTrust(s string) (Trust, error) {
	switch s {
	case "auto", "":
		return TrustLoopback, nil
	case "yes":
		return TrustAll, nil
	case "no":
		return TrustNone, nil
	}
	return TrustNone, fmt.Errorf(`%q is none of "auto", "yes" and "no"`, s)
}

// String is the word that ParseTrust reads.
func (t Trust) String() string { return [...]string{"auto", "yes", "no"}[t] }

// Trusted tells whether the servers in use are believed about DNSSEC, as Trust says.
func (r *Resolver) Trusted() bool {
	switch r.servers().trust {
	case TrustAll:
		return true
	case TrustNone:
		return false
	}
	repeater := netip.AddrFrom4([4]byte{127, 0, 0, 11})
	servers := r.upstream().servers
	for _, s := range servers {
		if a := s.Addr().Unmap(); !a.IsLoopback() || a == repeater {
			return false
		}
	}
	return len(servers) > 0
}
