package dsn

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// sample is a reply in testdata/replies.txt.
type sample struct {
	host, status, text string
	code               int
	want               string // in the words; "" for no words
}

func samples(t testing.TB) []sample {
	t.Helper()
	raw, err := os.ReadFile("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	for block := range strings.SplitSeq(string(raw), "\n\n") {
		var lines []string
		for line := range strings.Lines(block) {
			if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
				lines = append(lines, strings.TrimSuffix(line, "\n"))
			}
		}
		if len(lines) == 0 {
			continue
		}
		last := len(lines) - 1
		want, ok := strings.CutPrefix(lines[last], "=")
		if last < 2 || !ok {
			t.Fatalf("bad sample:\n%s", block)
		}
		s := sample{host: strings.TrimPrefix(lines[0], "-"), want: strings.TrimSpace(want), text: strings.Join(lines[1:last], "\n")}
		code, rest, _ := strings.Cut(s.text, " ")
		if s.code, err = strconv.Atoi(code); err != nil {
			t.Fatalf("bad sample:\n%s", block)
		}
		s.text, s.status = rest, code[:1]+".0.0"
		if status, rest, _ := strings.Cut(rest, " "); validStatus(status) {
			s.text, s.status = rest, status
		}
		all = append(all, s)
	}
	return all
}

// Each reply is known for what it is, and none of the table is idle.
func TestExplain(t *testing.T) {
	used := make([]int, len(replies))
	for _, s := range samples(t) {
		if i := find(s.code, s.status, s.text, s.host); i >= 0 {
			used[i]++
		}
		got := Explain(s.code, s.status, s.text, s.host)
		if s.want == "" && got != "" || !strings.Contains(got, s.want) {
			t.Errorf("%s: %d %s %s\n  got  %q\n  want %q", s.host, s.code, s.status, s.text, got, s.want)
		}
	}
	for i, n := range used {
		if n == 0 {
			r := replies[i]
			t.Errorf("no sample for row %d: at %q code %q status %q text %q", i, r.at, r.code, r.status, r.text)
		}
	}
	if len(replies) < 60 {
		t.Errorf("only %d replies are known", len(replies))
	}
}

// What senders read is whole sentences without the words of protocols.
func TestExplainWords(t *testing.T) {
	for i, r := range replies {
		if r.text != strings.ToLower(r.text) {
			t.Errorf("row %d can't match: %q has capitals", i, r.text)
		}
		for n, p := range strings.Split(r.words, "\n") {
			if p == "" || !unicode.IsUpper(rune(p[0])) || !strings.HasSuffix(p, ".") || strings.Contains(p, "  ") || len(p) > 500 {
				t.Errorf("row %d: paragraph %q", i, p)
			}
			if n > 0 && !strings.HasPrefix(p, "For the administrator: ") && !strings.HasPrefix(p, "For their administrator: ") {
				t.Errorf("row %d: paragraph for whom? %q", i, p)
			}
			for _, jargon := range []string{"SMTP", "MTA", "RFC", "MX ", "relay", "RCPT", "postmaster", "bounce"} {
				if n == 0 && strings.Contains(p, jargon) {
					t.Errorf("row %d: %q in %q", i, jargon, p)
				}
			}
		}
	}
	for _, c := range classes {
		if !strings.HasSuffix(c.why, ".") || !strings.HasSuffix(c.advice, ".") {
			t.Errorf("class %s: %q %q", c.detail, c.why, c.advice)
		}
	}
}

func TestExplainLimits(t *testing.T) {
	for _, tt := range []struct {
		name         string
		code         int
		status       string
		text, host   string
		sameAs, want string
	}{
		{name: "a host of a similar name is another", code: 550, status: "5.7.26", text: "x", host: "notgoogle.com", want: ""},
		{name: "the host's final dot and capitals", code: 550, status: "5.1.1", text: "x", host: "ASPMX.L.Google.COM.", want: noMailbox},
		{name: "no status", code: 550, text: "User unknown", want: noMailbox},
		{name: "a code out of range", code: -5, text: "User unknown", want: ""},
		{name: "codes repeated within the text", code: 550, status: "5.7.1", text: "not\n550-5.7.1 \n550 one of\n550-our domains", want: noRelay},
		{name: "pieces in the wrong order", code: 550, status: "5.0.0", text: "closed account", want: ""},
		{name: "nothing", want: ""},
	} {
		if got := Explain(tt.code, tt.status, tt.text, tt.host); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// RFC 3463 section 3: whatever the status, there is something to say.
func TestClass(t *testing.T) {
	for _, tt := range []struct {
		code         int
		status, want string
	}{
		{550, "5.1.1", "does not know this address"},
		{550, "5.1.99", "something wrong with the address"},
		{0, "5.1.10", "does not take mail at all"},
		{0, "4.4.3", "directory of names"},
		{550, "5.7.1", "has rules"},
		{550, "5.7.30", "verified encryption"},
		{552, "5.0.0", "full, or the message is too big"},
		{550, "5.0.0", "refused the message"},
		{451, "4.0.0", "could not take the message"},
		{0, "5.0.0", "could not be delivered"},
		{0, "", "could not be delivered"},
	} {
		why, advice := class(tt.code, tt.status)
		if !strings.Contains(why, tt.want) || advice == "" {
			t.Errorf("class(%d, %q) = %q, %q; want %q", tt.code, tt.status, why, advice, tt.want)
		}
	}
}

func FuzzExplain(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.code, s.status, s.text, s.host)
	}
	f.Fuzz(func(t *testing.T, code int, status, text, host string) {
		words := Explain(code, status, text, host)
		if words != "" && find(code, status, text, host) < 0 {
			t.Fatal("words from nowhere")
		}
	})
}
