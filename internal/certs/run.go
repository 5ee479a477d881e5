package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
)

// Bounds.
const (
	maxNames   = 300 // of which there are certificates; those of further domains are left out
	maxOrders  = 4   // at once
	orderTime  = 10 * time.Minute
	lookTime   = 20 * time.Second
	lookEvery  = 10 * time.Second // what is wanted, and what is due
	retryLook  = 15 * time.Second // at a name that does not lead here
	earlyLooks = 120              // after so many of these
	lateLook   = 15 * time.Minute // there is less hurry
)

// pauses between failed orders of a name. The second try and all later ones are made at
// the staging server, if the CA is Let's Encrypt, so that no limit of its is used up.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// prefixes are the names under a domain that mail apps and other servers ask for.
var prefixes = []string{"autoconfig.", "autodiscover.", "mta-sts."}

// wanted is one name that there should be a certificate of. Manager.mu guards it.
type wanted struct {
	cert     *tls.Certificate
	problem  string
	waiting  bool // the DNS does not lead it here
	busy     bool // it is being ordered
	looks    int  // at the DNS, in vain
	failures int
	next     time.Time // when it is tried again
	managed  bool      // certmagic renews it
}

// Run fetches and renews until ctx is done.
func (m *Manager) Run(ctx context.Context) {
	if m.o.CA == nil {
		<-ctx.Done()
		return
	}
	e, err := m.newEngine()
	if err != nil { // Open has looked at what can be wrong
		m.o.Log.Error("no certificates are fetched", "error", err)
		<-ctx.Done()
		return
	}
	m.engine.Store(e)
	defer e.cache.Stop()
	defer m.held.Wait()
	defer m.engine.Store(nil)
	tick := time.NewTicker(cmp.Or(m.o.CA.Every, lookEvery))
	defer tick.Stop()
	for {
		m.look(ctx)
		m.manage(ctx, e)
		m.begin(ctx, e)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.looked:
		}
	}
}

// Look has the names looked at now, as after a domain was added.
func (m *Manager) Look() {
	select {
	case m.looked <- struct{}{}:
	default:
	}
}

// look brings up to date which names are wanted. What is not known leaves all as it is.
func (m *Manager) look(ctx context.Context) {
	names, err := m.names(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err = err; err != nil && len(m.wanted) > 0 {
		return
	}
	for _, n := range names {
		if m.wanted[n] == nil {
			m.wanted[n] = &wanted{}
		}
	}
	for n := range m.wanted {
		if !slices.Contains(names, n) {
			if e := m.engine.Load(); e != nil {
				e.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: n}})
			}
			delete(m.wanted, n)
		}
	}
	m.publish()
}

