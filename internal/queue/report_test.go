package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/relay"
)

// What a sender hears, by what he asked for and what happened (RFC 3461 section 4.1).
func TestWhoIsTold(t *testing.T) {
	relayed := relay.Outcome{Action: relay.Sent, Relayed: true, Reply: relay.Reply{Code: 250, Status: "2.0.0"}}
	passedOn := relay.Outcome{Action: relay.Sent, Reply: relay.Reply{Code: 250, Status: "2.1.5"}}
	no := failed(550, "5.1.1", "No such user")
	for _, c := range []struct {
		name    string
		notify  relay.Notify
		outcome relay.Outcome
		want    string // in the report; "": there is none
	}{
		{"failure by default", relay.NotifyDefault, no, "Action: failed\nStatus: 5.1.1\n"},
		{"NOTIFY=FAILURE", relay.NotifyFailure, no, "Action: failed\nStatus: 5.1.1\n"},
		{"NOTIFY=NEVER", relay.NotifyNever, no, ""},
		{"NOTIFY=SUCCESS alone, and a failure", relay.NotifySuccess, no, ""},
		{"success by default", relay.NotifyDefault, relayed, ""},
		{"RFC 3461 section 5.2.2: relayed to a host without DSN", relay.NotifySuccess, relayed, "Action: relayed\nStatus: 2.0.0\n"},
		{"the next host reports success itself", relay.NotifySuccess, passedOn, ""},
		{"NOTIFY=FAILURE,DELAY and success", relay.NotifyFailure | relay.NotifyDelay, relayed, ""},
	} {
		r := newRig(t)
		r.hosts = func(call *call) *relay.Result { return call.all(c.outcome) }
		id := r.mustAccept(Envelope{Sender: "alice@local.test", EnvID: "QQ314159", Recipients: []Recipient{
			{Address: "bob@example.net", ORCPT: "rfc822;Bob@ivory.example", Notify: c.notify}}})
		r.run()
		got := r.box("alice@local.test")
		if c.want == "" {
			if len(got) != 0 || strings.Contains(r.kinds(id), EventNotice) {
				t.Errorf("%s: %q", c.name, got)
			}
			continue
		}
		if len(got) != 1 || !strings.HasSuffix(r.kinds(id), EventNotice) {
			t.Errorf("%s: %d reports, %s", c.name, len(got), r.kinds(id))
			continue
		}
		for _, want := range []string{c.want, "Original-Envelope-Id: QQ314159\n", "Original-Recipient: rfc822;Bob@ivory.example\n",
			"Final-Recipient: rfc822; bob@example.net\n", "To: <alice@local.test>\n"} {
			if !strings.Contains(strings.ReplaceAll(got[0], "rfc822; Bob", "rfc822;Bob"), want) {
				t.Errorf("%s: no %q in %s", c.name, want, got[0])
			}
		}
	}
}

// NOTIFY says for which recipients there is a notice of delay.
func TestWhoIsToldOfDelay(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.all(deferred(450, "4.2.1", "Later")) }
	id := r.mustAccept(Envelope{Sender: "alice@local.test", Recipients: []Recipient{
		{Address: "default@a.test"}, {Address: "delay@b.test", Notify: relay.NotifyDelay},
		{Address: "failure@c.test", Notify: relay.NotifyFailure}, {Address: "never@d.test", Notify: relay.NotifyNever}}})
	r.submit("", "anonymous@a.test")
	for start := r.now; r.now.Sub(start) < 5*time.Hour; {
		r.now = r.run()
	}
	got := r.box("alice@local.test")
	if len(got) != 1 || strings.Count(got[0], "Final-Recipient") != 2 || !strings.Contains(got[0], "default@a.test") || !strings.Contains(got[0], "delay@b.test") {
		t.Errorf("%q", got)
	}
	if got := strings.Count(r.kinds(id), EventNotice); got != 1 {
		t.Error(r.kinds(id))
	}
}

// One attempt makes one report, whatever became of its recipients.
func TestOneReportPerAttempt(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result {
		res := c.all(failed(550, "5.1.1", "No such user"))
		res.Outcomes[1] = relay.Outcome{Action: relay.Sent, Relayed: true}
		res.Outcomes[2] = deferred(452, "4.2.2", "Full")
		return res
	}
	r.mustAccept(Envelope{Sender: "alice@local.test", Recipients: []Recipient{{Address: "a@x.test"},
		{Address: "b@x.test", Notify: relay.NotifySuccess}, {Address: "c@x.test"}, {Address: "d@x.test"}}})
	r.run()
	got := r.box("alice@local.test")
	if len(got) != 1 || strings.Count(got[0], "Action: failed") != 2 || strings.Count(got[0], "Action: relayed") != 1 || strings.Contains(got[0], "c@x.test") {
		t.Errorf("%q", got)
	}
}

