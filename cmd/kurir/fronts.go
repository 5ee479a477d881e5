package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
	"kurir/internal/web"
)

const (
	// drainLeast is how long the front-ends of an earlier configuration are kept at least: a
	// proxy's header may be on its way to them.
	drainLeast = 2 * listen.DefaultHeaderTimeout
	// drainHTTP is how long they answer requests over connections that were left open.
	drainHTTP = 30 * time.Second
	// drainEvery is how often it is looked whether they have anything to do.
	drainEvery = 5 * time.Second
)

// keeps is what passes from one configuration to the next.
type keeps struct {
	sockets          map[string]*listen.Handover // by port.socket
	limiters         map[string]*listen.Limiter  // a protocol shares its one with and without TLS
	imap, pop3, smtp auth.Sessions
	web              web.Sessions
	trouble          web.Trouble
}

func newKeeps() *keeps {
	return &keeps{sockets: map[string]*listen.Handover{}, limiters: map[string]*listen.Limiter{}}
}

// limiter bounds the connections of a protocol, as the configuration says now.
func (k *keeps) limiter(protocol string, all, perAddress int) *listen.Limiter {
	l := k.limiters[protocol]
	if l == nil {
		l = listen.NewLimiter(all, perAddress)
		k.limiters[protocol] = l
	}
	l.Set(all, perAddress)
	return l
}

// fronts are the front-ends of the configuration in force, and those of earlier ones that
// are in the middle of conversations.
type fronts struct {
	ctx   context.Context              // ends all of them
	ended func(name string, err error) // is told how each of them ended
	all   sync.WaitGroup

	now       atomic.Pointer[site] // whose configuration is in force
	reloading sync.Mutex           // held by the reload that is under way

	mu      sync.Mutex
	stopped bool
	running map[*front]struct{}
}

// front is one front-end on one listener.
type front struct {
	site *site
	port *port
	l    net.Listener
	stop context.CancelFunc
	left time.Time // when another took its place; zero: it gets what comes
}

// errStopping: a server that stops takes no new configuration.
var errStopping = errors.New("the server is stopping")

// start serves the ports of s, and no more those of the site before it, whose
// conversations go on.
func (f *fronts) start(s *site) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped || f.ctx.Err() != nil {
		return errStopping
	}
	servers := s.servers()
	for old := range f.running {
		if old.left.IsZero() {
			old.left = time.Now()
		}
	}
	if f.running == nil {
		f.running = map[*front]struct{}{}
	}
	f.now.Store(s)
	for _, p := range s.ports {
		for _, l := range p.open {
			ctx, stop := context.WithCancel(f.ctx)
			one := &front{site: s, port: p, l: l, stop: stop}
			f.running[one] = struct{}{}
			f.all.Go(func() {
				err := servers[p.protocol](ctx, l)
				stop()
				f.gone(one)
				f.ended(p.name, err)
			})
		}
	}
	return nil
}

func (f *fronts) gone(one *front) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, one)
}

// site is the one whose configuration is in force.
func (f *fronts) site() *site { return f.now.Load() }

// drain ends the front-ends of earlier configurations as their conversations end. It
// returns when ctx is done.
func (f *fronts) drain(ctx context.Context) {
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.sweep(time.Now())
		}
	}
}

// sweep ends those that nobody needs any more.
func (f *fronts) sweep(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for one := range f.running {
		if !one.left.IsZero() && one.done(now.Sub(one.left)) {
			one.stop()
		}
	}
}

// done tells whether a front-end has nothing more to do, so long after another took its place.
func (one *front) done(since time.Duration) bool {
	if l, ok := one.l.(*listen.Listener); ok && l.Open() == 0 {
		return since >= drainLeast
	}
	switch one.port.protocol {
	case "http", "web", "webs": // whose clients connect again for their next request
		return since >= drainHTTP
	}
	return false
}

// waitAll waits until all have ended, which they do with the context.
func (f *fronts) waitAll() {
	f.mu.Lock()
	f.stopped = true
	f.mu.Unlock()
	f.all.Wait()
}
