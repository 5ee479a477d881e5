package imapd

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/fsx"
	"kurir/store"
)

// failingFS fails reads of messages beyond 1000 bytes with EIO's like.
type failingFS struct {
	fsx.FS
	fail *bool
}

type failingFile struct {
	fsx.File
	fail *bool
}

var errDisk = errors.New("disk error")

func (fs failingFS) Open(name string) (fsx.File, error) {
	f, err := fs.FS.Open(name)
	if err != nil || filepath.Base(filepath.Dir(name)) != "cur" {
		return f, err
	}
	return failingFile{f, fs.fail}, nil
}

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if *f.fail && off > 1000 {
		return 0, errDisk
	}
	return f.File.ReadAt(p, off)
}

// A literal is never sent with a length other than announced: if the file fails on the way,
// the connection closes inside it.
func TestFileFailsMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.store.Close()
		fail := false
		var err error
		s.store, err = store.Open(t.Context(), store.Options{Dir: s.dir, NoWatch: true, FS: failingFS{fsx.OS{}, &fail}})
		if err != nil {
			t.Fatal(err)
		}
		s.srv.Store = s.store
		s.start()
		defer s.stop()
		body := "Subject: x\n\n" + strings.Repeat("0123456789abcde\n", 20000)
		s.deliver("alice@example.org", "", strings.ReplaceAll(body, "\n", "\r\n"))
		c := s.login("alice")
		defer c.conn.Close()
		c.do("a", "SELECT INBOX")
		c.do("b", "FETCH 1 RFC822.SIZE")
		fail = true
		c.send("c FETCH 1 BODY.PEEK[]\r\n")
		c.expect(fmt.Sprintf("* 1 FETCH (BODY[] {%d}", len(body)+strings.Count(body, "\n")))
		for l := c.line(); l != closedLine; l = c.line() {
			if strings.HasPrefix(l, "c ") || l == ")" || strings.HasPrefix(l, "*") {
				t.Fatalf("after a broken literal: %q", l)
			}
		}
	})
}

// NUL in a literal becomes 0x80, whichever way the literal is cut into pieces.
func TestNULWriter(t *testing.T) {
	var b strings.Builder
	w := nulWriter{&b}
	in := []byte("a\x00b\x00\x00c")
	for i := range in {
		if n, err := w.Write(in[i : i+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Write(in)
	if want := "a\x80b\x80\x80c"; b.String() != want+want || string(in) != "a\x00b\x00\x00c" {
		t.Errorf("%q, %q", b.String(), in)
	}
}

// stored makes a session on a mailbox with n messages.
func stored(tb testing.TB, n int) *session {
	s := newServer(tb)
	tb.Cleanup(func() { s.store.Close() })
	a, err := s.store.Account(tb.Context(), "alice@example.org")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(a.Close)
	m, err := a.Mailbox(tb.Context(), "INBOX")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Close)
	for left := n; left > 0; {
		var batch []store.Appending
		for range min(left, 1000) {
			st, err := s.store.Stage()
			if err != nil {
				tb.Fatal(err)
			}
			io.WriteString(st, testMessage)
			batch = append(batch, store.Appending{Message: st, Flags: store.FlagSet{Flags: store.Seen}})
		}
		if _, err := m.Append(tb.Context(), batch); err != nil {
			tb.Fatal(err)
		}
		for _, b := range batch {
			b.Message.Close()
		}
		left -= len(batch)
	}
	v, err := m.View(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
	ses := &session{srv: s.srv, ctx: tb.Context(), account: a, mailbox: m, view: v, state: selected, log: s.srv.Log}
	ses.out.dst = io.Discard
	return ses
}

func benchmarkFetch(b *testing.B, items string) {
	const n = 5000
	s := stored(b, n)
	run := func() {
		c := &command{args: parser{b: []byte(" 1:* (" + items + ")")}}
		if err := s.fetch(c); err != nil {
			b.Fatal(err)
		}
	}
	run()
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkFetchFlags(b *testing.B) {
	benchmarkFetch(b, "FLAGS UID INTERNALDATE RFC822.SIZE")
}
func BenchmarkFetchEnvelope(b *testing.B) { benchmarkFetch(b, "ENVELOPE BODYSTRUCTURE") }
func BenchmarkFetchBody(b *testing.B)     { benchmarkFetch(b, "BODY.PEEK[]") }

func benchmarkSearch(b *testing.B, keys string) {
	s := stored(b, 5000)
	for b.Loop() {
		if err := s.search(&command{args: parser{b: []byte(" " + keys)}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(5000)*float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkSearchSubject(b *testing.B) { benchmarkSearch(b, "SUBJECT none") }
func BenchmarkSearchBody(b *testing.B)    { benchmarkSearch(b, "BODY none") }
func BenchmarkSearchUnseen(b *testing.B)  { benchmarkSearch(b, "UNSEEN") }
