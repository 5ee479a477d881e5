package relay_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// What people read when no host is left, in all its forms.
func TestWordsWhenNobodyIsLeft(t *testing.T) {
	secret := letter("secret")
	secret.RequireTLS = true
	for _, c := range []struct {
		name string
		set  func(g *rig, ca *smtptest.CA) (*relay.Message, string)
		want string
		not  bool // whole
	}{
		{"one reached, one not", func(g *rig, ca *smtptest.CA) (*relay.Message, string) {
			g.peer(script(smtptest.Mail, smtptest.Close()), "192.0.2.1")
			return letter("x"), "bob@two.test"
		}, "deferred 4.4.1 None of the mail servers of two.test can be used at the moment: The connection to mx1.test (192.0.2.1) came to no good end: " +
			"the other server closed the connection, while waiting for the answer to MAIL; mx2.test (192.0.2.2) cannot be reached: it refuses connections.", false},
		{"smarthost with two addresses", func(g *rig, ca *smtptest.CA) (*relay.Message, string) {
			g.Routes = []relay.Route{{Smarthost: "both.test:587"}}
			return letter("x"), "bob@two.test"
		}, "deferred 4.4.1 No address of the smarthost both.test:587 can be used at the moment: both.test (2001:db8::1) cannot be reached: it refuses connections; " +
			"both.test (192.0.2.1) cannot be reached: it refuses connections.", false},
		{"smarthost without REQUIRETLS", func(g *rig, ca *smtptest.CA) (*relay.Message, string) {
			g.Routes = []relay.Route{{Smarthost: "mx1.test:587"}}
			g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx1.test"))}, "192.0.2.1:587")
			return secret, "bob@two.test"
		}, "failed 5.7.30 The sender demands that the message is encrypted all the way, and no address of the smarthost mx1.test:587 supports that: " +
			"mx1.test (192.0.2.1) does not promise to keep the message encrypted on its way, as the sender demands.", true},
		{"smarthost that cannot be trusted, with REQUIRETLS", func(g *rig, ca *smtptest.CA) (*relay.Message, string) {
			g.Routes = []relay.Route{{Smarthost: "mx1.test:587"}}
			g.peer(&smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("mx1.test"))}, "192.0.2.1:587")
			return secret, "bob@two.test"
		}, "mx1.test 192.0.2.1:587: deferred 4.7.5 mx1.test (192.0.2.1) offers no safe encryption: its certificate is from nobody that this server trusts.", false},
		{"literal without REQUIRETLS", func(g *rig, ca *smtptest.CA) (*relay.Message, string) {
			g.peer(nil, "192.0.2.1")
			return secret, "bob@[192.0.2.1]"
		}, "failed 5.7.30 The sender demands that the message is encrypted all the way, and the mail server [192.0.2.1] is none that supports that: " +
			"192.0.2.1 offers no encryption, which is demanded by the sender.", true},
		{"many", func(g *rig, ca *smtptest.CA) (*relay.Message, string) { return letter("x"), "bob@many.test" },
			"deferred 4.4.1 None of the mail servers of many.test could be reached: many.test (2001:db8::a) cannot be reached: it refuses connections; " +
				"many.test (2001:db8::a) cannot be reached: it refuses connections; many.test (2001:db8::a) cannot be reached: it refuses connections; " +
				"many.test (2001:db8::a) cannot be reached: it refuses connections; many.test (2001:db8::a) cannot be reached: it refuses connections; and others.", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, `
two.test.  MX 10 mx1.test.
two.test.  MX 20 mx2.test.
mx1.test.  A 192.0.2.1
mx2.test.  A 192.0.2.2
both.test. A 192.0.2.1
both.test. AAAA 2001:db8::1
many.test. AAAA 2001:db8::a1
many.test. AAAA 2001:db8::a2
many.test. AAAA 2001:db8::a3
many.test. AAAA 2001:db8::a4
many.test. AAAA 2001:db8::a5
many.test. AAAA 2001:db8::a6`)
			m, to := c.set(g, g.authority())
			res := g.sendMessage(m, to)
			got := lines(&relay.Result{Outcomes: res.Outcomes})[0]
			for i := 1; i <= 6; i++ { // which are shuffled
				got = strings.ReplaceAll(got, fmt.Sprintf("::a%d", i), "::a")
			}
			if got != c.want || res.Whole == c.not {
				t.Errorf("whole %v, got\n  %s\nwant\n  %s", res.Whole, got, c.want)
			}
		})
	}
}

