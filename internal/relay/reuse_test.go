package relay_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// sent is what becomes of a message to theHost.
const sent = at + "sent 250 2.0.0 ok, taken"

// single is theHost without a DNS.
var single = oneHost("example.net", "mx.example.net", "192.0.2.1")

// A connection is kept for the next message, with RSET only where a transaction is open.
func TestConnectionKept(t *testing.T) {
	g := newRig(t, theHost)
	p := g.peer(script(smtptest.Rcpt, smtptest.For("no@", smtptest.Reply("550 5.1.1 who?"))), "192.0.2.1")
	g.send("a@example.net")
	g.send("b@example.net")
	g.send("no@example.net")
	g.send("c@example.net")
	g.Close()
	const mail = "MAIL FROM:<alice@local.test> SIZE=48"
	wantCommands(t, p, "EHLO kurir.test", mail, "RCPT TO:<a@example.net>", "DATA", mail, "RCPT TO:<b@example.net>", "DATA",
		mail, "RCPT TO:<no@example.net>", "DATA", "RSET", mail, "RCPT TO:<c@example.net>", "DATA", "QUIT")
	g.wantDials("192.0.2.1")
}

// A connection that waits is ended after IdleKeep, with QUIT (RFC 5321 section 4.1.1.10).
func TestKeptForAWhile(t *testing.T) {
	for _, c := range []struct{ set, is time.Duration }{{0, 5 * time.Second}, {30 * time.Second, 30 * time.Second}} {
		bubble(t, single, func(t *testing.T, g *rig) {
			g.IdleKeep = c.set
			p := g.peer(nil, "192.0.2.1")
			for range 3 { // each message begins the wait anew
				want(t, g.send("bob@example.net"), sent)
				time.Sleep(c.is - time.Millisecond)
			}
			synctest.Wait()
			if all := p.Commands(); slices.Contains(all, "QUIT") || p.Connections() != 1 {
				t.Errorf("%d connections: %q", p.Connections(), all)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if all := p.Commands(); all[len(all)-1] != "QUIT" {
				t.Errorf("last was %q", all[len(all)-1])
			}
			want(t, g.send("bob@example.net"), sent)
			if n := p.Connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
	bubble(t, single, func(t *testing.T, g *rig) {
		g.IdleKeep = -1
		p := g.peer(nil, "192.0.2.1")
		g.send("bob@example.net")
		synctest.Wait()
		if all := p.Commands(); all[len(all)-1] != "QUIT" {
			t.Errorf("last was %q", all[len(all)-1])
		}
	})
}

// A connection has an end: after MaxMessages, or what the server says (RFC 9422).
func TestMessagesOverOneConnection(t *testing.T) {
	for _, c := range []struct {
		max, messages, conns int
		limits               string
	}{
		{0, 201, 3, "X"}, {3, 7, 3, "X"}, {1, 4, 4, "X"}, {0, 7, 4, "LIMITS MAILMAX=2"}, {1, 3, 3, "LIMITS MAILMAX=2"}, {0, 3, 1, "LIMITS MAILMAX=0"},
	} {
		bubble(t, single, func(t *testing.T, g *rig) {
			g.MaxMessages = c.max
			p := g.peer(&smtptest.Peer{Extensions: []string{"DSN", c.limits}}, "192.0.2.1")
			for range c.messages {
				want(t, g.send("bob@example.net"), sent)
			}
			g.Close()
			if n, quits := p.Connections(), strings.Count(strings.Join(p.Commands(), "\n")+"\n", "QUIT\n"); n != c.conns || quits != n {
				t.Errorf("%+v: %d connections, %d times QUIT", c, n, quits)
			}
		})
	}
}

// A kept connection on which something is wrong is no failure: another is made.
func TestKeptConnectionDied(t *testing.T) {
	for name, s := range map[string]smtptest.Script{
		"closed":           {smtptest.Dot: smtptest.First(1, smtptest.Then(smtptest.Usual(), smtptest.Close()))},
		"closed at MAIL":   {smtptest.Mail: smtptest.Nth(2, 2, smtptest.Close())},
		"421 at MAIL":      {smtptest.Mail: smtptest.Nth(2, 2, smtptest.Then(smtptest.Reply("421 4.4.2 too slow"), smtptest.Close()))},
		"421 while idle":   {smtptest.Dot: smtptest.First(1, smtptest.Then(smtptest.Usual(), smtptest.Write("421 4.4.2 bye\r\n"), smtptest.Close()))},
		"451 at MAIL":      {smtptest.Mail: smtptest.Nth(2, 2, smtptest.Reply("451 4.7.0 too many messages"))},
		"503 at MAIL":      {smtptest.Mail: smtptest.Nth(2, 2, smtptest.Reply("503 5.5.1 what?"))},
		"too large before": {smtptest.Mail: smtptest.First(1, smtptest.Close())}, // it has waited without any message
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, theHost)
			p := g.peer(&smtptest.Peer{Script: s}, "192.0.2.1")
			if name == "too large before" {
				m := letter("hello")
				m.Size = 1 << 40
				g.sendMessage(m, "bob@example.net")
			} else {
				want(t, g.send("bob@example.net"), sent)
			}
			want(t, g.send("bob@example.net"), sent)
			want(t, g.send("bob@example.net"), sent)
			if n := p.Connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
	for name, says := range map[string]string{"RSET refused": "502 5.5.1 no RSET here", "421 at RSET": "421 4.4.2 bye", "RSET refused for now": "451 4.3.0 no"} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, theHost)
			p := g.peer(&smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: smtptest.For("no@", smtptest.Reply("550 5.1.1 who?")),
				smtptest.Rset: smtptest.Reply(says)}}, "192.0.2.1")
			g.send("no@example.net")
			want(t, g.send("bob@example.net"), sent)
			if n := p.Connections(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
	t.Run("several at once", func(t *testing.T) { // after one, no other that has waited is trusted
		bubble(t, single, func(t *testing.T, g *rig) {
			old := 0
			p := g.peer(&smtptest.Peer{Script: smtptest.Script{
				smtptest.Dot: smtptest.Late(time.Second, smtptest.Usual()),
				smtptest.Mail: func(s *smtptest.Session) error {
					if s.Number > 3 || len(s.Peer.Transactions()) <= 3 {
						return s.Usual()
					}
					old++
					return s.Reply("421 4.4.2 too slow")
				}}}, "192.0.2.1")
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() { g.Send(t.Context(), "example.net", letter("x"), recipients("bob@example.net"), nil) })
			}
			all.Wait()
			want(t, g.send("bob@example.net"), sent)
			if n := p.Connections(); n != 4 || old != 1 {
				t.Errorf("%d connections, %d of them too old", n, old)
			}
		})
	})
	t.Run("refused for good", func(t *testing.T) { // that is an answer
		g := newRig(t, theHost)
		p := g.peer(script(smtptest.Mail, smtptest.Nth(2, 2, smtptest.Reply("550 5.7.1 not from you"))), "192.0.2.1")
		g.send("bob@example.net")
		want(t, g.send("bob@example.net"), at+"failed 550 5.7.1 not from you")
		if n := p.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("and the host with it", func(t *testing.T) { // then the next one is tried
		g := newRig(t, threeHosts)
		p := g.peer(nil, "192.0.2.1")
		g.peer(nil, "192.0.2.2")
		g.send("bob@example.net")
		p.Close()
		g.fail("192.0.2.1", syscall.ECONNREFUSED)
		want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken",
			"tried mx1.example.net 192.0.2.1: 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections.")
	})
	t.Run("after MAIL", func(t *testing.T) { // what was begun is not begun again
		g := newRig(t, theHost)
		p := g.peer(script(smtptest.Dot, smtptest.Nth(2, 2, smtptest.Close())), "192.0.2.1")
		g.send("bob@example.net")
		if o := g.send("bob@example.net").Outcomes[0]; !o.Uncertain || p.Connections() != 1 {
			t.Errorf("%+v, %d connections", o, p.Connections())
		}
	})
}

// Domains with the same host share its connections, if they are spoken to alike.
func TestSharedConnections(t *testing.T) {
	const zone = theHost + "\nexample.org. MX 10 mx.example.net.\nother.test. MX 10 mx.example.org.\nmx.example.org. A 192.0.2.1\nback.test. MX 5 gone.test.\nback.test. MX 10 mx.example.net.\ngone.test. A 192.0.2.9"
	g := newRig(t, zone)
	p := g.peer(nil, "192.0.2.1")
	want(t, g.send("bob@example.net"), sent)
	want(t, g.send("bob@example.org"), sent)
	want(t, g.send("bob@back.test"), sent, "tried gone.test 192.0.2.9: 4.4.1 gone.test (192.0.2.9) cannot be reached: it refuses connections.")
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	g.send("bob@other.test") // the same address under another name: its certificate would be another
	if n := p.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}

	t.Run("died", func(t *testing.T) { // the host is the only one, and must not be passed over
		g := newRig(t, zone)
		p := g.peer(script(smtptest.Mail, smtptest.Nth(2, 2, smtptest.Close())), "192.0.2.1")
		want(t, g.send("bob@example.net"), sent)
		want(t, g.send("bob@example.org"), sent)
		if n := p.Connections(); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("another policy", func(t *testing.T) {
		g := newRig(t, zone)
		conf := must(t)(g.authority().Config("mx.example.net"))
		g.Routes = []relay.Route{{Recipients: []string{"example.org"}, TLS: relay.TLSStartTLS}}
		p := g.peer(&smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.StartTLS: smtptest.First(1, smtptest.Reply("454 4.7.0 no"))}}, "192.0.2.1")
		g.send("bob@example.net")
		g.send("bob@example.org")
		if d := p.Delivered(); len(d) != 2 || d[0].TLS || !d[1].TLS {
			t.Errorf("%+v", d)
		}
	})
	t.Run("another login", func(t *testing.T) {
		g, ca := smart(t, nil)
		g.Routes = append([]relay.Route{{Senders: []string{"other.test"}, Smarthost: "smart.example:587", Username: "other", Password: "word"}}, g.Routes...)
		p := g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: map[string]string{"kurir": "secret", "other": "word"}}, "192.0.2.1:587")
		m := letter("hello")
		m.Sender = "x@other.test"
		g.send("bob@example.net")
		g.sendMessage(m, "bob@example.net")
		g.send("bob@example.net")
		var who []string
		for _, d := range p.Delivered() {
			who = append(who, fmt.Sprint(d.User, d.Connection))
		}
		if !slices.Equal(who, []string{"kurir1", "other2", "kurir1"}) {
			t.Errorf("sent by %v", who)
		}
	})
}

