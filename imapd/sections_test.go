package imapd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kurir/internal/fsx"
	"kurir/store"
)

// rawClient reads responses by their literals' lengths, not by lines.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (s *server) raw(t *testing.T, user string) *rawClient {
	conn := s.l.dial()
	c := &rawClient{t, conn, bufio.NewReader(conn)}
	c.response()
	c.do("LOGIN " + user + " secret")
	return c
}

// emptySection is how a section of no octets is sent.
var emptySection = regexp.MustCompile(`(\]|>|RFC822[.A-Z]*) ""`)

// response reads one response: its text, with "{}" for each literal, and the literals. An
// empty section counts as a literal of no octets.
func (c *rawClient) response() (text string, literals [][]byte) {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", text, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		for range emptySection.FindAllString(line, -1) {
			literals = append(literals, nil)
		}
		line = emptySection.ReplaceAllString(line, "$1 {}")
		i := strings.LastIndexByte(line, '{')
		if i < 0 || !strings.HasSuffix(line, "}") {
			return text + line, literals
		}
		n, err := strconv.Atoi(line[i+1 : len(line)-1])
		if err != nil {
			return text + line, literals
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c.r, b); err != nil {
			c.t.Fatal(err)
		}
		text, literals = text+line[:i]+"{}", append(literals, b)
	}
}

// do runs a command that must succeed, and gives the literals of its responses and all text.
func (c *rawClient) do(command string) (text string, literals [][]byte) {
	c.t.Helper()
	text, literals = c.try(command)
	if !strings.Contains(text, "x OK ") {
		c.t.Fatalf("%s: %s", command, text)
	}
	return text, literals
}

func (c *rawClient) try(command string) (text string, literals [][]byte) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, "x "+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for {
		l, lits := c.response()
		text += l + "\n"
		literals = append(literals, lits...)
		if strings.HasPrefix(l, "x ") {
			return text, literals
		}
	}
}

