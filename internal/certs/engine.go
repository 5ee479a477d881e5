package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"strconv"
	"sync"
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
	storage *storage
	log     *zap.Logger
	stop    func() // once
}

// quiet asks no person on standard input for a mail address, whatever certmagic would do
// in an order that its caller waits for.
type quiet struct{ *certmagic.ACMEIssuer }

// PreCheck implements certmagic.PreChecker.
func (q quiet) PreCheck(ctx context.Context, names []string, _ bool) error {
	return q.ACMEIssuer.PreCheck(ctx, names, false)
}

// renewEvery is how often certmagic looks what has to be renewed.
const renewEvery = 10 * time.Minute

// newEngine sets certmagic up. It keeps its clock running until stop.
func (m *Manager) newEngine() (*engine, error) {
	ca := m.o.CA
	e := &engine{log: zapLogger(m.o.Log)}
	var err error
	if e.storage, err = newStorage(ca.Files, ca.Dir); err != nil {
		return nil, err
	}
	template := certmagic.ACMEIssuer{
		CA: ca.Directory, Email: ca.Email, Agreed: true, TrustedRoots: ca.Roots, Logger: e.log,
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
			DNSProvider: client, TTL: recordTTL, Resolvers: ca.DNSServers, Logger: e.log,
		}}, ca.Published}
	}
	e.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return e.config, nil },
		RenewCheckInterval: cmp.Or(ca.Every, renewEvery), Logger: e.log,
	})
	e.stop = sync.OnceFunc(e.cache.Stop)
	base := certmagic.Config{
		Storage: e.storage, Logger: e.log, OnEvent: m.event, ShouldEmitFunc: heard,
		OCSP:      certmagic.OCSPConfig{DisableStapling: true}, // no CA of note has it any more
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
	}
	e.newKeys = certmagic.New(e.cache, base)
	base.ReusePrivateKeys = true
	e.config = certmagic.New(e.cache, base)
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
// nowhere; it is called before Run. certmagic would open these ports itself if it did not
// find them taken.
func (m *Manager) Listening(http, https string) {
	if m.engine == nil {
		return
	}
	for _, a := range []struct {
		address string
		port    *int
	}{{http, &m.engine.issuer.AltHTTPPort}, {https, &m.engine.issuer.AltTLSALPNPort}} {
		host, port, err := net.SplitHostPort(a.address)
		if err != nil {
			continue
		}
		*a.port, _ = strconv.Atoi(port)
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
			m.engine.issuer.ListenHost = host
		}
	}
}

// heard are the events that event is for.
func heard(event string) bool { return event == "cert_obtained" || event == "cert_failed" }

// event is told by certmagic how an order has ended, its own renewals among them.
func (m *Manager) event(ctx context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	renewal, _ := data["renewal"].(bool)
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
	e := m.engine
	issuer := e.issuer.IssuerKey()
	cert, err := e.storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := e.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, name))
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

// ends is when the certificate of a name does; zero if there is none.
func (m *Manager) ends(name string) time.Time {
	if c := (*m.serving.Load())[name]; c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}
