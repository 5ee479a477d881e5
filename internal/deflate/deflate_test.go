package deflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// What zlib makes of "a1 NOOP\r\n" (wbits -15, level 6) with each kind of flush.
var flushed = []struct{ name, hex string }{
	{"Z_PARTIAL_FLUSH", "4a3454f0f3f70fe0e50208"},
	{"Z_SYNC_FLUSH", "4a3454f0f3f70fe0e502000000ffff"},
	{"Z_FULL_FLUSH", "4a3454f0f3f70fe0e502000000ffff"},
}

const noop = "a1 NOOP\r\n"

// A command is given out as soon as it has come, whatever flush its sender uses, though nothing follows:
// the pipe would block for ever.
func TestEveryFlush(t *testing.T) {
	for _, f := range flushed {
		t.Run(f.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			data, err := hex.DecodeString(f.hex)
			if err != nil {
				t.Fatal(err)
			}
			go client.Write(data)
			got := make([]byte, len(noop))
			if _, err := io.ReadFull(NewReader(bufio.NewReader(iotest.OneByteReader(server))), got); err != nil || string(got) != noop {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A dialogue: every message is read whole before the next is sent.
func TestDialogue(t *testing.T) {
	for _, lvl := range []int{flate.NoCompression, flate.HuffmanOnly, 1, 6, 9} {
		var wire bytes.Buffer
		w, err := flate.NewWriter(&wire, lvl)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(bufio.NewReaderSize(&wire, 16))
		rnd := rand.New(rand.NewPCG(1, uint64(lvl)))
		for i := range 200 {
			want := someText(rnd, rnd.IntN(9000))
			io.WriteString(w, want)
			w.Flush()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
				t.Fatalf("level %d, message %d of %d octets: %v", lvl, i, len(want), err)
			}
		}
	}
}

func someText(rnd *rand.Rand, n int) string {
	var b strings.Builder
	for b.Len() < n {
		switch rnd.IntN(3) {
		case 0:
			fmt.Fprintf(&b, "* %d FETCH (UID %d FLAGS (\\Seen))\r\n", rnd.IntN(1e6), rnd.IntN(1e6))
		case 1:
			fmt.Fprintf(&b, "%x", rnd.Uint64())
		default:
			b.WriteString(strings.Repeat(string(rune('a'+rnd.IntN(26))), rnd.IntN(600)))
		}
	}
	return b.String()[:n]
}

// What a Writer sends is one stream: compress/flate reads it.
func TestWriter(t *testing.T) {
	var wire bytes.Buffer
	w := NewWriter(&wire)
	rnd := rand.New(rand.NewPCG(3, 4))
	var want strings.Builder
	for range 50 {
		s := someText(rnd, rnd.IntN(3*piece))
		want.WriteString(s)
		n, err := io.WriteString(w, s)
		if n != len(s) || err != nil {
			t.Fatal(n, err)
		}
		if s != "" && !bytes.HasSuffix(wire.Bytes(), []byte{0, 0, 0xff, 0xff}) {
			t.Fatal("no flush at the end")
		}
	}
	for name, r := range map[string]io.Reader{
		"compress/flate": flate.NewReader(bytes.NewReader(wire.Bytes())),
		"ours":           NewReader(bufio.NewReader(bytes.NewReader(wire.Bytes()))),
	} {
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want.String() {
			t.Errorf("%s reads something else: %v", name, err)
		}
	}
}

// A Writer passes on the errors of its destination, which it leaves alone without need.
func TestWriterErrors(t *testing.T) {
	broken := errors.New("broken")
	n, err := NewWriter(errWriter{broken}).Write(nil)
	if n != 0 || err != nil {
		t.Error("nothing to write:", n, err)
	}
	if n, err = NewWriter(errWriter{broken}).Write([]byte("x")); n != 0 || err != broken {
		t.Error(n, err)
	}
}

type errWriter struct{ err error }

func (w errWriter) Write([]byte) (int, error) { return 0, w.err }

// Errors of the source pass: the next Read goes on where the input stopped.
func TestSourceErrors(t *testing.T) {
	var wire bytes.Buffer
	io.WriteString(NewWriter(&wire), noop)
	half := wire.Len() / 2
	src := &stops{parts: [][]byte{wire.Bytes()[:half], nil, wire.Bytes()[half:]}}
	r := NewReader(bufio.NewReader(src))
	var got []byte
	timeouts := 0
	for len(got) < len(noop) {
		b := make([]byte, 4)
		n, err := r.Read(b)
		got = append(got, b[:n]...)
		if errors.Is(err, iotest.ErrTimeout) {
			timeouts++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != noop || timeouts != 1 {
		t.Errorf("%q after %d errors", got, timeouts)
	}
}

// stops gives an error in place of an empty part.
type stops struct{ parts [][]byte }

func (s *stops) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	s.parts = s.parts[1:]
	if n == 0 {
		return 0, iotest.ErrTimeout
	}
	return n, nil
}

func TestInvalid(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"block type 3", []byte{7}, ErrCorrupt},
		{"stored lengths that differ", []byte{0, 5, 0, 5, 0}, ErrCorrupt},
		{"distance before the beginning", []byte{0x4b, 0x04, 0x62, 0, 0, 0}, ErrCorrupt},
		{"too many codes", []byte{0xfd, 0xff, 0xff}, ErrCorrupt},
		{"final block", []byte{3, 0}, io.EOF},
		{"nothing", nil, io.EOF},
		{"cut short", []byte{0x4a}, io.EOF},
	} {
		r := NewReader(bufio.NewReader(bytes.NewReader(c.in)))
		for range 2 { // the error stays
			if _, err := io.Copy(io.Discard, onlyReader{r}); err != c.want && (c.want != io.EOF || err != nil) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

type onlyReader struct{ io.Reader }

// The window is no larger than what was sent, nor than a match can reach back.
func TestWindowGrows(t *testing.T) {
	var wire bytes.Buffer
	w := NewWriter(&wire)
	r := NewReader(bufio.NewReader(&wire))
	for _, c := range []struct{ send, most int }{{400, 512}, {600, 2 << 10}, {100 << 10, 32 << 10}} {
		io.WriteString(w, strings.Repeat("x", c.send))
		if _, err := io.CopyN(io.Discard, r, int64(c.send)); err != nil {
			t.Fatal(err)
		}
		if len(r.window) > c.most {
			t.Errorf("%d octets for a window after %d", len(r.window), c.send)
		}
	}
}

// FuzzReader: whatever comes, what is given out is what compress/flate gives, and where that
// stops so does this.
func FuzzReader(f *testing.F) {
	for _, s := range flushed {
		b, _ := hex.DecodeString(s.hex)
		f.Add(b)
	}
	for _, lvl := range []int{0, 1, 6} {
		var wire bytes.Buffer
		w, _ := flate.NewWriter(&wire, lvl)
		io.WriteString(w, someText(rand.New(rand.NewPCG(5, 6)), 3000))
		w.Close()
		f.Add(wire.Bytes())
	}
	f.Add([]byte{7})
	f.Fuzz(func(t *testing.T, in []byte) {
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(in)), 1<<20))
		got, err := io.ReadAll(io.LimitReader(NewReader(bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(in)), 16)), 1<<20))
		early := err != nil && wantErr != nil && bytes.HasPrefix(want, got) // a block without an end is found at its head
		if !early && !bytes.HasPrefix(got, want) {
			t.Fatalf("%d octets, compress/flate has %d others", len(got), len(want))
		}
		if wantErr == nil && (err != nil || len(got) != len(want)) {
			t.Fatalf("%d octets and %v, compress/flate has %d", len(got), err, len(want))
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var wire bytes.Buffer
	text := someText(rand.New(rand.NewPCG(7, 8)), 1<<20)
	io.WriteString(NewWriter(&wire), text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		io.CopyN(io.Discard, NewReader(bufio.NewReader(bytes.NewReader(wire.Bytes()))), int64(len(text)))
	}
}
