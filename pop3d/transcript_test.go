package pop3d

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
	"kurir/internal/fsx"
	"kurir/internal/listen"
	"kurir/store"
)

const alice = "alice@example.org"

// testAuth knows alice, a disabled account, and one without a mailbox.
type testAuth struct {
	auth.Passwords
	last auth.Attempt
}

func (a *testAuth) Authenticate(_ context.Context, at auth.Attempt) (auth.Login, error) {
	a.last = at
	switch {
	case at.Username == "slow@example.org":
		return auth.Login{}, &auth.ThrottledError{RetryAfter: time.Minute}
	case at.Username == "broken@example.org":
		return auth.Login{}, fmt.Errorf("%w: no directory", auth.ErrUnavailable)
	case at.Identity != "" && at.Identity != at.Username:
		return auth.Login{}, auth.ErrInvalid
	case at.Password != "secret" && at.Password != "two words " && at.Password != "pässword":
		return auth.Login{}, auth.ErrInvalid
	case at.Username == "off@example.org":
		return auth.Login{}, &auth.DisabledError{Message: "ask us"}
	case at.Username == "nobox@example.org", at.Username == alice:
		return auth.Login{Address: at.Username}, nil
	}
	return auth.Login{}, auth.ErrInvalid
}

// pipeListener hands out one end of pipes.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{make(chan net.Conn), make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial gives the client's end of a new connection.
func (l *pipeListener) dial() net.Conn {
	c, s := net.Pipe()
	l.conns <- s
	return c
}

// world is a server on a real store, with a client that is a transcript.
type world struct {
	t      *testing.T
	srv    *Server
	auth   *testAuth
	store  *store.Store
	ln     *pipeListener
	conn   net.Conn
	in     *bufio.Reader
	stop   context.CancelFunc
	served chan error
	vars   map[string]string
}

// newWorld makes one. It has to be called inside of a bubble, and closed there.
func newWorld(t *testing.T, change func(*Server)) *world { return newWorldOn(t, fsx.OS{}, change) }

// newWorldOn makes one whose store is on a file system of the test's.
func newWorldOn(t *testing.T, disk fsx.FS, change func(*Server)) *world {
	st, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), FS: disk, Hostname: "mx.example.org", NoWatch: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CreateAccount(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, auth: &testAuth{}, store: st, ln: newPipeListener(), served: make(chan error, 1), vars: map[string]string{}}
	w.srv = &Server{Store: st, Auth: w.auth, AllowPlaintext: func(netip.Addr) bool { return true }}
	if change != nil {
		change(w.srv)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	go func() { w.served <- w.srv.Serve(ctx, w.ln, false) }()
	return w
}

