package queue

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
)

// The life of a message to two hosts, as an administrator sees it afterwards.
func TestRelayed(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result {
		if c.destination == "example.net" {
			return r.take(c)
		}
		if err := c.before(c.ctx); err != nil {
			t.Error(err)
		}
		res := c.all(failed(550, "5.1.1", "No such user"))
		p := relay.Peer{Host: "mx1.example.org", Address: netip.MustParseAddrPort("192.0.2.7:25"), TLSVersion: "TLS 1.3",
			TLSCipher: "TLS_AES_128_GCM_SHA256", TLSName: "mx1.example.org", Policy: "dane"}
		res.Outcomes[0].Peer = p
		res.Tries = []relay.Try{{Peer: relay.Peer{Host: "mx0.example.org"}, Reply: relay.Reply{Status: "4.4.1", Text: "Connection refused."}}}
		return res
	}
	receipt, err := r.acceptText("Return-Path: <alice@local.test>\nDelivered-To: x\n"+testMessage, Envelope{ID: "abc-1", Sender: "alice@local.test",
		Account: "alice@local.test", Client: "submission from [192.0.2.1]", Size: 321, EnvID: "env", Ret: "HDRS",
		Recipients: []Recipient{{Address: "bob@example.net"}, {Address: "carol@example.net"}, {Address: "dan@example.org"}}})
	if err != nil || receipt != (Receipt{ID: "abc-1"}) {
		t.Fatalf("%+v, %v", receipt, err)
	}
	entries, err := r.q.List(r.ctx, Filter{})
	if err != nil || len(entries) != 3 || entries[0] != (Entry{ID: "abc-1", Sender: "alice@local.test", Recipient: "bob@example.net",
		Destination: "example.net", Account: "alice@local.test", State: "waiting", Size: 321, Created: r.now.Local(), Due: r.now.Local(), Deadline: r.now.Local().Add(5 * 24 * time.Hour)}) {
		t.Errorf("%+v, %v", entries, err)
	}
	if next := r.run(); !next.IsZero() {
		t.Errorf("next %v", next)
	}
	if got := fmt.Sprint(r.got()); got != "[bob@example.net carol@example.net]" || r.sent[0].text != testMessage {
		t.Errorf("%s, %q", got, r.sent[0].text)
	}
	if got := r.box("alice@local.test"); len(got) != 1 || !strings.Contains(got[0], "dan@example.org") ||
		!strings.Contains(got[0], "550 5.1.1 No such user") || !strings.Contains(got[0], "Original-Envelope-Id: env\n") {
		t.Errorf("%q", got)
	}
	if got := r.waiting(); got != nothing || len(r.files()) != 0 {
		t.Errorf("%s, %v", got, r.files())
	}
	d, err := r.q.Show(r.ctx, "abc-1")
	if err != nil || d.Sender != "alice@local.test" || d.Client != "submission from [192.0.2.1]" || d.Size != 321 || len(d.Recipients) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if e := d.Events[len(d.Events)-2]; e.TLS != "TLS 1.3 TLS_AES_128_GCM_SHA256, verified as mx1.example.org" || e.Policy != "dane" {
		t.Errorf("%+v", e)
	}
	if got := r.kinds("abc-1"); got != "accepted sent sent tried failed notice" {
		t.Error(got)
	}
	last := d.Events[4]
	if last.Host != "mx1.example.org" || last.Address != "192.0.2.7:25" || last.Code != 550 || last.Status != "5.1.1" || last.Reply != "No such user" ||
		last.TLS != "TLS 1.3 TLS_AES_128_GCM_SHA256, verified as mx1.example.org" || last.Recipient != "dan@example.org" || !last.At.Equal(r.now) {
		t.Errorf("%+v", last)
	}
	if tried := d.Events[3]; tried.Host != "mx0.example.org" || tried.Reply != "Connection refused." {
		t.Errorf("%+v", tried)
	}
	if _, err := r.q.Show(r.ctx, "abc-2"); !errors.Is(err, ErrNoMessage) {
		t.Error(err)
	}
}

// What the relay is told of a message is what was accepted.
func TestWhatTheRelayGets(t *testing.T) {
	r := newRig(t)
	var m *relay.Message
	var to []relay.Recipient
	r.hosts = func(c *call) *relay.Result { m, to = c.m, c.to; return r.take(c) }
	r.mustAccept(Envelope{ID: "m1", Sender: "a@local.test", EnvID: "e+2Bf", Ret: "FULL", UTF8: true, RequireTLS: true, TLSOptional: true, MTPriority: -2,
		By:         relay.DeliverBy{At: r.now.Add(time.Hour), Return: true, Trace: true},
		Recipients: []Recipient{{Address: "jörg@example.net", ORCPT: "utf-8;j\\x{F6}rg@example.net", Notify: relay.NotifySuccess | relay.NotifyDelay}}})
	r.reopen()
	r.run()
	if by := (relay.DeliverBy{At: r.now.Add(time.Hour).Local(), Return: true, Trace: true}); m.By != by {
		t.Errorf("%+v", m.By)
	}
	m.Open, m.By = nil, relay.DeliverBy{}
	if got := fmt.Sprintf("%+v", *m); got != fmt.Sprintf("{ID:m1 Sender:a@local.test Size:%d UTF8:true RequireTLS:true TLSOptional:true EnvID:e+2Bf Ret:FULL By:{At:0001-01-01 00:00:00 +0000 UTC Return:false Trace:false} Priority:-2 Open:<nil>}", len(testMessage)+4) {
		t.Error(got)
	}
	if got := fmt.Sprintf("%+v", to); got != `[{Address:jörg@example.net ORCPT:utf-8;j\x{F6}rg@example.net Notify:SUCCESS,DELAY}]` {
		t.Error(got)
	}
}

