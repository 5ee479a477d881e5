package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/sqldb"
	"kurir/store"
)

// rig is a queue over a folder, with mailboxes that are folders, too.
type rig struct {
	t    testing.TB
	dir  string
	db   *sqldb.DB
	q    *Queue
	fail map[string]error // by account
	now  time.Time
	kill *killer
	fs   fsx.FS // nil: the real one
	seq  int
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), fail: map[string]error{}, now: time.Unix(1_800_000_000, 0)}
	r.open()
	return r
}

// open opens the queue as a new process would.
func (r *rig) open() {
	r.t.Helper()
	ctx := context.Background()
	db, err := sqldb.Open(ctx, filepath.Join(r.dir, "kurir.db"), Migrations())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { db.Close() })
	r.db = db
	fsys := r.fsys()
	if r.kill != nil {
		r.kill.FS, r.kill.dead = fsx.OS{}, func() { db.Close() }
		fsys = r.kill
	}
	r.q, err = Open(ctx, Options{DB: db, FS: fsys, Dir: filepath.Join(r.dir, "queue"), Deliverer: r, Directory: r,
		Hostname: "mx.local.test", Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) fsys() fsx.FS {
	if r.fs == nil {
		return fsx.OS{}
	}
	return r.fs
}

func (r *rig) reopen() {
	r.db.Close()
	r.kill = nil
	r.open()
}

func (r *rig) DeliverFile(_ context.Context, path, address string) error {
	if err := r.fail[address]; err != nil {
		return err
	}
	if r.kill != nil {
		if err := r.kill.before(); err != nil {
			return err
		}
		defer r.kill.after()
	}
	box := filepath.Join(r.dir, "mail", address)
	if err := os.MkdirAll(box, 0o700); err != nil {
		return err
	}
	r.seq++
	name := filepath.Join(box, fmt.Sprint(r.seq, ".", r.now.UnixNano()))
	if err := r.fsys().Link(path, name); err != nil {
		return err
	}
	if err := r.fsys().SyncDir(box); err != nil {
		return errors.Join(err, r.fsys().Remove(name))
	}
	return nil
}

func (r *rig) Resolve(_ context.Context, address string) ([]directory.Recipient, error) {
	switch {
	case strings.HasPrefix(address, "nobody@local"):
		return nil, directory.ErrNoAccount
	case strings.HasPrefix(address, "broken@local"):
		return nil, io.ErrUnexpectedEOF
	case strings.HasSuffix(address, "@local.test"):
		return []directory.Recipient{{Account: directory.Account{Address: address}}}, nil
	}
	return nil, directory.ErrNoDomain
}

// box returns the messages of an account.
func (r *rig) box(address string) (msgs []string) {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "mail", address, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			r.t.Fatal(err)
		}
		msgs = append(msgs, string(b))
	}
	return msgs
}

// files are what the queue has on disk.
func (r *rig) files() []string {
	names, _ := filepath.Glob(filepath.Join(r.dir, "queue", "*"))
	return names
}

