package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"kurir/imapd"
	"kurir/internal/config"
	"kurir/internal/listen"
	"kurir/pop3d"
	"kurir/smtpd"
)

// port is one protocol on its addresses.
type port struct {
	protocol  string
	name      string // for people
	addresses []string
	reject    func() []byte // what a client is told that there is no room for; nil where TLS comes first
	open      []net.Listener
}

// socket names the socket of the i-th address. It passes to another protocol with its
// address; only where the system chooses the port does each have its own.
func (p *port) socket(i int) string {
	if strings.HasSuffix(p.addresses[i], ":0") {
		return fmt.Sprint(p.protocol, " ", i)
	}
	return p.addresses[i]
}

// allPorts is the server on one page: its protocols and their addresses.
func allPorts(c *config.Config) []*port {
	return []*port{
		{protocol: "smtp", name: "SMTP", addresses: c.SMTP.Address, reject: rejectSMTP},
		{protocol: "lmtp", name: "LMTP", addresses: c.LMTP.Address, reject: rejectSMTP},
		{protocol: "submission", name: "submission", addresses: c.Submission.Address, reject: rejectSMTP},
		{protocol: "submissions", name: "submission with TLS", addresses: c.Submissions.Address},
		{protocol: "imap", name: "IMAP", addresses: c.IMAP.Address, reject: imapd.Reject},
		{protocol: "imaps", name: "IMAP with TLS", addresses: c.IMAPS.Address},
		{protocol: "pop3", name: "POP3", addresses: c.POP3.Address, reject: pop3d.Reject},
		{protocol: "pop3s", name: "POP3 with TLS", addresses: c.POP3S.Address},
		{protocol: "http", name: "HTTP", addresses: c.HTTP.Address},
		{protocol: "web", name: "public HTTP", addresses: c.Web.HTTP, reject: rejectHTTP},
		{protocol: "webs", name: "public HTTPS", addresses: c.Web.HTTPS},
	}
}

// serveFunc serves a listener until the context is done.
type serveFunc func(context.Context, net.Listener) error

// servers are the front-ends by protocol.
func (s *site) servers() map[string]serveFunc {
	s.certs.Listening(cmp.Or(s.address("web"), s.address("http")), s.address("webs"))
	imap, pop3 := s.imapServer(), s.pop3Server()
	withSMTP := func(m smtpd.Mode) serveFunc {
		smtp := s.smtpServer(m)
		return func(ctx context.Context, l net.Listener) error { return smtp.Serve(ctx, l, m) }
	}
	implicitTLS := func(serve func(context.Context, net.Listener, bool) error, tls bool) serveFunc {
		return func(ctx context.Context, l net.Listener) error { return serve(ctx, l, tls) }
	}
	return map[string]serveFunc{
		"smtp":        withSMTP(smtpd.Inbound),
		"lmtp":        withSMTP(smtpd.LMTP),
		"submission":  withSMTP(smtpd.Submission),
		"submissions": withSMTP(smtpd.SubmissionTLS),
		"imap":        implicitTLS(imap.Serve, false),
		"imaps":       implicitTLS(imap.Serve, true),
		"pop3":        implicitTLS(pop3.Serve, false),
		"pop3s":       implicitTLS(pop3.Serve, true),
		"http":        s.webServer().Serve,
		"web":         s.serveWeb,
		"webs":        s.serveWebTLS,
	}
}

// rejectSMTP is what a client is told that there is no room for (RFC 5321 section 3.1).
func rejectSMTP() []byte { return []byte("421 4.3.2 Too many connections, try again later\r\n") }

// bind opens the ports that are not open yet, all of them, or none and returns everything
// that is in the way.
func (s *site) bind(ctx context.Context) error {
	var errs []error
	var opened []string
	for _, p := range s.ports {
		for i, address := range p.addresses {
			if s.keeps.sockets[p.socket(i)] != nil {
				continue
			}
			if err := s.mayBind(address); err != nil {
				errs = append(errs, err)
				continue
			}
			l, err := s.openAddress(ctx, address)
			if err != nil {
				errs = append(errs, explainPort(p.name, address, s.local, err))
				continue
			}
			s.keeps.sockets[p.socket(i)] = listen.NewHandover(l)
			opened = append(opened, p.socket(i))
		}
	}
	if len(errs) > 0 {
		return errors.Join(append(errs, s.closePorts(opened))...)
	}
	return nil
}

// takeOver makes the listeners of all ports, which get what comes from now on.
func (s *site) takeOver() {
	limits := s.cfg.Limits
	for _, p := range s.ports {
		for i := range p.addresses {
			l := s.keeps.sockets[p.socket(i)].Next()
			if p.protocol != "lmtp" { // whose clients are no strangers
				l = s.proxied(p, l)
			}
			if p.protocol != "http" {
				limiter := s.keeps.limiter(strings.TrimSuffix(p.protocol, "s"), limits.Connections, limits.ConnectionsPerAddress)
				l = listen.New(l, s.listenOptions(p, limiter))
			}
			p.open = append(p.open, l)
		}
	}
}

// listenOptions are the limits below a mail protocol.
func (s *site) listenOptions(p *port, limiter *listen.Limiter) listen.Options {
	o := listen.Options{
		Protocol: p.protocol, Limiter: limiter, Reject: p.reject, Observer: s.metrics, Log: s.log,
		WriteTimeout: s.cfg.Limits.WriteTimeout, Shared: s.shared.Is,
	}
	if p.protocol == "smtp" {
		o.EarlyTalk = s.cfg.SMTP.EarlyTalk
	}
	return o
}

