package signing

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// What is made to cost, in a header or in a body, is signed soon, and still verifies.
func TestDear(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	const head = "From: alice@example.org\r\nSubject: x\r\n"
	for name, msg := range map[string]string{
		"many fields":           strings.Repeat("List-Post: x\r\n", 70_000) + head + "\r\nx\r\n",
		"a field of many lines": head + "Cc: a" + strings.Repeat("\r\n ,a", 100_000) + "\r\n\r\nx\r\n",
		"white space":           head + "Reply-To:" + strings.Repeat(" ", 1_000_000) + "x\r\n\r\nx\r\n",
		"CRs":                   head + "\r\n" + strings.Repeat("x\r", 1<<20) + "\r\n",
		"empty lines":           head + "\r\n" + strings.Repeat(strings.Repeat("\r\n", maxBlank/2-1)+"x\r\n", 2),
	} {
		start := time.Now()
		header := r.sign("example.org", msg)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s took %s", name, took)
		}
		msg = strings.ReplaceAll(msg, "x\r", "x ")
		msg = strings.ReplaceAll(msg, "x \n", "x\r\n")
		if name == "a field of many lines" { // of which the verifier here is no friend
			msg = strings.ReplaceAll(msg, "\r\n ,a", " ,a")
		}
		if got, err := r.verify(header + msg); err != nil || len(got) != 2 {
			t.Errorf("%s: %v %v\n%s", name, got, err, header)
		}
	}
}

// A body with more white space in a row than is kept in memory goes out as it is.
func TestTooMuchWhiteSpace(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	r.make("example.org")
	for _, blank := range []string{"\r\n", "\n", " \r\n", "\r"} {
		log.Reset()
		body := strings.Repeat(blank, (maxBlank+pieceSize)/len(blank)+1) + "x"
		if header := r.sign("example.org", "From: alice@example.org\r\n\r\n"+body); header != "" {
			t.Errorf("%q: %s", blank, header)
		}
		if !strings.Contains(log.String(), "not signed") || !strings.Contains(log.String(), "too much white space") {
			t.Errorf("%q: logged %q", blank, log.String())
		}
	}
}

// Of a field that is there many times the lowest two are signed, so that h= stays within
// the 998 octets of a line (RFC 5322 section 2.1.1).
func TestRepeatedFields(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	head := "From: alice@example.org\r\n"
	for _, name := range append(sealed[1:], signed...) {
		head += strings.Repeat(name+": x\r\n", 10)
	}
	msg := head + "\r\nx\r\n"
	header := r.sign("example.org", msg)
	for line := range strings.SplitSeq(header, "\r\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	for what, good := range map[string]int{
		msg:                               2,
		"Subject: y\r\n" + msg:            2,
		"From: eve@example.org\r\n" + msg: 0,
		strings.Replace(msg, "x\r\nDate", "y\r\nDate", 1): 0, // the lowest Subject
	} {
		if got, _ := r.verify(header + what); len(got) != good {
			t.Errorf("%.30q: %v", what, got)
		}
	}
}

func TestFold(t *testing.T) {
	word := strings.Repeat("x", 30)
	for in, want := range map[string]string{
		"a: b\r\n c\r\n":                      "a: b\r\n c\r\n",
		word + " " + word + " " + word:        word + " " + word + "\r\n\t" + word,
		" " + word + word + word + " y\r\n":   " " + word + word + word + "\r\n\ty\r\n", // never an empty line
		" h=" + word + ": " + word + ":z: z:": " h=" + word + ": " + word + ":z: z:",
		"":                                    "",
	} {
		if got := fold(in); got != want {
			t.Errorf("%q is folded to %q, want %q", in, got, want)
		}
	}
}

// However octets arrive, on the wire a CR alone is a space.
func TestWire(t *testing.T) {
	for in, want := range map[string]string{
		"a\r\nb\nc\r\n": "a\r\nb\nc\r\n", "a\rb": "a b", "\r\r\r\n\r": "  \r\n", "\r": "", "a\r\r\n": "a \r\n", "": "",
	} {
		for _, piece := range []int{1, 2, 3, 100} {
			var b bytes.Buffer
			w := &wire{to: &b}
			for rest := []byte(in); len(rest) > 0; {
				n := min(piece, len(rest))
				if _, err := w.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if b.String() != want {
				t.Errorf("%q in pieces of %d is %q, want %q", in, piece, b.String(), want)
			}
		}
	}
}

// A message that cannot be signed leaves nothing behind: a goroutine that waits would keep
// the bubble from ending.
func TestNothingLeftBehind(t *testing.T) {
	r := newRig(t)
	r.make("example.org")
	ring, err := r.ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	damaged := &keyring{active: map[string][]*Key{"example.org": {ring.all[0], {damage: errors.New("damage")}}}}
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk")
		for _, n := range []int{0, 10, 30, 40} {
			msg := "From: alice@example.org\r\n\r\n" + strings.Repeat("x", 100)
			_, err := r.Sign(t.Context(), "example.org", io.MultiReader(strings.NewReader(msg[:n]), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				t.Errorf("after %d octets: %v", n, err)
			}
		}
		r.keys.Store(damaged)
		if _, err := r.Sign(t.Context(), "example.org", strings.NewReader(letter)); err == nil || err.Error() != "damage" {
			t.Error(err)
		}
	})
}
