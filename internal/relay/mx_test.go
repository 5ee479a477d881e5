package relay_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// threeHosts have one address each, 192.0.2.1 to 192.0.2.3.
const threeHosts = `
example.net.    MX 10 mx1.example.net.
example.net.    MX 20 mx2.example.net.
example.net.    MX 30 mx3.example.net.
mx1.example.net. A 192.0.2.1
mx2.example.net. A 192.0.2.2
mx3.example.net. A 192.0.2.3`

// # RFC 5321 section 5.1: the sender-SMTP MUST inherently sort by preference, the lowest first.
func TestLowestPreferenceFirst(t *testing.T) {
	g := newRig(t, threeHosts)
	p := g.peer(nil, "192.0.2.1")
	g.peer(nil, "192.0.2.2")
	res := g.send("bob@example.net")
	want(t, res, "mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken")
	g.wantDials("192.0.2.1")
	wantCommands(t, p, "EHLO kurir.test", "MAIL FROM:<alice@local.test> SIZE=48", "RCPT TO:<bob@example.net>", "DATA")
	got := p.Delivered()
	if len(got) != 1 || string(got[0].Data) != "From: alice@local.test\r\nSubject: test\r\n\r\nhello\r\n" {
		t.Errorf("delivered %+v", got)
	}
	if res.Took <= 0 || res.Took > time.Minute {
		t.Errorf("took %v", res.Took)
	}
}

// # RFC 5321 section 5.1: the client MUST try the hosts in order until a delivery succeeds.
func TestNextHost(t *testing.T) {
	const at = "mx1.example.net (192.0.2.1)"
	for _, c := range []struct {
		name string
		peer *smtptest.Peer // the first; nil: it refuses connections
		try  string         // what is said of it
	}{
		{"refuses connections", nil, "4.4.1 " + at + " cannot be reached: it refuses connections."},
		{"greets with 421", script(smtptest.Greeting, smtptest.Reply("421 4.3.2 going down")), "421 4.3.2 going down"},
		{"greets with 450", script(smtptest.Greeting, smtptest.Reply("450 busy")), "450 4.0.0 busy"},
		{"greets with 554", script(smtptest.Greeting, smtptest.Reply("554-5.7.1 you are on a list\n554 5.7.1 go away")), "554 4.7.1 you are on a list\ngo away"},
		{"closes at once", script(smtptest.Greeting, smtptest.Close()),
			"4.4.2 " + at + " cannot be used: the other server closed the connection, while waiting for the greeting."},
		{"is no SMTP server", script(smtptest.Greeting, smtptest.Write("SSH-2.0-something\r\n")),
			"4.4.2 " + at + ` cannot be used: the other server does not speak SMTP: "SSH-2.0-something", while waiting for the greeting.`},
		{"greets without end", script(smtptest.Greeting, smtptest.Huge("220 hello", 10<<20)),
			"4.4.2 " + at + " cannot be used: the other server sent a reply without end, while waiting for the greeting."},
		{"refuses EHLO", script(smtptest.Hello, smtptest.Reply("550 5.7.1 bad name")), "550 4.7.1 bad name"},
		{"refuses EHLO for now", script(smtptest.Hello, smtptest.Reply("451 4.7.1 look up again")), "451 4.7.1 look up again"},
		{"knows neither EHLO nor HELO", script(smtptest.Hello, smtptest.Reply("502 5.5.1 what?")), "502 4.5.1 what?"},
		{"closes at EHLO", script(smtptest.Hello, smtptest.Close()),
			"4.4.2 " + at + " cannot be used: the other server closed the connection, while waiting for the answer to EHLO."},
		{"closes at MAIL", script(smtptest.Mail, smtptest.Close()),
			"4.4.2 The connection to " + at + " came to no good end: the other server closed the connection, while waiting for the answer to MAIL."},
		{"says 421 to MAIL", script(smtptest.Mail, smtptest.Reply("421 4.7.0 enough of you")), "421 4.7.0 enough of you"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, threeHosts)
			if c.peer != nil {
				g.peer(c.peer, "192.0.2.1")
			}
			g.peer(nil, "192.0.2.2")
			want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken",
				"tried mx1.example.net 192.0.2.1: "+c.try)
			g.wantDials("192.0.2.1 192.0.2.2")
		})
		t.Run("only host "+c.name, func(t *testing.T) {
			g := newRig(t, "example.net. MX 10 mx1.example.net.\nmx1.example.net. A 192.0.2.1")
			if c.peer != nil {
				g.peer(&smtptest.Peer{Script: c.peer.Script}, "192.0.2.1")
			}
			want(t, g.send("bob@example.net"), "mx1.example.net 192.0.2.1: deferred "+c.try, "whole")
		})
	}
}