// run tries what is due.
func (r *rig) run() time.Time {
	r.t.Helper()
	next, err := r.q.runDue(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return next
}

func (r *rig) waiting() string {
	r.t.Helper()
	retry, held, err := r.q.Waiting(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%d retry, %d held", retry, held)
}

// received is a message that others have already: a file whose inode has another name.
type received struct {
	fs        fsx.FS
	dir, text string
}

func (m received) KeepAs(path string) error {
	f, err := m.fs.Create(filepath.Join(m.dir, "staged"), 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, m.text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(m.fs.Link(f.Name(), path), m.fs.SyncDir(filepath.Dir(path)))
}

const testMessage = "Subject: hello\nFrom: who@remote.example\n\ntext\n"

func (r *rig) keep(sender string, accounts ...string) error {
	var failed []Failed
	for _, a := range accounts {
		failed = append(failed, Failed{a, "list@local.test", io.ErrUnexpectedEOF})
	}
	os.Remove(filepath.Join(r.dir, "staged"))
	return r.q.Keep(context.Background(), received{r.fsys(), r.dir, testMessage}, sender, failed)
}

func TestRetrySucceeds(t *testing.T) {
	r := newRig(t)
	if err := r.keep("who@remote.example", "a@local.test", "b@local.test"); err != nil {
		t.Fatal(err)
	}
	if next := r.run(); !next.Equal(r.now.Add(time.Minute)) || len(r.box("a@local.test")) > 0 {
		t.Fatalf("tried before a minute had passed; next %v", next)
	}
	r.fail["b@local.test"] = store.ErrOverQuota
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.Equal(r.now.Add(2 * time.Minute)) {
		t.Errorf("next is in %v, want 2m", next.Sub(r.now))
	}
	if got := r.box("a@local.test"); len(got) != 1 || got[0] != testMessage {
		t.Errorf("a got %q", got)
	}
	if got := r.waiting(); got != "1 retry, 0 held" {
		t.Error(got)
	}
	delete(r.fail, "b@local.test")
	r.reopen() // a restart goes on where it stopped
	r.now = r.now.Add(2 * time.Minute)
	if next := r.run(); !next.IsZero() {
		t.Errorf("next %v", next)
	}
	if got := r.box("b@local.test"); len(got) != 1 || got[0] != testMessage {
		t.Errorf("b got %q", got)
	}
	if got := r.files(); len(got) != 0 {
		t.Errorf("files left: %v", got)
	}
}

func TestBackoff(t *testing.T) {
	r := newRig(t)
	var got []time.Duration
	for n := range 10 {
		got = append(got, r.q.backoff(n))
	}
	m, h := time.Minute, time.Hour
	if want := []time.Duration{m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, h, h, h, h}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// expire lets time pass until nothing is tried any more, and counts the rounds.
func (r *rig) expire() (rounds int) {
	for next := r.run(); !next.IsZero() && rounds < 1000; rounds++ {
		if next.After(r.now) {
			r.now = next
		}
		next = r.run()
	}
	return rounds
}

// RFC 3464 section 2: a notice is a multipart/report of three parts, from nobody.
func TestNotice(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = fmt.Errorf("%w: in /var/lib/kurir", store.ErrOverQuota)
	start := r.now
	if err := r.keep("who@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	rounds := r.expire()
	if d := r.now.Sub(start); d < 48*time.Hour || d > 50*time.Hour || rounds < 50 {
		t.Errorf("given up after %v and %d rounds", d, rounds)
	}
	got := r.box("who@local.test")
	if len(got) != 1 || len(r.files()) != 0 {
		t.Fatalf("notices %q, files %v", got, r.files())
	}
	if strings.Contains(got[0], "/var/lib") || strings.Contains(got[0], "a@local.test") {
		t.Errorf("the notice tells too much: %s", got[0])
	}
	m, err := mail.ReadMessage(strings.NewReader(got[0]))
	if err != nil {
		t.Fatal(err)
	}
	if rp := m.Header.Get("Return-Path"); rp != "<>" || m.Header.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("header %v", m.Header)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	var types []string
	for mr := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := mr.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(p)
		types = append(types, p.Header.Get("Content-Type"))
		switch len(types) {
		case 2:
			for _, want := range []string{"Reporting-MTA: dns; mx.local.test\n", "\n\nFinal-Recipient: rfc822; list@local.test\n",
				"Action: failed\n", "Status: 5.2.2\n"} {
				if !strings.Contains(string(b), want) {
					t.Errorf("no %q in %q", want, b)
				}
			}
		case 3:
			if string(b) != "Subject: hello\nFrom: who@remote.example\n" {
				t.Errorf("returned header %q", b)
			}
		}
	}
	if fmt.Sprint(types) != "[text/plain; charset=utf-8 message/delivery-status text/rfc822-headers]" {
		t.Error(types)
	}
}

func TestNoticeElsewhereIsHeld(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = ErrNoRecipient // for good: no need to wait two days
	if err := r.keep("who@remote.example", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.IsZero() || r.waiting() != "0 retry, 1 held" {
		t.Errorf("next %v, %s", next, r.waiting())
	}
	rows, err := r.q.rows(context.Background(), "", nil)
	if err != nil || len(rows) != 1 || rows[0].recipient != "who@remote.example" || rows[0].sender != "" || rows[0].account != "" {
		t.Fatalf("%+v, %v", rows, err)
	}
	b, err := os.ReadFile(r.q.path(rows[0].file))
	if err != nil || !strings.HasPrefix(string(b), "From: Mail Delivery") || !strings.Contains(string(b), "Status: 5.1.1") {
		t.Errorf("%q, %v", b, err)
	}
	r.reopen()
	if len(r.files()) != 1 || r.waiting() != "0 retry, 1 held" {
		t.Errorf("after a restart: %v, %s", r.files(), r.waiting())
	}
}

// A message whose file is gone, by whatever hand, is owned up to.
func TestLostFile(t *testing.T) {
	r := newRig(t)
	if err := r.keep("who@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.files() {
		os.Remove(f)
	}
	r.expire()
	if got := r.box("who@local.test"); len(got) != 1 || r.waiting() != "0 retry, 0 held" {
		t.Errorf("notices %q, %s", got, r.waiting())
	}
}

func TestNoNoticeOfANotice(t *testing.T) {
	for _, sender := range []string{"", "nobody@local.test"} {
		r := newRig(t)
		r.fail["a@local.test"] = ErrNoRecipient
		if err := r.keep(sender, "a@local.test"); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Minute)
		r.run()
		if r.waiting() != "0 retry, 0 held" || len(r.files()) != 0 {
			t.Errorf("sender %q: %s, %v", sender, r.waiting(), r.files())
		}
	}
}

func TestDirectoryTrouble(t *testing.T) {
	r := newRig(t)
	r.fail["a@local.test"] = ErrNoRecipient
	if err := r.keep("broken@local.test", "a@local.test"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.Equal(r.now.Add(time.Hour)) || r.waiting() != "1 retry, 0 held" {
		t.Errorf("next in %v, %s", next.Sub(r.now), r.waiting())
	}
}

// RFC 6533 section 6: what is not ASCII goes in other types.
func TestNoticeUTF8(t *testing.T) {
	b, _ := io.ReadAll(failure{hostname: "h", to: "jörg@local.test", recipient: "a@b", header: "Subject: x\n"}.reader())
	for _, want := range []string{"report-type=global-delivery-status", "message/global-headers", "Final-Recipient: utf-8; a@b"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in %s", want, b)
		}
	}
}

func TestRunSleepsUntilDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.db.Close()
		r.q.o.Now = time.Now
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { r.q.Run(ctx); close(done) }()
		time.Sleep(time.Hour / 2)
		start := time.Now()
		if err := r.keep("who@remote.example", "a@local.test"); err != nil {
			t.Fatal(err)
		}
		for len(r.box("a@local.test")) == 0 && time.Since(start) < time.Hour {
			time.Sleep(time.Second)
		}
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute {
			t.Errorf("delivered after %v", d)
		}
		cancel()
		<-done
	})
}

// killer is a file system that stops with its process: before or after one operation.
type killer struct {
	fsx.FS
	n, at int
	then  bool // the operation is still done
	dead  func()
	done  bool
}

var errKilled = errors.New("killed")

func (k *killer) before() error {
	if k.n == k.at && !k.then {
		k.done = true
		k.dead()
	}
	if k.done {
		return errKilled
	}
	return nil
}

func (k *killer) after() {
	if k.n == k.at && k.then {
		k.done = true
		k.dead()
	}
	k.n++
}

// run does one operation.
func (k *killer) op(f func() error) error {
	if err := k.before(); err != nil {
		return err
	}
	defer k.after()
	return f()
}

func (k *killer) Create(name string, perm fs.FileMode) (f fsx.File, err error) {
	err = k.op(func() error { f, err = k.FS.Create(name, perm); return err })
	return f, err
}
func (k *killer) Remove(name string) error { return k.op(func() error { return k.FS.Remove(name) }) }
func (k *killer) SyncDir(name string) error {
	return k.op(func() error { return k.FS.SyncDir(name) })
}

// TestKill stops the process before and after each operation of a retry that succeeds
// for one recipient and ends in a notice for another. After a restart each has exactly one.
func TestKill(t *testing.T) {
	for at := 0; ; at++ {
		for _, then := range []bool{false, true} {
			r := newRig(t)
			if err := r.keep("who@local.test", "a@local.test", "b@local.test"); err != nil {
				t.Fatal(err)
			}
			r.db.Close()
			r.fail["b@local.test"] = ErrNoRecipient
			r.now = r.now.Add(time.Minute)
			r.kill = &killer{at: -1}
			r.open()
			r.kill.n, r.kill.at, r.kill.then = 0, at, then
			r.q.runDue(context.Background())
			killed := r.kill.done
			r.reopen()
			r.now = r.now.Add(time.Hour)
			r.run()
			a, who := r.box("a@local.test"), r.box("who@local.test")
			if len(a) != 1 || len(who) != 1 || len(r.files()) != 0 || r.waiting() != "0 retry, 0 held" {
				t.Fatalf("killed at %d (then %v): a has %d, sender %d, files %v, %s", at, then, len(a), len(who), r.files(), r.waiting())
			}
			if !killed {
				if at < 8 {
					t.Errorf("only %d operations seen", at)
				}
				return
			}
		}
	}
}

// TestKeepFails: a file without a row is nobody's, and goes at the next start.
func TestKeepFails(t *testing.T) {
	r := newRig(t)
	r.db.Close()
	if err := r.keep("who@local.test", "a@local.test"); err == nil {
		t.Fatal("no error without a database")
	}
	other := filepath.Join(r.dir, "queue", "of-another-kind")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.reopen()
	if got := r.files(); len(got) != 1 || got[0] != other {
		t.Errorf("files %v", got)
	}
}

func TestHeaderIsBounded(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("X: y\r\n", maxReturned/6+10)
	if err := os.WriteFile(r.q.path("local-x"), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := r.q.header("local-x")
	if err != nil || len(h) > maxReturned || !strings.HasSuffix(h, "X: y\n") {
		t.Errorf("%d octets, %v", len(h), err)
	}
}
