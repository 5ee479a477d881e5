package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/config"
)

func reloadCommand(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running server read its configuration again",
		Long: `Have the running server read its configuration again, the file and the certificates, and
put it into service. No connection is dropped: sessions that are open go on with what
they began with. It says what has changed, and what has to wait for a restart. If there
is a mistake, all of them are told, nothing changes, and the exit code is 1. A SIGHUP to
the server does the same and tells it in the log.`,
		Example: `  kurir reload -c /etc/kurir/kurir.toml
  kurir reload --json
  systemctl reload kurir`,
		Args: exactly(),
	}
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		client, err := e.client()
		if err != nil {
			return fmt.Errorf("%w\nnothing was changed: a server that runs goes on with the configuration that it had", err)
		}
		defer client.Close()
		done, err := client.Reload(c.Context())
		if errors.Is(err, admin.ErrNoServer) {
			return fmt.Errorf("%w; start it with: kurir serve", err)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return e.printJSON(done)
		}
		e.printReloaded(done)
		return nil
	}
	return c
}

func (e *env) printReloaded(done admin.Reloaded) {
	if len(done.Changed) == 0 {
		e.printf("nothing has changed\n")
	} else {
		e.printf("in force now: %s\n", strings.Join(done.Changed, ", "))
	}
	if len(done.Restart) > 0 {
		e.printf("after a restart: %s\n", strings.Join(done.Restart, ", "))
	}
}

// reloadState is how far a reload is.
type reloadState int

const (
	reloadBegins reloadState = iota
	reloadDone
	reloadFailed
)

// reload reads the configuration again and puts it into service: new front-ends take the
// ports over, those of before end with their conversations. If anything is wrong, nothing
// has changed. It is for the site that began, whichever is in force.
func (s *site) reload(ctx context.Context) (done admin.Reloaded, err error) {
	s.fronts.reloading.Lock()
	defer s.fronts.reloading.Unlock()
	s.tell(reloadBegins)
	defer func() {
		if err = s.outside(err); err != nil {
			s.tell(reloadFailed)
			for _, one := range split(err) {
				s.log.Error("the configuration is not taken", "error", one)
			}
			return
		}
		s.tell(reloadDone)
	}()
	if s.again == nil {
		return done, s.fronts.site().lookAtCertificate()
	}
	cfg, err := s.again()
	if err != nil {
		return done, err
	}
	return s.fronts.site().replace(ctx, cfg)
}

func (s *site) tell(state reloadState) {
	if s.fronts.ctx.Err() == nil { // else it stops, and that is what is to be told
		s.super.reloading(state, s.cfg)
	}
}

// replace puts another configuration in the place of the one that s has.
func (s *site) replace(ctx context.Context, cfg *config.Config) (done admin.Reloaded, err error) {
	done.Restart = cfg.KeepFixed(s.cfg)
	done.Changed = config.Changed(s.cfg, cfg)
	roots, err := authorities(cfg.Relay.CAFile)
	if err != nil {
		return admin.Reloaded{}, err
	}
	next := *s
	next.cfg, next.trusts = cfg, sumCAs(cfg)
	done.Changed = next.trusts.changed(s.trusts, done.Changed)
	if err := next.prepareParts(ctx, s, done.Changed); err != nil {
		return admin.Reloaded{}, err
	}
	next.ports = allPorts(cfg)
	if err := checkOverlap(s.ports, next.ports); err != nil {
		return admin.Reloaded{}, err
	}
	if err := next.bind(ctx); err != nil {
		return admin.Reloaded{}, err
	}
	s.logs.set(cfg.Log)
	if touches(done.Changed, "device") {
		next.checkDevices(ctx)
	}
	next.data.use(next.dataOptions(), done.Changed, roots)
	next.takeOver()
	if err := s.fronts.start(&next); err != nil {
		return admin.Reloaded{}, err
	}
	s.auth.Configure(loginSettings(cfg))
	if next.certs != s.certs {
		s.oldTLS.Store(true)
		s.stopCerts()
		next.stopCerts = s.runCerts(next.certs)
	}
	if !next.local {
		next.checkAgain(done.Changed)
	}
	err = next.closeLeft()
	s.log.Info("configuration in force", "changed", strings.Join(done.Changed, " "), "ports", next.listening())
	if len(done.Restart) > 0 {
		s.log.Warn("what has changed in the configuration needs a restart", "keys", strings.Join(done.Restart, " "))
	}
	return done, err
}

