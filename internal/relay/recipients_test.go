package relay_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// theHost is a domain with a single host at 192.0.2.1.
const theHost = "example.net. MX 10 mx.example.net.\nmx.example.net. A 192.0.2.1"

// at is where that host is, in the words of want.
const at = "mx.example.net 192.0.2.1: "

// oneByOne is a server without PIPELINING.
var oneByOne = []string{"8BITMIME", "DSN", "ENHANCEDSTATUSCODES"}

// # RFC 5321 section 3.3: each RCPT is answered on its own.
func TestEachRecipientItsReply(t *testing.T) {
	for _, extensions := range [][]string{nil, oneByOne} {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Extensions: extensions, Script: smtptest.Script{smtptest.Rcpt: smtptest.Each(map[string]smtptest.Action{
			"nobody": smtptest.Reply("550-5.1.1 no such user here,\n550 5.1.1 see our page"), "full": smtptest.Reply("452 4.2.2 mailbox full"),
			"plain": smtptest.Reply("550 who?"), "odd": smtptest.Reply("450"),
		})}}, "192.0.2.1")
		want(t, g.send("bob@example.net", "nobody@example.net", "full@example.net", "plain@example.net", "odd@example.net", "carol@example.net"),
			at+"sent 250 2.0.0 ok, taken",
			at+"failed 550 5.1.1 no such user here,\nsee our page",
			at+"deferred 452 4.2.2 mailbox full",
			at+"failed 550 5.0.0 who?",
			at+"deferred 450 4.0.0",
			at+"sent 250 2.0.0 ok, taken")
		if got := p.Delivered(); len(got) != 1 || len(got[0].Rcpt) != 6 {
			t.Errorf("delivered %+v", got)
		}
	}
}

// # RFC 2920 section 3.1: if all RCPT are refused, DATA may be answered by 354 all the same.
func TestAllRecipientsRefused(t *testing.T) {
	for _, extensions := range [][]string{nil, oneByOne} {
		for _, data := range []string{"554 5.5.1 nobody", "354 go ahead"} {
			g := newRig(t, theHost)
			p := g.peer(&smtptest.Peer{Extensions: extensions, Script: smtptest.Script{
				smtptest.Rcpt: smtptest.Nth(1, 2, smtptest.Reply("550 5.1.1 no")), smtptest.Data: smtptest.First(1, smtptest.Reply(data))}}, "192.0.2.1")
			want(t, g.send("a@example.net", "b@example.net"), at+"failed 550 5.1.1 no", at+"failed 550 5.1.1 no")
			for _, d := range p.Transactions() {
				if len(d.Data) > 0 {
					t.Errorf("%s: the message was handed over to nobody", data)
				}
			}
			if extensions == nil { // the connection is good for the next
				want(t, g.send("c@example.net"), at+"sent 250 2.0.0 ok, taken")
				if n := p.Connections(); n != 1 {
					t.Errorf("%s: %d connections", data, n)
				}
			}
		}
	}
}

// DATA and the final dot are answered for all that were accepted.
func TestReplyForAll(t *testing.T) {
	for _, c := range []struct {
		step       smtptest.Step
		says, want string
	}{
		{smtptest.Data, "451 4.3.0 later", "deferred 451 4.3.0 later"},
		{smtptest.Data, "554 5.7.1 no", "failed 554 5.7.1 no"},
		{smtptest.Data, "421 4.3.2 bye", "deferred 421 4.3.2 bye"},
		{smtptest.Dot, "451 4.7.1 greylisted", "deferred 451 4.7.1 greylisted"},
		{smtptest.Dot, "550 5.7.1 spam", "failed 550 5.7.1 spam"},
		{smtptest.Dot, "552 message too big", "failed 552 5.0.0 message too big"},
		{smtptest.Dot, "421 4.3.2 bye", "deferred 421 4.3.2 bye"},
		{smtptest.Dot, "452 no room", "deferred 452 4.0.0 no room"},
		{smtptest.Body, "554 5.6.0 that is enough", "failed 554 5.6.0 that is enough"},
	} {
		g := newRig(t, theHost)
		g.peer(&smtptest.Peer{Script: smtptest.Script{c.step: smtptest.Reply(c.says), smtptest.Rcpt: smtptest.For("no@", smtptest.Reply("550 5.1.1 who?"))}}, "192.0.2.1")
		m := letter("hello")
		if c.step == smtptest.Body {
			m = letter(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 50_000))
		}
		want(t, g.sendMessage(m, "a@example.net", "no@example.net", "b@example.net"), at+c.want, at+"failed 550 5.1.1 who?", at+c.want)
	}
}