// drop puts a file into INBOX's new/ as another program would.
func (s *server) drop(t *testing.T, user, name, content string) {
	dir := filepath.Join(s.dir, "mail", "example.org", user, "new")
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var oddMessages = []string{
	"", "\n", "\n\n", "no header\nat all\n", "Subject: only a header\n", "Subject: no end", "Subject: x\n\nno end",
	"Subject: x\n\n.\n..\n\n\n", "From a@b Mon\nSubject: x\n\nmbox line\n", "A: " + strings.Repeat("long ", 3000) + "\n\nbody\n",
	"Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nContent-Type: text/html\n\n<p>\n--b--\nepilogue\n",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\ntwo\n--c\n\nthree",
	"Content-Type: multipart/mixed\n\nno boundary\n", "Content-Type: multipart/mixed; boundary=b\n\nnever used\n",
	"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\nside\n--b--\n",
	"Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ndeep\n--b--\n",
	"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nnot!base64*at=all\n", "Subject: 8-bit \xff\xfe\n\n\x80\x00\x01\n",
}

// Whatever a message looks like and however it is stored: sizes are true, parts are ranges of
// the whole, and pieces put together are the whole.
func TestSectionsAddUp(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	n := 0
	for i, m := range oddMessages {
		s.drop(t, "alice", fmt.Sprintf("1000%03d.a.host", 2*i), m)
		s.drop(t, "alice", fmt.Sprintf("1000%03d.a.host", 2*i+1), strings.ReplaceAll(m, "\n", "\r\n"))
		n += 2
	}
	c := s.raw(t, "alice")
	defer c.conn.Close()
	if text, _ := c.do("SELECT INBOX"); !strings.Contains(text, fmt.Sprintf("* %d EXISTS", n)) {
		t.Fatal(text)
	}
	for seq := 1; seq <= n; seq++ {
		want := strings.ReplaceAll(oddMessages[(seq-1)/2], "\n", "\r\n")
		c.checkMessage(seq, strings.ReplaceAll(want, "\x00", "\x80"))
	}
}

func (c *rawClient) checkMessage(seq int, want string) {
	c.t.Helper()
	text, lits := c.do(fmt.Sprintf("FETCH %d (RFC822.SIZE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODYSTRUCTURE)", seq))
	if string(lits[0]) != want || !strings.Contains(text, fmt.Sprintf("RFC822.SIZE %d ", len(want))) {
		c.t.Errorf("message %d is %q, not %q: %s", seq, lits[0], want, text)
	}
	if got := string(lits[1]) + string(lits[2]); got != want {
		c.t.Errorf("message %d: header and text are %q, not %q", seq, got, want)
	}
	_, first := c.do(fmt.Sprintf("FETCH %d BODY.PEEK[1]", seq))
	if len(first) == 1 && !strings.Contains(want, string(first[0])) {
		c.t.Errorf("message %d: part 1 is no range of it: %q", seq, first[0])
	}
	for _, item := range []string{"BODY.PEEK[]", "BODY.PEEK[TEXT]", "BODY.PEEK[HEADER]"} {
		_, whole := c.do(fmt.Sprintf("FETCH %d %s", seq, item))
		var pieces []byte
		for off := 0; off <= len(whole[0]); off += 700 {
			_, piece := c.do(fmt.Sprintf("FETCH %d %s<%d.700>", seq, item, off))
			pieces = append(pieces, piece[0]...)
		}
		if !bytes.Equal(pieces, whole[0]) {
			c.t.Errorf("message %d: pieces of %s are %q, not %q", seq, item, pieces, whole[0])
		}
	}
}

// RFC 3516 section 4.3: a part that can't be decoded.
func TestUnknownCTE(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	s.drop(t, "alice", "1.a.b", "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n!!!!\n")
	s.drop(t, "alice", "2.a.b", "MIME-Version: 1.0\nContent-Transfer-Encoding: x-own\n\nabc\n")
	s.drop(t, "alice", "3.a.b", "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\nQUJD\n")
	c := s.raw(t, "alice")
	defer c.conn.Close()
	c.do("SELECT INBOX")
	for seq := 1; seq <= 2; seq++ {
		for _, item := range []string{"BINARY.PEEK[1]", "BINARY.SIZE[1]"} {
			if text, _ := c.try(fmt.Sprintf("FETCH %d %s", seq, item)); !strings.Contains(text, "x NO [UNKNOWN-CTE]") {
				t.Errorf("%d %s: %s", seq, item, text)
			}
		}
	}
	if _, lits := c.do("FETCH 3 BINARY[1]"); string(lits[0]) != "ABC" {
		t.Errorf("%q", lits)
	}
	if text, _ := c.do("FETCH 3 (FLAGS BINARY.PEEK[2] BINARY[1]<99.1>)"); !strings.Contains(text, `FLAGS (\Seen) BINARY[2] NIL BINARY[1]<99> {}`) {
		t.Error(text)
	}
}

// brokenFS fails what makes files and directories durable, when told to.
type brokenFS struct {
	fsx.FS
	broken *bool
}

type brokenFile struct {
	fsx.File
	broken *bool
}

var errIO = errors.New("input/output error")

func (fs brokenFS) Create(name string, perm os.FileMode) (fsx.File, error) {
	f, err := fs.FS.Create(name, perm)
	if err != nil {
		return nil, err
	}
	return brokenFile{f, fs.broken}, nil
}

func (f brokenFile) Sync() error {
	if *f.broken {
		return errIO
	}
	return f.File.Sync()
}

func (fs brokenFS) SyncDir(name string) error {
	if *fs.broken {
		return errIO
	}
	return fs.FS.SyncDir(name)
}

// A disk that fails gives NO [UNAVAILABLE], with no word of the cause; the session goes on,
// and nothing that was refused is there afterwards.
func TestDiskFails(t *testing.T) {
	s := newServer(t)
	s.store.Close()
	broken := false
	var err error
	if s.store, err = store.Open(t.Context(), store.Options{Dir: s.dir, NoWatch: true, FS: brokenFS{fsx.OS{}, &broken}}); err != nil {
		t.Fatal(err)
	}
	s.srv.Store = s.store
	s.start()
	defer s.stop()
	c := s.raw(t, "alice")
	defer c.conn.Close()
	c.do("APPEND INBOX {4+}\r\nA: b")
	c.do("SELECT INBOX")
	broken = true
	for _, command := range []string{"APPEND INBOX {4+}\r\nC: d", "COPY 1 Archive", "STORE 1 +FLAGS (\\Seen)"} {
		text, _ := c.try(command)
		if !strings.Contains(text, "x NO [UNAVAILABLE] ") || strings.Contains(text, errIO.Error()) {
			t.Errorf("%s: %s", command, text)
		}
	}
	if text, _ := c.try("FETCH 1 (BODY.PEEK[])"); strings.Contains(text, "EXPUNGEISSUED") {
		t.Errorf("a message that can't be found now is said to be gone: %s", text)
	}
	broken = false
	if text, _ := c.do("STATUS Archive (MESSAGES)"); !strings.Contains(text, "MESSAGES 0") {
		t.Error(text)
	}
	if text, _ := c.do("STATUS INBOX (MESSAGES)"); !strings.Contains(text, "MESSAGES 1") {
		t.Error(text)
	}
}

// COPY and APPEND keep to the quota.
func TestQuota(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	c := s.raw(t, "alice")
	defer c.conn.Close()
	c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(testMessage), testMessage))
	c.do("SELECT INBOX")
	s.quota.Store(int64(len(testMessage)) + 10)
	for _, command := range []string{"COPY 1 Archive", "APPEND INBOX {100}"} {
		if text, _ := c.try(command); !strings.HasPrefix(text, "x NO [OVERQUOTA] ") {
			t.Errorf("%s: %s", command, text)
		}
	}
	c.do("MOVE 1 Archive")
}

