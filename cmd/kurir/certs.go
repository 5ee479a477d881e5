package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/certs"
	"kurir/internal/config"
	"kurir/internal/tlsconf"
)

// openCerts makes what the ports serve with TLS.
func (s *site) openCerts(ctx context.Context) error {
	fallback, err := s.certificates()
	if err != nil {
		return err
	}
	o := certs.Options{Host: s.cfg.Hostname, Fallback: fallback, Local: s.cfg.TLS.Cert == "", Log: s.log, Ended: s.certificatesHealth}
	if o.ClientCAs, err = pool("tls.client_ca", s.cfg.TLS.ClientCA); err != nil {
		return err
	}
	if asksCA(s.cfg) && !s.local {
		if o.CA, err = s.authority(); err != nil {
			return err
		}
	}
	if s.certs, err = certs.Open(ctx, o); err != nil {
		return err
	}
	s.tls, s.userTLS = s.certs.TLS(), s.certs.Users()
	return nil
}

// asksCA tells whether certificates are fetched from a CA.
func asksCA(c *config.Config) bool { return c.ACME.Enabled && c.TLS.Cert == "" }

// acmeDir is where certificates of a CA are kept.
func acmeDir(c *config.Config) string { return filepath.Join(c.Data, "acme") }

// authority is the CA of the configuration.
func (s *site) authority() (*certs.CA, error) {
	a, ways := s.cfg.ACME, s.cfg.Challenges()
	roots, err := pool("acme.ca_file", a.CAFile)
	if err != nil {
		return nil, err
	}
	ca := &certs.CA{
		Directory: a.Directory, Roots: roots, Email: cmp.Or(a.Email, s.cfg.Admin),
		EABKeyID: a.EABKeyID, EABKey: a.EABKey.Reveal(),
		HTTP: slices.Contains(ways, config.ChallengeHTTP), ALPN: slices.Contains(ways, config.ChallengeALPN),
		Names: a.Names, Domains: s.domains, Published: s.data.dns.PublishedTXT, DNSServers: s.cfg.DNS.Servers,
		// What was not in the DNS a moment ago may be there now.
		Resolver: &dnsutil.Resolver{Servers: s.cfg.DNS.Servers, MaxTTL: 10 * time.Second, NegativeTTL: 10 * time.Second, Log: s.log},
		Files:    s.env.files, Dir: acmeDir(s.cfg),
	}
	if slices.Contains(ways, config.ChallengeDNS) {
		ca.DNS = certs.DNSProvider{
			Name: a.DNS.Name, Server: a.DNS.Server, User: a.DNS.User, Subdomain: a.DNS.Subdomain,
			Token: a.DNS.Token.Reveal(), Secret: a.DNS.Secret.Reveal(),
		}
	}
	return ca, nil
}

// askCertificates asks the running server for its certificates.
func (e *env) askCertificates(ctx context.Context, cfg *config.Config) ([]admin.Certificate, error) {
	client := admin.NewClient(cfg.Control)
	defer client.Close()
	return client.ListCertificates(ctx)
}

// certificateChain is what clients of the host are shown: what the running server says or,
// if there is none, what it would begin with. Nil without an error: nothing that clients trust.
func (e *env) certificateChain(ctx context.Context, cfg *config.Config) ([]*x509.Certificate, error) {
	switch {
	case cfg.TLS.Cert != "":
		return tlsconf.Chain(cfg.TLS.Cert)
	case !cfg.ACME.Enabled:
		return nil, nil
	}
	all, err := e.askCertificates(ctx, cfg)
	if err != nil {
		return certs.Stored(e.files, acmeDir(cfg), cfg.ACME.Directory, cfg.Hostname)
	}
	for _, c := range all {
		if c.Host && c.Chain != "" {
			return tlsconf.ParseChain([]byte(c.Chain))
		}
	}
	return nil, nil
}

// domains are all that this server takes mail for.
func (s *site) domains(ctx context.Context) ([]string, error) {
	all, err := s.data.directory.ListDomains(ctx)
	names := make([]string, len(all))
	for i, d := range all {
		names[i] = d.Name
	}
	return names, err
}

// pool reads a file of CAs for a key of the configuration; nil without one.
func pool(key, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", key, file)
	}
	return roots, nil
}

// caSums are what the files of CAs hold, as SHA-256 by the key that names them: who is
// trusted changes with a file of the same name, too.
type caSums map[string][sha256.Size]byte

// sumCAs looks at the files. One that cannot be read is for those who need it.
func sumCAs(c *config.Config) caSums {
	all := caSums{}
	for key, file := range map[string]string{"tls.client_ca": c.TLS.ClientCA, "acme.ca_file": c.ACME.CAFile, "relay.ca_file": c.Relay.CAFile} {
		if text, err := os.ReadFile(file); file != "" && err == nil {
			all[key] = sha256.Sum256(text)
		}
	}
	return all
}

// changed adds the keys whose files hold something else than before to those that have changed.
func (now caSums) changed(before caSums, keys []string) []string {
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if now[key] != before[key] && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
