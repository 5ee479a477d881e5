package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"kurir/internal/smtpclient"
)

// fault is why a host cannot be used.
type fault struct {
	kind  faultKind
	peer  Peer
	reply Reply
	err   error // for the log; may be nil
}

type faultKind int

const (
	unreached faultKind = iota // no connection, or none on which SMTP is spoken
	refused                    // it said that it does not want to
	tlsFailed                  // TLS does not come about
	untrusted                  // TLS is demanded, and not there as it should be
	unfit                      // by DANE or MTA-STS, nothing may go there
	noRequire                  // it does not offer REQUIRETLS
	noLogin                    // it takes no login of ours, and will not a second later
)

// connect makes a connection that is ready for MAIL, with TLS and login as n says. Where
// TLS is not demanded and fails, the host is connected to once more without it.
func (r *Relay) connect(ctx context.Context, n *negotiation) (*session, *fault) {
	n.r, n.mode = r, n.guard.mode
	if n.requireTLS && (n.mode == TLSOpportunistic || n.mode == modeEncrypt) {
		n.mode = TLSStartTLS
	}
	if n.requireTLS && !n.guard.known {
		n.peer = n.begin()
		return nil, n.fault(noRequire, "5.7.30", nil, "%s is not for certain a mail server of the domain, as neither DNSSEC nor MTA-STS says so, and the sender demands that the message is safe on its way.", n.peer.show())
	}
	s, f := n.open(ctx)
	if f == nil || f.kind != tlsFailed {
		return s, f
	}
	if n.demanded() {
		f.kind = untrusted
		return nil, f
	}
	if ctx.Err() != nil {
		return nil, f
	}
	r.log().Debug("relay: once more without TLS", "host", n.c.host, "address", n.c.addr, "error", f.err)
	n.mode = TLSNone
	if s, f = n.open(ctx); s != nil {
		s.fellBack = true
		r.remember(ctx, n.guard, &s.peer, false)
	}
	return s, f
}

// negotiation is the beginning of a connection, up to MAIL.
type negotiation struct {
	r          *Relay
	c          candidate
	p          policy
	guard      *guard
	requireTLS bool
	mode       string // one of the words of Route.TLS, or one of the modes
	peer       Peer
}

// demanded tells whether nothing may go without TLS, and verified whether not without a
// certificate that is valid.
func (n *negotiation) demanded() bool { return rule{mode: n.mode}.demands() }
func (n *negotiation) verified() bool { return n.demanded() && n.mode != modeEncrypt }

// begin is what is known of the host before it is spoken with.
func (n *negotiation) begin() Peer {
	return Peer{Host: n.c.host, Address: n.c.addr, Policy: n.guard.name}
}

// open connects and goes through greeting, TLS and login.
func (n *negotiation) open(ctx context.Context) (*session, *fault) {
	n.peer = n.begin()
	conn, err := n.r.dial(ctx, n.c.addr)
	if err != nil {
		return nil, n.fault(unreached, "4.4.1", err, "%s cannot be reached: %s.", n.peer.show(), why(err))
	}
	if n.mode == TLSImplicit {
		t := tls.Client(conn, n.r.tlsConfig(n))
		wait, cancel := context.WithTimeout(ctx, or(n.r.Timeouts.Handshake, 30*time.Second))
		defer cancel()
		if err := t.HandshakeContext(wait); err != nil {
			conn.Close()
			return nil, n.fault(tlsFailed, "4.7.5", err, "%s offers no safe encryption: %s.", n.peer.show(), whyTLS(err))
		}
		conn = t
	}
	c, err := smtpclient.New(ctx, conn, smtpclient.Options{
		Hostname: n.r.Hostname, Timeouts: n.r.Timeouts, Log: n.r.log().With("host", n.c.host, "address", n.c.addr.String()),
	})
	if err != nil {
		return nil, n.broken(err)
	}
	if f := n.secure(ctx, c); f != nil {
		n.part(ctx, c, f)
		return nil, f
	}
	if f := n.login(ctx, c); f != nil {
		n.part(ctx, c, f)
		return nil, f
	}
	return newSession(c, n), nil
}

// part takes leave of a host that cannot be used.
func (n *negotiation) part(ctx context.Context, c *smtpclient.Conn, f *fault) {
	n.r.log().Debug("relay: host of no use", "host", n.c.host, "address", n.c.addr, "reply", f.reply.Text, "error", f.err)
	n.r.idle.leave(&session{conn: c})
}

