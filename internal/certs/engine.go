package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"strconv"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// engine is certmagic, set up for one CA.
type engine struct {
	config  *certmagic.Config // renews by itself
	newKeys *certmagic.Config // the same, with a new key for each certificate
	issuer  *certmagic.ACMEIssuer
	cache   *certmagic.Cache
	every   time.Duration // the pace of cache
}

// quiet asks no person on standard input for a mail address, whatever certmagic would do
// in an order that its caller waits for.
type quiet struct{ *certmagic.ACMEIssuer }

// PreCheck implements certmagic.PreChecker.
func (q quiet) PreCheck(ctx context.Context, names []string, _ bool) error {
	return q.ACMEIssuer.PreCheck(ctx, names, false)
}

// again is what certmagic says of an order whose account the CA had forgotten: it has made
// a new one, but needs another try to use it.
const again = "no certificate chains"

// Issue implements certmagic.Issuer.
func (q quiet) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	cert, err := q.ACMEIssuer.Issue(ctx, csr)
	if err != nil && err.Error() == again {
		return q.ACMEIssuer.Issue(ctx, csr)
	}
	return cert, err
}

// How often certmagic looks what has to be renewed, at most and at least. At five times of
// that before its end a certificate is renewed in any case.
const (
	renewEvery = 10 * time.Minute
	renewLeast = 10 * time.Second
	renewShare = 100 // of the shortest life of a certificate
)

// options are those of the cache.
func (e *engine) options(every time.Duration, log *zap.Logger) certmagic.CacheOptions {
	return certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return e.config, nil },
		RenewCheckInterval: every, Logger: log,
	}
}

// newEngine sets certmagic up. Its clock runs until its cache is stopped.
func (m *Manager) newEngine() (*engine, error) {
	ca, log := m.o.CA, zapLogger(m.o.Log)
	e := &engine{}
	template := certmagic.ACMEIssuer{
		CA: ca.Directory, Email: ca.Email, Agreed: true, TrustedRoots: ca.Roots, Logger: log,
		DisableHTTPChallenge: !ca.HTTP, DisableTLSALPNChallenge: !ca.ALPN, DisableDistributedSolvers: true,
	}
	if ca.EABKeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: ca.EABKeyID, MACKey: ca.EABKey}
	}
	if ca.DNS.Name != "" {
		client, err := ca.DNS.client()
		if err != nil {
			return nil, err
		}
		template.DNS01Solver = dnsSolver{&certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
			DNSProvider: client, TTL: recordTTL, Resolvers: ca.DNSServers, Logger: log,
		}}, ca.Published}
	}
	e.every = renewEvery
	e.cache = certmagic.NewCache(e.options(e.every, log))
	base := certmagic.Config{
		Storage: m.storage, Logger: log, OnEvent: m.event, ShouldEmitFunc: heard,
		OCSP:      certmagic.OCSPConfig{DisableStapling: true}, // no CA of note has it any more
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
	}
	e.newKeys = certmagic.New(e.cache, base)
	base.ReusePrivateKeys = true
	e.config = certmagic.New(e.cache, base)
	m.setPorts(&template)
	e.issuer = certmagic.NewACMEIssuer(e.config, template)
	e.config.Issuers = []certmagic.Issuer{e.issuer}
	e.newKeys.Issuers = []certmagic.Issuer{quiet{e.issuer}}
	return e, nil
}

// asked is the configuration for an order that is waited for.
func (e *engine) asked(newKey bool) *certmagic.Config {
	if newKey {
		return e.newKeys
	}
	c := *e.config
	c.Issuers = e.newKeys.Issuers
	return &c
}

// Listening says where this server listens for the challenges, each host:port, "" for
// nowhere; it is called before Run.
func (m *Manager) Listening(http, https string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listen = [2]string{http, https}
}

// setPorts tells certmagic which ports it shall find taken: any other it would open itself.
func (m *Manager) setPorts(issuer *certmagic.ACMEIssuer) {
	m.mu.Lock()
	listen := m.listen
	m.mu.Unlock()
	for i, port := range []*int{&issuer.AltHTTPPort, &issuer.AltTLSALPNPort} {
		host, text, err := net.SplitHostPort(listen[i])
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(text); err == nil {
			*port = n
		}
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
			issuer.ListenHost = host
		}
	}
}

// heard are the events that event is for.
func heard(event string) bool { return event == "cert_obtained" || event == "cert_failed" }

// event is told by certmagic how an order has ended, its own renewals among them.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
	if m.o.Ended != nil {
		defer m.o.Ended()
	}
	switch event {
	case "cert_obtained":
		if err := m.load(ctx, name); err != nil {
			m.o.Log.Error("a new certificate cannot be read", "name", name, "error", err)
			return nil
		}
		m.o.Log.Info("certificate in service", "name", name, "renewed", renewal, "ends", m.ends(name))
	case "cert_failed":
		err, _ := data["error"].(error)
		m.failed(name, err)
	}
	return nil
}

// load reads a name's certificate and puts it into service; none is no error.
func (m *Manager) load(ctx context.Context, name string) error {
	issuer := m.issuerKey()
	cert, err := m.storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := m.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, name))
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return err
	}
	m.serve(name, &pair)
	return nil
}

// issuerKey is the CA's part in the names of files.
func (m *Manager) issuerKey() string {
	return (&certmagic.ACMEIssuer{CA: m.o.CA.Directory}).IssuerKey()
}

// ends is when the certificate of a name does; zero if there is none.
func (m *Manager) ends(name string) time.Time {
	if c := (*m.serving.Load())[name]; c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}
