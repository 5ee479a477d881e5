package smtpd

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// rewrite runs the header reader of submission over a message in pieces.
func rewrite(t testing.TB, in string, piece int) (string, error) {
	s, st := testServer(t)
	s.Now = func() time.Time { return time.Unix(1_800_000_000, 0).UTC() }
	w := &wire{srv: s, ctx: context.Background(), log: slog.New(slog.DiscardHandler)}
	w.run = &run{srv: s, mode: Submission}
	ss := &session{wire: w, by: submitter{user, "alice@local.test"}}
	m := &fakeStaged{s: st}
	h := ss.newHeaderReader(m)
	for b := []byte(in); len(b) > 0; {
		n := min(piece, len(b))
		if err := h.write(b[:n]); err != nil {
			return "", err
		}
		b = b[n:]
	}
	err := h.finish()
	return m.String(), err
}

const stamp = "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <…@mx.local.test>\r\n"

var rewriteTests = []struct{ in, want string }{
	{"From: alice@local.test\r\n\r\nx\r\n", "From: alice@local.test\r\n" + stamp + "\r\nx\r\n"},
	{"From: alice@local.test\n\nx\n", "From: alice@local.test\r\n" + stamp + "\r\nx\r\n"},
	{"", stamp + "From: alice@local.test\r\n\r\n"},
	{"X: y", "X: y\r\n" + stamp + "From: alice@local.test\r\n\r\n"},
	{"\r\n", stamp + "From: alice@local.test\r\n\r\n"},
	{"\r\n\r\n", stamp + "From: alice@local.test\r\n\r\n\r\n"},
	{"no header", stamp + "From: alice@local.test\r\n\r\nno header\r\n"},
	{" folded first\r\nx: y", stamp + "From: alice@local.test\r\n\r\n folded first\r\nx: y"},
	{"BCC : a@b\r\n\tc@d\r\nBcc: e\r\nbccx: y\r\n\r\n", "bccx: y\r\n" + stamp + "From: alice@local.test\r\n\r\n"},
	{"Date: d\r\nMESSAGE-ID: <x>\r\nfrom: Alice\r\n <alice@local.test>\r\n\r\n.", "Date: d\r\nMESSAGE-ID: <x>\r\nfrom: Alice\r\n <alice@local.test>\r\n\r\n."},
	{"X: y\r\n\r\nstray \r cr\r\r\n", "X: y\r\n" + stamp + "From: alice@local.test\r\n\r\nstray \r cr\r\r\n"},
	{"From: alice@local.test\rFrom: bob@local.test\r\n\r\n", "-"},
	{"From: bob@local.test\r\n\r\n", "-"},
	{"From: \"alice@local.test\" <bob@local.test>\r\n\r\n", "-"},
	{"From: alice@local.test\r\nFROM: bob@local.test\r\n\r\n", "-"},
	{"From: alice@local.test, Friends: bob@local.test;\r\n\r\n", "-"},
	{"From: us: alice@local.test;\r\n\r\n", "From: us: alice@local.test;\r\n" + stamp + "\r\n"},
	{"From: alice\r\n\r\n", "-"},
	{"From: <alice@local.test> <bob@local.test>\r\n\r\n", "-"},
	{"From: alice@local.test bob@local.test\r\n\r\n", "-"},
	{"From: alice@local.test\vFrom: bob@local.test\r\n\r\n", "-"},
	{"From: alice@local.test, " + strings.Repeat("g:;", 40_000) + "bob@local.test\r\n\r\n", "-"},
	{"From: \"b@\\\"c\" (d@e \\( (f@g)) <alice@local.test>\r\n\r\n", "From: \"b@\\\"c\" (d@e \\( (f@g)) <alice@local.test>\r\n" + stamp + "\r\n"},
	{"From:\r\n\r\n", "-"},
	{"Return-Path: <x@y>\r\n\tz\r\nX: y\r\nRETURN-PATH : <>\r\n\r\n", "X: y\r\n" + stamp + "From: alice@local.test\r\n\r\n"},
	{"Sender: bob@local.test\r\n\r\n", "-"},
	{"From: alice@local.test\r\nX: y\r\nFrom : alice+x@local.test\r\n\r\n", "-"},
	{"Sender: alice@local.test\r\nSENDER: alice@local.test\r\n\r\n", "-"},
	{"From: alice@local.test <bob>\r\n\r\n", "-"},
	{"Sender: \r\n\r\n", "-"},
	{"Resent-From: alice@local.test, bob@local.test\r\n\r\n", "-"},
	{"Resent-Sender : bob@local.test\r\n\r\n", "-"},
	{"X-Sender: bob@local.test\r\nReply-To: bob@local.test\r\n\r\n", "X-Sender: bob@local.test\r\nReply-To: bob@local.test\r\n" + stamp + "From: alice@local.test\r\n\r\n"},
	{"X: " + strings.Repeat("y", maxHeader) + "\r\n\r\n", "-"},
}

