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