// However much the other side says, and however often, a text is bounded.
func TestTextIsBounded(t *testing.T) {
	var zone strings.Builder
	g, ca := smart(t, nil)
	p := &smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: users,
		Script: smtptest.Script{smtptest.Auth: func(s *smtptest.Session) error { return smtptest.Huge("454 4.7.0 later", 6000)(s) }}}
	for i := 1; i <= 5; i++ {
		fmt.Fprintf(&zone, "smart.example. A 192.0.2.%d\n", i)
	}
	if err := g.dns.SetZone(zone.String()); err != nil {
		t.Fatal(err)
	}
	g.peer(p, "192.0.2.1:587", "192.0.2.2:587", "192.0.2.3:587", "192.0.2.4:587", "192.0.2.5:587")
	res := g.send("bob@example.net") // g.sound measures it
	if !res.Whole || len(res.Tries) != 5 {
		t.Errorf("whole %v, %d tries", res.Whole, len(res.Tries))
	}
	for _, try := range res.Tries {
		if n := len(try.Reply.Text); n > 4<<10 || n < 3<<10 {
			t.Errorf("%d octets: %.200s", n, try.Reply.Text)
		}
	}
}

// confused is a Resolver with errors of its own.
type confused struct{}

func (confused) Route(context.Context, string, dnsutil.Self, dnsutil.Families) (dnsutil.Route, error) {
	return dnsutil.Route{}, errors.New("it is all too much")
}

func (confused) Addresses(context.Context, string, dnsutil.Families) ([]netip.Addr, error) {
	return nil, errors.New("it is all too much")
}

func (confused) DANE(context.Context, dnsutil.RouteHost, uint16) (dnsutil.DANE, error) {
	return dnsutil.DANE{}, errors.New("it is all too much")
}

// An error that means nothing to us is no reason to give up mail.
func TestUnknownError(t *testing.T) {
	g := newRig(t, "")
	g.Resolver = confused{}
	want(t, g.send("bob@example.net"), "deferred 4.4.3 It is all too much.", "whole")
	g.Routes = []relay.Route{{Smarthost: "smart.example:25"}}
	want(t, g.send("bob@example.net"), "smart.example: deferred 4.4.3 The smarthost smart.example cannot be found: it is all too much.", "whole")
}

// Now is the clock: certificates are valid by it, and attempts take their time by it.
func TestClock(t *testing.T) {
	g := newRig(t, theHost)
	ca := g.authority()
	now := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) // long after the certificate's end
	g.Now = func() time.Time { now = now.Add(time.Second); return now }
	g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx.example.net"))}, "192.0.2.1")
	res := g.send("bob@example.net")
	if p := res.Outcomes[0].Peer; p.TLSVersion == "" || p.TLSName != "" || res.Took < time.Second {
		t.Errorf("took %v, %+v", res.Took, p)
	}
	g.Routes = []relay.Route{{TLS: relay.TLSStartTLS}}
	want(t, g.send("bob@example.net"), at+"deferred 4.7.5 mx.example.net (192.0.2.1) offers no safe encryption: its certificate has expired, or is not valid yet.", "whole")
}

// The log has what was tried, and neither passwords nor messages.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	g, ca := smart(t, nil)
	g.Log = slog.New(slog.NewTextHandler(&lockedWriter{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.Routes[0].Password = "open-sesame"
	g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: map[string]string{"kurir": "open-sesame"}}, "192.0.2.1:587")
	want(t, g.sendMessage(letter("for your eyes only"), "bob@example.net"), smartTook)
	g.Close()
	text := log.String()
	for _, part := range []string{"relay: attempt made", "destination=smarthost:smart.example:587", "AUTH PLAIN", "RCPT TO:<bob@example.net>"} {
		if !strings.Contains(text, part) {
			t.Errorf("the log lacks %q", part)
		}
	}
	for _, part := range []string{"open-sesame", "eyes only", base64.StdEncoding.EncodeToString([]byte("\x00kurir\x00open-sesame"))} {
		if strings.Contains(text, part) {
			t.Errorf("the log has %q", part)
		}
	}
}