// prepareParts makes what depends on the changed keys, and keeps what does not.
func (s *site) prepareParts(ctx context.Context, before *site, changed []string) (err error) {
	if touches(changed, "tls.cert", "tls.key", "tls.client_ca", "acme.", "dns.servers", "web.", "admin") {
		s.oldTLS = new(atomic.Bool)
		err = s.openCerts(ctx)
	} else {
		err = before.lookAtCertificate()
	}
	if err != nil || s.local {
		return err
	}
	if touches(changed, "inbound.") {
		s.gate, err = before.gate.Next(s.gateOptions())
	}
	return err
}

// touches tells whether one of the changed keys is one of keys or, for those that end in a
// dot, below it.
func touches(changed []string, keys ...string) bool {
	return slices.ContainsFunc(changed, func(c string) bool {
		return slices.ContainsFunc(keys, func(k string) bool {
			return c == k || strings.HasSuffix(k, ".") && strings.HasPrefix(c, k)
		})
	})
}

// checkOverlap says which new addresses cannot be opened while those of before are: the same
// port once for one address of this machine and once for all.
func checkOverlap(before, after []*port) error {
	var open []string
	for _, p := range before {
		open = append(open, p.addresses...)
	}
	var errs []error
	for _, p := range after {
		for _, a := range p.addresses {
			if o := overlaps(a, open); o != "" {
				errs = append(errs, fmt.Errorf("%s (%s) cannot be opened beside %s, which is open: restart the server for this change", a, p.name, o))
			}
		}
	}
	return errors.Join(errs...)
}

// overlaps returns the open address that a new one cannot be opened beside, "" for none.
func overlaps(address string, open []string) string {
	host, port, err := net.SplitHostPort(address)
	if slices.Contains(open, address) || err != nil || port == "0" {
		return ""
	}
	i := slices.IndexFunc(open, func(o string) bool {
		h, p, err := net.SplitHostPort(o)
		return err == nil && p == port && (h == host || isAll(h) || isAll(host))
	})
	if i < 0 {
		return ""
	}
	return open[i]
}

// isAll tells whether a host stands for all addresses of this machine.
func isAll(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// closeLeft closes the sockets that the configuration does not have any more.
func (s *site) closeLeft() error {
	wanted := map[string]bool{}
	for _, p := range s.ports {
		for i := range p.addresses {
			wanted[p.socket(i)] = true
		}
	}
	var left []string
	for a := range s.keeps.sockets {
		if !wanted[a] {
			left = append(left, a)
		}
	}
	return s.closePorts(left)
}

// forget makes everything that remembers a login forget it, and ends its sessions.
func (s *site) forget(address string) {
	s.auth.Forget(address)
	s.keeps.imap.End(address)
	s.keeps.pop3.End(address)
	s.keeps.smtp.End(address)
	s.keeps.web.End(address)
}

// endCredential ends the sessions that one credential of an account began.
func (s *site) endCredential(address string, id int64) {
	s.keeps.imap.EndCredential(address, id)
	s.keeps.pop3.EndCredential(address, id)
	s.keeps.smtp.EndCredential(address, id)
}

// lookAtCertificate has the certificate's files looked at now. They are followed without
// it too.
func (s *site) lookAtCertificate() error {
	c, err := s.tls.GetCertificate(&tls.ClientHelloInfo{ServerName: s.cfg.Hostname})
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	s.log.Info("certificate in service", "ends", c.Leaf.NotAfter)
	return nil
}
