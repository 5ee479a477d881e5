package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// TestReadDraft: where the header ends.
func TestReadDraft(t *testing.T) {
	for _, tt := range []struct{ text, head, body string }{
		{"", "", ""},
		{"\n", "", ""},
		{"A: 1\n\nbody\n", "A: 1\n", "body\n"},
		{"A: 1\r\n\r\nbody\r\n", "A: 1\r\n", "body\r\n"},
		{"A: 1\n folded\n\tmore\nB :2\n\n\nbody", "A: 1\n folded\n\tmore\nB :2\n", "\nbody"},
		{"From alice Mon Jan  1\nA: 1\n\nFrom here\n", "A: 1\n", "From here\n"},
		{"hello\nworld: 1\n", "", "hello\nworld: 1\n"},
		{" hello\n", "", " hello\n"},
		{"see this: 1\n", "", "see this: 1\n"},
		{"A: 1\nno field\nB: 2\n", "A: 1\n", "no field\nB: 2\n"},
		{"A: 1", "A: 1\n", ""},
		{": 1\n", "", ": 1\n"},
		{strings.Repeat("x", 1<<20), "", strings.Repeat("x", 1<<20)},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(tt.text), "bytes": iotest.OneByteReader(strings.NewReader(tt.text))} {
			d, err := readDraft(r)
			if err != nil {
				t.Errorf("%.40q: %v", tt.text, err)
				continue
			}
			body, err := io.ReadAll(d.body)
			if string(d.head) != tt.head || string(body) != tt.body || err != nil {
				t.Errorf("%.40q (%s): header %.40q, body %.40q, %v", tt.text, name, d.head, body, err)
			}
		}
	}
	for _, text := range []string{"A: " + strings.Repeat("x", maxHead), strings.Repeat("A: 1\n", maxHead/4)} {
		if _, err := readDraft(strings.NewReader(text)); !errors.Is(err, errBigHead) {
			t.Errorf("a header without end: %v", err)
		}
	}
	if _, err := readDraft(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

func FuzzReadDraft(f *testing.F) {
	f.Add([]byte("From x\nA: 1\n b\n\nbody"))
	f.Add([]byte("A: 1\nno\n"))
	f.Add([]byte("\r\n\x00:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := readDraft(bytes.NewReader(text))
		if err != nil {
			return
		}
		body, err := io.ReadAll(d.body)
		if err != nil || !bytes.HasSuffix(text, body) {
			t.Errorf("the body %q is not the end of %q, %v", body, text, err)
		}
		_, _ = d.recipients()
		d.signFrom("x", "a@b.test")
		if again, err := readDraft(d.reader()); err != nil || len(d.values("from")) == 0 || !bytes.Equal(again.head, d.head) {
			t.Errorf("the header %q is read as %q, %v", d.head, again.head, err)
		}
	})
}

// RFC 5322 section 3.6.6: the Resent- fields of a message that is sent once more are what
// counts.
func TestDraftRecipients(t *testing.T) {
	for _, tt := range []struct{ head, want string }{
		{"To: a@x.test\nCc: B <b@x.test>, \"c d\"@x.test\nBcc: e@x.test\nFrom: f@x.test\n", `a@x.test b@x.test "c d"@x.test e@x.test`},
		{"To: group: a@x.test, b@x.test;, c@x.test\n", "a@x.test b@x.test c@x.test"},
		{"To: undisclosed-recipients:;\n", ""},
		{"To: root\n", "root"},
		{"To: a@x.test\nResent-To: r@x.test\nResent-Bcc: s@x.test\n", "r@x.test s@x.test"},
		{"to: a@x.test,\n b@x.test\nTO: c@x.test\n", "a@x.test b@x.test c@x.test"},
		{"Subject: a@x.test\n", ""},
	} {
		all, err := (&draft{head: []byte(tt.head)}).recipients()
		if got := strings.Join(all, " "); got != tt.want || err != nil {
			t.Errorf("%q: %q, %v", tt.head, got, err)
		}
	}
	if all, err := (&draft{head: []byte("To: <a@x.test\n")}).recipients(); err == nil && !slices.Equal(all, []string{"a@x.test"}) {
		t.Errorf("%q", all)
	}
}

func TestSignFrom(t *testing.T) {
	for _, tt := range []struct{ head, name, want string }{
		{"From: a@x.test\nA: 1\n", "Alice", "From: a@x.test\nA: 1\n"},
		{"A: 1\n", "", "A: 1\nFrom: me@h.test\n"},
		{"A: 1\n", "Alice", "A: 1\nFrom: \"Alice\" <me@h.test>\n"},
		{"A: 1\n", `A "B" \`, "A: 1\nFrom: \"A \\\"B\\\" \\\\\" <me@h.test>\n"},
		{"A: 1\n", "Jürgen", "A: 1\nFrom: =?utf-8?q?J=C3=BCrgen?= <me@h.test>\n"},
		{"A: 1\n", "two\nlines: x", "A: 1\nFrom: \"two lines: x\" <me@h.test>\n"},
		{"From: root (Cron Daemon)\nA: 1\n", "", "A: 1\nFrom: \"Cron Daemon\" <me@h.test>\n"},
		{"From: root\nA: 1\n", "", "A: 1\nFrom: \"root\" <me@h.test>\n"},
		{"From: root\nA: 1\n", "Alice", "A: 1\nFrom: \"Alice\" <me@h.test>\n"},
		{"From:\nA: 1\n", "", "A: 1\nFrom: me@h.test\n"},
	} {
		d := &draft{head: []byte(tt.head)}
		d.signFrom(tt.name, "me@h.test")
		if string(d.head) != tt.want {
			t.Errorf("%q as %q: %q", tt.head, tt.name, d.head)
		}
	}
}

func TestCompose(t *testing.T) {
	d := compose([]string{"a@x.test", "b@x.test"}, "Größe\nBcc: x@x.test", strings.NewReader("text\n"))
	text, err := io.ReadAll(d.reader())
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "To: a@x.test,\n b@x.test\nSubject: =?utf-8?q?Gr=C3=B6=C3=9Fe_Bcc:_x@x.test?=\n", "charset=utf-8", "\n\ntext\n")
	long := compose([]string{"a@x.test"}, strings.Repeat("ä", 2000), strings.NewReader(""))
	for line := range strings.Lines(string(long.head)) {
		if len(line) > 100 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

func TestParseRecipients(t *testing.T) {
	for text, want := range map[string]string{
		"a@x.test": "a@x.test", "<a@x.test>": "a@x.test", "A B <a@x.test>, c@y.test": "a@x.test c@y.test", "root": "root",
		`"a b"@x.test`: `"a b"@x.test`, `"a"@x.test`: "a@x.test", "a@[192.0.2.1]": "a@[192.0.2.1]", "jürgen@bücher.test": "jürgen@bücher.test",
		"a+b@x.test": "a+b@x.test", "MAILER-DAEMON": "MAILER-DAEMON",
	} {
		all, err := parseRecipients(text)
		if got := strings.Join(all, " "); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"@x.test", "a@", "<>", "a@b@c", "\"a"} {
		if all, err := parseRecipients(text); err == nil && len(all) > 0 {
			t.Errorf("%q: %q", text, all)
		}
	}
}

// A dot alone on a line ends a message of old programs, wherever reads end.
func TestDotReader(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		".":                "",
		".\n":              "",
		"a\n.\nb\n":        "a\n",
		"a\r\n.\r\nb\r\n":  "a\r\n",
		"a\n.":             "a\n",
		"a\n..\n.b\n. \nc": "a\n..\n.b\n. \nc",
		"a.\n.\r":          "a.\n.\r",
		"no end":           "no end",
		".\nx":             "",
		strings.Repeat("x", 10_000) + "\n.\nrest": strings.Repeat("x", 10_000) + "\n",
	} {
		for name, r := range map[string]io.Reader{
			"whole": newDotReader(strings.NewReader(text)),
			"slow":  newDotReader(iotest.OneByteReader(strings.NewReader(text))),
			"small": iotest.OneByteReader(newDotReader(strings.NewReader(text))),
		} {
			got, err := io.ReadAll(r)
			if string(got) != want || err != nil {
				t.Errorf("%.40q (%s): %.40q, %v", text, name, got, err)
			}
		}
	}
	broken := newDotReader(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrClosedPipe)))
	if _, err := io.ReadAll(broken); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}