// secure begins TLS where it is offered, and makes sure that it is as demanded.
func (n *negotiation) secure(ctx context.Context, c *smtpclient.Conn) *fault {
	_, offered := c.Extension("STARTTLS")
	switch {
	case n.mode == TLSNone, n.mode == TLSOpportunistic && !offered:
	case n.mode == TLSImplicit:
	case !offered:
		n.r.remember(ctx, n.guard, &n.peer, false)
		return n.fault(untrusted, "4.7.4", nil, "%s offers no encryption, which is demanded%s.", n.peer.show(), n.demander())
	default:
		if err := c.StartTLS(ctx, n.r.tlsConfig(n)); err != nil {
			if f := n.noTLS(c, err); f != nil {
				return f
			}
		}
	}
	if state := c.TLS(); state != nil {
		n.peer.TLSVersion, n.peer.TLSCipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
		switch {
		case n.mode == modeDANE:
			n.peer.TLSName = n.guard.records.Base
		case n.verified() || n.r.verify(n.c, state) == nil:
			n.peer.TLSName = n.c.certName()
		}
		n.r.remember(ctx, n.guard, &n.peer, true)
	} else if n.mode != TLSNone {
		n.r.remember(ctx, n.guard, &n.peer, false)
	}
	n.guard.judgeTesting(&n.peer)
	if !n.requireTLS {
		return nil
	}
	if _, ok := c.Extension("REQUIRETLS"); !ok || n.peer.TLSName == "" { // RFC 8689 section 4.2.1
		return n.fault(noRequire, "5.7.30", nil, "%s does not promise to keep the message encrypted on its way, as the sender demands.", n.peer.show())
	}
	return nil
}

// noTLS is what a failure of STARTTLS means; nil: the connection goes on without.
func (n *negotiation) noTLS(c *smtpclient.Conn, err error) *fault {
	if reply, ok := errors.AsType[*smtpclient.Reply](err); ok && c.TLS() == nil && c.Usable() && !n.demanded() {
		n.r.log().Debug("relay: STARTTLS refused", "host", n.c.host, "reply", reply.Error())
		return nil
	}
	if errors.Is(err, smtpclient.ErrInjected) {
		return n.fault(unreached, "4.7.5", err, "%s cannot be used: %v.", n.peer.show(), smtpclient.ErrInjected)
	}
	return n.fault(tlsFailed, "4.7.5", err, "%s offers no safe encryption%s: %s.", n.peer.show(), n.asked(), whyTLS(err))
}

// demander says who demands TLS.
func (n *negotiation) demander() string {
	switch {
	case n.guard.by != "":
		return n.guard.by
	case n.guard.demands():
		return " by this server's configuration"
	}
	return " by the sender"
}

// asked says who demands that TLS is safe.
func (n *negotiation) asked() string {
	if n.guard.by == "" {
		return ""
	}
	return ", as is demanded" + n.guard.by
}

// login logs in where there is a login to be used.
func (n *negotiation) login(ctx context.Context, c *smtpclient.Conn) *fault {
	if n.p.username == "" {
		return nil
	}
	if c.TLS() == nil && !n.c.addr.Addr().IsLoopback() {
		return n.fault(noLogin, "4.7.4", nil, "This server does not log in at the smarthost %s, because the connection is not encrypted and the password could be read on the way. "+
			"The administrator can choose another kind of TLS for the smarthost.", n.peer.show())
	}
	err := c.Auth(ctx, n.p.username, n.p.password)
	if reply, ok := errors.AsType[*smtpclient.Reply](err); ok {
		kind := noLogin
		if reply.Temporary() {
			kind = refused
		}
		return n.fault(kind, "4.7.8", err, "The smarthost %s refused the login of this server as %s: %s. "+
			"The administrator must look at the user name and password of the smarthost.", n.peer.show(), n.p.username, bounded(reply.Error()))
	}
	if _, ok := errors.AsType[*smtpclient.EnvelopeError](err); ok || errors.Is(err, smtpclient.ErrNoMechanism) {
		return n.fault(noLogin, "4.7.4", err, "This server cannot log in at the smarthost %s: it offers neither PLAIN nor LOGIN here, or the password cannot be sent. "+
			"The administrator must look at the settings of the smarthost.", n.peer.show())
	}
	if err != nil {
		return n.broken(err)
	}
	return nil
}

// fault describes one in our own words.
func (n *negotiation) fault(kind faultKind, status string, err error, format string, args ...any) *fault {
	return &fault{kind: kind, peer: n.peer, reply: Reply{Status: status, Text: bounded(fmt.Sprintf(format, args...))}, err: err}
}

// broken is the fault of a host that refuses, by its own reply, or falls silent.
func (n *negotiation) broken(err error) *fault {
	if reply, ok := errors.AsType[*smtpclient.Reply](err); ok {
		v := said(reply, n.peer).deferred()
		return &fault{kind: refused, peer: n.peer, reply: v.reply, err: err}
	}
	return n.fault(unreached, "4.4.2", err, "%s cannot be used: %v.", n.peer.show(), err)
}

// passing tells whether TLS failed for a reason that may be gone a moment later.
func passing(err error) bool {
	reply, ok := errors.AsType[*smtpclient.Reply](err)
	return ok && reply.Temporary() || errors.Is(err, smtpclient.ErrClosed) || errors.Is(err, smtpclient.ErrTimeout)
}

// dial connects to an address.
func (r *Relay) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, or(r.ConnectTimeout, 30*time.Second))
	defer cancel()
	network, source := "tcp4", r.Source4
	if to.Addr().Is6() {
		network, source = "tcp6", r.Source6
	}
	if r.Dial != nil {
		return r.Dial(ctx, network, to.String())
	}
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, network, to.String())
}
