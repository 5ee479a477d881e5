package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kurir/dnsutil"
	"kurir/internal/relay"
)

// tlsHost is one address of a mail server, as kurir tls has it.
type tlsHost struct {
	Host    string `json:"host"`
	Address string `json:"address,omitempty"`
	Policy  string `json:"policy"` // what TLS has to be like there, and why
	TLS     string `json:"tls,omitempty"`
	Name    string `json:"verified_as,omitempty"`
	Problem string `json:"problem,omitempty"` // why mail cannot go there; empty: it can
}

func tlsCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "tls DOMAIN",
		Short: "Show what TLS with the mail servers of another domain is like",
		Long: `Connect to the mail servers of a domain, as for a message to it but without one, and show
for each what TLS has to be like there (by [[destination]], DANE, MTA-STS), what it is
like, and why mail cannot go there. It looks with fresh eyes: a policy of MTA-STS that the
running server remembers may still hold where this command finds none. Exit code 1 if
mail can go to none of them.`,
		Example: `  kurir tls example.net
  kurir tls example.net --json`,
		Args: exactly("DOMAIN"),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := e.proberFor(args[0])
		if err != nil {
			return err
		}
		defer r.Close()
		probed, reply := r.Probe(c.Context(), args[0])
		hosts := tlsHosts(probed)
		if *asJSON {
			if err := e.printJSON(hosts); err != nil {
				return err
			}
		} else {
			e.printTLS(hosts)
		}
		if reply != nil {
			return errors.New(plain(reply.Text))
		}
		for _, h := range hosts {
			if h.Problem == "" {
				return nil
			}
		}
		return fmt.Errorf("mail can go to none of the mail servers of %s", plain(args[0]))
	}
	return c
}

// proberFor is the relay as configured, which remembers nothing.
func (e *env) proberFor(domain string) (*relay.Relay, error) {
	if _, err := dnsutil.Name(domain); err != nil {
		return nil, usagef("%v", err)
	}
	cfg, err := e.settings()
	if err != nil {
		return nil, err
	}
	if err := cfg.ReadPasswords(); err != nil {
		return nil, err
	}
	log, _ := newLogger(e.stderr, cfg)
	o := dataOptions{cfg: cfg, log: log}
	resolver := o.resolver()
	r := o.relay(resolver)
	roots, err := authorities(cfg.Relay.CAFile)
	if err != nil {
		return nil, err
	}
	r.RootCAs, r.Destinations = roots, destinations(cfg.Destinations)
	r.STS = fetchedSTS{resolver, &dnsutil.STSFetcher{Resolver: resolver, RootCAs: roots, Families: r.Families}, e}
	return r, nil
}

// fetchedSTS is a relay.STS without a memory.
type fetchedSTS struct {
	resolver *dnsutil.Resolver
	fetcher  *dnsutil.STSFetcher
	env      *env
}

// Policy fetches the policy of a domain, and says on stderr why there is none if there
// should be one.
func (f fetchedSTS) Policy(ctx context.Context, domain string) (dnsutil.STSPolicy, bool) {
	_, err := f.resolver.STSRecord(ctx, domain)
	e, ok := errors.AsType[*dnsutil.Error](err)
	switch {
	case ok && e.Cause == nil && (errors.Is(err, dnsutil.ErrNotFound) || errors.Is(err, dnsutil.ErrNoData)):
		return dnsutil.STSPolicy{}, false
	case err != nil:
		fmt.Fprintf(f.env.stderr, "MTA-STS: %v\n", err)
		return dnsutil.STSPolicy{}, false
	}
	p, err := f.fetcher.Fetch(ctx, domain)
	if err != nil {
		fmt.Fprintf(f.env.stderr, "MTA-STS: the policy cannot be fetched: %v\n", err)
	}
	return p, err == nil && p.Mode != dnsutil.STSNone
}

// tlsHosts are what was found, for people and for scripts.
func tlsHosts(probed []relay.Probed) []tlsHost {
	all := make([]tlsHost, 0, len(probed))
	for _, p := range probed {
		h := tlsHost{Host: p.Peer.Host, Policy: p.Peer.Policy, Name: p.Peer.TLSName,
			TLS: strings.TrimSpace(p.Peer.TLSVersion + " " + p.Peer.TLSCipher)}
		if p.Peer.Address.IsValid() {
			h.Address = p.Peer.Address.String()
		}
		if p.Reply != (relay.Reply{}) {
			h.Problem = p.Reply.String()
		}
		all = append(all, h)
	}
	return all
}

// printTLS prints a few lines for each host.
func (e *env) printTLS(hosts []tlsHost) {
	for _, h := range hosts {
		e.printf("%s\n", plain(strings.TrimSpace(h.Host+" "+h.Address)))
		if h.Policy != "" {
			e.printf("  TLS policy  %s\n", plain(h.Policy))
		}
		switch {
		case h.Problem != "":
			e.printf("  problem     %s\n", plain(oneLine(h.Problem)))
		case h.TLS == "":
			e.printf("  connection  without TLS\n")
		case h.Name == "":
			e.printf("  connection  %s, certificate not verified\n", plain(h.TLS))
		default:
			e.printf("  connection  %s, verified as %s\n", plain(h.TLS), plain(h.Name))
		}
	}
}