// Not more than MaxIdle connections wait; the one that waits longest goes.
func TestMaxIdle(t *testing.T) {
	hosts := names{}
	for i := 1; i <= 4; i++ {
		hosts[fmt.Sprintf("d%d.test", i)] = oneHost("x", fmt.Sprintf("mx%d.test", i), fmt.Sprintf("192.0.2.%d", i))["x"]
	}
	bubble(t, hosts, func(t *testing.T, g *rig) {
		g.MaxIdle = 2
		var peers []*smtptest.Peer
		for i := 1; i <= 4; i++ {
			peers = append(peers, g.peer(nil, fmt.Sprintf("192.0.2.%d", i)))
		}
		for i := 1; i <= 4; i++ {
			g.send(fmt.Sprintf("bob@d%d.test", i))
		}
		synctest.Wait()
		var quit []bool
		for _, p := range peers {
			quit = append(quit, slices.Contains(p.Commands(), "QUIT"))
		}
		if !slices.Equal(quit, []bool{true, true, false, false}) {
			t.Errorf("left: %v", quit)
		}
	})
}

// Close ends what waits, and what is under way is kept no more. A server that does not
// answer QUIT holds it up for two seconds at most.
func TestClose(t *testing.T) {
	bubble(t, single, func(t *testing.T, g *rig) {
		p := g.peer(script(smtptest.Quit, smtptest.Stall()), "192.0.2.1")
		g.send("bob@example.net")
		began := time.Now()
		g.Close()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		want(t, g.send("bob@example.net"), sent) // it can be used, but keeps nothing
		want(t, g.send("bob@example.net"), sent)
		if n := p.Connections(); n != 3 {
			t.Errorf("%d connections", n)
		}
		g.Close()
	})
	bubble(t, single, func(t *testing.T, g *rig) {
		g.peer(script(smtptest.Dot, smtptest.Late(time.Minute, smtptest.Usual())), "192.0.2.1")
		done := make(chan *relay.Result)
		go func() {
			done <- g.Send(t.Context(), "example.net", letter("hello"), recipients("bob@example.net"), nil)
		}()
		synctest.Wait()
		began := time.Now()
		g.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		want(t, <-done, sent)
	})
}