// RFC822.SIZE is the length of BODY[] beside it, even if another program has changed the file.
func TestSizeOfChangedFile(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	c := s.raw(t, "alice")
	defer c.conn.Close()
	c.do("APPEND INBOX {4+}\r\nA: b")
	c.do("SELECT INBOX")
	files, err := filepath.Glob(filepath.Join(s.dir, "*", "*", "alice", "cur", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("A: b\r\n\r\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, lits := c.do("FETCH 1 (RFC822.SIZE BODY.PEEK[])"); !strings.Contains(text, "RFC822.SIZE 12 BODY[]") || len(lits) != 1 || len(lits[0]) != 12 {
		t.Errorf("%s: %q", text, lits)
	}
}

// fullFS has no room for another name.
type fullFS struct {
	fsx.FS
	full *bool
}

func (fs fullFS) Rename(from, to string) error {
	if *fs.full {
		return syscall.ENOSPC
	}
	return fs.FS.Rename(from, to)
}

// Mail can be read when it can't be marked as seen.
func TestReadOnFullDisk(t *testing.T) {
	s := newServer(t)
	s.store.Close()
	full := false
	var err error
	if s.store, err = store.Open(t.Context(), store.Options{Dir: s.dir, NoWatch: true, FS: fullFS{fsx.OS{}, &full}}); err != nil {
		t.Fatal(err)
	}
	s.srv.Store = s.store
	s.start()
	defer s.stop()
	c := s.raw(t, "alice")
	defer c.conn.Close()
	c.do("APPEND INBOX {4+}\r\nA: b")
	c.do("SELECT INBOX")
	full = true
	if text, _ := c.do("FETCH 1 (BODY[])"); !strings.Contains(text, "* 1 FETCH (BODY[] {})") || strings.Contains(text, "Seen") {
		t.Error(text)
	}
	full = false
	if text, _ := c.do("FETCH 1 (BODY[])"); !strings.Contains(text, `FLAGS (\Seen)`) {
		t.Error(text)
	}
}
