package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/listen"
	"kurir/internal/policy"
	"kurir/internal/queue"
	"kurir/internal/sqldb"
	"kurir/store"
)

// whole is a server on the real store, directory, passwords, queue and sockets.
type whole struct {
	data  string
	store *store.Store
	queue *queue.Queue
	sent  outbox
	dir   *directory.Directory
	srv   *Server
	addr  map[Mode]string
}

func newWhole(t testing.TB, modes ...Mode) *whole { return newWholeWith(t, func(*Server) {}, modes...) }

// newWholeWith is newWhole with a server that is changed before it serves.
func newWholeWith(t testing.TB, change func(*Server), modes ...Mode) *whole {
	ctx, cancel := context.WithCancel(context.Background())
	data := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	w := &whole{data: data, addr: map[Mode]string{}}
	db, err := sqldb.Open(ctx, filepath.Join(data, "kurir.db"), directory.Migrations, queue.Migrations())
	must(err)
	w.dir = directory.New(db)
	_, err = w.dir.AddDomain(ctx, "local.test")
	must(err)
	w.store, err = store.Open(ctx, store.Options{Dir: data, Hostname: "mx.local.test", Log: log, NoWatch: true})
	must(err)
	verifier, err := auth.HashPassword("local-only")
	must(err)
	for _, a := range []string{"alice@local.test", "bob@local.test"} {
		_, err = w.dir.AddAccount(ctx, a, directory.AccountOptions{})
		must(err)
		must(w.dir.SetPassword(ctx, a, verifier))
		must(w.store.CreateAccount(ctx, a))
	}
	w.queue, err = queue.Open(ctx, queue.Options{DB: db, FS: fsx.OS{}, Dir: filepath.Join(data, "queue"), Directory: w.dir,
		Deliverer: queue.MailStore{Store: w.store, Junk: policy.IsJunk}, Transport: &w.sent, Hostname: "mx.local.test",
		LocalFirst: 20 * time.Millisecond, Limits: queue.Limits{RecipientsDay: 4}, Log: log})
	must(err)
	w.srv = &Server{Hostname: "mx.local.test", Directory: w.dir, Store: MailStore{w.store}, Queue: MailQueue{w.queue},
		Auth: auth.New(auth.Options{Directory: w.dir, Log: log}), TLS: testTLS(t), Log: log,
		AllowPlaintext: func(a netip.Addr) bool { return false }}
	change(w.srv)
	done := make(chan error)
	for _, m := range modes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		w.addr[m] = l.Addr().String()
		below := listen.New(l, listen.Options{Protocol: m.String(), Log: log})
		go func() { done <- w.srv.Serve(ctx, below, m) }()
	}
	t.Cleanup(func() {
		cancel()
		for range modes {
			must(<-done)
		}
		must(w.store.Close())
		must(db.Close())
	})
	return w
}

// inbox returns the messages of an account, as on the wire.
func (w *whole) inbox(t testing.TB, address string) []string {
	t.Helper()
	return w.mailbox(t, address, "INBOX")
}

