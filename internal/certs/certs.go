// Package certs owns the certificates of this server: which one a client is shown, and
// how those of a CA are fetched and renewed (RFC 8555) while the server runs. Below it
// lies what is served until the CA's are there: the admin's files or the local CA of
// package tlsconf.
//
// Each name has a certificate of its own, so that one that cannot be had spoils no other.
// A name is ordered only once the DNS leads it here. Keys stay the same when a certificate
// is renewed, so that a TLSA record of the key stays right (RFC 7671 section 5.1). All is
// kept under Options.CA.Dir by certmagic, which also renews; nothing else here does.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"kurir/internal/fsx"
)

// Options of a Manager.
type Options struct {
	Host string // the name of the mail host, in lower case; needed
	// Fallback is served where there is no certificate of a CA; needed.
	Fallback *tls.Config
	// Local says that Fallback is of a CA of our own, which nobody trusts.
	Local bool
	// ClientCAs, if not nil, are those whose certificates clients may show on the ports of
	// Manager.Users.
	ClientCAs *x509.CertPool
	// CA is asked for certificates; nil: none is, and Fallback is all.
	CA  *CA
	Log *slog.Logger // nil: no log
	// Ended is called after each order, good or bad, once Certificates tells of it; nil: nobody.
	Ended func()
}

// CA says which one is asked for certificates, and how.
type CA struct {
	Directory string         // URL; needed
	Roots     *x509.CertPool // trusted for Directory; nil: the system's
	Email     string         // "" is none
	EABKeyID  string         // of an external account; "" is none
	EABKey    string         // in base64url
	HTTP      bool           // http-01
	ALPN      bool           // tls-alpn-01
	DNS       DNSProvider    // dns-01, in place of the other two

	// Names are wanted beside Host. With DNS they are ordered wherever they lead.
	Names []string
	// Domains are those whose names for mail apps and policies are wanted; nil: none. It is
	// asked again and again.
	Domains func(context.Context) ([]string, error)

	Resolver Resolver // needed
	// Published tells whether a TXT record can be seen; nil: it is not waited for.
	Published func(ctx context.Context, name, value string) (bool, error)
	// DNSServers are asked in which zone a name is, each host:port; empty: the system's.
	DNSServers []string

	Files fsx.FS // needed
	Dir   string // where all is kept; needed
	// Every is how often is looked what is to be done; zero means a minute for new names and
	// ten for renewals.
	Every time.Duration
}

// Resolver asks the DNS.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Status is one certificate, or one that is wanted.
type Status struct {
	Names     []string
	Host      bool      // that of the mail host, which all clients need
	Local     bool      // of a CA of our own
	Managed   bool      // fetched and renewed by this server
	Ordering  bool      // there is none, and nothing has failed yet
	Waiting   bool      // there is none, since the DNS does not lead the name here
	NotBefore time.Time // zero: there is none yet
	NotAfter  time.Time // zero: there is none yet
	Issuer    string    // "" if there is none
	Problem   string    // what keeps it from being fetched or renewed, a sentence; "" if all is well
}

// Manager is the certificates of one server. Its methods may be called from any goroutine.
type Manager struct {
	o       Options
	serving atomic.Pointer[map[string]*tls.Certificate] // by name
	storage *storage                                    // nil: no CA is asked
	engine  atomic.Pointer[engine]                      // while Run does
	looked  chan struct{}                               // has a value when a round shall begin

	mu     sync.Mutex
	wanted map[string]*wanted
	err    error // why it is not known which names are wanted
	held   sync.WaitGroup
	saving sync.Mutex // held while triedKey is written
	listen [2]string  // for http-01 and tls-alpn-01
}

