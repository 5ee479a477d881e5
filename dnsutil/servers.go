package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	defaultTimeout = 3 * time.Second
	defaultTries   = 2
	defaultConf    = "/etc/resolv.conf"

	// What resolv.conf may ask for at most, as resolv.conf(5) has it, but for the servers,
	// of which it takes three.
	maxConfTimeout = 30 * time.Second
	maxConfTries   = 5
	maxConfServers = 8
	maxConfSize    = 64 << 10

	// confEvery is how often resolv.conf is looked at, at most.
	confEvery = 5 * time.Second
	// downAfter is how often in a row a server is silent until it is asked last, for
	// downFor.
	downAfter = 3
	downFor   = time.Minute
)

// server is where questions go.
type server = netip.AddrPort

// ParseServer reads a DNS server as [Resolver.Servers] has it: "192.0.2.53",
// "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353". The port is 53 if there is
// none.
func ParseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(s); err == nil && a.Port() != 0 {
		return a, nil
	}
	plain := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		plain = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(plain)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no DNS server: an IP address is needed, with or without a port", s)
	}
	return netip.AddrPortFrom(a, 53), nil
}

// upstream is whom to ask, and how patiently.
type upstream struct {
	servers []server
	timeout time.Duration
	tries   int
	err     error // why there is no server
}

// servers are those to ask, in the form of [Resolver.Servers], and which of them are believed.
type servers struct {
	list  []string
	trust Trust
}

// Use puts other servers, and another trust in them, in the place of Servers and Trust. What
// the ones before have said is forgotten. It may be called while the resolver is used.
func (r *Resolver) Use(list []string, trust Trust) {
	r.changed.Store(&servers{slices.Clone(list), trust})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache.clear()
}

// servers are those in use.
func (r *Resolver) servers() servers {
	if u := r.changed.Load(); u != nil {
		return *u
	}
	return servers{r.Servers, r.Trust}
}

// upstream is what the fields say, and what the system says where they are empty.
func (r *Resolver) upstream() upstream {
	up := upstream{timeout: defaultTimeout, tries: defaultTries}
	own := r.servers().list
	if len(own) == 0 {
		var changed bool
		if up, changed = r.system.look(r); changed {
			// Another network has other answers, and perhaps none of the failures.
			r.mu.Lock()
			r.cache.clear()
			r.mu.Unlock()
		}
	}
	for _, s := range own {
		a, err := ParseServer(s)
		if err != nil {
			up.err = fmt.Errorf("%w: %w", errNoServer, err)
			continue
		}
		up.servers = append(up.servers, a)
	}
	up.timeout, up.tries = or(r.Timeout, up.timeout), or(r.Tries, up.tries)
	return up
}

// system is resolv.conf as it was when it was read.
type system struct {
	mu     sync.Mutex
	looked time.Time
	read   os.FileInfo // of the file that up is from; nil before
	up     upstream
}

// look gives the system's servers, and whether they are others than before. A file that
// cannot be read is as good as unchanged; at first it stands for the server on this
// machine, as resolv.conf(5) says.
func (s *system) look(r *Resolver) (up upstream, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := r.now()
	if since := now.Sub(s.looked); !s.looked.IsZero() && since >= 0 && since < confEvery {
		return s.up, false
	}
	first := s.looked.IsZero()
	s.looked = now
	path := r.ResolvConf
	if path == "" {
		path = defaultConf
	}
	st, err := os.Stat(path)
	if err == nil && s.read != nil && st.ModTime().Equal(s.read.ModTime()) && st.Size() == s.read.Size() && os.SameFile(st, s.read) {
		return s.up, false
	}
	var conf *dns.ClientConfig
	if err == nil {
		conf, err = readConf(path)
	}
	if err != nil {
		r.log().Warn("list of DNS servers cannot be read", "file", path, "error", err)
		if first {
			s.up = systemUpstream(r, &dns.ClientConfig{})
		}
		return s.up, false
	}
	s.read, s.up = st, systemUpstream(r, conf)
	return s.up, !first
}

// readConf parses resolv.conf. Our own defaults stand before it, so that what it does not
// say is ours.
func readConf(path string) (*dns.ClientConfig, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ours := fmt.Sprintf("options timeout:%d attempts:%d\n", defaultTimeout/time.Second, defaultTries)
	return dns.ClientConfigFromReader(io.MultiReader(strings.NewReader(ours), io.LimitReader(f, maxConfSize)))
}

// systemUpstream takes what is usable of resolv.conf.
func systemUpstream(r *Resolver, conf *dns.ClientConfig) upstream {
	up := upstream{
		timeout: min(or(time.Duration(conf.Timeout)*time.Second, defaultTimeout), maxConfTimeout),
		tries:   min(or(conf.Attempts, defaultTries), maxConfTries),
	}
	for _, s := range conf.Servers {
		a, err := netip.ParseAddr(s)
		if err != nil {
			r.log().Warn("nameserver of resolv.conf is no address", "nameserver", s)
			continue
		}
		if len(up.servers) < maxConfServers {
			up.servers = append(up.servers, netip.AddrPortFrom(a, 53))
		}
	}
	if len(up.servers) == 0 {
		up.servers = []server{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return up
}

// health remembers servers that don't answer, so that not every question waits for them.
// One silence proves nothing: it may be the domain's own servers that are silent.
type health struct {
	mu     sync.Mutex
	silent map[server]silence // only of servers in use, which are few
}

type silence struct {
	times int       // in a row
	until time.Time // the server is asked after the others
}

// order puts the servers that are silent behind the others.
func (h *health) order(servers []server, now time.Time) []server {
	h.mu.Lock()
	defer h.mu.Unlock()
	up, down := make([]server, 0, len(servers)), []server(nil)
	for _, s := range servers {
		if now.Before(h.silent[s].until) {
			down = append(down, s)
		} else {
			up = append(up, s)
		}
	}
	return append(up, down...)
}

// bad notes that a server was silent, so many times, and tells whether it is taken for
// down from now on.
func (h *health) bad(s server, times int, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.silent == nil || len(h.silent) > 100 {
		h.silent = map[server]silence{}
	}
	was := h.silent[s]
	is := silence{was.times + times, was.until}
	if is.times >= downAfter {
		is.until = now.Add(downFor)
	}
	h.silent[s] = is
	return is.times >= downAfter && !now.Before(was.until)
}

// good notes that a server has answered.
func (h *health) good(s server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.silent, s)
}

// Probe tells why no answers are to be had: none of the servers has answered the last three
// questions or more, and none answers another one, which is for the root's name servers. It
// asks only then, so that it costs nothing while all is well; nil: all is, or nobody has
// asked anything.
func (r *Resolver) Probe(ctx context.Context) error {
	servers := r.upstream().servers
	for _, s := range servers {
		if !r.health.down(s) {
			return nil
		}
	}
	if len(servers) == 0 {
		return nil // each question says so
	}
	res := r.fetch(ctx, question{".", dns.TypeNS})
	if !errors.Is(res.kind, ErrTemporary) || errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	var names []string
	for _, s := range servers {
		names = append(names, s.String())
	}
	return fmt.Errorf("no DNS server answers: %s", strings.Join(names, ", "))
}

// down tells whether a server has been silent for long.
func (h *health) down(s server) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.silent[s].times >= downAfter
}