// mailbox returns the messages of one mailbox of an account.
func (w *whole) mailbox(t testing.TB, address, name string) (msgs []string) {
	t.Helper()
	ctx := context.Background()
	a, err := w.store.Account(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	m, err := a.Mailbox(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, uid := range v.UIDs() {
		b, err := v.Open(ctx, uid)
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		if _, err := b.Whole().WriteTo(&buf); err != nil {
			t.Fatal(err)
		}
		b.Close()
		msgs = append(msgs, buf.String())
	}
	return msgs
}

func TestRealInbound(t *testing.T) {
	w := newWhole(t, Inbound)
	body := "Subject: x\r\n\r\n.dot\r\nstray \n \r and \r\r\n" + strings.Repeat("0123456789\r\n", 200_000) // beyond what waits in memory
	small := "Subject: x\r\n\r\nsmall\r\n"
	c, err := smtp.Dial(w.addr[Inbound])
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{body, small} {
		if err := send(c, "who@remote.example", text, "Alice+Tag@LOCAL.test", "bob@local.test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(c, "", small, "postmaster"); err != nil {
		t.Fatal(err)
	}
	var te *textError
	if err := send(c, "who@remote.example", small, "x@local.test"); !asTextError(err, &te) || te.Code != 550 {
		t.Error(err)
	}
	if err := c.Reset(); err != nil {
		t.Error(err)
	}
	if err := send(c, "who@remote.example", small, "x@elsewhere.example"); !asTextError(err, &te) || te.Code != 550 {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	for address, n := range map[string]int{"alice@local.test": 3, "bob@local.test": 2} {
		got := w.inbox(t, address)
		if len(got) != n {
			t.Fatalf("%s has %d messages", address, len(got))
		}
		for i, want := range []string{body, small, small}[:n] {
			if !strings.HasPrefix(got[i], "Return-Path: <") || !strings.HasSuffix(got[i], "\r\n"+want) {
				t.Errorf("%s: message %d of %d octets is not as sent: %.300q", address, i, len(got[i]), got[i])
			}
		}
	}
}

func TestRealSubmission(t *testing.T) {
	w := newWhole(t, Submission, SubmissionTLS)
	for _, implicit := range []bool{false, true} {
		c := w.login(t, implicit)
		if err := send(c, "alice@local.test", "From: alice@local.test\nBcc: x\n\nhello\r\n", "bob@local.test"); err != nil {
			t.Fatal(err)
		}
		var te *textError
		if err := send(c, "bob@local.test", "", "bob@local.test"); !asTextError(err, &te) || te.Code != 553 {
			t.Error(err)
		}
		c.Close()
	}
	got := w.inbox(t, "bob@local.test")
	if len(got) != 2 || !matches("Return-Path: <alice@local.test>…SMTPSA…From: alice@local.test\r\nDate: …\r\nMessage-ID: …\r\n\r\nhello\r\n", got[1]) {
		t.Errorf("%q", got)
	}
}

func (w *whole) login(t testing.TB, implicit bool) *smtp.Client {
	t.Helper()
	conf := &tls.Config{InsecureSkipVerify: true}
	var c *smtp.Client
	var err error
	if implicit {
		var conn net.Conn
		if conn, err = tls.Dial("tcp", w.addr[SubmissionTLS], conf); err == nil {
			c, err = smtp.NewClient(conn, "127.0.0.1")
		}
	} else if c, err = smtp.Dial(w.addr[Submission]); err == nil {
		err = c.StartTLS(conf)
	}
	if err == nil {
		err = c.Auth(smtp.PlainAuth("", "alice@local.test", "local-only", "127.0.0.1"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What could not be delivered at once is delivered by the queue, octet for octet.
func TestRealRetry(t *testing.T) {
	w := newWhole(t, Inbound)
	// bob's mailbox fails after alice's has the message.
	broken := filepath.Join(w.data, "mail", "local.test", "bob", "new")
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	c, err := smtp.Dial(w.addr[Inbound])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := send(c, "", "Subject: x\r\n\r\nlater\r\n", "alice@local.test", "bob@local.test"); err != nil {
		t.Fatal(err)
	}
	if n, err := w.queue.Waiting(context.Background()); n.Local != 1 || err != nil {
		t.Fatalf("%+v wait, %v", n, err)
	}
	if err := os.Mkdir(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	w.runQueue(t, func() bool { return len(w.inbox(t, "bob@local.test")) > 0 })
	alice, bob := w.inbox(t, "alice@local.test"), w.inbox(t, "bob@local.test")
	if len(alice) != 1 || len(bob) != 1 || alice[0] != bob[0] {
		t.Errorf("alice %q, bob %q", alice, bob)
	}
}

// runQueue runs the queue until something is done.
func (w *whole) runQueue(t *testing.T, isDone func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { w.queue.Run(ctx); close(ended) }()
	deadline := time.Now().Add(10 * time.Second)
	for !isDone() {
		if time.Now().After(deadline) {
			t.Error("the queue has not done it in time")
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-ended
}

func asTextError(err error, to **textError) bool { return errors.As(err, to) }

// send sends one message.
func send(c *smtp.Client, from, text string, to ...string) error {
	if err := c.Mail(from); err != nil {
		return err
	}
	for _, a := range to {
		if err := c.Rcpt(a); err != nil {
			return err
		}
	}
	if err := c.Text.PrintfLine("DATA"); err != nil {
		return err
	}
	if _, _, err := c.Text.ReadResponse(354); err != nil {
		return err
	}
	stuffed := strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:]
	if !strings.HasSuffix(stuffed, "\r\n") {
		stuffed += "\r\n"
	}
	if _, err := io.WriteString(c.Text.W, stuffed+".\r\n"); err != nil {
		return err
	}
	if err := c.Text.W.Flush(); err != nil {
		return err
	}
	_, _, err := c.Text.ReadResponse(250)
	return err
}

type textError = textproto.Error

// replies reads replies.
type replyReader struct{ r *bufio.Reader }

func newReplies(c net.Conn) replyReader { return replyReader{bufio.NewReader(c)} }

func (r replyReader) want(t testing.TB, code string) {
	for {
		l, err := r.r.ReadString('\n')
		if err != nil || !strings.HasPrefix(l, code) {
			t.Errorf("%q, %v; want %s", l, err, code)
			return
		}
		if l[3] == ' ' {
			return
		}
	}
}