// # RFC 5321 section 4.2.4.2 and 3.1: a 554 greeting says that there is no SMTP service here,
// not that mail for the domain fails. What a server said is the outcome, not our own words.
func TestNoHostAtAll(t *testing.T) {
	g := newRig(t, threeHosts)
	want(t, g.send("bob@example.net", "carol@example.net"),
		"deferred 4.4.1 None of the mail servers of example.net could be reached: mx1.example.net (192.0.2.1) cannot be reached: it refuses connections; "+
			"mx2.example.net (192.0.2.2) cannot be reached: it refuses connections; mx3.example.net (192.0.2.3) cannot be reached: it refuses connections.",
		"deferred 4.4.1 None of the mail servers of example.net could be reached: mx1.example.net (192.0.2.1) cannot be reached: it refuses connections; "+
			"mx2.example.net (192.0.2.2) cannot be reached: it refuses connections; mx3.example.net (192.0.2.3) cannot be reached: it refuses connections.",
		"tried mx1.example.net 192.0.2.1: 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections.",
		"tried mx2.example.net 192.0.2.2: 4.4.1 mx2.example.net (192.0.2.2) cannot be reached: it refuses connections.",
		"tried mx3.example.net 192.0.2.3: 4.4.1 mx3.example.net (192.0.2.3) cannot be reached: it refuses connections.",
		"whole")

	g.peer(script(smtptest.Greeting, smtptest.Reply("554 5.7.1 no service here")), "192.0.2.2")
	want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: deferred 554 4.7.1 no service here",
		"tried mx1.example.net 192.0.2.1: 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections.",
		"tried mx3.example.net 192.0.2.3: 4.4.1 mx3.example.net (192.0.2.3) cannot be reached: it refuses connections.",
		"whole")
}

// # RFC 5321 section 4.3.2: MAIL may be refused. That is an answer, and no other host is asked.
func TestRefusedMailIsAnAnswer(t *testing.T) {
	for _, c := range []struct{ says, want string }{
		{"550 5.7.1 not from you", "failed 550 5.7.1 not from you"},
		{"451 4.7.1 not now", "deferred 451 4.7.1 not now"},
		{"452 full", "deferred 452 4.0.0 full"},
	} {
		g := newRig(t, threeHosts)
		g.peer(script(smtptest.Mail, smtptest.Reply(c.says)), "192.0.2.1")
		g.peer(nil, "192.0.2.2")
		want(t, g.send("bob@example.net"), "mx1.example.net 192.0.2.1: "+c.want)
		g.wantDials("192.0.2.1")
	}
}

// # RFC 5321 section 3.2: a server that does not know EHLO is greeted with HELO.
func TestServerOfOld(t *testing.T) {
	g := newRig(t, threeHosts)
	p := g.peer(script(smtptest.Hello, smtptest.For("EHLO", smtptest.Reply("502 5.5.1 what?"))), "192.0.2.1")
	want(t, g.send("bob@example.net"), "mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken (relayed)")
	wantCommands(t, p, "EHLO kurir.test", "HELO kurir.test", "MAIL FROM:<alice@local.test>", "RCPT TO:<bob@example.net>", "DATA")
}

