package policy

import (
	"strings"
	"testing"
)

// What the header says of a verdict is understood again, and nothing else is taken for it.
func TestIsJunk(t *testing.T) {
	received := "Received: from x\r\n"
	for _, c := range []struct {
		msg  string
		want bool
	}{
		{"Return-Path: <>\r\n" + string(header(Verdict{Decision: Junk, Results: "x; none", Reason: "y"}, Arrival{})) + received + text("a@b.example"), true},
		{"Return-Path: <>\r\n" + string(header(Verdict{Decision: Accept, Results: "x; none", Reason: "junk"}, Arrival{})) + received, false},
		{received + "X-Kurir-Reason: junk: x\r\n\r\n", false},
		{"Subject: x\r\n\r\nX-Kurir-Reason: junk: x\r\n", false},
		{"X-Kurir-Reason: junk: x", true},
		{"X-Kurir-Reason: junk: x\r\nX: " + strings.Repeat("y", maxOwn), true},
		{"X: " + strings.Repeat("y", maxOwn) + "\r\nX-Kurir-Reason: junk: x\r\n", false},
		{"", false},
	} {
		if got := IsJunk(strings.NewReader(c.msg)); got != c.want {
			t.Errorf("%.80q: %t", c.msg, got)
		}
	}
}

// RFC 5322 section 2.1.1: lines should have no more than 78 characters.
func TestFold(t *testing.T) {
	long := strings.Repeat("x", 100)
	for in, want := range map[string]string{
		"A: b c":           "A: b c\r\n",
		"A: " + long:       "A: " + long + "\r\n",
		"A: b " + long:     "A: b\r\n " + long + "\r\n",
		"A: b\r\n\r\n \tc": "A: b c\r\n",
		"A: " + strings.Repeat("1234567 ", 20): "A: " + strings.TrimSpace(strings.Repeat("1234567 ", 9)) + "\r\n " +
			strings.TrimSpace(strings.Repeat("1234567 ", 9)) + "\r\n 1234567 1234567\r\n",
	} {
		if got := string(appendFolded(nil, in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