// Many at once, over hosts of all kinds: each message arrives once, or its outcome says
// that it did not.
func TestManyAtOnce(t *testing.T) {
	var zone strings.Builder
	for i := range 10 {
		fmt.Fprintf(&zone, "d%d.test. MX 10 dead.test.\nd%d.test. MX 20 mx%d.test.\nmx%d.test. A 192.0.2.%d\n", i, i, i%5, i%5, i%5+1)
	}
	g := newRig(t, zone.String()+"dead.test. A 192.0.2.99")
	g.IdleKeep, g.MaxIdle, g.MaxMessages = 20*time.Millisecond, 8, 7
	conf := must(t)(g.authority().Config("mx0.test", "mx1.test"))
	peers := []*smtptest.Peer{
		g.peer(&smtptest.Peer{TLS: conf}, "192.0.2.1"),
		g.peer(&smtptest.Peer{TLS: conf, Extensions: []string{"DSN"}}, "192.0.2.2"),
		g.peer(&smtptest.Peer{Script: smtptest.Script{smtptest.Mail: every(5, smtptest.Close())}}, "192.0.2.3"),
		g.peer(&smtptest.Peer{Script: smtptest.Script{smtptest.Dot: every(7, smtptest.Then(smtptest.Usual(), smtptest.Close()))}}, "192.0.2.4"),
		g.peer(&smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: every(4, smtptest.Reply("450 4.2.0 later"))}}, "192.0.2.5"),
	}
	const senders, each = 50, 12
	var mu sync.Mutex
	said := map[string]relay.Action{}
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for n := range each {
				to := fmt.Sprintf("r%d-%d@d%d.test", i, n, (i+n)%10)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				res := g.Send(ctx, g.Destination("", to), letter(to), recipients(to), nil)
				cancel()
				mu.Lock()
				said[to] = res.Outcomes[0].Action
				mu.Unlock()
			}
		})
	}
	all.Wait()
	g.Close()
	arrived := map[string]int{}
	for _, p := range peers {
		for _, d := range p.Delivered() {
			for _, r := range d.Rcpt {
				if r.Accepted {
					arrived[r.Address]++
				}
			}
		}
	}
	count := map[relay.Action]int{}
	for to, a := range said {
		count[a]++
		if wants := map[relay.Action]int{relay.Sent: 1}[a]; arrived[to] != wants {
			t.Errorf("%s: %v, arrived %d times", to, a, arrived[to])
		}
	}
	if len(said) != senders*each || count[relay.Failed] > 0 || count[relay.Sent] < senders*each/2 {
		t.Errorf("%v", count)
	}
}

