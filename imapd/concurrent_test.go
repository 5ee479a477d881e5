package imapd

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/listen"
)

// mirror is a client that believes what it is told, and no more: it keeps the number of
// messages from EXISTS and EXPUNGE, and their UIDs from FETCH.
type mirror struct {
	*client
	uids []string // "" is not known yet
	tag  int
}

// run sends a command and takes in what comes, up to the tagged reply.
func (m *mirror) run(command string) string {
	m.t.Helper()
	m.tag++
	tag := "t" + strconv.Itoa(m.tag)
	m.send(tag + " " + command + "\r\n")
	if command == "IDLE" {
		m.expect("+ idling")
		m.send("DONE\r\n")
	}
	seqs := strings.HasPrefix(command, "FETCH") || strings.HasPrefix(command, "STORE") || strings.HasPrefix(command, "SEARCH")
	for {
		l := m.line()
		f := strings.Fields(l)
		switch {
		case strings.HasPrefix(l, tag+" "):
			return l
		case l == closedLine || l == "<silence>":
			m.t.Errorf("%s after %s", l, command)
			return l
		case len(f) == 3 && f[2] == "EXISTS":
			n, _ := strconv.Atoi(f[1])
			if n < len(m.uids) {
				m.t.Errorf("EXISTS fell from %d to %d", len(m.uids), n)
			}
			for len(m.uids) < n {
				m.uids = append(m.uids, "")
			}
		case len(f) == 3 && f[2] == "EXPUNGE":
			n, _ := strconv.Atoi(f[1])
			if seqs || n < 1 || n > len(m.uids) {
				m.t.Errorf("%s of %d during %s", l, len(m.uids), command)
				return l
			}
			m.uids = append(m.uids[:n-1], m.uids[n:]...)
		case len(f) > 2 && f[2] == "FETCH":
			m.fetched(l, f)
		}
	}
}

// fetched compares a FETCH response with what the client believes.
func (m *mirror) fetched(l string, f []string) {
	n, _ := strconv.Atoi(f[1])
	if n < 1 || n > len(m.uids) {
		m.t.Errorf("%s of %d messages", l, len(m.uids))
		return
	}
	if _, rest, ok := strings.Cut(l, "UID "); ok {
		uid := strings.TrimRight(strings.Fields(rest)[0], ")")
		if old := m.uids[n-1]; old != "" && old != uid {
			m.t.Errorf("message %d had UID %s and has %s", n, old, uid)
		}
		m.uids[n-1] = uid
	}
}

// Several sessions change one mailbox at once; each client's picture stays whole, and in
// the end they are all the same.
func TestSessionsAgree(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	const clients, steps = 4, 150
	mirrors := make([]*mirror, clients)
	var wg sync.WaitGroup
	for i := range mirrors {
		m := &mirror{client: s.login("alice")}
		defer m.conn.Close()
		mirrors[i] = m
		m.run("SELECT INBOX")
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 7))
			for range steps {
				m.step(rnd)
			}
		})
	}
	wg.Wait()
	var want string
	for i, m := range mirrors {
		m.run("NOOP")
		m.run("UID FETCH 1:* (UID FLAGS)")
		got := strings.Join(m.uids, " ")
		if i == 0 {
			want = got
		}
		if got != want || strings.Contains(got, "  ") {
			t.Errorf("client %d sees %s\nclient 0 %s", i, got, want)
		}
	}
}

func (m *mirror) step(rnd *rand.Rand) {
	n := len(m.uids)
	any := strconv.Itoa(1 + rnd.IntN(max(n, 1)))
	switch k := rnd.IntN(12); {
	case k < 3 || n < 3:
		m.run(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(testMessage), testMessage))
	case k == 3:
		m.run("STORE " + any + " +FLAGS (\\Deleted)")
	case k == 4:
		m.run("EXPUNGE")
	case k == 5:
		m.run("FETCH 1:* (UID)")
	case k == 6:
		m.run("FETCH " + any + ":* (UID FLAGS BODY.PEEK[TEXT]<0.5>)")
	case k == 7:
		m.run("MOVE " + any + " Archive")
	case k == 8:
		m.run("COPY " + any + " INBOX")
	case k == 9:
		m.run("SEARCH TEXT hello UNDELETED")
	case k == 10:
		m.run("IDLE")
	default:
		m.run("STORE 1:" + any + " -FLAGS.SILENT (\\Seen) ")
	}
}

