package pop3d

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
)

// dotted gives msg as RETR sends it, cut into writes of n bytes.
func dotted(msg string, n int) string {
	var out bytes.Buffer
	w := bufio.NewWriterSize(&out, 16)
	d := newDotWriter(w)
	for len(msg) > 0 {
		k := min(n, len(msg))
		d.Write([]byte(msg[:k]))
		msg = msg[k:]
	}
	d.end()
	w.Flush()
	return out.String()
}

var dotTests = []struct{ msg, want string }{
	{"", ".\r\n"},
	{"a\r\n", "a\r\n.\r\n"},
	{".\r\n", "..\r\n.\r\n"},
	{".", "..\r\n.\r\n"},
	{"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	{"a\r\n..\r\n", "a\r\n...\r\n.\r\n"},
	{"a.b\r\n", "a.b\r\n.\r\n"},
	{"a", "a\r\n.\r\n"},
	{"a\r", "a\r\r\n.\r\n"},
	{"a\n", "a\n\r\n.\r\n"},          // the end needs a CRLF in front, whatever the file has
	{"a\n.\nb", "a\n..\nb\r\n.\r\n"}, // clients that take LF for a line end must not stop there
	{"\r\n.\r\n.\r\n", "\r\n..\r\n..\r\n.\r\n"},
	{"\n", "\n\r\n.\r\n"},
}

// RFC 1939 section 3: the termination octet is byte-stuffed, and CRLF.CRLF ends a response.
func TestDotWriter(t *testing.T) {
	for _, tt := range dotTests {
		for _, n := range []int{1, 2, 3, 1000} {
			if got := dotted(tt.msg, n); got != tt.want {
				t.Errorf("%q in writes of %d: %q, want %q", tt.msg, n, got, tt.want)
			}
		}
	}
}

func FuzzDotWriter(f *testing.F) {
	for _, tt := range dotTests {
		f.Add(tt.msg, 2)
	}
	f.Fuzz(func(t *testing.T, msg string, n int) {
		out := dotted(msg, max(1, min(n, len(msg)+1)))
		// What a client reads back, up to the first line that is a dot, is the message, and
		// nothing is left behind it.
		r := bufio.NewReader(strings.NewReader(out))
		got, err := io.ReadAll(textproto.NewReader(r).DotReader())
		want := strings.ReplaceAll(msg, "\r\n", "\n")
		if !strings.HasSuffix(msg, "\r\n") && msg != "" {
			want += "\n"
		}
		if err != nil || r.Buffered() > 0 {
			t.Fatalf("%q sent as %q: %v, %d bytes left", msg, out, err, r.Buffered())
		}
		// DotReader forgives a lone LF; where there is none and no lone CR, it has to be exact.
		if bare := strings.ReplaceAll(msg, "\r\n", ""); !strings.ContainsAny(bare, "\r\n") && string(got) != want {
			t.Fatalf("%q sent as %q is read as %q", msg, out, got)
		}
		if strings.Contains(strings.TrimSuffix("\r\n"+out, "\r\n.\r\n"), "\n.\r\n") {
			t.Fatalf("%q sent as %q ends early", msg, out)
		}
	})
}

var topTests = []struct {
	msg  string
	max  int
	want string
}{
	{"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 0, "A: b\r\nC: d\r\n\r\n"},
	{"A: b\r\nC: d\r\n\r\n1\r\n2\r\n3\r\n", 2, "A: b\r\nC: d\r\n\r\n1\r\n2\r\n"},
	{"A: b\r\n\r\n1\r\n2\r\n", 99, "A: b\r\n\r\n1\r\n2\r\n"},
	{"A: b\r\n\r\n\r\n\r\nx\r\n", 2, "A: b\r\n\r\n\r\n\r\n"}, // empty lines are lines
	{"\r\nbody\r\n", 0, "\r\n"},
	{"\r\nbody\r\n", 1, "\r\nbody\r\n"},
	{"A: b\r\n", 0, "A: b\r\n"}, // no blank line at all
	{"A: b", 5, "A: b"},
	{"A: b\n\n1\n2\n", 1, "A: b\n\n1\n"},
	{"A: b\r\n \r\nC: d\r\n\r\nx\r\n", 0, "A: b\r\n \r\nC: d\r\n\r\n"}, // a line of spaces ends no header
	{"A\r\r\n\r\nx", 0, "A\r\r\n\r\n"},
	{"", 3, ""},
}

func TestCopyTop(t *testing.T) {
	for _, tt := range topTests {
		for name, r := range map[string]io.Reader{
			"whole":     strings.NewReader(tt.msg),
			"bytes":     iotest.OneByteReader(strings.NewReader(tt.msg)),
			"early EOF": iotest.DataErrReader(strings.NewReader(tt.msg)),
		} {
			var got strings.Builder
			if err := copyTop(&got, r, tt.max); err != nil || got.String() != tt.want {
				t.Errorf("%d lines of %q, %s: %q, %v; want %q", tt.max, tt.msg, name, got.String(), err, tt.want)
			}
		}
	}
	if err := copyTop(io.Discard, iotest.ErrReader(io.ErrUnexpectedEOF), 1); err != io.ErrUnexpectedEOF {
		t.Errorf("a reader that fails: %v", err)
	}
}

func FuzzCopyTop(f *testing.F) {
	for _, tt := range topTests {
		f.Add(tt.msg, tt.max)
	}
	f.Fuzz(func(t *testing.T, msg string, max int) {
		var whole, bytewise strings.Builder
		if copyTop(&whole, strings.NewReader(msg), max) != nil || copyTop(&bytewise, iotest.OneByteReader(strings.NewReader(msg)), max) != nil {
			t.Fatal("an error")
		}
		if whole.String() != bytewise.String() || !strings.HasPrefix(msg, whole.String()) {
			t.Fatalf("%d lines of %q: %q, byte by byte %q", max, msg, whole.String(), bytewise.String())
		}
	})
}

// Dot-stuffing must never be what a connection waits for: at least 500 MB/s.
func BenchmarkDotWriter(b *testing.B) {
	for name, line := range map[string]string{
		"base64": strings.Repeat("QUJD", 19) + "\r\n",
		"text":   "A sentence. And another one, with a dot at its end.\r\n",
		"dots":   ".dot\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			msg := []byte(strings.Repeat(line, (64<<10)/len(line)))
			w := bufio.NewWriterSize(io.Discard, writeBuffer)
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				d := newDotWriter(w)
				d.Write(msg)
				d.end()
			}
		})
	}
}
