package relay_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// rig is a relay in a world of its own: a DNS, and peers at addresses of it.
type rig struct {
	relay.Relay
	t   testing.TB
	dns *dnstest.Server // nil in a bubble

	mu     sync.Mutex
	pipes  bool                      // connections are net.Pipes
	peers  map[string]*smtptest.Peer // by address and port
	listen map[*smtptest.Peer]string // where they really are
	errors map[string]error          // what connecting comes to
	dialed []string                  // in their order
}

// newRig is a rig whose DNS has a zone text. It dials loopback addresses.
func newRig(t testing.TB, zone string) *rig {
	t.Helper()
	g := &rig{t: t, dns: dnstest.Start(t, zone)}
	g.Resolver = &dnsutil.Resolver{Servers: []string{g.dns.Addr()}, Timeout: 200 * time.Millisecond, Tries: 1}
	g.begin()
	return g
}

// bubble runs do with a rig in a bubble, where time passes when nothing else happens. The
// DNS is a table, and connections are pipes.
func bubble(t *testing.T, hosts names, do func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &rig{t: t, pipes: true}
		g.Resolver = hosts
		g.begin()
		do(t, g)
	})
}

func (g *rig) begin() {
	g.Hostname = "kurir.test"
	g.peers, g.listen, g.errors = map[string]*smtptest.Peer{}, map[*smtptest.Peer]string{}, map[string]error{}
	g.Dial = g.dial
	g.t.Cleanup(g.Close)
}

// peer serves p at addresses; a nil p is a good server. The port is 25 if there is none.
func (g *rig) peer(p *smtptest.Peer, addrs ...string) *smtptest.Peer {
	g.t.Helper()
	if p == nil {
		p = &smtptest.Peer{}
	}
	where := ""
	if g.pipes {
		g.t.Cleanup(p.Close)
	} else {
		where = smtptest.Start(g.t, p)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listen[p] = where
	for _, a := range addrs {
		g.peers[port(a)] = p
	}
	return p
}

// fail has connecting to an address fail.
func (g *rig) fail(addr string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.errors[port(addr)] = err
}

// port adds one to an address without.
func port(addr string) string {
	if a, err := netip.ParseAddr(addr); err == nil {
		return netip.AddrPortFrom(a, 25).String()
	}
	return addr
}

// dial connects to the peer at an address. Where there is none, connections are refused.
func (g *rig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	g.dialed = append(g.dialed, strings.TrimSuffix(address, ":25"))
	p, err, pipes := g.peers[address], g.errors[address], g.pipes
	where := g.listen[p]
	g.mu.Unlock()
	if want := "tcp" + map[bool]string{true: "6", false: "4"}[address[0] == '[']; network != want {
		g.t.Errorf("dialed %s by %s", address, network)
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == errSilence:
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: context.Cause(ctx)}
	case err == nil && p == nil:
		err = syscall.ECONNREFUSED
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", err)}
	}
	if !pipes {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", where)
	}
	client, server := net.Pipe()
	p.Go(server)
	return client, nil
}

// errSilence is of an address that never answers.
var errSilence = fmt.Errorf("silence")

// dials are the addresses connected to since the last call, without port 25.
func (g *rig) dials() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() { g.dialed = nil }()
	return strings.Join(g.dialed, " ")
}

// send sends a short message.
func (g *rig) send(to ...string) *relay.Result {
	g.t.Helper()
	return g.sendMessage(letter("hello"), to...)
}

func (g *rig) sendMessage(m *relay.Message, to ...string) *relay.Result {
	g.t.Helper()
	return g.sendTo(g.t.Context(), m, recipients(to...), nil)
}

func (g *rig) sendTo(ctx context.Context, m *relay.Message, to []relay.Recipient, before relay.BeforeDot) *relay.Result {
	g.t.Helper()
	res := g.Send(ctx, g.Destination(m.Sender, to[0].Address), m, to, before)
	g.sound(res, len(to))
	return res
}

// sound checks what holds for every Result.
func (g *rig) sound(res *relay.Result, n int) {
	g.t.Helper()
	if len(res.Outcomes) != n {
		g.t.Fatalf("%d outcomes for %d recipients", len(res.Outcomes), n)
	}
	class := map[relay.Action]byte{relay.Deferred: '4', relay.Failed: '5', relay.Sent: '2'}
	for _, o := range res.Outcomes {
		if o.Reply.Status == "" || o.Reply.Status[0] != class[o.Action] {
			g.t.Errorf("%v with status %q", o.Action, o.Reply.Status)
		}
		if o.Action != relay.Deferred && (o.Uncertain || res.Whole) {
			g.t.Errorf("%v, uncertain %v, whole %v", o.Action, o.Uncertain, res.Whole)
		}
		if len(o.Reply.Text) > 4<<10 {
			g.t.Errorf("text of %d octets", len(o.Reply.Text))
		}
	}
	for _, try := range res.Tries {
		if try.Reply.Status == "" || try.Peer.Host == "" {
			g.t.Errorf("a try without status or host: %+v", try)
		}
	}
}

