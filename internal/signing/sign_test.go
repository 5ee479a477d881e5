package signing

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestSignaturesVerify(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	long := strings.Repeat("word ", 20_000)
	for _, tt := range []struct{ name, msg string }{
		{"plain", letter},
		{"no body", "From: alice@example.org\n\n"},
		{"blank lines alone", "From: alice@example.org\n\n\n\n\n"},
		{"white space alone", "From: alice@example.org\n\n \t \n \n"},
		{"no end of line", "From: alice@example.org\n\nx"},
		{"white space at the end", "From: alice@example.org\n\nx \t"},
		{"white space at the beginning", "From: alice@example.org\n\n \t x\n\n\n  y\n"},
		{"folded", "From: alice@example.org\nTo: a@example.net,\n\tb@example.net,\n  c@example.net\nSubject:\n a  b\n\nx\n"},
		{"odd names", "from : alice@example.org\nSUBJECT:x\nMiMe-VeRsIoN:1.0\n\nx\n"},
		{"several of a name", "From: alice@example.org\nList-Post: 1\nList-Post: 2\nReferences: a\nReferences: b\n\nx\n"},
		{"octets above 127", "From: alice@example.org\nSubject: Grüße \xff\n\n\x00Grüße \xff\xfe\n"},
		{"dots", "From: alice@example.org\n\n.\n..\n.x\n"},
		{"long lines", "From: alice@example.org\nX: " + long + "\nSubject: " + long + "\n\n" + long + "\n" + long},
		{"many blank lines", "From: alice@example.org\n\na" + strings.Repeat("\n", 200_000) + "b\n"},
	} {
		wire := crlf(tt.msg)
		header := r.sign("example.org", wire)
		if got, err := r.verify(header + wire); err != nil || len(got) != 2 {
			t.Errorf("%s: %v %v\n%s", tt.name, got, err, header)
		}
		if n := strings.Count(header, "DKIM-Signature:"); n != 2 || !strings.HasSuffix(header, "\r\n") {
			t.Errorf("%s: %d signatures in %q", tt.name, n, header)
		}
		for line := range strings.SplitSeq(header, "\r\n") {
			if len(line) > 78 {
				t.Errorf("%s: a line of %d octets: %q", tt.name, len(line), line)
			}
		}
		// As it is stored, and however it is read.
		s := r.Signer
		for _, read := range []io.Reader{strings.NewReader(tt.msg), iotest.OneByteReader(strings.NewReader(wire)), iotest.DataErrReader(strings.NewReader(wire))} {
			again, err := s.Sign(t.Context(), "example.org", read)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.verify(string(again) + wire); err != nil || len(got) != 2 {
				t.Errorf("%s, read otherwise: %v %v", tt.name, got, err)
			}
		}
	}
}

// A message may end with its header; go-msgauth wants the blank line.
func TestHeaderAlone(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	for _, head := range []string{"From: alice@example.org\r\n", "From: alice@example.org"} {
		if got, err := r.verify(r.sign("example.org", head) + strings.TrimSuffix(head, "\r\n") + "\r\n\r\n"); err != nil || len(got) != 2 {
			t.Errorf("%q: %v %v", head, got, err)
		}
	}
}

// On the wire a CR alone is a space (RFC 5321 section 2.3.8), which is what is signed.
func TestCRAlone(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	for _, tt := range []struct{ msg, wire string }{
		{"a\rb\r\r\nc\r", "a b \r\nc \r\n"},
		{"a \r b\r\n\r\r\n", "a   b\r\n \r\n"},
	} {
		head := "From: alice@example.org\r\n\r\n"
		if got, err := r.verify(r.sign("example.org", head+tt.msg) + head + tt.wire); err != nil || len(got) != 2 {
			t.Errorf("%q: %v %v", tt.msg, got, err)
		}
	}
}