// mayBind keeps local off every address that others could reach.
func (s *site) mayBind(address string) error {
	if !s.local {
		return nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().IsLoopback() {
		return fmt.Errorf("%s is no loopback address: local serves this machine alone, because everyone knows its password", address)
	}
	return nil
}

// closePorts closes the sockets of these names, whose conversations go on.
func (s *site) closePorts(names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, s.keeps.sockets[name].Close())
		delete(s.keeps.sockets, name)
	}
	return errors.Join(errs...)
}

// explainPort says what to do about a port that cannot be opened.
func explainPort(name, address string, local bool, err error) error {
	host, port, _ := net.SplitHostPort(address)
	if _, ok := config.UnixPath(address); ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && local:
		return fmt.Errorf("port %s (%s) is taken by another program: stop it, or move all ports, for example with --port-offset 10000", port, name)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s (%s) on %s is taken by another program: stop that program (to see which: ss -ltnp 'sport = :%s'), or give kurir another address", port, name, orAll(host), port)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("port %s (%s) may not be opened by this user: ports below 1024 need root or the capability CAP_NET_BIND_SERVICE; the systemd unit in docs/systemd.md gives it; in a container with the host's network, set the host's sysctl net.ipv4.ip_unprivileged_port_start = 25", port, name)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s (%s): this machine has no address %s: correct it, or leave the address out to listen on all", address, name, host)
	}
	return fmt.Errorf("%s (%s): %w", address, name, err)
}

// orAll is host, or a word for none.
func orAll(host string) string {
	if host == "" {
		return "all addresses"
	}
	return host
}

// address is where a protocol is served, as host:port; empty if it is not. Of several
// it is the first.
func (s *site) address(protocol string) string {
	for _, p := range s.ports {
		if p.protocol == protocol && len(p.open) > 0 {
			return p.open[0].Addr().String()
		}
	}
	return ""
}

// hostPort is address in two.
func (s *site) hostPort(protocol string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(s.address(protocol))
	return host, port, err == nil
}

func (s *site) smtpServer(m smtpd.Mode) *smtpd.Server {
	return &smtpd.Server{
		Trace: s.data.trace.Note, Room: s.data.disk.Room,
		Gate: s.smtpGate(), Shared: s.shared.Is, Policy: s.policy(m),
		Hostname: s.cfg.Hostname, Directory: s.data.directory, Auth: s.logins(), Sessions: &s.keeps.smtp, PlusFolders: s.cfg.Accounts.PlusFolders,
		Store: meteredStore{smtpd.MailStore{Store: s.data.store}, s.metrics},
		Queue: smtpd.MailQueue{Queue: s.data.queue}, Forward: s.data.forward, Suppressed: s.data.suppressed, Devices: s.devices(), Peers: s.cfg.LMTP.Networks, Signer: s.data.signer(s.cfg),
		TLS: s.smtpTLS(m), TLSFailed: s.tlsFailed(submissionOnly(m)), AllowPlaintext: s.allowPlaintext, Log: s.log,
		MaxSize: int64(s.cfg.Limits.MessageSize), MaxRecipients: s.cfg.Limits.Recipients,
		MaxMessages: s.cfg.Limits.Messages, MaxBad: s.cfg.Limits.Errors, IdleTimeout: s.cfg.Limits.SMTPTimeout,
		Observe: func(result string, _ int64, took time.Duration) {
			countMessage(s.metrics, m.String(), result)
			s.metrics.MessageAnswered(m.String(), took)
		},
	}
}

// smtpTLS is the TLS of a listener: nobody logs in on port 25.
func (s *site) smtpTLS(m smtpd.Mode) *tls.Config {
	if m == smtpd.Submission || m == smtpd.SubmissionTLS {
		return s.userTLS
	}
	return s.tls
}

func (s *site) imapServer() *imapd.Server {
	return &imapd.Server{
		Observe: func(command string, took time.Duration) { s.metrics.Command("imap", command, took) },
		Store:   s.data.store, Auth: s.logins(), TLS: s.userTLS, AllowPlaintext: s.allowPlaintext,
		TLSFailed: s.tlsFailed("imap"),
		Log:       s.log, MaxMessage: int64(s.cfg.Limits.MessageSize), IdleTimeout: s.cfg.Limits.IMAPTimeout,
		MaxPerAccount: s.cfg.Limits.ConnectionsPerAccount, Sessions: &s.keeps.imap,
	}
}

func (s *site) pop3Server() *pop3d.Server {
	return &pop3d.Server{
		Observe: func(command string, took time.Duration) { s.metrics.Command("pop3", command, took) },
		Store:   s.data.store, Auth: s.logins(), TLS: s.userTLS, AllowPlaintext: s.allowPlaintext,
		TLSFailed: s.tlsFailed("pop3"),
		Log:       s.log, IdleTimeout: s.cfg.Limits.POP3Timeout, MaxPerAccount: s.cfg.Limits.ConnectionsPerAccount, Sessions: &s.keeps.pop3,
	}
}

// allowPlaintext reports whether a client may log in without TLS.
func (s *site) allowPlaintext(ip netip.Addr) bool {
	for _, n := range s.cfg.TLS.PlaintextLoginNetworks {
		if n.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// listening is a line for the log: what is served where.
func (s *site) listening() string {
	var all []string
	for _, p := range s.ports {
		for _, l := range p.open {
			all = append(all, p.protocol+" "+l.Addr().String())
		}
	}
	return strings.Join(all, ", ")
}
