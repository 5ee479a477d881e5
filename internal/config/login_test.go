package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"kurir/internal/auth"
)

// What can be written is what package auth knows.
func TestMechanismsAreKnown(t *testing.T) {
	a, b := Mechanisms(), auth.KnownMechanisms()
	slices.Sort(a)
	slices.Sort(b)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("config has %q, auth %q", a, b)
	}
}

func TestLogin(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"[login]\nmechanisms = []":             "",
		"[login]\nmechanisms = [\"plain\"]":    "",
		"[login]\nown_password = [\"web\"]":    "",
		"[login]\nown_password = []":           "",
		"[login]\nmechanisms = [\"APOP\"]":     `"APOP" is none of`,
		"[login]\nown_password = [\"smtp\"]":   `"smtp" is none of`,
		"[login]\nmechanisms = [\"external\"]": "needs tls.client_ca",
	} {
		c, mistakes := load(t, "hostname = \"mail.example.com\"\n"+text)
		if got := strings.Join(mistakes, "\n"); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if text == "" && !reflect.DeepEqual(c.Login, Login{[]string{}, LoginProtocols()}) {
			t.Errorf("the default is %+v", c.Login)
		}
	}
}

func TestLoginWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "own_password = [\"web\"]": "",
		"mechanisms = [\"plain\", \"user\"]":                                        "",
		"mechanisms = [\"plain\", \"scram-sha-256\"]":                               "programs such as mbsync",
		"mechanisms = [\"plain\", \"scram-sha-256\"]\nown_password = [\"web\"]":     "",
		"mechanisms = [\"scram-sha-256\"]":                                          "only app passwords",
		"mechanisms = [\"scram-sha-256-plus\"]\nown_password = [\"web\"]":           "",
		"mechanisms = [\"plain\", \"external\"]":                                    "needs tls.client_ca",
		"mechanisms = [\"user\"]":                                                   "none for sending mail",
		"mechanisms = [\"user\", \"external\"]":                                     "none for sending mail",
		"mechanisms = [\"user\", \"external\"]\n[tls]\nclient_ca = \"people.pem\"":  "",
		"mechanisms = [\"plain\", \"external\"]\n[tls]\nclient_ca = \"people.pem\"": "",
	} {
		var got []string
		for _, w := range good(t, name+"[login]\n"+text).Warnings() {
			if strings.HasPrefix(w, "login.") {
				got = append(got, w)
			}
		}
		if all := strings.Join(got, "\n"); (all == "") != (want == "") || !strings.Contains(all, want) {
			t.Errorf("%q: %q, want %q", text, all, want)
		}
	}
}
