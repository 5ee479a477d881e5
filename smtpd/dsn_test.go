package smtpd

import (
	"strings"
	"testing"

	"kurir/internal/relay"
)

// RFC 3461 section 4.1: NEVER alone, or a list of the others.
func TestParseNotify(t *testing.T) {
	for value, want := range map[string]string{
		"NEVER": "NEVER", "never": "NEVER", "SUCCESS": "SUCCESS", "Failure": "FAILURE", "DELAY": "DELAY",
		"DELAY,SUCCESS": "SUCCESS,DELAY", "failure,success,delay": "SUCCESS,FAILURE,DELAY", "DELAY,DELAY": "DELAY",
		"": "-", ",": "-", "SUCCESS,": "-", ",SUCCESS": "-", "SUCCESS,,DELAY": "-", "NEVER,NEVER": "-",
		"NEVER,SUCCESS": "-", "SUCCESS,NEVER": "-", "ALWAYS": "-", "SUCCESS;DELAY": "-", "SUCCESS+2CDELAY": "-",
	} {
		n, ok := parseNotify(value)
		got := n.String()
		if !ok {
			got = "-"
		}
		if got != want || !ok && n != relay.NotifyDefault {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// RFC 3461 section 4.3.
func TestParseRet(t *testing.T) {
	for value, want := range map[string]bool{"FULL": true, "hdrs": true, "": false, "HEADERS": false, "FULL,HDRS": false} {
		if got, ok := parseRet(value); ok != want || ok && got != strings.ToUpper(value) {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}

// RFC 3461 section 4 and section 4.4: xtext of printable ASCII, 100 octets at most.
var envIDTests = map[string]bool{
	"QQ314159": true, "a+2Bb": true, "+20": true, "+7E": true, "a;b": true, "~!": true, strings.Repeat("x", 100): true,
	"": false, "a b": false, "a=b": false, "a+": false, "a+2": false, "a+2b": false, "a+zz": false, "+-1": false,
	"+00": false, "+0D+0A": false, "+1F": false, "+7F": false, "+80": false, "+FF": false, "ä": false, "\x7f": false,
	strings.Repeat("x", 101): false,
}

func TestValidEnvID(t *testing.T) {
	for value, want := range envIDTests {
		if validEnvID(value) != want {
			t.Errorf("%q: want %v", value, want)
		}
	}
}

// RFC 3461 section 4.2, RFC 6533 section 3: "type;address", 500 octets at most.
var orcptTests = map[string]bool{
	"rfc822;a@b.example": true, "RFC822;a+2Bc@b.example": true, "rfc822;+22a+20b+22@c": true, "x400;/c;d/": true,
	"unknown;x": true, "a.b;x": false, // a dot is no atom's
	"rfc822;" + strings.Repeat("x", 493): true, "rfc822;" + strings.Repeat("x", 494): false,
	"": false, ";": false, "rfc822": false, "rfc822;": false, ";a@b": false, "rfc 822;a": false, "rfc822;a b": false,
	"rfc822;a+c@b": false, "rfc822;a+0D+0A@b": false, "rfc822;ä@b": false, "rfc+3822;a": true, "ä;b": false, "(x);b": false,
	"utf-8;a@b.example": true, "UTF-8;j\\x{F6}rg@b": true, "utf-8;jörg@b": true, `utf-8;\x{5C}\x{20}\x{2b}\x{10FFFF}`: true,
	"utf-8;": false, `utf-8;\`: false, `utf-8;\x{}`: false, `utf-8;\x{F6`: false, `utf-8;\xF6}`: false, `utf-8;\x{6}`: false,
	`utf-8;\x{0A}`: false, `utf-8;\x{7F}`: false, `utf-8;\x{D800}`: false, `utf-8;\x{110000}`: false, `utf-8;\x{00F6}`: false,
	`utf-8;\x{+F6}`: false, `utf-8;\x{g0}`: false, `utf-8;a}\x{F6`: false,
	"utf-8;a\u0085b": false, "utf-8;a\u2028b": false, "utf-8;\u202ea": false, `utf-8;\x{85}`: false, `utf-8;\x{202E}`: false,
	"utf-8;a+2Bb": false, "utf-8;a=b": false, "utf-8;\xff": false, "utf-8;a\x7fb": false,
}

func TestValidORCPT(t *testing.T) {
	for value, want := range orcptTests {
		if validORCPT(value) != want {
			t.Errorf("%q: want %v", value, want)
		}
	}
}

// The parameters of RCPT and MAIL, where they are known and where they are not.
func TestParseDSN(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		want *Reply
	}{
		{"TO:<a@b>", nil},
		{"TO:<a@b> notify=never orcpt=rfc822;a@b", nil},
		{"TO:<postmaster> NOTIFY=DELAY", nil},
		{"TO: <a@b>", replyPath},
		{"TO:<a@b> NOTIFY", replyParameters},
		{"TO:<a@b> NOTIFY=", replyParameters},
		{"TO:<a@b> ORCPT", replyParameters},
		{"TO:<a@b> ORCPT=a@b", replyParameters},
		{"TO:<a@b> ENVID=a", replyUnknownParameter},
		{"TO:<a@b>NOTIFY=NEVER", replyPath},
	} {
		if _, r := parseRcpt(tt.arg, grammar{dsn: true}); r != tt.want {
			t.Errorf("%q: %v, want %v", tt.arg, r, tt.want)
		}
		if _, r := parseRcpt(tt.arg, grammar{}); strings.Contains(tt.arg, "> ") && (r == nil || r.Code < 500) {
			t.Errorf("%q: %v without DSN", tt.arg, r)
		}
	}
	for _, tt := range []struct {
		arg  string
		want *Reply
	}{
		{"FROM:<> RET=HDRS ENVID=x", nil},
		{"FROM:<a@b> RET", replyParameters},
		{"FROM:<a@b> RET=", replyParameters},
		{"FROM:<a@b> RET=ALL", replyParameters},
		{"FROM:<a@b> ENVID", replyParameters},
		{"FROM:<a@b> ENVID=+", replyParameters},
		{"FROM:<a@b> NOTIFY=NEVER", replyUnknownParameter},
		{"FROM:<a@b> ORCPT=rfc822;x", replyUnknownParameter},
		{"FROM:<a@b> REQUIRETLS", replyUnknownParameter},
	} {
		if _, r := parseMail(tt.arg, grammar{dsn: true, maxSize: 100}); r != tt.want {
			t.Errorf("%q: %v, want %v", tt.arg, r, tt.want)
		}
	}
	m, r := parseMail("FROM:<a@b> BODY=8bitmime RET=full ENVID=a+2Bb SIZE=7", grammar{dsn: true, maxSize: 100})
	if want := (mailCommand{From: Path{"a", "b"}, Size: 7, EightBit: true, Ret: "FULL", EnvID: "a+2Bb"}); r != nil || m != want {
		t.Errorf("%+v, %v", m, r)
	}
	if m, r = parseMail("FROM:<a@b> BODY=7BIT", grammar{}); r != nil || m.EightBit {
		t.Errorf("%+v, %v", m, r)
	}
}

// Whatever is accepted is fit to be written into a command again, or into a report.
func FuzzDSN(f *testing.F) {
	for _, tests := range []map[string]bool{envIDTests, orcptTests} {
		for s := range tests {
			f.Add("TO:<a@b> ORCPT=" + s + " NOTIFY=DELAY,SUCCESS")
		}
	}
	f.Fuzz(func(t *testing.T, arg string) {
		c, r := parseRcpt(arg, grammar{dsn: true, spaces: true})
		if r != nil {
			return
		}
		if strings.ContainsAny(c.ORCPT, " \r\n\t\x00\x7f=") || len(c.ORCPT) > maxORCPT {
			t.Fatalf("%q: ORCPT %q", arg, c.ORCPT)
		}
		again := "TO:<" + c.To.String() + ">"
		if c.Notify != relay.NotifyDefault {
			again += " NOTIFY=" + c.Notify.String()
		}
		if c.ORCPT != "" {
			again += " ORCPT=" + c.ORCPT
		}
		if d, r := parseRcpt(again, grammar{dsn: true}); r != nil || d != c {
			t.Fatalf("%q: %q is %+v, %v", arg, again, d, r)
		}
	})
}
