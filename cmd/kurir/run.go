package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/certs"
	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/gate"
	"kurir/internal/telemetry"
	"kurir/internal/tlsconf"
)

// site is one server: its configuration and, once it runs, its parts.
type site struct {
	env   *env
	cfg   *config.Config
	local bool // the server of the command local

	prepare func(context.Context, *data) error // before the ports are open; nil: nothing
	ready   func()                             // once all ports are open; nil: nothing
	again   func() (*config.Config, error)     // reads the configuration again; nil: there is none

	log     *slog.Logger
	logs    *logSwitch
	metrics *telemetry.Metrics
	data    *data
	tls     *tls.Config    // of port 25
	userTLS *tls.Config    // of the ports where users log in
	trusts  caSums         // what the files of CAs hold
	certs   *certs.Manager // where s.tls comes from
	caFile  string         // of our own certificate authority; empty with the admin's certificate
	auth    *auth.Authenticator
	ports   []*port
	gate    *gate.Gate   // nil: nobody is looked at
	shared  *gate.Shared // nil: of no address but loopback
	super   *supervisor
	// confined: this process may use its own folders alone, by the kernel's word.
	confined  bool
	keeps     *keeps
	fronts    *fronts
	certSteps *certSteps // what the admin was told of their ends
	// runCerts keeps certificates fresh until stop is called; stopCerts is the stop of s.certs.
	runCerts  func(*certs.Manager) (stop func())
	stopCerts func()
	oldTLS    *atomic.Bool // of tls: another one took its place, and what becomes of its files is no matter
}

// run serves until ctx is done, stops in order and returns nil; or it fails to begin
// with all that is wrong.
func (s *site) run(ctx context.Context) (err error) {
	s.log, s.logs = newLogger(s.env.stderr, s.cfg)
	s.metrics = telemetry.New()
	s.metrics.Health.Log = s.log
	s.limitMemory()
	s.super = s.env.newSupervisor(s.log)
	s.keeps, s.oldTLS, s.certSteps = newKeeps(), new(atomic.Bool), &certSteps{}
	if s.data, err = s.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.data.Close()) }()
	s.trusts = sumCAs(s.cfg)
	if err := s.openCerts(ctx); err != nil {
		return err
	}
	if err := s.openGate(); err != nil {
		return err
	}
	s.auth = s.newAuth()
	s.data.service.Forget, s.data.service.EndCredential = s.forget, s.endCredential
	s.data.service.Problems = s.metrics.Health.Red
	s.data.service.Certificates = func() *certs.Manager { return s.fronts.site().certs }
	s.countAsked()
	s.countDisk()
	s.checkDevices(ctx)
	if s.prepare != nil {
		if err := s.prepare(ctx, s.data); err != nil {
			return err
		}
	}
	s.ports = allPorts(s.cfg)
	if err := s.bind(ctx); err != nil {
		return err
	}
	control, err := admin.ListenSocket(ctx, s.env.files, s.cfg.Control)
	if err != nil {
		return errors.Join(err, s.closePorts(slices.Collect(maps.Keys(s.keeps.sockets))))
	}
	s.confine()
	return s.serve(ctx, control)
}