// # RFC 5321 section 3.8: 421 may be said at any time, and is not about a recipient.
func TestClosingInEachPlace(t *testing.T) {
	for _, extensions := range [][]string{nil, oneByOne} {
		for _, step := range []smtptest.Step{smtptest.Rcpt, smtptest.Data, smtptest.Dot} {
			bye := smtptest.Then(smtptest.Reply("421 4.3.2 going down"), smtptest.Close())
			if step == smtptest.Rcpt {
				bye = smtptest.For("b@", bye)
			}
			g := newRig(t, threeHosts)
			g.peer(&smtptest.Peer{Extensions: extensions, Script: smtptest.Script{step: bye}}, "192.0.2.1")
			g.peer(nil, "192.0.2.2")
			res := g.send("a@example.net", "b@example.net", "c@example.net")
			const w = "mx1.example.net 192.0.2.1: deferred 421 4.3.2 going down"
			want(t, res, w, w, w)
		}
	}
	// What was said before it holds.
	g := newRig(t, theHost)
	g.peer(script(smtptest.Rcpt, smtptest.Each(map[string]smtptest.Action{
		"a@": smtptest.Reply("550 5.1.1 who?"), "c@": smtptest.Then(smtptest.Reply("421 4.3.2 bye"), smtptest.Close())})), "192.0.2.1")
	want(t, g.send("a@example.net", "b@example.net", "c@example.net"),
		at+"failed 550 5.1.1 who?", at+"deferred 421 4.3.2 bye", at+"deferred 421 4.3.2 bye")
}

// # RFC 5321 section 4.5.3.1.8: 100 recipients are what every server takes.
func TestMoreThanHundredRecipients(t *testing.T) {
	g := newRig(t, theHost)
	p := g.peer(script(smtptest.Rcpt, smtptest.For("r150@", smtptest.Reply("550 5.1.1 who?"))), "192.0.2.1")
	var dots int
	res := g.sendTo(t.Context(), letter("hello"), recipients(many(250, "example.net")...), countDots(&dots))
	if n := actions(res); n[relay.Sent] != 249 || res.Outcomes[150].Action != relay.Failed {
		t.Errorf("%v, recipient 150 %v", n, res.Outcomes[150].Action)
	}
	wantBatches(t, p, 100, 100, 50)
	if dots != 3 || p.Connections() != 1 {
		t.Errorf("BeforeDot called %d times, %d connections", dots, p.Connections())
	}
}

// wantBatches compares the numbers of recipients in each transaction with a message.
func wantBatches(t testing.TB, p *smtptest.Peer, want ...int) {
	t.Helper()
	var got []int
	seen := map[string]int{}
	for _, d := range p.Delivered() {
		n := 0
		for _, r := range d.Rcpt {
			if r.Accepted {
				n++
				seen[r.Address]++
			}
		}
		got = append(got, len(d.Rcpt))
	}
	if !slices.Equal(got, want) {
		t.Errorf("transactions of %v recipients, want %v", got, want)
	}
	for r, n := range seen {
		if n > 1 {
			t.Errorf("%s has the message %d times", r, n)
		}
	}
}

// enough accepts so many recipients of each transaction, and then says something.
func enough(n int, says string) smtptest.Script {
	got := 0
	return smtptest.Script{
		smtptest.Mail: func(s *smtptest.Session) error { got = 0; return s.Usual() },
		smtptest.Rcpt: func(s *smtptest.Session) error {
			if got++; got > n {
				return s.Reply(says)
			}
			return s.Usual()
		},
	}
}

// # RFC 5321 section 4.5.3.1.10: "Too many recipients": the client sends the message to the
// rest in another transaction. 552 is what it was by mistake in RFC 821, and counts as 452.
func TestTooManyRecipients(t *testing.T) {
	for _, says := range []string{"452 4.5.3 too many recipients", "452 too many", "552 5.5.3 too many", "550 5.5.3 too many", "451 4.5.3 later", "552 too many recipients"} {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Script: enough(3, says)}, "192.0.2.1")
		res := g.send(many(8, "example.net")...)
		if n := actions(res); n[relay.Sent] != 8 {
			t.Errorf("%s: %v", says, lines(res))
		}
		wantBatches(t, p, 8, 3, 2)
	}
	// Where it cannot be about the number, the reply stands.
	for says, w := range map[string]string{
		"452 4.5.3 too many":      "deferred 452 4.5.3 too many",
		"552 5.5.3 too many":      "deferred 552 4.5.3 too many",
		"452 4.3.1 out of space":  "deferred 452 4.3.1 out of space",
		"552 5.2.2 mailbox full":  "failed 552 5.2.2 mailbox full",
		"552 mailbox is full":     "failed 552 5.0.0 mailbox is full",
		"452 try again, somewhen": "deferred 452 4.0.0 try again, somewhen",
	} {
		g := newRig(t, theHost)
		g.peer(script(smtptest.Rcpt, smtptest.For("full@", smtptest.Reply(says))), "192.0.2.1")
		want(t, g.send("full@example.net"), at+w)
		want(t, g.send("bob@example.net", "full@example.net"), at+"sent 250 2.0.0 ok, taken", at+w)
	}
}

