package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What Sample writes loads, and says what was chosen and nothing else.
func TestSample(t *testing.T) {
	chosen := []Setting{
		{"hostname", "mx.example.org"}, {"admin", "a@example.org"}, {"smtp.address", "127.0.0.1:25,[::1]:25"},
		{"limits.message_size", "30MiB"}, {"dkim.sign", "false"}, {"limits.imap_timeout", "45m"},
	}
	text, err := Sample(chosen, "relay.smarthost", "tls.cert", "smtp.address")
	if err != nil {
		t.Fatal(err)
	}
	c := good(t, text)
	if c.Hostname != "mx.example.org" || c.Admin != "a@example.org" || len(c.SMTP.Address) != 2 || c.Limits.MessageSize != 30<<20 || c.DKIM.Sign {
		t.Errorf("%+v", c)
	}
	for _, want := range []string{
		"# The name other servers know this one by.", "\nhostname = \"mx.example.org\"\n", "\n[smtp]\n", "\naddress = [\"127.0.0.1:25\", \"[::1]:25\"]\n",
		"\n# smarthost = \"\"\n", "\n# cert = \"\"\n", "\nimap_timeout = \"45m\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "[imap]") || strings.Contains(text, "KURIR_") {
		t.Errorf("too much:\n%s", text)
	}
	path := filepath.Join(t.TempDir(), "kurir.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := SetKeys(path, []string{"KURIR_LOG_LEVEL=info"})
	if err != nil || len(set) != len(chosen)+1 || !set["log.level"] || set["relay.smarthost"] {
		t.Errorf("%v %v", set, err)
	}
	for _, s := range chosen {
		if !set[s.Key] {
			t.Errorf("%s is not set", s.Key)
		}
	}
	if d, err := c.Differences(chosen); err != nil || len(d) != 0 {
		t.Errorf("%v %v", d, err)
	}
}

// A secret is written as it is, since the server has to read it there.
func TestSampleSecrets(t *testing.T) {
	const password = `a "b" \ c ü`
	chosen := []Setting{{"hostname", "mx.example.org"}, {"relay.smarthost", "out.example.net"}, {"relay.smarthost_username", "u"}, {"relay.smarthost_password", password}}
	text, err := Sample(chosen, "acme.dns_token")
	if err != nil {
		t.Fatal(err)
	}
	if got := good(t, text).Relay.Smarthost.Password.Reveal(); got != password {
		t.Errorf("%q", got)
	}
	if !strings.Contains(text, "# dns_token = \"\"\n") {
		t.Error(text)
	}
	if !IsSecret("relay.smarthost_password") || !IsSecret("acme.dns_token") || IsSecret("relay.smarthost") || IsSecret("nothing") {
		t.Error("IsSecret")
	}
}

func TestSampleMistakes(t *testing.T) {
	_, err := Sample([]Setting{{"smtp.adress", ":25"}, {"limits.recipients", "many"}, {"hostname", "x.example.org"}})
	if err == nil || !strings.Contains(err.Error(), "smtp.adress is no key") || !strings.Contains(err.Error(), "limits.recipients: ") {
		t.Errorf("%v", err)
	}
	if Known("smtp.adress") || !Known("smtp.address") || Known("route") {
		t.Error("Known")
	}
}

func TestDifferences(t *testing.T) {
	c := good(t, name+"[smtp]\naddress = [\":2525\"]\n", "KURIR_LOG_LEVEL=debug")
	got, err := c.Differences([]Setting{
		{"hostname", "other.example.com"}, {"smtp.address", ":2525"}, {"log.level", "info"}, {"data", "/srv/mail/"}, {"imap.address", ":143"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Difference{
		{"hostname", `"mail.example.com"`, `"other.example.com"`},
		{"log.level", `"debug"`, `"info"`},
		{"data", `"/var/lib/kurir"`, `"/srv/mail"`},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if _, err := c.Differences([]Setting{{"no.key", ""}}); err == nil {
		t.Error("an unknown key has no difference")
	}
}

// The variables of a first start are no mistakes of the configuration; one beside them is.
func TestSetupVariables(t *testing.T) {
	for _, v := range SetupVariables() {
		if c := good(t, name, v+"=x"); len(c.warnings) > 0 {
			t.Errorf("%s: %q", v, c.warnings)
		}
	}
	if c := good(t, name, "KURIR_SETUP_DOMAINS=x"); len(c.warnings) != 1 {
		t.Errorf("%q", c.warnings)
	}
}
