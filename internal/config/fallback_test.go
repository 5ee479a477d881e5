package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFallback(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := good(t, name+"[relay]\nfallback = 'Smart.example'\nfallback_tls = 'tls'\nfallback_username = 'u'\nfallback_password_file = '"+file+"'")
	if err := c.ReadPasswords(); err != nil {
		t.Fatal(err)
	}
	if f := c.Relay.Fallback; f.Address != "smart.example:465" || f.Password.Reveal() != "s3cret" {
		t.Errorf("%+v", f)
	}
	for text, problem := range map[string]string{
		`fallback = "mx"`:                              `relay.fallback: "mx" is what is tried before`,
		`fallback = "http://smart.example/"`:           "relay.fallback: ",
		`fallback_username = "u"`:                      "means nothing without relay.fallback",
		"fallback = 'h'\nfallback_password = 'p'":      "needs fallback_username as well",
		"fallback = 'h'\nfallback_tls = 'yes'":         `relay.fallback_tls: "yes" is none of`,
		"fallback = 'h'\nfallback_username = 'u'":      "needs fallback_password or fallback_password_file as well",
		"fallback = 'h'\nfallback_password_file = 'f'": "needs fallback_username as well",
	} {
		if _, mistakes := load(t, name+"[relay]\n"+text); !strings.Contains(strings.Join(mistakes, "\n"), problem) {
			t.Errorf("%s: %q", text, mistakes)
		}
	}
	never := "relay.fallback is never used"
	both := name + "[relay]\nsmarthost = 'a'\nfallback = 'b'\n"
	if !strings.Contains(strings.Join(good(t, both).Warnings(), "\n"), never) {
		t.Error("no warning")
	}
	for _, text := range []string{both + "[[route]]\nrecipients = ['example.net']\nsmarthost = 'mx'", name + "relay.fallback = 'b'"} {
		if strings.Contains(strings.Join(good(t, text).Warnings(), "\n"), never) {
			t.Errorf("a warning for %s", text)
		}
	}
	open := good(t, name+"[relay]\nfallback = 'h'\nfallback_tls = 'none'\nfallback_username = 'u'\nfallback_password = 'p'").Warnings()
	if !strings.Contains(strings.Join(open, "\n"), "relay.fallback_tls is \"none\": the password for h can be read on the way") {
		t.Errorf("%q", open)
	}
}
