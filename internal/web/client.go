package web

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// peer is who holds the other end of the connection.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// trusted tells whether an address is a proxy's, whose word is taken.
func (s *Server) trusted(a netip.Addr) bool {
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	return a.IsLoopback() || slices.ContainsFunc(s.Pages.Proxies, in)
}

// remote is the address of who asks: of several in X-Forwarded-For the last that no proxy
// of ours has.
func (s *Server) remote(r *http.Request) netip.Addr {
	a := peer(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(a); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		a = next.Unmap()
	}
	return a
}

// secure tells whether the asker speaks https, here or with a proxy in front.
func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || s.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// mayType tells whether a password may be typed: with https, or on this machine alone.
func (s *Server) mayType(r *http.Request) bool {
	return s.secure(r) || peer(r).IsLoopback() && loopbackHost(r.Host) && r.Header.Get("X-Forwarded-For") == ""
}

// loopbackHost tells of a Host field whether it means the asker's own machine.
func loopbackHost(host string) bool {
	name := hostname(host)
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	a, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return strings.EqualFold(name, "localhost") || err == nil && a.IsLoopback()
}
