package dsn

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// RFC 3461 section 4: xtext is printable ASCII without "+" and "=", the rest as "+" and
// two hexadecimal digits.
func TestXtext(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"", "", true},
		{"bob@example.net", "bob@example.net", true},
		{"bob+2Bwork@example.net", "bob+work@example.net", true},
		{"a+3Db", "a=b", true},
		{"a+3db", "a=b", true},
		{"+0D+0A", "\r\n", true},
		{"+C3+BC", "ü", true},
		{"a+", "", false},
		{"a+2", "", false},
		{"a+2G", "", false},
		{"a++2B", "", false},
		{"a+-1", "", false},
		{"a=b", "", false},
		{"a b", "", false},
		{"ü", "", false},
		{"a\x7f", "", false},
	} {
		if got, ok := Xtext(tt.in); got != tt.want || ok != tt.ok {
			t.Errorf("Xtext(%q) = %q, %v", tt.in, got, ok)
		}
	}
	if got := string(AppendXtext([]byte("x="), "a+b=c d\nü")); got != "x=a+2Bb+3Dc+20d+0A+C3+BC" {
		t.Errorf("AppendXtext: %q", got)
	}
}

// RFC 3461 section 4.2, RFC 6533 section 3.
func TestValidORCPT(t *testing.T) {
	for s, want := range map[string]bool{
		"rfc822;bob@example.net":        true,
		"RFC822;bob+2B@example.net":     true,
		"x400;/C=x":                     false,
		"x400;/C+3Dx":                   true,
		"rfc822;a+20b":                  true,
		`utf-8;j\x{FC}rgen@example.net`: true,
		"utf-8;jürgen@example.net":      true,
		`utf-8;a\x{2B}b`:                true,
		`UTF-8;\x{1F600}`:               true,
		"rfc822;jürgen@example.net":     false,
		"rfc822;+C3+BC":                 false,
		"rfc822;a+0Ab":                  false,
		"rfc822;a+00b":                  false,
		"utf-8;a+2Bb":                   false,
		`utf-8;a\b`:                     false,
		`utf-8;\x{D800}`:                false,
		`utf-8;\x{0A}`:                  false,
		`utf-8;\x{110000}`:              false,
		`utf-8;\x{1234567}`:             false,
		`utf-8;\x{F}`:                   false,
		`utf-8;\x{FC`:                   false,
		"utf-8;a b":                     false,
		"utf-8;\xff":                    false,
		"utf-8;a\u2028":                 false,
		"rfc822;":                       false,
		";bob":                          false,
		"bob":                           false,
		"":                              false,
		"rfc 822;bob":                   false,
		"rfc:822;bob":                   false,
		"rfc822;" + strings.Repeat("a", maxORCPT-7):   true,
		"rfc822;" + strings.Repeat("a", maxORCPT-6):   false,
		"rfc822;" + strings.Repeat("+41", maxORCPT/3): false,
	} {
		if got := validORCPT(s); got != want {
			t.Errorf("validORCPT(%q) = %v", s, got)
		}
	}
}

// RFC 3461 section 4.4.
func TestValidEnvID(t *testing.T) {
	for s, want := range map[string]bool{
		"QQ314159": true, "a+20b": true, "a+2B": true, strings.Repeat("a", 100): true,
		"": false, "a b": false, "a=b": false, "+0A": false, "+FF": false, "ü": false, "+": false, strings.Repeat("a", 101): false,
	} {
		if got := validEnvID(s); got != want {
			t.Errorf("validEnvID(%q) = %v", s, got)
		}
	}
}

func FuzzXtext(f *testing.F) {
	for _, s := range []string{"", "a+b=c", "+2B", "\r\n\x00", "jürgen", "+C3+BC", "a+3db"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		enc := string(AppendXtext(nil, s))
		if !printableASCII(enc) || strings.ContainsAny(enc, "= ") {
			t.Errorf("%q encoded is %q", s, enc)
		}
		if back, ok := Xtext(enc); !ok || back != s {
			t.Errorf("%q encoded is %q, decoded %q, %v", s, enc, back, ok)
		}
		if decoded, ok := Xtext(s); ok {
			if again := string(AppendXtext(nil, decoded)); len(again) > len(s) {
				t.Errorf("%q decoded is %q, encoded %q", s, decoded, again)
			}
		}
	})
}

func FuzzORCPT(f *testing.F) {
	for _, s := range []string{"rfc822;bob@example.net", `utf-8;\x{FC}`, "utf-8;ü", "a;+0A", ";;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !validORCPT(s) {
			return
		}
		kind, addr, ok := decodeORCPT(s)
		if !ok || kind == "" || addr == "" || !utf8.ValidString(addr) || strings.ContainsAny(addr, "\r\n\x00") {
			t.Errorf("%q is %q, %q, %v", s, kind, addr, ok)
		}
	})
}

const maxORCPT = 500 // RFC 3461 section 4.2

// validEnvID tells whether s may be the value of ENVID: at most 100 octets of xtext that
// stand for printable ASCII and spaces (RFC 3461 section 4.4).
func validEnvID(s string) bool {
	decoded, ok := Xtext(s)
	return ok && s != "" && len(s) <= maxEnvID && printableASCII(decoded)
}

// validORCPT tells whether s may be the value of ORCPT: an address type, ";" and an
// address in xtext that stands for printable ASCII, 500 octets at most (RFC 3461 section
// 4.2). An address of type utf-8 is in the form of RFC 6533 section 3 instead; if s is
// then not ASCII itself, it is for a session with SMTPUTF8 only.
func validORCPT(s string) bool {
	if len(s) > maxORCPT {
		return false
	}
	_, addr, ok := decodeORCPT(s)
	return ok && addr != ""
}