// What a reader sees cannot be changed or added to; what is added on the way can.
func TestWhatIsSigned(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	wire := crlf(letter)
	header := r.sign("example.org", wire)
	for _, harmless := range []string{"Received: from a by b;\r\n x\r\n", "Return-Path: <>\r\n", "List-Id: <l>\r\n", "Sender: list@example.net\r\n", "X-Spam: no\r\n"} {
		if got, err := r.verify(harmless + header + wire); err != nil || len(got) != 2 {
			t.Errorf("%q: %v %v", harmless, got, err)
		}
	}
	for _, name := range sealed {
		for _, forged := range []string{
			header + name + ": forged\r\n" + wire,
			header + strings.Replace(wire, "\r\n\r\n", "\r\n"+name+": forged\r\n\r\n", 1),
		} {
			if got, err := r.verify(forged); err == nil || len(got) != 0 {
				t.Errorf("%s was added and nobody saw it", name)
			}
		}
	}
	for _, body := range []string{"At noon?\r\nmore", "At noon", ""} {
		if got, err := r.verify(header + wire[:strings.Index(wire, "\r\n\r\n")+4] + body); err == nil || len(got) != 0 {
			t.Errorf("the body became %q and nobody saw it", body)
		}
	}
	if strings.Contains(header, "l=") {
		t.Error("the body is signed in part")
	}
}

func TestWhoSigns(t *testing.T) {
	r := newRig(t)
	for _, d := range []string{"example.org", "sub.example.org", "bücher.example"} {
		r.zone.publish(r.make(d)...)
	}
	msg := crlf(letter)
	for _, tt := range []struct{ from, signs string }{
		{"example.org", "example.org"}, {"EXAMPLE.org.", "example.org"},
		{"mail.example.org", "example.org"}, {"a.b.example.org", "example.org"},
		{"x.sub.example.org", "sub.example.org"}, {"xn--bcher-kva.example", "xn--bcher-kva.example"}, {"BÜCHER.example", "xn--bcher-kva.example"},
		{"example.com", ""}, {"notexample.org", ""}, {"org", ""}, {"", ""}, {"[192.0.2.1]", ""}, {"..", ""},
	} {
		header := r.sign(tt.from, msg)
		if tt.signs == "" {
			if header != "" {
				t.Errorf("%s: %q", tt.from, header)
			}
			continue
		}
		got, err := r.verify(header + msg)
		if err != nil || len(got) != 2 || got[0] != tt.signs || got[1] != tt.signs {
			t.Errorf("%s: %v %v", tt.from, got, err)
		}
	}
	if header, err := r.Sign(t.Context(), "example.com", iotest.ErrReader(errors.New("read"))); header != nil || err != nil {
		t.Errorf("a message without a signer was read: %v", err)
	}
}

func TestSealKey(t *testing.T) {
	r := newRig(t)
	keys := r.make("example.org")
	selector, key, err := r.SealKey(t.Context(), "Example.ORG")
	if err != nil || selector != keys[0].Selector || keys[0].Algorithm != RSA {
		t.Fatal(selector, err)
	}
	if k, ok := key.(*rsa.PrivateKey); !ok || k.N.BitLen() != 2048 {
		t.Errorf("%T", key)
	}
	if _, _, err := r.SealKey(t.Context(), "mail.example.org"); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
}