// names are all that should have certificates, that of the host first.
func (m *Manager) names(ctx context.Context) ([]string, error) {
	all := []string{m.o.Host}
	add := func(n string) {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	for _, n := range m.o.CA.Names {
		add(n)
	}
	var err error
	if m.o.CA.Domains != nil {
		var domains []string
		domains, err = m.o.CA.Domains(ctx)
		for _, d := range domains {
			for _, p := range prefixes {
				add(p + d)
			}
		}
	}
	if len(all) > maxNames {
		m.o.Log.Debug("there are too many names for all to have certificates", "names", len(all), "most", maxNames)
		all = all[:maxNames]
	}
	return all, err
}

// manage hands what is there to certmagic, which renews it in time, now if need be. Where
// certificates live shortly it is had to look more often.
func (m *Manager) manage(ctx context.Context, e *engine) {
	var fresh []string
	every := renewEvery
	m.mu.Lock()
	for n, w := range m.wanted {
		if w.cert == nil {
			continue
		}
		if !w.managed {
			w.managed, fresh = true, append(fresh, n)
		}
		every = min(every, w.cert.Leaf.NotAfter.Sub(w.cert.Leaf.NotBefore)/renewShare)
	}
	m.mu.Unlock()
	if every = max(every, renewLeast); every != e.every {
		e.every = every
		e.cache.SetOptions(e.options(every, zapLogger(m.o.Log)))
	}
	for _, n := range fresh {
		if _, err := e.config.CacheManagedCertificate(ctx, n); err != nil {
			m.o.Log.Warn("a certificate cannot be renewed", "name", n, "error", err)
		}
	}
	if len(fresh) == 0 && every == renewEvery {
		return // its own pace is enough
	}
	if err := e.cache.RenewManagedCertificates(ctx); err != nil {
		m.o.Log.Warn("certificates cannot be renewed", "error", err)
	}
}

// begin orders what is missing and due, as far as there is room.
func (m *Manager) begin(ctx context.Context, e *engine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := 0
	for _, w := range m.wanted {
		if w.busy {
			busy++
		}
	}
	now := time.Now()
	for _, n := range m.sorted() {
		w := m.wanted[n]
		if w.cert != nil || w.busy || now.Before(w.next) || busy >= maxOrders {
			continue
		}
		busy++
		w.busy = true
		m.held.Go(func() {
			defer m.Look() // there is room again
			m.order(ctx, e, n)
		})
	}
}

// sorted are the wanted names, that of the host first. Its caller holds mu.
func (m *Manager) sorted() []string {
	return slices.SortedFunc(maps.Keys(m.wanted), func(a, b string) int {
		if (a == m.o.Host) != (b == m.o.Host) {
			return map[bool]int{true: -1, false: 1}[a == m.o.Host]
		}
		return strings.Compare(a, b)
	})
}

// order fetches the certificate of one name, if the DNS leads it here.
func (m *Manager) order(ctx context.Context, e *engine, name string) {
	reason := m.astray(ctx, name)
	m.mu.Lock()
	w := m.wanted[name]
	if w == nil || reason != "" {
		if w != nil {
			w.busy, w.waiting, w.problem = false, true, reason
			w.looks++
			w.next = time.Now().Add(retryLook)
			if w.looks > earlyLooks {
				w.next = time.Now().Add(lateLook)
			}
			if w.looks == 1 && name == m.o.Host {
				m.o.Log.Warn("no certificate is ordered yet", "name", name, "reason", reason)
			}
		}
		m.mu.Unlock()
		return
	}
	w.waiting, w.looks = false, 0
	attempts := w.failures
	m.mu.Unlock()

	m.o.Log.Info("ordering a certificate", "name", name, "ca", m.o.CA.Directory)
	err := m.obtain(ctx, e, name, attempts)
	m.mu.Lock()
	w = m.wanted[name]
	if w != nil {
		w.busy = false
		if err != nil {
			w.next = time.Now().Add(pauses[min(w.failures, len(pauses)-1)])
			w.failures++
		}
	}
	m.mu.Unlock()
	if err != nil {
		m.failed(name, err)
	}
	if err != nil || attempts > 0 {
		m.saveTried(ctx)
	}
}

// obtain is one attempt, within orderTime.
func (m *Manager) obtain(ctx context.Context, e *engine, name string, attempts int) error {
	ctx, done := context.WithTimeout(ctx, orderTime)
	defer done()
	ctx = context.WithValue(ctx, certmagic.AttemptsCtxKey, &attempts)
	if err := m.mend(ctx, name); err != nil {
		return err
	}
	if err := e.asked(false).ObtainCertSync(ctx, name); err != nil {
		return err
	}
	if m.ends(name).IsZero() { // it was there already
		return m.load(ctx, name)
	}
	return nil
}

// failed notes why a name has no certificate, or no new one.
func (m *Manager) failed(name string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	text := m.words(name, err)
	m.mu.Lock()
	w := m.wanted[name]
	first := w != nil && w.problem != text
	if w != nil {
		w.problem = text
	}
	m.mu.Unlock()
	if first {
		m.o.Log.Warn("no certificate could be fetched", "name", name, "problem", text, "error", err)
	}
}

// astray says why a name does not lead here, so that a CA would find nothing; "" if it does.
// The host may lead anywhere: what it leads to is here, as the world sees it.
func (m *Manager) astray(ctx context.Context, name string) string {
	ca := m.o.CA
	if ca.DNS.Name != "" && (name == m.o.Host || slices.Contains(ca.Names, name)) {
		return ""
	}
	ctx, done := context.WithTimeout(ctx, lookTime)
	defer done()
	to, err := ca.Resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return missing(name, err)
	}
	if name == m.o.Host {
		return ""
	}
	here, err := ca.Resolver.LookupNetIP(ctx, "ip", m.o.Host)
	if err != nil {
		return missing(m.o.Host, err)
	}
	if !slices.ContainsFunc(to, func(a netip.Addr) bool { return slices.Contains(here, a) }) {
		return fmt.Sprintf("%s leads to %v, and this server %s to %v", name, to[0], m.o.Host, here[0])
	}
	return ""
}

// missing says that the DNS does not know a name, or does not answer.
func missing(name string, err error) string {
	if d, ok := errors.AsType[*net.DNSError](err); ok && d.IsNotFound {
		return name + " is not in the DNS"
	}
	return fmt.Sprintf("the DNS does not say where %s is: %v", name, err)
}