func TestRewrite(t *testing.T) {
	for _, tt := range rewriteTests {
		for _, piece := range []int{1, 2, 3, 1000, 1 << 20} {
			if piece < 3 && len(tt.in) > 1000 {
				continue
			}
			got, err := rewrite(t, tt.in, piece)
			if err != nil {
				got = "-"
			}
			if !matches(tt.want, got) {
				t.Errorf("%.60q in pieces of %d: %q, %v", tt.in, piece, got, err)
			}
		}
	}
}

// What comes out has CRLF only, a blank line, no Bcc, and is the same for any pieces.
func FuzzRewrite(f *testing.F) {
	for _, tt := range rewriteTests {
		if len(tt.in) < 1000 {
			f.Add(tt.in)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		whole, err := rewrite(t, in, 1<<20)
		pieces, err2 := rewrite(t, in, 1)
		if (err == nil) != (err2 == nil) || len(whole) != len(pieces) {
			t.Fatalf("%q: %q, %v; in pieces %q, %v", in, whole, err, pieces, err2)
		}
		if err != nil {
			return
		}
		head, _, ok := strings.Cut(whole, "\r\n\r\n")
		if !ok || strings.Contains(strings.ReplaceAll(whole, "\r\n", ""), "\n") {
			t.Fatalf("%q became %q", in, whole)
		}
		for l := range strings.SplitSeq(head, "\r\n") {
			if strings.HasPrefix(strings.ToLower(l), "bcc:") {
				t.Fatalf("%q became %q", in, whole)
			}
		}
	})
}

func TestScanner(t *testing.T) {
	in := "Received: a\r\nreceived : b\r\n\tReceived: folded\r\nDelivered-To:  A@b \r\nX: " + strings.Repeat("y", 5000) +
		"\r\nReceivedX: c\r\n\r\nReceived: in the body\r\n"
	for _, piece := range []int{1, 7, 10000} {
		m := &fakeStaged{s: &fakeStore{}}
		h := &scanner{to: m}
		for b := []byte(in); len(b) > 0; {
			n := min(piece, len(b))
			h.write(b[:n])
			b = b[n:]
		}
		if h.received != 2 || len(h.deliveredTo) != 1 || h.deliveredTo[0] != "a@b" || m.String() != in {
			t.Errorf("in pieces of %d: %+v", piece, h.traces)
		}
	}
}

func TestLiteral(t *testing.T) {
	for helo, want := range map[string]string{
		"mail.example": "mail.example ([192.0.2.1])", "[192.0.2.9]": "[192.0.2.9] ([192.0.2.1])",
		"bad(name": "[192.0.2.1] ([192.0.2.1])", "-x": "[192.0.2.1] ([192.0.2.1])",
		"é.example": "xn--9ca.example ([192.0.2.1])", "a\u0085b.example": "[192.0.2.1] ([192.0.2.1])",
	} {
		w := &wire{helo: helo, ip: netip.MustParseAddr("192.0.2.1")}
		if got := w.fromDomain(); got != want {
			t.Errorf("%q: %q", helo, got)
		}
	}
	for to, want := range map[Path]string{
		{"you", "grün.example"}:    "you@xn--grn-ioa.example",
		{"dür", "grün.example"}:    "dür@grün.example",
		{"you", "plain.Example"}:   "you@plain.Example",
		{"you", "[192.0.2.1]"}:     "you@[192.0.2.1]",
		{"you", "a\u0085.example"}: "you@a\u0085.example",
	} {
		if got := inASCII(to).String(); got != want {
			t.Errorf("%v: %q", to, got)
		}
	}
	if got := literal(netip.MustParseAddr("2001:db8::1")); got != "[IPv6:2001:db8::1]" {
		t.Error(got)
	}
}