// Never is mail sent unsigned because of a fault.
func TestFaults(t *testing.T) {
	r := newRig(t)
	r.make("example.org")
	broken := errors.New("disk")
	if h, err := r.Sign(t.Context(), "example.org", io.MultiReader(strings.NewReader("From: a\r\n\r\nx"), iotest.ErrReader(broken))); h != nil || !errors.Is(err, broken) {
		t.Error(h, err)
	}
	if h, err := r.Sign(t.Context(), "example.org", iotest.ErrReader(broken)); h != nil || !errors.Is(err, broken) {
		t.Error(h, err)
	}
	if h, err := r.Sign(t.Context(), "example.org", strings.NewReader("From: a\r\nX: "+strings.Repeat("x", maxHeader))); h != nil || !errors.Is(err, ErrHeader) {
		t.Error(h, err)
	}
	if _, err := r.db.ExecContext(t.Context(), `UPDATE dkim_keys SET private = 'AAAA' WHERE algorithm = 'ed25519'`); err != nil {
		t.Fatal(err)
	}
	damaged := New(r.db, r.o)
	if h, err := damaged.Sign(t.Context(), "example.org", strings.NewReader(letter)); h != nil || err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Error(h, err)
	}
	if err := damaged.Damaged(t.Context()); err == nil || !strings.Contains(err.Error(), "kurir dkim rotate example.org --now") {
		t.Error(err)
	}
	if err := r.Damaged(t.Context()); err != nil {
		t.Error(err)
	}
	if _, _, err := damaged.SealKey(t.Context(), "example.org"); err != nil {
		t.Error("the other key of the domain is as it was:", err)
	}
	unread := New(r.db, r.o)
	r.db.Close()
	if h, err := unread.Sign(t.Context(), "example.org", strings.NewReader(letter)); h != nil || err == nil {
		t.Error(h, err)
	}
	if _, _, err := unread.SealKey(t.Context(), "example.org"); err == nil || errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if h := r.sign("example.org", letter); h == "" {
		t.Error("what is in memory needs no database")
	}
}

func TestResign(t *testing.T) {
	r := newRig(t)
	r.zone.publish(r.make("example.org")...)
	wire := crlf(letter)
	open := func(s string) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
	}
	signed := r.sign("example.org", wire) + wire
	changed := strings.Replace(signed, "noon", "one o'clock", 1)
	if _, err := r.verify(changed); err == nil {
		t.Fatal("the change breaks nothing")
	}
	header, err := r.Resign(t.Context(), open(changed))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := r.verify(string(header) + changed); len(got) != 2 {
		t.Errorf("%v\n%s", got, header)
	}
	for _, other := range []string{
		wire, "", "DKIM-Signature: v=1; d=example.net; s=x; b=\r\n" + wire,
		"DKIM-Signature: v=1; h=x; d=example.org\r\n" + wire,
		"DKIM-Signature: v=1; d=example.org; s=another\r\n" + wire,
		"Received: from stranger\r\n" + signed,
	} {
		if header, err := r.Resign(t.Context(), open(other)); err != nil || header != nil {
			t.Errorf("%.60q: %q %v", other, header, err)
		}
	}
	broken := errors.New("disk")
	if _, err := r.Resign(t.Context(), func() (io.ReadCloser, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := r.Resign(t.Context(), func() (io.ReadCloser, error) { return io.NopCloser(iotest.ErrReader(broken)), nil }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzSign: what is signed verifies, whatever it is, as it goes out on the wire.
func FuzzSign(f *testing.F) {
	r := newRig(f)
	r.zone.publish(r.make("example.org")...)
	f.Add([]byte(crlf(letter)))
	f.Add([]byte("a \t\r\n\r\n \rb\n\n\nc"))
	f.Add([]byte("\r"))
	f.Fuzz(func(t *testing.T, body []byte) {
		const head = "From: alice@example.org\r\nSubject: x\r\n\r\n"
		wire := bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
		wire = bytes.ReplaceAll(wire, []byte("\r"), []byte(" "))
		wire = bytes.ReplaceAll(wire, []byte("\n"), []byte("\r\n"))
		header, err := r.Sign(t.Context(), "example.org", strings.NewReader(head+string(body)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.verify(string(header) + head + string(wire)); err != nil || len(got) != 2 {
			t.Errorf("%q: %v %v", body, got, err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for _, size := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := newRig(b)
			r.make("example.org")
			msg := []byte(crlf(letter + strings.Repeat("The quick brown fox jumps over the lazy dog, and again and again.\n", size/67)))
			b.SetBytes(int64(len(msg)))
			for b.Loop() {
				if _, err := r.Sign(context.Background(), "example.org", bytes.NewReader(msg)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