// failures is a log handler that fails the test when a session does.
type failures struct {
	slog.Handler
	t testing.TB
}

func (h failures) Enabled(context.Context, slog.Level) bool { return true }
func (h failures) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h failures) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "session failed" {
		r.Attrs(func(a slog.Attr) bool { h.t.Errorf("%s: %v", a.Key, a.Value); return true })
	}
	return nil
}

// FuzzSession: whatever a client sends after it has selected a mailbox, no session fails,
// and the server goes on.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"a FETCH 1:* (FLAGS BODY[1.MIME]<0.5> ENVELOPE BODYSTRUCTURE BINARY[1])\r\n", "a SEARCH OR TEXT hello NOT 1\r\nb UID SEARCH RETURN (SAVE) ALL\r\nc FETCH $ UID\r\n",
		"a IDLE\r\nDONE\r\nb STORE 1 +FLAGS (x)\r\n", "a COPY 1 Archive\r\nb MOVE 1:* Archive\r\nc EXPUNGE\r\n", "a APPEND INBOX (\\Seen) {4+}\r\nA: b\r\n",
		"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" * RETURN (STATUS (SIZE))\r\nb LSUB \"\" %\r\n", "a CREATE {3}\r\nx/y\r\nb RENAME x y\r\nc DELETE y/y\r\n",
		"a CLOSE\r\nb AUTHENTICATE PLAIN\r\n",
		"c COMPRESS DEFLATE\r\n\x4a\x34\x54\xf0\xf3\xf7\x0f\xe0\xe5\x02\x08", "a SEARCH BODY hello\r\nb LIST \"\" *\r\nc GETQUOTAROOT INBOX\r\n", "a ENABLE CONDSTORE\r\nb FETCH 1 FLAGS (CHANGEDSINCE 1)\r\nc STATUS INBOX (HIGHESTMODSEQ)\r\n",
		"a ENABLE QRESYNC\r\nb SELECT INBOX (QRESYNC (3 1 1:9 (1:2 1:2)))\r\nc UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\r\nd UID EXPUNGE 1:*\r\n",
		"a SORT (REVERSE SIZE SUBJECT) UTF-8 ALL\r\nb UID SORT RETURN (MIN COUNT) (DATE) UTF-8 UNSEEN\r\nc THREAD REFERENCES UTF-8 ALL\r\nd UID THREAD ORDEREDSUBJECT UTF-8 1\r\n",
		"a COMPRESS DEFLATE\r\n\x4a\x54\xf0\xf3\xf7\x77\xe6\xe5\x02\x00\x00\x00\xff\xff", "a ENABLE IMAP4rev2 UTF8=ACCEPT\r\nb CREATE \"\xc3\xa9\"\r\nc GETQUOTAROOT INBOX\r\n",
	} {
		f.Add(seed)
	}
	for _, g := range grammar {
		var all strings.Builder
		for _, line := range g.lines {
			command, _, _ := strings.Cut(line, " => ")
			all.WriteString("a " + command + "\r\n")
		}
		f.Add(all.String())
	}
	s := newServer(f)
	f.Cleanup(func() { s.store.Close() })
	for range 5 {
		s.deliver("alice@example.org", "", testMessage)
	}
	f.Fuzz(func(t *testing.T, input string) {
		s.srv.Log = slog.New(failures{t: t})
		ours, theirs := net.Pipe()
		ln := listen.New(&oneConn{pipeListener: newPipeListener(), conn: theirs}, listen.Options{Log: s.srv.Log})
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- s.srv.Serve(ctx, ln, false) }()
		c := dial(t, ours)
		c.expect("* OK …")
		ours.SetWriteDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprint(ours, "login LOGIN alice secret\r\nsel SELECT INBOX\r\n", input)
		fmt.Fprint(ours, "\r\nDONE\r\nend LOGOUT\r\n")
		time.Sleep(time.Millisecond)
		ours.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	*pipeListener
	conn net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	return l.pipeListener.Accept()
}