// # RFC 5321 section 5.2: with both kinds of addresses, those of IPv6 come first here.
func TestIPv6BeforeIPv4(t *testing.T) {
	const both = `
example.net.     MX 10 mx1.example.net.
example.net.     MX 20 mx2.example.net.
mx1.example.net. A    192.0.2.1
mx1.example.net. AAAA 2001:db8::1
mx2.example.net. A    192.0.2.2
mx2.example.net. AAAA 2001:db8::2`
	g := newRig(t, both)
	g.peer(nil, "192.0.2.2")
	want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken",
		"tried mx1.example.net 2001:db8::1: 4.4.1 mx1.example.net (2001:db8::1) cannot be reached: it refuses connections.",
		"tried mx1.example.net 192.0.2.1: 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections.",
		"tried mx2.example.net 2001:db8::2: 4.4.1 mx2.example.net (2001:db8::2) cannot be reached: it refuses connections.")
	g.wantDials("[2001:db8::1] 192.0.2.1 [2001:db8::2] 192.0.2.2")

	t.Run("no way to IPv6", func(t *testing.T) { // the second host's is not even tried
		g := newRig(t, both)
		g.fail("2001:db8::1", syscall.ENETUNREACH)
		g.peer(nil, "192.0.2.2")
		want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken",
			"tried mx1.example.net 2001:db8::1: 4.4.1 mx1.example.net (2001:db8::1) cannot be reached: this server has no way to such addresses.",
			"tried mx1.example.net 192.0.2.1: 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections.")
		g.wantDials("[2001:db8::1] 192.0.2.1 192.0.2.2")
	})
	t.Run("no way to IPv4", func(t *testing.T) {
		g := newRig(t, both)
		g.fail("192.0.2.1", syscall.EADDRNOTAVAIL)
		g.peer(nil, "2001:db8::2")
		g.send("bob@example.net")
		g.wantDials("[2001:db8::1] 192.0.2.1 [2001:db8::2]")
	})
	t.Run("switched off", func(t *testing.T) {
		g := newRig(t, both)
		g.Families = dnsutil.Families{NoIPv6: true}
		g.peer(nil, "192.0.2.1")
		g.send("bob@example.net")
		g.wantDials("192.0.2.1")
	})
}

// An attempt is bounded: at most five hosts and ten addresses.
func TestBoundsOfAnAttempt(t *testing.T) {
	t.Run("hosts", func(t *testing.T) {
		var zone strings.Builder
		for i := 1; i <= 8; i++ {
			fmt.Fprintf(&zone, "example.net. MX %d mx%d.example.net.\nmx%d.example.net. A 192.0.2.%d\n", i, i, i, i)
		}
		g := newRig(t, zone.String())
		g.peer(nil, "192.0.2.6") // never comes to its turn
		res := g.send("bob@example.net")
		g.wantDials("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5")
		if !res.Whole || len(res.Tries) != 5 {
			t.Errorf("whole %v, %d tries", res.Whole, len(res.Tries))
		}
	})
	t.Run("addresses", func(t *testing.T) {
		var zone strings.Builder
		zone.WriteString("example.net. MX 1 big.example.net.\nexample.net. MX 2 mx2.example.net.\nmx2.example.net. A 192.0.2.200\n")
		for i := 1; i <= 15; i++ {
			fmt.Fprintf(&zone, "big.example.net. A 192.0.2.%d\n", i)
		}
		g := newRig(t, zone.String())
		g.peer(nil, "192.0.2.200") // a host with many addresses does not push the next out
		want(t, &relay.Result{Outcomes: g.send("bob@example.net").Outcomes}, "mx2.example.net 192.0.2.200: sent 250 2.0.0 ok, taken")
		if n := len(strings.Fields(g.dials())); n != 10 {
			t.Errorf("%d addresses, want 10", n)
		}
	})
}