// RFC 3461 section 4.3: RET=FULL returns all of a message that failed; the header alone is
// returned otherwise. What was written in front for mailboxes here is not.
func TestRet(t *testing.T) {
	for _, c := range []struct {
		ret  string
		o    relay.Outcome
		body bool
	}{
		{"", failed(550, "5.1.1", "No"), false},
		{"HDRS", failed(550, "5.1.1", "No"), false},
		{"FULL", failed(550, "5.1.1", "No"), true},
		{"FULL", relay.Outcome{Action: relay.Sent, Relayed: true}, false},
	} {
		r := newRig(t)
		r.hosts = func(call *call) *relay.Result { return call.all(c.o) }
		_, err := r.acceptText("Return-Path: <alice@local.test>\nSubject: x\n\nthe text itself\n", Envelope{Sender: "alice@local.test", Ret: c.ret,
			Recipients: []Recipient{{Address: "a@x.test", Notify: relay.NotifySuccess | relay.NotifyFailure}}})
		if err != nil {
			t.Fatal(err)
		}
		r.run()
		got := r.box("alice@local.test")
		if len(got) != 1 || strings.Contains(got[0], "the text itself") != c.body || strings.Contains(got[0], "Return-Path: <alice") {
			t.Errorf("%q %v: %q", c.ret, c.o.Action, got)
		}
	}
}

