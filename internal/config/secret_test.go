package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secretText = "hunter2 but longer"

// Whatever prints a configuration, or what is wrong with it, its secrets are not there.
func TestSecretsAreNotPrinted(t *testing.T) {
	text := name + "[relay]\nsmarthost = 'h'\nsmarthost_username = 'u'\nsmarthost_password = '" + secretText + "'\n" +
		"[[route]]\nsmarthost = 'h'\nusername = 'u'\npassword = '" + secretText + "'\n"
	c := good(t, text)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", c.Routes[0])
		fmt.Fprintf(&out, verb+"\n", c.Routes[0].Smarthost.Password)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "config", c, "routes", c.Routes, "password", c.Relay.Smarthost.Password)
	}
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Error(err)
	}
	for _, f := range fields(c) {
		out.WriteString(f.format())
	}
	out.WriteString(strings.Join(c.Warnings(), "\n"))
	for _, wrong := range []string{"smarthost = 1", "[[route]]\npassword = '" + secretText + "'", "log.level = 'x'\npassword = '" + secretText + "'", "x"} {
		_, mistakes := load(t, text+wrong)
		out.WriteString(strings.Join(mistakes, "\n"))
	}
	_, mistakes := load(t, name, "KURIR_RELAY_SMARTHOST_PASSWORD="+secretText, "KURIR_RELAY_SMARTHOST_PASWORD="+secretText)
	out.WriteString(strings.Join(mistakes, "\n"))
	hex := fmt.Sprintf("%x", secretText)
	if s := out.String(); strings.Contains(s, secretText) || strings.Contains(s, "hunter2") || strings.Contains(s, hex) {
		t.Errorf("a secret is printed:\n%s", s)
	}
	if c.Relay.Smarthost.Password.Reveal() != secretText || NewSecret("a") != (Secret{"a"}) {
		t.Error("the secret is lost")
	}
}

func TestReadPasswords(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good", secretText+"\n")
	write("bare", secretText)
	write("empty", "\n")
	write("lines", "a\nb\n")
	write("long", strings.Repeat("x", maxPassword+1))
	smarthost := func(file string) *Config {
		c := Default()
		c.Relay.Smarthost.PasswordFile = filepath.Join(dir, file)
		c.Routes = []Route{{}, {Smarthost: Smarthost{PasswordFile: filepath.Join(dir, file)}}}
		return c
	}
	for _, file := range []string{"good", "bare"} {
		c := smarthost(file)
		if err := c.ReadPasswords(); err != nil || c.Relay.Smarthost.Password.Reveal() != secretText || c.Routes[1].Smarthost.Password.Reveal() != secretText {
			t.Errorf("%s: %v", file, err)
		}
	}
	for file, want := range map[string]string{"empty": "holds no password", "lines": "one line", "long": "longer than 1024", "none": "no such file"} {
		err := smarthost(file).ReadPasswords()
		if err == nil || strings.Count(err.Error(), want) != 2 || !strings.Contains(err.Error(), filepath.Join(dir, file)+": route[2].password_file: ") {
			t.Errorf("%s: %v", file, err)
		}
		if file == "none" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not match", err)
		}
	}
	if err := Default().ReadPasswords(); err != nil {
		t.Error(err)
	}
}

// A relative password file lies beside the configuration.
func TestPasswordFileIsRelative(t *testing.T) {
	c := good(t, name+"[[route]]\nsmarthost = 'h'\nusername = 'u'\npassword_file = 'pw'")
	if file := c.Routes[0].Smarthost.PasswordFile; !filepath.IsAbs(file) || filepath.Base(file) != "pw" {
		t.Errorf("%s", file)
	}
}

func TestOutboundWarnings(t *testing.T) {
	const quiet = name + "tls.cert = 'x'\ntls.key = 'x'\n"
	const login = "username = 'u'\npassword_file = 'f'\n"
	const device = "[[device]]\naccount = 'a@example.com'\nnetworks = "
	for _, tt := range []struct{ text, want string }{
		{"[[route]]\nsmarthost = 'h'\n" + login, ""},
		{"[[route]]\nsmarthost = 'localhost'\ntls = 'none'\n" + login, ""},
		{"[[route]]\nsmarthost = 'h'\ntls = 'tls'", ""},
		{"[[route]]\nsmarthost = 'h:465'", `route[1].tls is "starttls", but on port 465 TLS is there from the start`},
		{"relay = {smarthost = 'h:587', smarthost_tls = 'tls'}", `relay.smarthost_tls is "tls", but on port 587 TLS begins with STARTTLS`},
		{"[[route]]\nsmarthost = '127.0.0.1'\ntls = 'none'\n" + login, ""},
		{"[[route]]\nsmarthost = 'h'\ntls = 'none'\n" + login, `route[1].tls is "none": the password for h can be read on the way`},
		{"relay = {smarthost = 'h', smarthost_tls = 'opportunistic', smarthost_username = 'u', smarthost_password = 'p'}", "relay.smarthost_tls is"},
		{"[[route]]\nsmarthost = 'h'\n[[route]]\nsmarthost = 'mx'", "route[1] takes all mail"},
		{device + "['192.168.0.0/16', '10.1.2.3', 'fd00::/32', 'fe80::/64', '100.64.0.0/10', '::1']", ""},
		{device + "['192.168.0.0/16', '192.0.2.0/24']", "device[1].networks has 192.0.2.0/24"},
		{"relay.give_up = '1d'", "relay.give_up is 1d"},
	} {
		got := good(t, quiet+tt.text).Warnings()
		switch {
		case tt.want == "" && len(got) > 0:
			t.Errorf("%q: without reason: %q", tt.text, got)
		case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// A password in a file that everyone can read is worth a warning.
func TestPublicPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.toml")
	text := name + "relay = {smarthost = 'h', smarthost_username = 'u', smarthost_password = 'p'}"
	for mode, want := range map[fs.FileMode]int{0o644: 1, 0o640: 0} {
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(strings.Join(c.Warnings(), "\n"), "relay.smarthost_password: every user"); got != want {
			t.Errorf("mode %o: %q", mode, c.Warnings())
		}
	}
}

// What the system says of the file can be asked for.
func TestUnreadableIsTyped(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