// Open returns the certificates that are there: those of earlier runs are served from the
// first handshake on. It asks nobody, and fails only if the directory cannot be used.
func Open(ctx context.Context, o Options) (*Manager, error) {
	o.Host = strings.ToLower(o.Host)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o, wanted: make(map[string]*wanted), looked: make(chan struct{}, 1)}
	m.serving.Store(&map[string]*tls.Certificate{})
	if o.CA == nil {
		return m, nil
	}
	if o.CA.DNS.Name != "" {
		if _, err := o.CA.DNS.client(); err != nil {
			return nil, err
		}
	}
	var err error
	if m.storage, err = newStorage(o.CA.Files, o.CA.Dir); err != nil {
		return nil, err
	}
	if err := m.mendAccounts(ctx); err != nil {
		o.Log.Warn("what was kept of accounts at CAs cannot be read", "error", err)
	}
	m.look(ctx)
	for name := range m.wanted {
		if err := errors.Join(m.mend(ctx, name), m.load(ctx, name)); err != nil {
			o.Log.Warn("a certificate cannot be read", "name", name, "error", err)
		}
	}
	m.loadTried(ctx)
	return m, nil
}

// TLS is for port 25, where nobody logs in.
func (m *Manager) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: m.get}
}

// Users is for the ports where users log in: a client may show a certificate of
// Options.ClientCAs, which is verified (RFC 4422 appendix A); any other ends the handshake.
func (m *Manager) Users() *tls.Config {
	c := m.TLS()
	if m.o.ClientCAs != nil {
		c.ClientCAs, c.ClientAuth = m.o.ClientCAs, tls.VerifyClientCertIfGiven
	}
	return c
}

// HTTPS is for the ports where HTTP is spoken with TLS from the start. A CA finds there
// what it looks for (RFC 8737).
func (m *Manager) HTTPS() *tls.Config {
	c := m.TLS()
	c.NextProtos = []string{"h2", "http/1.1"}
	if m.o.CA != nil && m.o.CA.ALPN {
		c.NextProtos = append(c.NextProtos, challengeProtocol)
		c.GetCertificate = m.getOrProve
	}
	return c
}

// challengeProtocol is what a CA asks for in place of HTTP, RFC 8737 section 3.
const challengeProtocol = "acme-tls/1"

// get chooses the certificate of a handshake: that of the name asked for, else that of the
// host, since many mail clients name none.
func (m *Manager) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *m.serving.Load()
	if c := all[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]; c != nil {
		return c, nil
	}
	if c := all[m.o.Host]; c != nil {
		return c, nil
	}
	return m.o.Fallback.GetCertificate(hello)
}

// getOrProve is get where the other side may be a CA that looks whether a name is ours.
func (m *Manager) getOrProve(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != challengeProtocol {
		return m.get(hello)
	}
	c, ok := certmagic.GetACMEChallenge(hello.ServerName)
	if !ok {
		return nil, fmt.Errorf("no CA was asked to look at %.80q", hello.ServerName)
	}
	return acmez.TLSALPN01ChallengeCert(c.Challenge)
}

// HTTPChallenge answers what a CA asks by HTTP (RFC 8555 section 8.3), and leaves the rest
// to next.
func (m *Manager) HTTPChallenge(next http.Handler) http.Handler {
	if m.o.CA == nil || !m.o.CA.HTTP {
		return next
	}
	log := zapLogger(m.o.Log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certmagic.LooksLikeHTTPChallenge(r) {
			if c, ok := certmagic.GetACMEChallenge(r.Host); ok && certmagic.SolveHTTPChallenge(log, w, r, c.Challenge) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// serve puts a certificate into service.
func (m *Manager) serve(name string, c *tls.Certificate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.wanted[name]
	if w == nil {
		return // it is not wanted any more
	}
	w.cert, w.problem, w.waiting, w.failures = c, "", false, 0
	m.publish()
}

// publish makes what is wanted and there what is served. Its caller holds mu.
func (m *Manager) publish() {
	all := make(map[string]*tls.Certificate, len(m.wanted))
	for name, w := range m.wanted {
		if w.cert != nil {
			all[name] = w.cert
		}
	}
	m.serving.Store(&all)
}
