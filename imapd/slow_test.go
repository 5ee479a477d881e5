package imapd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader is a client that reads when the test says so.
type slowReader struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	pauses int // before the next reads
}

// Read reads from the connection, after a pause that is nearly too long.
func (r *slowReader) Read(p []byte) (int, error) {
	if r.pauses > 0 {
		r.pauses--
		time.Sleep(4 * time.Minute)
	}
	return r.conn.Read(p)
}

// slowReader logs alice in and selects INBOX.
func (s *server) slowReader(t *testing.T) *slowReader {
	c := s.l.dial()
	r := &slowReader{t: t, conn: c}
	r.in = bufio.NewReader(r)
	for _, command := range []string{"", "l LOGIN alice secret", "s SELECT INBOX"} {
		if command != "" {
			fmt.Fprint(c, command, "\r\n")
		}
		for tag, line := command+"* OK", ""; !strings.HasPrefix(line, tag[:1]+" ") && !strings.HasPrefix(line, "* OK [CAPABILITY IMAP"); {
			line = r.line()
		}
	}
	return r
}

func (r *slowReader) line() string {
	r.t.Helper()
	l, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatalf("%q, %v", l, err)
	}
	return strings.TrimSuffix(l, "\r\n")
}

// response reads a line with its literals, which it gives apart.
func (r *slowReader) response() (line string, literals []string) {
	r.t.Helper()
	for {
		l := r.line()
		line += l
		i := strings.LastIndexByte(l, '{')
		if i < 0 || !strings.HasSuffix(l, "}") {
			return line, literals
		}
		n, err := strconv.Atoi(l[i+1 : len(l)-1])
		if err != nil {
			r.t.Fatal(l)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r.in, b); err != nil {
			r.t.Fatalf("a literal of %d octets is cut: %v", n, err)
		}
		literals = append(literals, string(b))
	}
}

// numbered is the n-th message of the tests here: large or small.
func numbered(n, size int) string {
	line := fmt.Sprintf("this is message %d\r\n", n)
	return fmt.Sprintf("Subject: message %d\r\nMessage-ID: <%d@example.org>\r\n\r\n", n, n) + strings.Repeat(line, size/len(line)+1)
}

// A client that stops reading in the middle of a long answer holds up nobody, in the mailbox or
// the account, whatever they do; when it goes on it gets all that was announced.
func TestSlowReader(t *testing.T) {
	for _, tt := range []struct {
		name, items string
		messages    int
		size        func(n int) int
	}{
		{"bodies", "BODY.PEEK[]", 40, func(n int) int { return 20<<10 + n%3*100<<10 }},
		{"headers", "BODY.PEEK[HEADER]", 2000, func(int) int { return 100 }},
		{"structures", "ENVELOPE BODYSTRUCTURE", 1500, func(int) int { return 100 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t).start()
				defer s.stop()
				for n := range tt.messages {
					s.deliver("alice@example.org", "INBOX", numbered(n+1, tt.size(n+1)))
				}
				slow := s.slowReader(t)
				defer slow.conn.Close()
				other, idles := s.login("alice"), s.login("alice")
				defer other.conn.Close()
				defer idles.conn.Close()
				idles.do("s", "SELECT INBOX")
				idles.send("i IDLE\r\n")
				idles.expect("+ idling")

				fmt.Fprintf(slow.conn, "f UID FETCH 1:* (UID %s)\r\n", tt.items)
				for range 3 {
					slow.response()
				}
				s.othersWork(t, other, idles, tt.messages)
				slow.rest(tt.messages, tt.size)
			})
		})
	}
}

// othersWork has clients do all that changes a mailbox, while another one reads nothing.
func (s *server) othersWork(t *testing.T, other, idles *client, messages int) {
	t.Helper()
	before := time.Now()
	other.do("o1", "SELECT INBOX")
	other.do("o2", "STORE 5:12 +FLAGS.SILENT (\\Deleted)")
	idles.expect("* 5 FETCH (FLAGS (\\Deleted))")
	other.do("o3", "EXPUNGE")
	idles.until("* 5 EXPUNGE")
	other.do("o4", fmt.Sprintf("MOVE %d:%d Archive", messages-15, messages-8))
	other.do("o5", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(testMessage), testMessage))
	idles.until(fmt.Sprintf("* %d EXISTS", messages-15))
	if got := other.do("o6", "SEARCH SUBJECT \"message 3\" TEXT \"message 3\"")[0]; !strings.HasPrefix(got, "* SEARCH 3") {
		t.Error(got)
	}
	other.do("o7", "FETCH 1:* (UID FLAGS)")
	other.do("o8", "UID FETCH 20 BODY[]")
	other.do("o9", "COPY 1:3 Archive")
	other.do("p1", "CREATE Other")
	other.do("p2", "RENAME Archive Attic")
	other.do("p3", "STATUS INBOX (MESSAGES SIZE)")
	if d := time.Since(before); d > time.Second {
		t.Errorf("they were held up for %v", d)
	}
}

// rest reads the answer to its end, slowly at first. Messages that were expunged meanwhile may be
// missing, and then it must say so.
func (r *slowReader) rest(messages int, size func(int) int) {
	r.t.Helper()
	r.pauses = 6
	got := 3
	for {
		line, literals := r.response()
		if strings.HasPrefix(line, "f ") {
			if gone := messages - got; gone > 0 != strings.HasPrefix(line, "f NO [EXPUNGEISSUED]") || gone > 16 {
				r.t.Errorf("%s, and %d are missing", line, gone)
			}
			r.t.Logf("%s, %d missing", line, messages-got)
			return
		}
		var seq, uid int
		if _, err := fmt.Sscanf(line, "* %d FETCH (UID %d", &seq, &uid); err != nil {
			if strings.HasSuffix(line, "EXPUNGE") || strings.HasSuffix(line, "EXISTS") || strings.Contains(line, "FETCH (UID") {
				continue // told at the end, as a UID command may
			}
			r.t.Fatalf("%s: %v", line, err)
		}
		if strings.Contains(line, "FLAGS") {
			continue
		}
		got++
		want := numbered(uid, size(uid))
		if strings.Contains(line, "HEADER") {
			want = want[:strings.Index(want, "\r\n\r\n")+4]
		}
		if len(literals) > 0 && literals[0] != want {
			r.t.Fatalf("UID %d came as %d octets of another kind", uid, len(literals[0]))
		}
		if len(literals) == 0 && !strings.Contains(line, fmt.Sprintf(`"<%d@example.org>"`, uid)) {
			r.t.Fatalf("UID %d came as %s", uid, line)
		}
	}
}

// A client that takes nothing for longer than the write timeout is cut off, and what it held
// is free.
func TestSlowReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.MaxPerAccount = 1
		s.start()
		defer s.stop()
		s.deliver("alice@example.org", "INBOX", numbered(1, 1<<20))
		slow := s.slowReader(t)
		defer slow.conn.Close()
		fmt.Fprint(slow.conn, "f FETCH 1 BODY.PEEK[]\r\n")
		slow.line()
		time.Sleep(6 * time.Minute)
		s.login("alice").conn.Close()
		if _, err := io.Copy(io.Discard, slow.in); err != nil {
			t.Error(err)
		}
	})
}