// A message of more recipients at one host than fit an attempt takes several.
func TestManyRecipients(t *testing.T) {
	r := newRig(t)
	var sizes []int
	r.hosts = func(c *call) *relay.Result { sizes = append(sizes, len(c.to)); return r.take(c) }
	var to []string
	for n := range 250 {
		to = append(to, fmt.Sprintf("u%d@example.net", n))
	}
	r.submit("a@local.test", to...)
	r.run()
	if fmt.Sprint(sizes) != "[100 100 50]" || len(r.got()) != 250 {
		t.Errorf("%v, %d", sizes, len(r.got()))
	}
}

// What goes to many lets the others go first.
func TestPriority(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PerDestination = 1 })
	var order []string
	r.hosts = func(c *call) *relay.Result { order = append(order, c.m.ID); return r.take(c) }
	var many []Recipient
	for n := range 11 {
		many = append(many, Recipient{Address: fmt.Sprintf("u%d@example.net", n)})
	}
	bob := []Recipient{{Address: "bob@example.net"}}
	r.mustAccept(Envelope{ID: "news", Recipients: many})
	r.mustAccept(Envelope{ID: "letter", Recipients: bob})
	r.mustAccept(Envelope{ID: "late", Recipients: bob, Priority: 9})
	r.mustAccept(Envelope{ID: "letter2", Recipients: bob})
	r.run()
	if got := fmt.Sprint(order); got != "[letter letter2 news late]" {
		t.Error(got)
	}
}

func TestNotBefore(t *testing.T) {
	r := newRig(t)
	at := r.now.Add(3 * time.Hour)
	r.mustAccept(Envelope{NotBefore: at, Recipients: []Recipient{{Address: "bob@example.net"}}})
	if next := r.run(); !next.Equal(at) || len(r.got()) > 0 {
		t.Errorf("%v, %v", next, r.got())
	}
	if n, err := r.q.Retry(r.ctx, Selection{}); n != 1 || err != nil {
		t.Error(n, err)
	}
	if next := r.run(); !next.Equal(at) {
		t.Errorf("after retry: %v", next)
	}
	r.now = at
	if next := r.run(); !next.IsZero() || len(r.got()) != 1 {
		t.Errorf("%v, %v", next, r.got())
	}
}

func TestFull(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessages, o.MaxRecipients = 2, 3 })
	k, err := r.q.Keep(received{r.fsys(), r.dir, testMessage})
	if err != nil {
		t.Fatal(err)
	}
	r.submit("a@local.test", "bob@example.net", "carol@example.net")
	if _, err := r.q.Keep(received{r.fsys(), r.dir, testMessage}); !errors.Is(err, ErrFull) {
		t.Errorf("a third message: %v", err)
	}
	two := []Recipient{{Address: "dan@example.net"}, {Address: "eve@example.net"}}
	if _, err := k.Commit(r.ctx, Envelope{Recipients: two}); !errors.Is(err, ErrFull) {
		t.Errorf("a fourth recipient: %v", err)
	}
	k.Drop() // nothing
	k.Drop()
	if n := len(r.files()); n != 1 {
		t.Errorf("%d files", n)
	}
	if _, err := k.Commit(r.ctx, Envelope{Recipients: two[:1]}); err == nil || errors.Is(err, ErrFull) {
		t.Errorf("after Drop: %v", err)
	}
	r.submit("a@local.test", "dan@example.net")
	r.run()
	r.submit("a@local.test", "x@example.net", "y@example.net", "z@example.net")
}

type badMessage struct{}

func (badMessage) KeepAs(string) error { return io.ErrShortWrite }

