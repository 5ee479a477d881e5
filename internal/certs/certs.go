// Package certs owns the certificates of this server: which one a client is shown, and
// how those of a CA are fetched and renewed (RFC 8555) while the server runs. Below it
// lies whatever is served until the CA's are there: the admin's files or the local CA of
// package tlsconf.
package certs

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Options of a Manager.
type Options struct {
	// Fallback is served where there is no certificate of a CA; needed.
	Fallback *tls.Config
}

// Status is one certificate, or one that is wanted.
type Status struct {
	Names     []string
	NotBefore time.Time // zero: there is none yet
	NotAfter  time.Time // zero: there is none yet
	Issuer    string    // "" if there is none
	Problem   string    // what keeps it from being fetched or renewed, a sentence; "" if all is well
}

// Manager is the certificates of one server.
type Manager struct {
	o Options
}

// Open returns the certificates that are there.
func Open(_ context.Context, o Options) (*Manager, error) { return &Manager{o: o}, nil }

// TLS is for the ports of mail.
func (m *Manager) TLS() *tls.Config { return m.o.Fallback }

// HTTPS is for the ports where HTTP is spoken with TLS from the start.
func (m *Manager) HTTPS() *tls.Config {
	c := m.o.Fallback.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// HTTPChallenge answers what a CA asks by HTTP, and leaves the rest to next.
func (m *Manager) HTTPChallenge(next http.Handler) http.Handler { return next }

// Run keeps the certificates fresh until ctx is done.
func (m *Manager) Run(ctx context.Context) { <-ctx.Done() }

// Certificates are all that are served or wanted, that of the host first.
func (m *Manager) Certificates() []Status { return nil }