// open opens the data directory for a server. A command that works in it at this moment is
// waited for.
func (s *site) open(ctx context.Context) (*data, error) {
	o := s.dataOptions()
	client := admin.NewClient(s.cfg.Control)
	defer client.Close()
	patience := cmp.Or(s.env.patience, 5*time.Second)
	for start := time.Now(); ; {
		d, err := openData(ctx, o)
		if !errors.Is(err, fsx.ErrLocked) {
			return d, err
		}
		_, silent := client.Version(ctx)
		if silent == nil || time.Since(start) > patience {
			return nil, fmt.Errorf("another kurir works with the data directory %s: stop it first, or choose another directory (%w)", s.cfg.Data, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(connectRetry):
		}
	}
}

// dataOptions say how the data are opened, and used.
func (s *site) dataOptions() dataOptions {
	return dataOptions{
		cfg: s.cfg, create: true, files: s.env.files, log: s.log, serving: true, local: s.local,
		metrics: s.metrics, failed: s.syncFailed,
	}
}

// certificates returns the TLS configuration of the admin's certificate or, without
// one, of an authority of our own in the data directory.
func (s *site) certificates() (*tls.Config, error) {
	c := s.cfg.TLS
	if c.Cert != "" {
		old := s.oldTLS
		return tlsconf.Files(c.Cert, c.Key, func(err error) {
			if !old.Load() {
				s.metrics.Health.Set("certificate", err)
			}
		})
	}
	hosts := []string{s.cfg.Hostname}
	if s.local {
		hosts = []string{"localhost", localAddress}
	}
	conf, ca, err := tlsconf.LocalCA(s.env.files, filepath.Join(s.cfg.Data, "tls"), hosts...)
	if err != nil {
		return nil, err
	}
	if s.caFile = ca; !s.local && !asksCA(s.cfg) {
		s.log.Warn("no certificate is configured: clients have to be told to trust one that kurir made itself", "ca", ca)
	}
	return conf, nil
}

// serve runs all parts until ctx is done or a front-end fails. The front-ends stop
// first, with their sessions; then what they rely on.
func (s *site) serve(ctx context.Context, control net.Listener) error {
	front, stop := context.WithCancel(ctx)
	defer stop()
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	var backs sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	ended := func(name string, err error) {
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		failed = append(failed, fmt.Errorf("%s: %w", name, err))
		stop()
	}
	s.fronts = &fronts{ctx: front, ended: ended}
	s.takeOver()
	if err := s.fronts.start(s); err != nil { // asked to stop before it began
		s.log.Info("not started", "error", s.closePorts(slices.Collect(maps.Keys(s.keeps.sockets))))
	}
	if s.again != nil {
		s.data.service.Reconfigure = s.reload
	}
	operations := &admin.Server{Operations: s.data.service, Log: s.log}
	backs.Go(func() { ended("control socket", operations.Serve(back, control)) })
	s.runCerts = func(m *certs.Manager) (stop func()) {
		ctx, cancel := context.WithCancel(back)
		backs.Go(func() { m.Run(ctx) }) // ends with stop, or with all the rest
		return cancel
	}
	s.stopCerts = s.runCerts(s.certs)
	d := s.data
	for _, run := range []func(context.Context){s.auth.Run, d.logins.Run, d.queue.Run, d.tlsPolicies.Run, d.signing.Run, d.trace.Run, s.fronts.drain, s.watchDisk, s.watch} {
		backs.Go(func() { run(back) })
	}
	s.log.Info("kurir serves", "version", programVersion(), "data", s.cfg.Data, "ports", s.listening())
	s.metrics.Health.SetReady(true)
	s.super.ready(s.cfg)
	if s.ready != nil {
		s.ready()
	}
	<-front.Done()
	s.log.Info("stopping")
	s.metrics.Health.SetReady(false)
	s.super.stopping()
	s.fronts.waitAll()
	stopBack()
	backs.Wait()
	s.log.Info("stopped")
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(failed...)
}

// syncFailed makes health red until a probe has succeeded.
func (s *site) syncFailed(err error) {
	s.metrics.Error("storage")
	s.metrics.Health.Set("storage", err)
}

// watchEvery is how often a running server looks at its disk.
const watchEvery = 30 * time.Second

// watch keeps the health checks up to date, and reads the configuration again when the
// process is told to by SIGHUP. It returns when ctx is done.
func (s *site) watch(ctx context.Context) {
	hangup, done := s.env.hangup()
	defer done()
	tick := time.NewTicker(s.super.pace(watchEvery))
	defer tick.Stop()
	for {
		s.fronts.site().look(ctx)
		s.super.alive()
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_, _ = s.reload(ctx) // its log says what became of it
		case <-tick.C:
		}
	}
}

// look is one look at all that may go wrong by itself.
func (s *site) look(ctx context.Context) {
	s.probe()
	s.probeOthers(ctx)
	s.probeCertificates(ctx)
}

// probe writes and syncs a file, as a message would be.
func (s *site) probe() {
	path := filepath.Join(s.cfg.Data, "probe")
	err := fsx.WriteFile(s.env.files, path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600)
	s.metrics.Health.Set("storage", err)
}

// probeTime bounds how long the DNS is asked whether it answers.
const probeTime = 10 * time.Second

// probeOthers looks at what mail waits for while nothing is wrong with the disk: the DNS,
// without which neither strangers' mail is judged nor ours finds its way, and the DKIM keys.
func (s *site) probeOthers(ctx context.Context) {
	if s.local {
		return
	}
	set := func(check string, err error) {
		if ctx.Err() == nil { // the end of the server is no fault of what it was about to look at
			s.metrics.Health.Set(check, err)
		}
	}
	if s.cfg.DKIM.Sign {
		set("dkim", s.data.signing.Damaged(ctx))
	}
	wait, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	set("dns", s.data.dns.Probe(wait))
}

// expungedKeep is the configured time in the store's terms, where 0 is the default.
func expungedKeep(c *config.Config) time.Duration { return max(c.Store.ExpungedKeep, 1) }