// # RFC 9422 section 4: LIMITS says how many recipients and transactions a server takes.
func TestLimits(t *testing.T) {
	t.Run("RCPTMAX", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", "LIMITS RCPTMAX=20 OTHER=1 mailmax=x"}}, "192.0.2.1")
		if n := actions(g.send(many(50, "example.net")...)); n[relay.Sent] != 50 {
			t.Errorf("%v", n)
		}
		wantBatches(t, p, 20, 20, 10)
	})
	t.Run("RCPTMAX of thousands", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", "LIMITS RCPTMAX=5000"}}, "192.0.2.1")
		g.send(many(120, "example.net")...)
		wantBatches(t, p, 100, 20)
	})
	t.Run("MAILMAX", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", "LIMITS MAILMAX=1 RCPTMAX=10"}}, "192.0.2.1")
		res := g.send(many(25, "example.net")...)
		if n := actions(res); n[relay.Sent] != 25 || len(res.Tries) != 0 {
			t.Errorf("%v, tries %v", n, res.Tries)
		}
		wantBatches(t, p, 10, 10, 5)
		if n := p.Connections(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
	})
}

// A server that ends the connection after each message still gets all of it.
func TestOneMessagePerConnection(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(first smtptest.Action) smtptest.Script
	}{
		{"closes after it", func(a smtptest.Action) smtptest.Script {
			return smtptest.Script{smtptest.Dot: smtptest.Then(smtptest.Usual(), smtptest.Close())}
		}},
		{"says 421 to the next MAIL", func(a smtptest.Action) smtptest.Script {
			return smtptest.Script{smtptest.Mail: a}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost)
			var last int
			p := g.peer(&smtptest.Peer{Script: c.script(func(s *smtptest.Session) error {
				if s.Number == last {
					return s.Reply("421 4.7.0 one a connection")
				}
				last = s.Number
				return s.Usual()
			})}, "192.0.2.1")
			res := g.send(many(250, "example.net")...)
			if n := actions(res); n[relay.Sent] != 250 {
				t.Errorf("%v: %v", n, lines(res)[249:])
			}
			wantBatches(t, p, 100, 100, 50)
		})
	}
}

// # RFC 5321 section 3.8: hosts that refuse a part of the recipients may be left for others,
// but only for those who have no answer.
func TestGreylisting(t *testing.T) {
	g := newRig(t, theHost)
	p := g.peer(&smtptest.Peer{Greylist: 1}, "192.0.2.1")
	const later = at + "deferred 450 4.2.0 greylisted, come back later"
	want(t, g.send("bob@example.net", "carol@example.net"), later, later)
	want(t, g.send("bob@example.net", "dave@example.net"), at+"sent 250 2.0.0 ok, taken", later)
	if n := len(p.Delivered()); n != 1 {
		t.Errorf("%d delivered", n)
	}
}

// Replies of any shape end up as bounded, printable text.
func TestOddReplies(t *testing.T) {
	for _, c := range []struct {
		a    smtptest.Action
		want string
	}{
		{smtptest.Write("250-2.1.5 one\r\n550 5.1.1 two\r\n"), "failed 550 5.0.0 2.1.5 one\ntwo"},
		{smtptest.Write("550 5.1.1 caf\xe9 \x1b[31mred\r\n"), "failed 550 5.1.1 caf [31mred"},
		{smtptest.Write("550 2.1.5 contradiction\n"), "failed 550 5.0.0 2.1.5 contradiction"},
		{smtptest.Write("550 4.2.2 which one?\r\n"), "failed 550 5.2.2 which one?"},
		{smtptest.Reply("599 odd"), "failed 599 5.0.0 odd"},
	} {
		g := newRig(t, theHost)
		g.peer(script(smtptest.Rcpt, c.a), "192.0.2.1")
		want(t, g.send("bob@example.net"), at+c.want)
	}
	g := newRig(t, theHost)
	g.peer(script(smtptest.Rcpt, smtptest.Huge("550 5.1.1 end", 12_000)), "192.0.2.1")
	res := g.send("bob@example.net")
	if o := res.Outcomes[0]; o.Action != relay.Failed || len(o.Reply.Text) < 3000 {
		t.Errorf("a long reply: %v, %d octets", o.Action, len(o.Reply.Text))
	}
	g = newRig(t, theHost)
	g.peer(script(smtptest.Rcpt, smtptest.Huge("550 5.1.1 end", 10<<20)), "192.0.2.1")
	want(t, g.send("bob@example.net"), at+"deferred 4.4.2 The connection to mx.example.net (192.0.2.1) came to no good end: "+
		"the other server sent a reply without end, while waiting for the answer to RCPT.")
	g = newRig(t, theHost)
	g.peer(script(smtptest.Rcpt, smtptest.Reply("354 what?")), "192.0.2.1")
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Deferred || o.Uncertain {
		t.Errorf("354 to RCPT: %v", fmt.Sprint(o))
	}
}
