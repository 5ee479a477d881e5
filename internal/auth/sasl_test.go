package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
)

var _ sasl.Server = Exchange(nil)

var plainMessages = []struct{ in, want string }{
	{"\x00tim\x00tanstaaftanstaaf", "|tim|tanstaaftanstaaf"}, // RFC 4616 section 4
	{"Ursel\x00Kurt\x00xipj3plmq", "Ursel|Kurt|xipj3plmq"},
	{"\x00über@example.com\x00pass word", "|über@example.com|pass word"},
	{"", ""}, {"\x00", ""}, {"\x00\x00", ""}, {"user", ""}, {"user\x00pass", ""},
	{"\x00user\x00", ""}, {"\x00\x00pass", ""}, {"\x00user\x00pass\x00", ""}, {"a\x00b\x00c\x00d", ""},
	{"\x00user\x00\xff", ""}, {"\xff\x00user\x00pass", ""},
	{"\x00" + strings.Repeat("u", maxField) + "\x00pass", "|" + strings.Repeat("u", maxField) + "|pass"},
	{"\x00" + strings.Repeat("u", maxField+1) + "\x00pass", ""},
	{"\x00user\x00" + strings.Repeat("p", maxField+1), ""},
}

func TestParsePlain(t *testing.T) {
	for _, c := range plainMessages {
		id, user, pass, err := ParsePlain([]byte(c.in))
		got := id + "|" + user + "|" + pass
		if c.want == "" && (!errors.Is(err, ErrSyntax) || got != "||") || c.want != "" && (err != nil || got != c.want) {
			t.Errorf("%.40q: got %.40q, %v", c.in, got, err)
		}
	}
}

func FuzzParsePlain(f *testing.F) {
	for _, c := range plainMessages {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, user, pass, err := ParsePlain(b); err == nil && id+"\x00"+user+"\x00"+pass != string(b) {
			t.Errorf("%q is %q %q %q", b, id, user, pass)
		}
	})
}

// A conversation: what the client sends ("-" for no initial response), and what comes
// back: a challenge, "= …" for what login was given, or "!".
func TestExchange(t *testing.T) {
	for _, c := range []struct{ mechanism, client, server string }{
		{"PLAIN", "\x00tim\x00secret", "= |tim|secret"},
		{"PLAIN", "id\x00tim\x00secret", "= id|tim|secret"},
		{"PLAIN", "-,\x00tim\x00secret", "?,= |tim|secret"},
		{"PLAIN", "-,-", "?,!"},
		{"PLAIN", "", "!"},
		{"PLAIN", "tim", "!"},
		{"LOGIN", "-,tim,secret", "?Username:,?Password:,= |tim|secret"},
		{"LOGIN", "tim,secret", "?Password:,= |tim|secret"}, // user name as initial response
		{"LOGIN", ",tim,secret", "?Username:,?Password:,= |tim|secret"},
		{"LOGIN", "-,", "?Username:,!"},
		{"LOGIN", "-,tim,", "?Username:,?Password:,!"},
		{"LOGIN", "-,t\x00m", "?Username:,!"},
		{"LOGIN", "-,tim,\xff", "?Username:,?Password:,!"},
		{"LOGIN", "-," + strings.Repeat("x", maxField+1), "?Username:,!"},
	} {
		var given string
		x := Passwords{}.NewExchange(t.Context(), c.mechanism, Attempt{Protocol: "imap"}, func(at Attempt) error {
			given = at.Identity + "|" + at.Username + "|" + at.Password
			if at.Mechanism != c.mechanism || at.Protocol != "imap" {
				t.Errorf("%s: the attempt is %+v", c.mechanism, at)
			}
			return ErrInvalid
		})
		var got []string
		for part := range strings.SplitSeq(c.client, ",") {
			response := []byte(part)
			if part == "-" {
				response = nil
			}
			challenge, done, err := x.Next(response)
			switch {
			case !done && err == nil:
				got = append(got, "?"+string(challenge))
			case done && errors.Is(err, ErrInvalid):
				got = append(got, "= "+given)
			case done && errors.Is(err, ErrSyntax) && given == "":
				got = append(got, "!")
			default:
				t.Errorf("%s %q: got %q, %v, %v", c.mechanism, c.client, challenge, done, err)
			}
		}
		if s := strings.Join(got, ","); s != c.server {
			t.Errorf("%s %.40q: got %q, want %q", c.mechanism, c.client, s, c.server)
		}
	}
	for _, m := range (Passwords{}).Mechanisms(Attempt{}) {
		if (Passwords{}).NewExchange(t.Context(), m, Attempt{}, nil) == nil {
			t.Errorf("%s is offered and not known", m)
		}
	}
	if (Passwords{}).NewExchange(t.Context(), "CRAM-MD5", Attempt{}, nil) != nil {
		t.Error("an unknown mechanism was taken")
	}
}
