package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
	"kurir/store"
)

// fakeAuth knows alice and bob with the password "secret"; other names are other fates.
type fakeAuth struct{ auth.Passwords }

func (fakeAuth) Authenticate(_ context.Context, a auth.Attempt) (auth.Login, error) {
	name, _, _ := strings.Cut(a.Username, "@")
	switch {
	case name == "down":
		return auth.Login{}, auth.ErrUnavailable
	case name == "slow":
		return auth.Login{}, &auth.ThrottledError{RetryAfter: time.Minute}
	case name == "disabled":
		return auth.Login{}, auth.ErrDisabled
	case (name == "alice" || name == "bob") && a.Password == "secret" && (a.Identity == "" || a.Identity == a.Username):
		return auth.Login{Address: name + "@example.org"}, nil
	}
	return auth.Login{}, auth.ErrInvalid
}

// yearsAhead is how far the store's clock is ahead in tests.
const yearsAhead = 80

// server is a server on pipes, with a store of its own.
type server struct {
	t     testing.TB
	store *store.Store
	dir   string
	srv   *Server
	l     *pipeListener
	quota atomic.Int64
	plain atomic.Bool
	stop  func()
}

func newServer(t testing.TB) *server {
	s := &server{t: t, l: newPipeListener(), dir: memDir(t)}
	s.plain.Store(true)
	ctx := context.Background()
	var err error
	s.store, err = store.Open(ctx, store.Options{
		Dir: s.dir, NoWatch: true, Hostname: "test", BootID: "boot",
		Quota: func(context.Context, string) (int64, error) { return s.quota.Load(), nil },
		Log:   slog.New(slog.DiscardHandler),
		// Files have the kernel's times, which are decades ahead of synctest's clock: to
		// the store they would look as if still being written.
		Now: func() time.Time { return time.Now().AddDate(yearsAhead, 0, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []string{"alice@example.org", "bob@example.org"} {
		if err := s.store.CreateAccount(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	s.srv = &Server{
		Store: s.store, Auth: fakeAuth{}, Log: slog.New(slog.DiscardHandler),
		AllowPlaintext: func(netip.Addr) bool { return s.plain.Load() },
	}
	if testing.Verbose() {
		s.srv.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return s
}

// memDir is a directory in memory where there is one: tests wait for hundreds of fsyncs.
func memDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "imapd-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start serves; the test's end stops it.
func (s *server) start() *server {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	ln := listen.New(s.l, listen.Options{Protocol: "imap", MaxPerAddr: -1, Log: s.srv.Log})
	go func() { served <- s.srv.Serve(ctx, ln, false) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
		if err := s.store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return s
}

func (s *server) deliver(address, mailbox, content string) {
	s.t.Helper()
	m, err := s.store.Stage()
	if err != nil {
		s.t.Fatal(err)
	}
	defer m.Close()
	io.WriteString(m, content)
	if _, err := s.store.Deliver(context.Background(), m, []store.Target{{Address: address, Mailbox: mailbox}}); err != nil {
		s.t.Fatal(err)
	}
}

// tree makes names the account's mailboxes and subscriptions: "x" a mailbox, "x+" one that is
// subscribed to, "-x" a subscription alone. INBOX stays, and is subscribed to if it is named.
func (s *server) tree(address string, names []string) {
	s.t.Helper()
	ctx := context.Background()
	a, err := s.store.Account(ctx, address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Close()
	boxes, err := a.Mailboxes(ctx)
	for _, m := range boxes {
		if m.Exists && m.Name != "INBOX" {
			err = errors.Join(err, a.Delete(ctx, m.Name))
		}
	}
	subs, err2 := a.Subscriptions(ctx)
	err = errors.Join(err, err2)
	for _, n := range subs {
		err = errors.Join(err, a.Unsubscribe(ctx, n))
	}
	for _, n := range names {
		name, subscribed := strings.CutSuffix(n, "+")
		name, only := strings.CutPrefix(name, "-")
		if subscribed || only {
			err = errors.Join(err, a.Subscribe(ctx, name))
		}
		if !only && name != "INBOX" {
			err = errors.Join(err, a.Create(ctx, name, ""))
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// pipeListener hands out the server's ends of pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	c, s := net.Pipe()
	l.conns <- s
	return c
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// client is a scripted client: what the server sends is read at once, into lines.
type client struct {
	t     testing.TB
	conn  net.Conn
	lines chan string // closed with the connection
}

func dial(t testing.TB, c net.Conn) *client {
	cl := &client{t: t, conn: c, lines: make(chan string, 1<<20)}
	go cl.read(c)
	return cl
}

func (c *client) read(conn net.Conn) {
	defer close(c.lines)
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		l, err := r.ReadString('\n')
		if l != "" {
			c.lines <- strings.TrimSuffix(l, "\r\n")
		}
		if err != nil {
			return
		}
	}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

const closedLine = "<closed>"

func (c *client) line() string {
	select {
	case l, ok := <-c.lines:
		if !ok {
			return closedLine
		}
		return l
	case <-time.After(4 * time.Hour): // synctest's, or too long
		return "<silence>"
	}
}

// expect reads one line and compares it with a pattern, in which "…" is anything.
func (c *client) expect(pattern string) string {
	c.t.Helper()
	got := c.line()
	if !matches(pattern, got) {
		c.t.Fatalf("got  %s\nwant %s", got, pattern)
	}
	return got
}

// until reads lines up to one that begins with prefix, and returns them all.
func (c *client) until(prefix string) []string {
	c.t.Helper()
	var all []string
	for {
		l := c.line()
		all = append(all, l)
		if strings.HasPrefix(l, prefix) {
			return all
		}
		if l == closedLine || l == "<silence>" {
			c.t.Fatalf("%s instead of %s after %q", l, prefix, all)
		}
	}
}

// do sends a command and returns its responses, the tagged one last, which must be OK.
func (c *client) do(tag, command string) []string {
	c.t.Helper()
	c.send(tag + " " + command + "\r\n")
	all := c.until(tag + " ")
	if !strings.HasPrefix(all[len(all)-1], tag+" OK") {
		c.t.Fatalf("%s: %s", command, all[len(all)-1])
	}
	return all
}

func matches(pattern, s string) bool {
	pieces := strings.Split(pattern, "…")
	if len(pieces) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, pieces[0]) {
		return false
	}
	s = s[len(pieces[0]):]
	for i, p := range pieces[1:] {
		if i == len(pieces)-2 {
			return strings.HasSuffix(s, p)
		}
		k := strings.Index(s, p)
		if k < 0 {
			return false
		}
		s = s[k+len(p):]
	}
	return true
}

// login dials and logs in.
func (s *server) login(user string) *client {
	c := dial(s.t, s.l.dial())
	c.expect("* OK …")
	c.do("login", "LOGIN "+user+" secret")
	return c
}

// TestTranscripts runs testdata/*.txt. A line is one of
//
//	# comment: the sentence of the RFC that is proved
//	C: what the client sends; C2: another client
//	C+: the same, kept back: it goes in one packet with the client's next C line
//	S: what it must get, "…" being anything, <closed> the end; S2: the other client
//	! directive
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".txt")
		for i, script := range strings.Split(string(text), "\n---\n") {
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runScript(t, script) })
			})
		}
	}
}

type script struct {
	*testing.T
	server  *server
	clients map[string]*client
	packets map[string]string // of each client, what is kept back
}

func runScript(t *testing.T, text string) {
	s := &script{T: t, server: newServer(t), clients: map[string]*client{}, packets: map[string]string{}}
	defer s.finish()
	s.server.start()
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		head, rest, _ := strings.Cut(line, ":")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			s.directive(strings.Fields(line[1:]))
		case line[0] == 'C':
			name, more := strings.CutSuffix(head[1:], "+")
			s.packets[name] += strings.TrimPrefix(rest, " ") + "\r\n"
			if !more {
				s.client(name).send(s.packets[name])
				delete(s.packets, name)
			}
		case line[0] == 'S':
			c := s.client(head[1:])
			want := strings.TrimPrefix(rest, " ")
			if got := c.line(); !matches(want, got) {
				t.Fatalf("line %d\n got  %s\n want %s", n+1, got, want)
			}
		default:
			t.Fatalf("line %d: what is %q?", n+1, line)
		}
	}
}

func (s *script) client(n string) *client {
	if s.clients[n] == nil {
		s.clients[n] = dial(s.T, s.server.l.dial())
	}
	return s.clients[n]
}

func (s *script) directive(f []string) {
	switch f[0] {
	case "login": // [client [user]]: dial and log in
		n, user := "", "alice"
		if len(f) > 1 {
			n = strings.TrimPrefix(f[1], "1")
		}
		if len(f) > 2 {
			user = f[2]
		}
		s.clients[n] = s.server.login(user)
	case "deliver": // MAILBOX FILE: to alice
		content, err := os.ReadFile(filepath.Join("testdata", f[2]))
		if err != nil {
			s.Fatal(err)
		}
		wire := strings.ReplaceAll(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n", "\r\n")
		s.server.deliver("alice@example.org", f[1], wire)
	case "tree": // NAME[+] …: these are alice's mailboxes beside INBOX; with +, subscribed; -NAME: only subscribed
		s.server.tree("alice@example.org", f[1:])
	case "mail": // MAILBOX FIELD: VALUE | FIELD: VALUE …: a message with this header, to alice
		header := strings.ReplaceAll(strings.Join(f[2:], " "), " | ", "\r\n")
		s.server.deliver("alice@example.org", f[1], header+"\r\n\r\nbody\r\n")
	case "sleep":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.Fatal(err)
		}
		time.Sleep(d)
		synctest.Wait()
	case "quota":
		var n int64
		fmt.Sscan(f[1], &n)
		s.server.quota.Store(n)
	case "noplain":
		s.server.plain.Store(false)
	case "tls":
		s.server.srv.TLS = &tls.Config{}
	case "stop":
		go s.server.stop()
		synctest.Wait()
	default:
		s.Fatalf("what is %q?", f[0])
	}
}

func (s *script) finish() {
	synctest.Wait()
	for n, c := range s.clients {
		for more := !s.Failed(); more; {
			select {
			case l, ok := <-c.lines:
				if more = ok; ok {
					s.Errorf("client %s got more than was expected: %s", n, l)
				}
			default:
				more = false
			}
		}
		c.conn.Close()
	}
	s.server.stop()
}