// letter is a message with a text.
func letter(body string) *relay.Message {
	return message("From: alice@local.test\r\nSubject: test\r\n\r\n" + body + "\r\n")
}

// message is one with header and body as they stand.
func message(all string) *relay.Message {
	return &relay.Message{ID: "1", Sender: "alice@local.test", Size: int64(len(all)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(all)), nil }}
}

func recipients(to ...string) (all []relay.Recipient) {
	for _, a := range to {
		all = append(all, relay.Recipient{Address: a})
	}
	return all
}

// many are so many addresses of a domain: r0@example.net and so on.
func many(n int, domain string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("r%d@%s", i, domain))
	}
	return all
}

// lines shows a Result: outcomes, tries in vain, whole.
func lines(res *relay.Result) (all []string) {
	for _, o := range res.Outcomes {
		s := fmt.Sprintf("%s%v %s", where(o.Peer), o.Action, said(o.Reply))
		if o.Relayed {
			s += " (relayed)"
		}
		if o.Uncertain {
			s += " (uncertain)"
		}
		all = append(all, s)
	}
	for _, t := range res.Tries {
		all = append(all, "tried "+where(t.Peer)+said(t.Reply))
	}
	if res.Whole {
		all = append(all, "whole")
	}
	return all
}

// said shows a Reply, without what stands for octets that cannot be printed.
func said(r relay.Reply) string {
	s := r.Status + " " + r.Text
	if r.Code != 0 {
		s = fmt.Sprint(r.Code, " ") + s
	}
	return strings.TrimSpace(strings.ReplaceAll(s, "\ufffd", ""))
}

func where(p relay.Peer) string {
	switch {
	case p.Host == "":
		return ""
	case p.Address.Port() == 25:
		return p.Host + " " + p.Address.Addr().String() + ": "
	case p.Address.IsValid():
		return p.Host + " " + p.Address.String() + ": "
	}
	return p.Host + ": "
}

// want compares a Result with what lines is to show of it.
func want(t testing.TB, res *relay.Result, want ...string) {
	t.Helper()
	if got := lines(res); !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// wantDials compares the addresses connected to, in their order.
func (g *rig) wantDials(want string) {
	g.t.Helper()
	if got := g.dials(); got != want {
		g.t.Errorf("connected to %q, want %q", got, want)
	}
}

// wantCommands compares what a peer was told so far.
func wantCommands(t testing.TB, p *smtptest.Peer, want ...string) {
	t.Helper()
	if got := p.Commands(); !slices.Equal(got, want) {
		t.Errorf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// actions counts what became of the recipients.
func actions(res *relay.Result) map[relay.Action]int {
	n := map[relay.Action]int{}
	for _, o := range res.Outcomes {
		n[o.Action]++
	}
	return n
}

// names is a Resolver that knows hosts by domain or by name, and nothing else.
type names map[string][]dnsutil.RouteHost

// oneHost is a domain with one host.
func oneHost(domain, host string, addrs ...string) names {
	return names{domain: {hostAt(host, addrs...)}, host: {hostAt(host, addrs...)}}
}

func hostAt(host string, addrs ...string) dnsutil.RouteHost {
	h := dnsutil.RouteHost{Name: host}
	for _, a := range addrs {
		h.Addresses = append(h.Addresses, netip.MustParseAddr(a))
	}
	return h
}

func (n names) Route(_ context.Context, domain string, _ dnsutil.Self, _ dnsutil.Families) (dnsutil.Route, error) {
	if hosts := n[domain]; len(hosts) > 0 {
		return dnsutil.Route{Hosts: hosts}, nil
	}
	return dnsutil.Route{}, &dnsutil.Error{Name: domain, Err: dnsutil.ErrNotFound}
}

func (n names) Addresses(_ context.Context, host string, _ dnsutil.Families) ([]netip.Addr, error) {
	if hosts := n[host]; len(hosts) > 0 {
		return hosts[0].Addresses, nil
	}
	return nil, &dnsutil.Error{Name: host, Err: dnsutil.ErrNotFound}
}

func (n names) DANE(context.Context, dnsutil.RouteHost, uint16) (dnsutil.DANE, error) {
	return dnsutil.DANE{}, nil
}

// authority is a CA that the relay trusts.
func (g *rig) authority() *smtptest.CA {
	g.t.Helper()
	ca, err := smtptest.NewCA()
	if err != nil {
		g.t.Fatal(err)
	}
	g.RootCAs = ca.Pool()
	return ca
}

// must is a TLS configuration, or the end of the test.
func must(t testing.TB) func(*tls.Config, error) *tls.Config {
	return func(c *tls.Config, err error) *tls.Config {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// script is a peer that does something else at one step.
func script(at smtptest.Step, a smtptest.Action) *smtptest.Peer {
	return &smtptest.Peer{Script: smtptest.Script{at: a}}
}

// countDots is a BeforeDot that counts.
func countDots(n *int) relay.BeforeDot {
	return func(context.Context) error { *n++; return nil }
}

// lockedWriter is for the log of goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