// The search for a host ends after a while, and so does the wait for each.
func TestTimesOfTheSearch(t *testing.T) {
	five := names{"example.net": {hostAt("mx1.example.net", "192.0.2.1"), hostAt("mx2.example.net", "192.0.2.2"), hostAt("mx3.example.net", "192.0.2.3"),
		hostAt("mx4.example.net", "192.0.2.4"), hostAt("mx5.example.net", "192.0.2.5")}}
	t.Run("silent addresses", func(t *testing.T) { // 30 s each
		bubble(t, five, func(t *testing.T, g *rig) {
			for i := 1; i <= 4; i++ {
				g.fail(fmt.Sprintf("192.0.2.%d", i), errSilence)
			}
			g.peer(nil, "192.0.2.5")
			res := g.send("bob@example.net")
			if res.Took != 2*time.Minute || res.Outcomes[0].Action != relay.Sent {
				t.Errorf("took %v: %v", res.Took, lines(res))
			}
			if want := "mx1.example.net (192.0.2.1) cannot be reached: it does not answer."; res.Tries[0].Reply.Text != want {
				t.Errorf("said %q, want %q", res.Tries[0].Reply.Text, want)
			}
		})
	})
	t.Run("silent servers", func(t *testing.T) { // a minute each, and none is begun with after three
		bubble(t, five, func(t *testing.T, g *rig) {
			for i := 1; i <= 4; i++ {
				g.peer(script(smtptest.Greeting, smtptest.Stall()), fmt.Sprintf("192.0.2.%d", i))
			}
			g.peer(nil, "192.0.2.5")
			res := g.send("bob@example.net")
			if res.Took != 4*time.Minute || !res.Whole || len(res.Tries) != 4 {
				t.Errorf("took %v: %v", res.Took, lines(res))
			}
			g.wantDials("192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4")
		})
	})
	t.Run("the last one", func(t *testing.T) { // RFC 5321 section 4.5.3.2.1: five minutes for the greeting
		bubble(t, oneHost("example.net", "mx1.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
			g.peer(script(smtptest.Greeting, smtptest.Late(4*time.Minute, smtptest.Usual())), "192.0.2.1")
			want(t, g.send("bob@example.net"), "mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken")
		})
	})
}

// # RFC 5321 section 4.5.4.1: hosts that cannot be reached should not hold up each message.
func TestAilingAddressesLast(t *testing.T) {
	two := names{"example.net": {hostAt("mx1.example.net", "192.0.2.1"), hostAt("mx2.example.net", "192.0.2.2")}}
	bubble(t, two, func(t *testing.T, g *rig) {
		g.IdleKeep = -1
		g.peer(nil, "192.0.2.2")
		g.send("bob@example.net")
		g.wantDials("192.0.2.1 192.0.2.2")
		g.send("bob@example.net")
		g.wantDials("192.0.2.2")
		time.Sleep(2*time.Minute + time.Second) // it is given another chance
		g.send("bob@example.net")
		g.wantDials("192.0.2.1 192.0.2.2")
		g.fail("192.0.2.2", syscall.ECONNREFUSED) // with all of them ailing, the order is the usual
		g.send("bob@example.net")
		g.wantDials("192.0.2.2 192.0.2.1")
		g.peer(nil, "192.0.2.1")
		g.send("bob@example.net")
		g.wantDials("192.0.2.1")
		g.fail("192.0.2.2", nil)
		g.send("bob@example.net") // the first was reached, and is well
		g.wantDials("192.0.2.1")
	})
	bubble(t, two, func(t *testing.T, g *rig) { // one that was reached is well, at once
		g.IdleKeep = -1
		g.peer(nil, "192.0.2.1", "192.0.2.2")
		g.fail("192.0.2.1", syscall.ECONNREFUSED)
		g.send("bob@example.net")
		time.Sleep(100 * time.Second)
		g.fail("192.0.2.1", errSilence)
		g.fail("192.0.2.2", syscall.ECONNREFUSED)
		g.send("bob@example.net") // the second fails now, the first half a minute later
		g.fail("192.0.2.1", nil)
		g.send("bob@example.net")
		g.wantDials("192.0.2.1 192.0.2.2 192.0.2.2 192.0.2.1 192.0.2.1")
		time.Sleep(100 * time.Second) // so that the second's time is over, and the first's would not be
		g.fail("192.0.2.2", nil)
		g.send("bob@example.net")
		g.wantDials("192.0.2.1")
	})
	bubble(t, two, func(t *testing.T, g *rig) { // a host that speaks is not ailing, whatever it says
		g.IdleKeep = -1
		g.peer(script(smtptest.Greeting, smtptest.Reply("554 no")), "192.0.2.1")
		g.peer(nil, "192.0.2.2")
		for range 2 {
			g.send("bob@example.net")
			g.wantDials("192.0.2.1 192.0.2.2")
		}
	})
}