func (w *world) close() {
	if w.conn != nil {
		w.conn.Close()
	}
	w.stop()
	if err := <-w.served; err != nil {
		w.t.Errorf("Serve: %v", err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Errorf("closing the store: %v", err)
	}
}

func (w *world) connect() {
	if w.conn != nil {
		w.conn.Close()
	}
	w.conn = w.ln.dial()
	w.in = bufio.NewReader(w.conn)
}

// deliver puts a message into alice's INBOX.
func (w *world) deliver(msg string) {
	w.t.Helper()
	m, err := w.store.Stage()
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Close()
	if _, err := io.WriteString(m, msg); err != nil {
		w.t.Fatal(err)
	}
	if failed, err := w.store.Deliver(w.t.Context(), m, []store.Target{{Address: alice}}); err != nil || len(failed) > 0 {
		w.t.Fatal(err, failed)
	}
}

// inbox calls f with alice's INBOX, as another session sees it.
func (w *world) inbox(f func(*store.Mailbox, *store.View)) {
	w.t.Helper()
	a, err := w.store.Account(w.t.Context(), alice)
	if err != nil {
		w.t.Fatal(err)
	}
	defer a.Close()
	m, err := a.Mailbox(w.t.Context(), "INBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	defer m.Close()
	v, err := m.View(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer v.Close()
	f(m, v)
}

func (w *world) send(text string) {
	w.t.Helper()
	w.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Errorf("sending %.60q: %v", text, err)
	}
}

// expect reads one line and compares it with a pattern: "…" stands for anything up to the end,
// and $name for a word, the same wherever it is.
func (w *world) expect(where, pattern string) {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := w.in.ReadString('\n')
	got, ok := strings.CutSuffix(line, "\r\n")
	if err != nil || !ok {
		w.t.Fatalf("%s: want %q, got %q, %v", where, pattern, line, err)
	}
	if !w.match(pattern, got) {
		w.t.Errorf("%s: want %q, got %q", where, pattern, got)
	}
}

func (w *world) match(pattern, got string) bool {
	if head, ok := strings.CutSuffix(pattern, "…"); ok {
		return strings.HasPrefix(got, head)
	}
	want, have := strings.Split(pattern, " "), strings.Split(got, " ")
	if len(want) != len(have) {
		return false
	}
	for i, p := range want {
		if name, ok := strings.CutPrefix(p, "$"); ok && len(have[i]) > 0 {
			if _, ok := w.vars[name]; !ok {
				w.vars[name] = have[i]
			}
			p = w.vars[name]
		}
		if p != have[i] {
			return false
		}
	}
	return true
}

// expectEnd fails unless the server has closed the connection.
func (w *world) expectEnd(where string) {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if line, err := w.in.ReadString('\n'); !errors.Is(err, io.EOF) {
		w.t.Errorf("%s: want the end, got %q, %v", where, line, err)
	}
}

// run plays a transcript: lines "C: …" that the client sends (those that follow each other
// in one piece), "S: …" that it must get, "! …" for what happens beside the session, and "#".
func (w *world) run(name, text string) {
	var pending strings.Builder
	for i, line := range strings.Split(text, "\n") {
		where := fmt.Sprintf("%s:%d", name, i+1)
		if rest, ok := strings.CutPrefix(line, "C: "); ok {
			pending.WriteString(unescape(rest) + "\r\n")
			continue
		}
		if pending.Len() > 0 {
			w.send(pending.String())
			pending.Reset()
		}
		switch kind, rest, _ := strings.Cut(line, " "); kind {
		case "S:":
			w.expect(where, unescape(rest))
		case "!":
			w.event(where, rest)
		case "", "#":
		default:
			w.t.Fatalf("%s: what is %q?", where, line)
		}
	}
}

// unescape undoes \r, \n, \x and \\ escapes.
func unescape(s string) string {
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		return s
	}
	return u
}

// event is a line "! …" of a transcript.
func (w *world) event(where, line string) {
	what, arg, _ := strings.Cut(line, " ")
	switch what {
	case "message": // is delivered
		w.deliver(unescape(arg))
	case "remove": // by another session, a message by number
		n, _ := strconv.Atoi(arg)
		w.inbox(func(m *store.Mailbox, v *store.View) {
			if gone, err := m.Remove(w.t.Context(), []store.UID{v.UIDs()[n-1]}); err != nil || len(gone) != 1 {
				w.t.Errorf("%s: %v, %v", where, gone, err)
			}
		})
	case "left": // messages in the mailbox
		w.inbox(func(_ *store.Mailbox, v *store.View) {
			if strconv.Itoa(v.Count()) != arg {
				w.t.Errorf("%s: %d messages are left, not %s", where, v.Count(), arg)
			}
		})
	case "connect":
		w.connect()
	case "hangup":
		w.conn.Close()
		synctest.Wait()
	case "end":
		w.expectEnd(where)
	case "wait":
		d, err := time.ParseDuration(arg)
		if err != nil {
			w.t.Fatalf("%s: %v", where, err)
		}
		time.Sleep(d)
	case "tls":
		c := tls.Client(w.conn, &tls.Config{InsecureSkipVerify: true})
		w.conn, w.in = c, bufio.NewReader(c)
	case "stop":
		w.stop()
	default:
		w.t.Fatalf("%s: what is %q?", where, what)
	}
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	cert := testCertificate(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(s *Server) {
					s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
					if strings.HasPrefix(string(text), "# No plaintext.\n") {
						s.AllowPlaintext = nil
					}
				})
				defer w.close()
				w.run(file, string(text))
			})
		})
	}
}

var _ net.Listener = (*listen.Listener)(nil)