// every does something each n-th time.
func every(n int, a smtptest.Action) smtptest.Action {
	var mu sync.Mutex
	count := 0
	return func(s *smtptest.Session) error {
		mu.Lock()
		count++
		now := count%n == 0
		mu.Unlock()
		if now {
			return a(s)
		}
		return s.Usual()
	}
}

// Without Dial, connections are the system's own, from the source address that is set.
func TestDialOfTheSystem(t *testing.T) {
	p := &smtptest.Peer{}
	var from string
	p.Script = smtptest.Script{smtptest.Greeting: func(s *smtptest.Session) error {
		from, _, _ = net.SplitHostPort(s.Conn.RemoteAddr().String())
		return s.Usual()
	}}
	where := smtptest.Start(t, p)
	r := &relay.Relay{Resolver: names{}, Routes: []relay.Route{{Smarthost: where, TLS: relay.TLSNone}}}
	r.Source4 = hostAt("", "127.0.0.2").Addresses[0]
	defer r.Close()
	r.Resolver = names{"127.0.0.1": {hostAt("x", "127.0.0.1")}}
	res := r.Send(t.Context(), "", letter("hello"), recipients("bob@example.net"), nil)
	r.Close()
	p.Close()
	if res.Outcomes[0].Action != relay.Sent || from != "127.0.0.2" {
		t.Errorf("%v, from %s", lines(res), from)
	}
	if got := p.Commands()[0]; got != "EHLO localhost" {
		t.Errorf("%s", got)
	}
	r = &relay.Relay{Resolver: r.Resolver, Routes: r.Routes}
	defer r.Close()
	o := r.Send(t.Context(), "", letter("hello"), recipients("bob@example.net"), nil).Outcomes[0]
	if want := "127.0.0.1 cannot be reached: it refuses connections."; o.Reply.Text != want {
		t.Errorf("%q, want %q", o.Reply.Text, want)
	}
}
