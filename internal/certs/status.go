package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"kurir/internal/fsx"
	"kurir/internal/tlsconf"
)

// Certificates are all that are served or wanted, that of the host first. With the admin's
// own or with one of the local CA it is that alone.
func (m *Manager) Certificates() []Status {
	if m.o.CA == nil {
		return []Status{m.fallback()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Status
	for _, n := range m.sorted() {
		w := m.wanted[n]
		s := Status{Names: []string{n}, Waiting: w.waiting, Ordering: !w.waiting && w.problem == ""}
		if w.cert != nil {
			s = of(w.cert.Leaf)
		}
		s.Host, s.Managed, s.Problem = n == m.o.Host, true, w.problem
		if s.Ordering {
			s.Problem = "it is being ordered"
		}
		all = append(all, s)
	}
	return all
}

// fallback is the status of what is served without a CA.
func (m *Manager) fallback() Status {
	c, err := m.o.Fallback.GetCertificate(&tls.ClientHelloInfo{ServerName: m.o.Host})
	if err != nil {
		return Status{Names: []string{m.o.Host}, Host: true, Local: m.o.Local, Problem: err.Error()}
	}
	s := of(c.Leaf)
	s.Host, s.Local = true, m.o.Local
	return s
}

// of is the status of a certificate that is there.
func of(leaf *x509.Certificate) Status {
	s := Status{Names: slices.Clone(leaf.DNSNames), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	for _, ip := range leaf.IPAddresses {
		s.Names = append(s.Names, ip.String())
	}
	s.Issuer = cmp.Or(strings.Join(leaf.Issuer.Organization, " ")+" "+leaf.Issuer.CommonName, leaf.Issuer.String())
	s.Issuer = strings.TrimSpace(s.Issuer)
	return s
}

// Chain is what clients that ask for the host are shown, the host's own certificate first.
func (m *Manager) Chain() ([]*x509.Certificate, error) {
	c, err := m.get(&tls.ClientHelloInfo{ServerName: m.o.Host})
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, raw := range c.Certificate {
		one, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, err
		}
		chain = append(chain, one)
	}
	return chain, nil
}

// AsksCA tells whether certificates are fetched from a CA.
func (m *Manager) AsksCA() bool { return m.o.CA != nil }

// Stored is the certificate of a name with its chain that a Manager has kept in dir, from
// the CA with that directory; nil if there is none.
func Stored(files fsx.FS, dir, directory, name string) ([]*x509.Certificate, error) {
	issuer := (&certmagic.ACMEIssuer{CA: directory}).IssuerKey()
	text, err := fsx.ReadFile(files, filepath.Join(dir, filepath.FromSlash(certmagic.StorageKeys.SiteCert(issuer, name))), maxValue)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return tlsconf.ParseChain(text)
}

// Errors of Renew.
var (
	ErrNoCA   = errors.New("no CA is asked for certificates")
	ErrNoName = errors.New("no certificate is wanted for that name")
)

// Renew fetches new certificates now: for all names that lead here, or those named. With
// newKey their keys are new ones too, so that TLSA records have to change. It returns once
// all were fetched; the error joins what has failed. Possible errors: ErrNoCA, ErrNoName.
func (m *Manager) Renew(ctx context.Context, names []string, newKey bool) error {
	e := m.engine.Load()
	switch {
	case m.o.CA == nil:
		return ErrNoCA
	case e == nil:
		return errors.New("the server is starting or stopping: try again")
	}
	m.mu.Lock()
	all := m.sorted()
	for _, n := range names {
		if m.wanted[n] == nil {
			m.mu.Unlock()
			return fmt.Errorf("%w: %s", ErrNoName, n)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, n := range all {
		if len(names) > 0 && !slices.Contains(names, n) {
			continue
		}
		if err := m.renew(ctx, e, n, newKey, len(names) > 0); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s", n, m.words(n, err)))
		}
	}
	return errors.Join(errs...)
}

// renew fetches one certificate. A name that leads elsewhere is an error if it was named.
func (m *Manager) renew(ctx context.Context, e *engine, name string, newKey, named bool) error {
	ctx, done := context.WithTimeout(ctx, orderTime)
	defer done()
	if reason := m.astray(ctx, name); reason != "" {
		if named || name == m.o.Host {
			return errors.New(reason)
		}
		return nil
	}
	config := e.asked(newKey)
	if m.ends(name).IsZero() {
		if err := config.ObtainCertSync(ctx, name); err != nil {
			return err
		}
		m.Look()
		return nil
	}
	if err := config.RenewCertSync(ctx, name, true); err != nil {
		return err
	}
	e.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name}})
	_, err := e.config.CacheManagedCertificate(ctx, name)
	return err
}

// Shares of a certificate's life that are left: at a third it is renewed.
const (
	lateShare = 4  // a quarter: renewal has failed for a while
	redShare  = 12 // a twelfth: a week of 90 days
)

// steps are the days before the end, of a life of 90 days or more, at which somebody should
// be told; for shorter ones they shrink with it.
var steps = []time.Duration{14 * day, 7 * day, 3 * day, day}

const (
	day      = 24 * time.Hour
	fullLife = 90 * day
)

// life is how long the certificate is valid in all, at most a usual life.
func (s Status) life() time.Duration { return min(s.NotAfter.Sub(s.NotBefore), fullLife) }

// Late tells whether a certificate should have been renewed for a while.
func (s Status) Late(now time.Time) bool { return s.left(now, lateShare) }

// Ending tells whether a certificate ends so soon that somebody has to act, or has ended.
func (s Status) Ending(now time.Time) bool { return s.left(now, redShare) }

func (s Status) left(now time.Time, share int) bool {
	return !s.NotAfter.IsZero() && s.NotAfter.Sub(now) < s.life()/time.Duration(share)
}

// Step is how often somebody should have been told by now that the certificate ends: 14, 7,
// 3 and 1 days before, or as much sooner as its life is shorter than 90 days. 0: not at all.
func (s Status) Step(now time.Time) int {
	if s.NotAfter.IsZero() {
		return 0
	}
	n := 0
	for _, d := range steps {
		if s.NotAfter.Sub(now) <= time.Duration(float64(d)*float64(s.life())/float64(fullLife)) {
			n++
		}
	}
	return n
}