func TestKeepErrors(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessages = 1 })
	for range 3 {
		if _, err := r.q.Keep(badMessage{}); !errors.Is(err, io.ErrShortWrite) {
			t.Error(err)
		}
	}
	bob := []Recipient{{Address: "bob@example.net"}}
	r.mustAccept(Envelope{ID: "one", Recipients: bob})
	r.run()
	k, err := r.q.Keep(received{r.fsys(), r.dir, testMessage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Commit(r.ctx, Envelope{ID: "one", Recipients: bob}); err == nil {
		t.Error("an id was used twice")
	}
	k.Drop() // nothing
	if got := r.waiting(); got != nothing || len(r.files()) != 0 {
		t.Error(got, r.files())
	}
	r.mustAccept(Envelope{Recipients: bob})
}

// Without a way out, mail for elsewhere is held, and mail for mailboxes here is not.
func TestHoldRemote(t *testing.T) {
	r := newRig(t)
	r.submit("a@local.test", "early@example.net")
	r.options = func(o *Options) { o.HoldRemote, o.Transport = "kurir local", nil }
	r.reopen()
	receipt, err := r.accept(Envelope{Sender: "a@local.test", Recipients: []Recipient{
		{Address: "bob@example.net"}, {Address: "b@local.test", Account: "b@local.test", Err: io.EOF}}})
	if err != nil || receipt.Held != "kurir local" {
		t.Errorf("%+v, %v", receipt, err)
	}
	r.fail["c@local.test"] = ErrNoRecipient
	if err := r.keep("who@remote.example", "c@local.test"); err != nil { // its notice goes nowhere, either
		t.Fatal(err)
	}
	r.expire()
	if got := r.waiting(); got != "0 local, 0 remote, 3 held" || len(r.box("b@local.test")) != 1 || len(r.got()) > 0 || len(r.box("a@local.test")) > 0 {
		t.Error(got)
	}
	if n, err := r.q.Release(r.ctx, Selection{}); n != 0 || err == nil || !strings.Contains(err.Error(), "still held, 3 recipients: kurir local") {
		t.Error(n, err)
	}
	entries, err := r.q.List(r.ctx, Filter{State: "held"})
	if err != nil || len(entries) != 3 || entries[0].State != "held (kurir local)" || entries[0].Recipient != "early@example.net" || entries[0].Destination != "example.net" {
		t.Errorf("%+v, %v", entries, err)
	}
	r.options = nil
	r.reopen()
	if r.run(); len(r.got()) > 0 {
		t.Error("held mail has left by itself")
	}
	if n, err := r.q.Release(r.ctx, Selection{}); n != 3 || err != nil {
		t.Error(n, err)
	}
	r.run()
	if got := fmt.Sprint(r.got()); got != "[bob@example.net early@example.net who@remote.example]" {
		t.Error(got)
	}
}

// A transport that gives no sensible answer is a failed attempt.
func TestNoOutcome(t *testing.T) {
	for _, res := range []*relay.Result{nil, {}, {Outcomes: make([]relay.Outcome, 2), Whole: true}} {
		r := newRig(t)
		r.hosts = func(*call) *relay.Result { return res }
		r.submit("a@local.test", "bob@example.net")
		if next := r.run(); !next.Equal(r.now.Add(5*time.Minute)) || r.waiting() != "0 local, 1 remote, 0 held" {
			t.Errorf("%v, %s", next, r.waiting())
		}
	}
}

// Recipients are routed anew at each start: a smarthost may have come.
func TestReroutedAtStart(t *testing.T) {
	r := newRig(t)
	r.submit("a@local.test", "bob@example.net")
	r.options = func(o *Options) { o.Transport = smarthost{r} }
	r.reopen()
	if e, err := r.q.List(r.ctx, Filter{}); err != nil || e[0].Destination != "smarthost:relay.test:587" {
		t.Errorf("%+v, %v", e, err)
	}
}

type smarthost struct{ *rig }

func (smarthost) Destination(_, _ string) string { return "smarthost:relay.test:587" }

// TestReach: who wants to know is told of a destination that fails as a whole. A smarthost
// is tried again after a restart, when it may be configured otherwise; others wait on.
func TestReach(t *testing.T) {
	r := newRig(t)
	var told []string
	r.options = func(o *Options) {
		o.Transport = smarthosts{r}
		o.Reach = func(destination string, why *relay.Reply) {
			s := destination + " works"
			if why != nil {
				s = destination + ": " + why.String()
			}
			told = append(told, s)
		}
	}
	r.reopen()
	down := true
	r.hosts = func(c *call) *relay.Result {
		if !down {
			return r.take(c)
		}
		o := relay.Outcome{Reply: relay.Reply{Code: 535, Status: "4.7.8", Text: "wrong\npassword"}}
		return &relay.Result{Outcomes: []relay.Outcome{o}, Whole: true}
	}
	r.submit("a@local.test", "bob@example.net")
	r.submit("a@local.test", "eve@direct.test")
	r.run()
	down = false
	r.reopen()
	r.run()
	want := "[smarthost:relay.test: 535 4.7.8 wrong password direct.test: 535 4.7.8 wrong password smarthost:relay.test works]"
	if got := fmt.Sprint(told); got != want {
		t.Errorf("told %s", got)
	}
	if got := fmt.Sprint(r.got()); got != "[bob@example.net]" {
		t.Errorf("sent to %s", got)
	}
}

// smarthosts sends all mail to a smarthost, but that for direct.test.
type smarthosts struct{ *rig }

func (s smarthosts) Destination(sender, recipient string) string {
	if d := s.rig.Destination(sender, recipient); d == "direct.test" {
		return d
	}
	return relay.SmarthostPrefix + "relay.test"
}
