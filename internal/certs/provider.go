package certs

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/acmedns"
	"github.com/libdns/cloudflare"
	"github.com/libdns/desec"
	"github.com/libdns/digitalocean"
	"github.com/libdns/gandi"
	"github.com/libdns/hetzner/v2"
	"github.com/libdns/ionos"
	"github.com/libdns/netcup"
	"github.com/libdns/ovh"
	"github.com/libdns/porkbun"
	"github.com/libdns/rfc2136"
	"github.com/mholt/acmez/v3/acme"
)

// DNSProvider is who changes the DNS for the challenge dns-01. Which of the settings are
// needed, and what they are, differs: see the table in docs/certificates.md.
type DNSProvider struct {
	Name                    string // empty: none
	Server, User, Subdomain string
	Token, Secret           string
}

// client is the provider's.
func (p DNSProvider) client() (certmagic.DNSProvider, error) {
	switch p.Name {
	case "acmedns":
		return &acmedns.Provider{ServerURL: p.Server, Username: p.User, Password: p.Token, Subdomain: p.Subdomain}, nil
	case "cloudflare":
		return &cloudflare.Provider{APIToken: p.Token, ZoneToken: p.Secret}, nil
	case "desec":
		return &desec.Provider{Token: p.Token}, nil
	case "digitalocean":
		return &digitalocean.Provider{APIToken: p.Token}, nil
	case "gandi":
		return &gandi.Provider{BearerToken: p.Token}, nil
	case "hetzner":
		return &hetzner.Provider{APIToken: p.Token}, nil
	case "ionos":
		return &ionos.Provider{AuthAPIToken: p.Token}, nil
	case "netcup":
		return &netcup.Provider{CustomerNumber: p.User, APIKey: p.Token, APIPassword: p.Secret}, nil
	case "ovh":
		return &ovh.Provider{Endpoint: p.Server, ApplicationKey: p.User, ApplicationSecret: p.Token, ConsumerKey: p.Secret}, nil
	case "porkbun":
		return &porkbun.Provider{APIKey: p.Token, APISecretKey: p.Secret}, nil
	case "rfc2136":
		algorithm, key, ok := strings.Cut(p.User, ":")
		if !ok {
			algorithm, key = "", p.User
		}
		return &rfc2136.Provider{Server: p.Server, KeyAlg: cmp.Or(algorithm, "hmac-sha256"), KeyName: key, Key: p.Token}, nil
	}
	return nil, fmt.Errorf("there is no DNS provider %q", p.Name)
}

// Bounds of the wait for a record to be seen.
const (
	recordTTL   = 2 * time.Minute
	recordWait  = 2 * time.Minute
	recordPause = 2 * time.Second
)

// dnsSolver shows the CA a TXT record. The record is waited for at the zone's own name
// servers: a resolver may remember for hours that there was none.
type dnsSolver struct {
	*certmagic.DNS01Solver
	published func(ctx context.Context, name, value string) (bool, error)
}

// Wait implements acmez.Waiter. A record that is still not seen after two minutes is left
// to the CA to judge, which may see more than this machine.
func (s dnsSolver) Wait(ctx context.Context, c acme.Challenge) error {
	if s.published == nil {
		return nil
	}
	until, done := context.WithTimeout(ctx, recordWait)
	defer done()
	for {
		ok, err := s.published(until, c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
		if ok && err == nil {
			return nil
		}
		select {
		case <-until.Done():
			return ctx.Err()
		case <-time.After(recordPause):
		}
	}
}
