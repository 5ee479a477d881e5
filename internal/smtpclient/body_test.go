package smtpclient

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// encode encodes pieces and returns the blocks that went out.
func encode(pieces ...string) (blocks []string) {
	e := encoder{out: make([]byte, 0, blockSize+endSize), atStart: true}
	e.flush = func(b []byte) error { blocks = append(blocks, string(b)); return nil }
	for _, p := range pieces {
		e.write([]byte(p))
	}
	e.end()
	return append(blocks, string(e.out))
}

var wantBodies = []struct{ in, out string }{
	{"", ""},
	{"x", "x\r\n"},
	{"x\r\n", "x\r\n"},
	{"\r\n", "\r\n"},
	{"\r\n\r\n", "\r\n\r\n"},
	// RFC 5321 section 4.5.2: a line that begins with a dot gets another.
	{".", "..\r\n"},
	{".\r\n", "..\r\n"},
	{"..\r\n.x\r\nx.\r\n", "...\r\n..x\r\nx.\r\n"},
	{"x\r\n.\r\nx\r\n", "x\r\n..\r\nx\r\n"},
	// Section 2.3.8: CR and LF only go together. Nothing of it ends the message.
	{"x\ny\n", "x\r\ny\r\n"},
	{"x\n.\ny", "x\r\n..\r\ny\r\n"},
	{"x\n.\r\ny", "x\r\n..\r\ny\r\n"},
	{"x\r\n.\ny", "x\r\n..\r\ny\r\n"},
	{"x\r.\ry", "x . y\r\n"},
	{"x\r.\r\ny", "x .\r\ny\r\n"},
	{"x\ry", "x y\r\n"},
	{"x\r\r\ny", "x \r\ny\r\n"},
	{"\r.", " .\r\n"},
	{"\r", " \r\n"},
	{"x\r", "x \r\n"},
	{"\n\r\n\r", "\r\n\r\n \r\n"},
	{"\x00\xff", "\x00\xff\r\n"},
}

func TestEncoder(t *testing.T) {
	for _, tt := range wantBodies {
		if got := strings.Join(encode(tt.in), ""); got != tt.out {
			t.Errorf("%q = %q, want %q", tt.in, got, tt.out)
		}
		if got := strings.Join(encode(strings.Split(tt.in, "")...), ""); got != tt.out {
			t.Errorf("%q in pieces = %q, want %q", tt.in, got, tt.out)
		}
	}
}

// A message goes out in whole blocks, but for its end; a small one waits for its end.
func TestEncoderBlocks(t *testing.T) {
	if b := encode("a\n", "b\n"); len(b) != 1 {
		t.Errorf("a small message in %d blocks", len(b))
	}
	for _, line := range []string{strings.Repeat("x", 78) + "\n", strings.Repeat(".", 3*blockSize) + "\n", ".\n", "\r", "\n"} {
		in := strings.Repeat(line, 5*blockSize/len(line)+1)
		blocks := encode(in)
		for i, b := range blocks {
			if len(b) > blockSize+1 || len(b) < blockSize && i < len(blocks)-1 {
				t.Errorf("lines like %.5q: block %d of %d has %d octets", line, i, len(blocks), len(b))
			}
		}
	}
}

func TestEncoderFlushError(t *testing.T) {
	stop := errors.New("stop")
	for _, in := range []string{strings.Repeat("x", 2*blockSize), strings.Repeat(".\n", blockSize), strings.Repeat("\r", 2*blockSize)} {
		e := encoder{out: make([]byte, 0, blockSize+endSize), atStart: true, flush: func([]byte) error { return stop }}
		if err := e.write([]byte(in)); err != stop {
			t.Errorf("%.3q: %v", in, err)
		}
	}
}

// normalised is a message with CRLF line ends, written in the plainest way.
func normalised(in []byte) []byte {
	in = bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n"))
	in = bytes.ReplaceAll(in, []byte("\r"), []byte(" "))
	if len(in) > 0 && in[len(in)-1] != '\n' {
		in = append(in, '\n')
	}
	return bytes.ReplaceAll(in, []byte("\n"), []byte("\r\n"))
}

// FuzzEncoder: taking the dots away again gives the message with CRLF for line ends,
// however it was cut into pieces; and no line is a dot alone.
func FuzzEncoder(f *testing.F) {
	for _, tt := range wantBodies {
		f.Add([]byte(tt.in), uint16(1))
	}
	f.Add(bytes.Repeat([]byte(".x\r\n\r.\n"), 6000), uint16(977))
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		var pieces []string
		n := max(int(piece), 1)
		for rest := in; len(rest) > 0; {
			k := min(n, len(rest))
			pieces = append(pieces, string(rest[:k]))
			rest = rest[k:]
		}
		wire := strings.Join(encode(pieces...), "")
		var back strings.Builder
		for line := range strings.Lines(wire) {
			if line == ".\r\n" || !strings.HasSuffix(line, "\r\n") || strings.Contains(line[:len(line)-2], "\r") {
				t.Fatalf("line %q", line)
			}
			back.WriteString(strings.TrimPrefix(line, "."))
		}
		if want := string(normalised(bytes.Clone(in))); back.String() != want {
			t.Fatalf("%q came back as %q", want, back.String())
		}
	})
}

func BenchmarkEncoder(b *testing.B) {
	in := []byte(strings.Repeat(strings.Repeat("x", 74)+"\n", 400))
	e := encoder{out: make([]byte, 0, blockSize+endSize), atStart: true, flush: func([]byte) error { return nil }}
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		e.write(in)
	}
}