// # RFC 8689 section 5: a report on a message with REQUIRETLS goes the same way, and
// returns no more than the header.
func TestReportWithRequireTLS(t *testing.T) {
	r := newRig(t)
	var reports []*relay.Message
	r.hosts = func(c *call) *relay.Result {
		if c.m.Sender == "" {
			reports = append(reports, c.m)
			return r.take(c)
		}
		return c.all(failed(550, "5.1.1", "No"))
	}
	_, err := r.acceptText("Subject: x\n\nthe text itself\n", Envelope{Sender: "who@elsewhere.test", Ret: "FULL", RequireTLS: true, Recipients: []Recipient{{Address: "a@x.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	if len(reports) != 1 || !reports[0].RequireTLS || len(r.sent) != 1 || strings.Contains(r.sent[0].text, "the text itself") || !strings.Contains(r.sent[0].text, "Subject: x") {
		t.Errorf("%+v, %+v", reports, r.sent)
	}
}

// RFC 3461 section 5.2.3: a local delivery is reported as delivered, at once or after a
// retry; with nobody else, nothing stays in the queue.
func TestSuccessHere(t *testing.T) {
	r := newRig(t)
	receipt, err := r.accept(Envelope{Sender: "alice@local.test", Delivered: []Recipient{
		{Address: "b@local.test", Notify: relay.NotifySuccess}, {Address: "c@local.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.files()) != 1 { // the report
		t.Error(r.files())
	}
	r.run()
	got := r.box("alice@local.test")
	if len(got) != 1 || !strings.Contains(got[0], "Action: delivered\nStatus: 2.0.0\n") || strings.Contains(got[0], "c@local.test") || r.waiting() != nothing || len(r.files()) != 0 {
		t.Errorf("%q, %s", got, r.waiting())
	}
	if got := r.kinds(receipt.ID); got != "accepted delivered delivered notice" {
		t.Error(got)
	}
	r.mustAccept(Envelope{Sender: "alice@local.test", Recipients: []Recipient{
		{Address: "b@local.test", Account: "b@local.test", Notify: relay.NotifySuccess, Err: fsx.ErrLocked}}})
	r.now = r.now.Add(time.Minute)
	r.run()
	if got := r.box("alice@local.test"); len(got) != 2 || !strings.Contains(got[1], "Action: delivered\nStatus: 2.0.0\n") {
		t.Errorf("%q", got)
	}
	r.mustAccept(Envelope{Sender: "", Delivered: []Recipient{{Address: "b@local.test", Notify: relay.NotifySuccess}}})
	r.mustAccept(Envelope{Sender: "nobody@local.test", Delivered: []Recipient{{Address: "b@local.test", Notify: relay.NotifySuccess}}})
	r.run()
	if r.waiting() != nothing || len(r.files()) != 0 {
		t.Errorf("%s, %v", r.waiting(), r.files())
	}
}

// RFC 3461 section 5.2.7.3: of an address that leads to several, not all of them here, the
// sender hears that his message was passed on.
func TestExpanded(t *testing.T) {
	r := newRig(t)
	receipt, err := r.accept(Envelope{Sender: "alice@local.test", Delivered: []Recipient{{Address: "board@local.test", Notify: relay.NotifySuccess, Expanded: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r.run()
	if got := r.box("alice@local.test"); len(got) != 1 || !strings.Contains(got[0], "Action: expanded\nStatus: 2.0.0\n") || strings.Contains(got[0], "has been delivered") {
		t.Errorf("%q", got)
	}
	if got := r.kinds(receipt.ID); got != "accepted expanded notice" {
		t.Error(got)
	}
}

// A sender's address may be one that leads to another server: the report goes there, and
// names whom it goes to.
func TestReportElsewhere(t *testing.T) {
	for _, c := range []struct {
		sender, to string // to: of the report
		here       int
	}{{"return@local.test", "who@remote.example", 0}, {"both@local.test", "both@local.test", 1}} {
		r := newRig(t)
		r.hosts = func(c *call) *relay.Result {
			if c.m.Sender == "" {
				return r.take(c)
			}
			return c.all(failed(550, "5.1.1", "No"))
		}
		r.submit(c.sender, "bob@example.net")
		r.run()
		if len(r.sent) != 1 || !strings.Contains(r.sent[0].text, "To: <"+c.to+">") || !strings.HasSuffix(r.sent[0].recipient, "@remote.example") {
			t.Errorf("%s: %+v", c.sender, r.sent)
		}
		if got := r.box("a@local.test"); len(got) != c.here {
			t.Errorf("%s: %q", c.sender, got)
		}
	}
	r := newRig(t)
	r.q.o().HoldRemote = "not today"
	r.mustAccept(Envelope{Sender: "return@local.test", Delivered: []Recipient{{Address: "b@local.test", Notify: relay.NotifySuccess}}})
	if r.run(); r.waiting() == nothing || len(r.sent) != 0 {
		t.Errorf("%s, %+v", r.waiting(), r.sent)
	}
}

// Never a bounce of a bounce: that nobody can be told is noted.
func TestNobodyIsTold(t *testing.T) {
	for _, sender := range []string{"", "nobody@local.test"} {
		r := newRig(t)
		r.hosts = func(c *call) *relay.Result { return c.all(failed(550, "5.1.1", "No")) }
		id := r.submit(sender, "bob@example.net")
		if r.run(); r.waiting() != nothing || r.kinds(id) != "accepted failed untold" {
			t.Errorf("%q: %s, %s", sender, r.waiting(), r.kinds(id))
		}
	}
	r := newRig(t) // the report itself fails
	r.hosts = func(c *call) *relay.Result { return c.all(failed(550, "5.1.1", "No")) }
	r.submit("who@remote.example", "bob@example.net")
	if r.run(); r.waiting() != nothing || len(r.files()) != 0 || strings.Count(r.logged.String(), "message given up") != 2 {
		t.Errorf("%s, %s", r.waiting(), r.logged.String())
	}
}

// The sender's address may lead to several accounts, and may not be ASCII.
func TestReportToList(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result {
		if c.to[0].Address == "jörg@remote.example" {
			if !c.m.UTF8 {
				t.Error("a report that needs SMTPUTF8 does not say so")
			}
			return r.take(c)
		}
		return c.all(failed(550, "5.1.1", "No"))
	}
	r.submit("list@local.test", "bob@example.net")
	r.submit("jörg@remote.example", "bob@example.net")
	r.run()
	if err := r.keep("who@local.test", "x@local.test", "y@local.test"); err != nil { // both for one address
		t.Fatal(err)
	}
	r.fail["x@local.test"], r.fail["y@local.test"] = ErrNoRecipient, ErrNoRecipient
	r.now = r.now.Add(time.Minute)
	r.run()
	if got := r.box("who@local.test"); len(got) != 1 || strings.Count(got[0], "Final-Recipient") != 1 {
		t.Errorf("%q", got)
	}
	if len(r.box("a@local.test")) != 1 || len(r.box("b@local.test")) != 1 || fmt.Sprint(r.got()) != "[jörg@remote.example]" {
		t.Error(r.box("a@local.test"), r.box("b@local.test"), r.got())
	}
}

// A disk without room for the notice: the recipient stays until there is.
func TestNoRoomForReports(t *testing.T) {
	r := newRig(t)
	r.hosts = func(c *call) *relay.Result { return c.all(failed(550, "5.1.1", "No")) }
	r.submit("alice@local.test", "bob@example.net")
	full := &fullFS{FS: fsx.OS{}, full: true}
	r.fs = full
	r.reopen()
	if next := r.run(); !next.Equal(r.now.Add(time.Hour)) || r.waiting() != "0 local, 1 remote, 0 held" {
		t.Errorf("%v, %s", next, r.waiting())
	}
	if n, err := r.q.Bounce(r.ctx, Selection{}); n != 0 || err == nil {
		t.Error(n, err)
	}
	full.full = false
	r.now = r.now.Add(time.Hour)
	if r.run(); len(r.box("alice@local.test")) != 1 || r.waiting() != nothing {
		t.Errorf("%s", r.waiting())
	}
}

// fullFS has no room for new files.
type fullFS struct {
	fsx.FS
	full bool
}

func (f *fullFS) Create(name string, perm os.FileMode) (fsx.File, error) {
	if f.full {
		return nil, fsx.ErrLocked
	}
	return f.FS.Create(name, perm)
}

func TestOriginal(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, c := range [][2]string{
		{"Return-Path: <a@b>\nSubject: x\n\ntext", "Subject: x\n\ntext"},
		{"return-path: <a@b>\r\nDelivered-To: c@d\r\nReceived: x\r\n\r\n", "Received: x\r\n\r\n"},
		{"Return-Path:\n <a@b>\n\t(folded)\nDelivered-To: c@d\n e\nA: b\n", "A: b\n"},
		{"Delivered-To: c@d\nReturn-Path: <a@b>\n", "Delivered-To: c@d\nReturn-Path: <a@b>\n"},
		{"Return-Path: <a@b>\nX: y\nDelivered-To: c@d\n", "X: y\nDelivered-To: c@d\n"},
		{"Return-Path: " + long + "\nA: b\n", "A: b\n"},
		{"Return-Path: <a@b>\n\ntext", "\ntext"},
		{"Return-Path: <a@b>", ""},
		{"Return-Path: <a@b>\n", ""},
		{"Return-Pathology: x\n", "Return-Pathology: x\n"},
		{"", ""},
		{"R", "R"},
	} {
		r := newRig(t)
		m := &mail{file: "msg-x"}
		if err := os.WriteFile(r.q.path(m.file), []byte(c[0]), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := m.opener(r.q)()
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(onlyReader{f}, []byte(c[1])); err != nil {
			t.Errorf("%.40q: %v", c[0], err)
		}
		f.Close()
		want := int64(len(strings.ReplaceAll(strings.ReplaceAll(c[1], "\r\n", "\n"), "\n", "\r\n")))
		if n, err := r.q.sizeOf(m); n != want || err != nil {
			t.Errorf("%.40q: %d octets on the wire, %v, want %d", c[0], n, err, want)
		}
	}
}

// What other hosts get is the end of what was received, and loses a first Return-Path alone.
func FuzzOriginal(f *testing.F) {
	for _, s := range []string{"", "Return-Path: <a@b>\nDelivered-To: c\n d\nX: y\n", "return-path:\r\n\r\n", "Delivered-To: x\n", "Return-Path: x"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "message")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := fsx.OS{}.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		n, err := localHeader(file)
		if err != nil || n < 0 || n > int64(len(text)) {
			t.Fatalf("%d of %d, %v", n, len(text), err)
		}
		if has := len(text) >= 12 && strings.EqualFold(string(text[:12]), "return-path:"); has != (n > 0) {
			t.Errorf("%d octets of %q", n, text)
		}
		if n > 0 && n < int64(len(text)) && (text[n-1] != '\n' || text[n] == ' ' || text[n] == '\t') {
			t.Errorf("cut within a field: %q", text[:n])
		}
	})
}

type onlyReader struct {
	r interface{ Read([]byte) (int, error) }
}

func (o onlyReader) Read(p []byte) (int, error) { return o.r.Read(p) }

func TestBounded(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", maxReply), strings.Repeat("x", maxReply-1) + "ü", strings.Repeat("€", maxReply)} {
		got := bounded(s)
		if len(got) > maxReply || !strings.HasPrefix(s, got) || len(s)-len(got) > max(0, len(s)-maxReply)+2 {
			t.Errorf("%d octets became %d", len(s), len(got))
		}
	}
}

func TestDescribeTLS(t *testing.T) {
	for _, c := range []struct {
		peer relay.Peer
		want string
	}{
		{relay.Peer{}, ""},
		{relay.Peer{TLSVersion: "TLS 1.2", TLSCipher: "C"}, "TLS 1.2 C, certificate not verified"},
		{relay.Peer{TLSVersion: "TLS 1.3", TLSName: "mx.test"}, "TLS 1.3, verified as mx.test"},
	} {
		if got := describeTLS(c.peer); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
