package relay_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// detours is a Detours in memory.
type detours map[string]string

func (d detours) Detour(domain string) (time.Time, string) {
	if why, ok := d[domain]; ok {
		return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), why
	}
	return time.Time{}, ""
}

func (d detours) Refused(_ context.Context, domain, why string) time.Time {
	d[domain] = why
	until, _ := d.Detour(domain)
	return until
}

const listed = "554 5.7.1 Client host [198.51.100.1] blocked using bl.example"

// withFallback is a rig with the host of example.net at 192.0.2.1, and a fallback at
// 192.0.2.9.
func withFallback(t *testing.T, host *smtptest.Peer) (g *rig, d detours, mx, smart *smtptest.Peer) {
	g = newRig(t, theHost+"\nsmart.example. A 192.0.2.9")
	d = detours{}
	ca := g.authority()
	g.Fallback, g.Detours = relay.Route{Smarthost: "smart.example:587", Username: "kurir", Password: "secret"}, d
	mx = g.peer(host, "192.0.2.1")
	smart = g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: users}, "192.0.2.9:587")
	return g, d, mx, smart
}

const fallbackTook = "smart.example 192.0.2.9:587: sent 250 2.0.0 ok, taken"

// wantOutcomes is want without the hosts that were tried before.
func wantOutcomes(t *testing.T, res *relay.Result, all ...string) {
	t.Helper()
	outcomes := *res
	outcomes.Tries = nil
	want(t, &outcomes, all...)
}

// What is refused for the reputation of this server goes by the fallback at once, and what
// comes after it does so without asking again, until that is forgotten.
func TestFallback(t *testing.T) {
	for step, script := range map[smtptest.Step]smtptest.Script{
		smtptest.Greeting: {smtptest.Greeting: smtptest.Reply(listed)},
		smtptest.Mail:     {smtptest.Mail: smtptest.Reply(listed)},
		smtptest.Rcpt:     {smtptest.Rcpt: smtptest.Reply(listed)},
		smtptest.Dot:      {smtptest.Dot: smtptest.Reply(listed)},
	} {
		g, d, mx, smart := withFallback(t, &smtptest.Peer{Script: script})
		res := g.send("bob@example.net", "carol@example.net")
		wantOutcomes(t, res, fallbackTook, fallbackTook)
		if n := len(res.Tries); n == 0 || !strings.Contains(res.Tries[n-1].Reply.Text, "blocked using bl.example") || res.Tries[n-1].Peer.Host != "mx.example.net" || res.Whole {
			t.Errorf("%v: tries %+v", step, res.Tries)
		}
		if !strings.Contains(d["example.net"], "7.1 Client host") {
			t.Errorf("%v: %q", step, d)
		}
		before := mx.Connections()
		res = g.send("bob@example.net")
		wantOutcomes(t, res, fallbackTook)
		if mx.Connections() != before || len(res.Tries) != 1 || res.Tries[0].Reply.Code != 0 || !strings.Contains(res.Tries[0].Reply.Text, "by the fallback smart.example:587 until 2026-11-23 09:00 UTC") {
			t.Errorf("%v: %d connections, tries %+v", step, mx.Connections()-before, res.Tries)
		}
		if got := smart.Delivered(); len(got) != 2 || got[0].User != "kurir" || len(got[0].Rcpt) != 2 {
			t.Errorf("%v: %+v", step, got)
		}
		clear(d)
		mx.Script = nil
	}
}

// A refusal of a recipient or of the message is final, whoever would be asked.
func TestNoFallback(t *testing.T) {
	each := smtptest.Each(map[string]smtptest.Action{"nobody": smtptest.Reply("550 5.1.1 no such user"), "listed": smtptest.Reply(listed)})
	g, d, _, smart := withFallback(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Rcpt: each}})
	want(t, g.send("nobody@example.net", "bob@example.net"), at+"failed 550 5.1.1 no such user", at+"sent 250 2.0.0 ok, taken")
	if len(d) != 0 || smart.Connections() != 0 {
		t.Errorf("%v, %d connections", d, smart.Connections())
	}
	// Only who was refused for it takes the other way.
	wantOutcomes(t, g.send("nobody@example.net", "listed@example.net", "bob@example.net"),
		at+"failed 550 5.1.1 no such user", fallbackTook, at+"sent 250 2.0.0 ok, taken")
	if got := smart.Delivered(); len(got) != 1 || len(got[0].Rcpt) != 1 {
		t.Errorf("%+v", got)
	}
	clear(d)
	m := letter("hello")
	m.RequireTLS = true
	g.sendMessage(m, "listed@example.net")
	g.Routes = []relay.Route{{Smarthost: "192.0.2.1:25", TLS: relay.TLSNone}}
	if res := g.send("listed@example.net"); res.Outcomes[0].Action != relay.Failed || len(d) != 0 || len(smart.Delivered()) != 1 {
		t.Errorf("%+v, %v", res.Outcomes[0], d)
	}
}

// A fallback that cannot be used puts the mail off, and the refusal is not the last word.
func TestFallbackFails(t *testing.T) {
	g, _, _, smart := withFallback(t, &smtptest.Peer{Script: smtptest.Script{smtptest.Mail: smtptest.Reply(listed)}})
	smart.Close()
	for range 2 {
		if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Deferred {
			t.Errorf("%+v", o)
		}
	}
}
