package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load loads text as a file kurir.toml; mistakes come back without the directory.
func load(t *testing.T, text string, env ...string) (*Config, []string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "kurir.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, env)
	if err == nil {
		return c, nil
	}
	if c != nil {
		t.Error("a Config beside mistakes")
	}
	return nil, strings.Split(strings.ReplaceAll(err.Error(), dir+"/", ""), "\n")
}

func good(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	c, mistakes := load(t, text, env...)
	if mistakes != nil {
		t.Fatalf("mistakes: %q", mistakes)
	}
	return c
}

const name = "hostname = \"mail.example.com\"\n"

func TestExampleIsTheDefaults(t *testing.T) {
	want := Default()
	want.Hostname, want.Control = "mail.example.com", "/var/lib/kurir/control.sock"
	if got := good(t, Example()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := good(t, name); !reflect.DeepEqual(got, want) {
		t.Errorf("a nearly empty file: %+v", got)
	}
	c, err := Load("", []string{"KURIR_HOSTNAME=mail.example.com"})
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("no file: %+v, %v", c, err)
	}
}

// Every key of Config is in the table, documented, and has a variable of its own.
func TestEveryKeyIsDocumented(t *testing.T) {
	c := Default()
	seen := map[string]bool{}
	keys := 0
	for _, f := range fields(c) {
		if seen[f.env()] {
			t.Errorf("%s is not the only one", f.env())
		}
		seen[f.env()] = true
		keys++
		if f.doc == "" || !strings.Contains(Example(), "# "+f.env()+"\n") {
			t.Errorf("%s is not documented", f.key)
		}
		if section, _, found := cutLast(f.key); found && sections[section] == "" {
			t.Errorf("section %s is not documented", section)
		}
		if rest := strings.TrimPrefix(f.env(), envPrefix); rest == "PORT" || notOurs(f.env()) {
			t.Errorf("%s is taken by container platforms", f.env())
		}
	}
	if leaves := countLeaves(reflect.TypeOf(*c)); leaves != keys {
		t.Errorf("%d keys, but %d fields in Config", keys, leaves)
	}
	for line := range strings.Lines(Example()) {
		if len(line) > 121 {
			t.Errorf("long line: %s", line)
		}
	}
}

func countLeaves(t reflect.Type) (n int) {
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case !f.IsExported():
		case f.Type == reflect.TypeFor[Secret](), f.Type == reflect.TypeFor[netip.Addr]():
			n++
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem() != reflect.TypeFor[netip.Prefix]():
			// a list of tables: see lists_test.go
		case f.Type.Kind() == reflect.Struct:
			n += countLeaves(f.Type)
		default:
			n++
		}
	}
	return n
}

func TestValues(t *testing.T) {
	c := good(t, `
hostname = "Mail.Example.COM."
data = "data"
control = "run/c.sock"
imap.address = []
http = { address = ["localhost:0", "[::1]:0"] }
[smtp]
address = ["192.0.2.1:25", "[2001:db8::1]:25"] # two
early_talk = "1500ms"
[tls]
cert = "tls/cert.pem"
key = "/etc/key.pem"
plaintext_login_networks = [
	"127.0.0.0/8", "::1", "192.0.2.1", "::ffff:10.0.0.0/104",
]
[limits]
message_size = 1_048_576
connections = 10
imap_timeout = "1h30m"
[store]
expunged_keep = '7d'
[log]
level = "warn"
`)
	dir := filepath.Dir(c.Data)
	for _, tt := range []struct{ got, want any }{
		{c.Hostname, "mail.example.com"},
		{filepath.IsAbs(c.Data), true},
		{c.Control, filepath.Join(dir, "run/c.sock")},
		{c.TLS.Cert, filepath.Join(dir, "tls/cert.pem")},
		{c.TLS.Key, "/etc/key.pem"},
		{c.IMAP.Address, []string{}},
		{c.HTTP.Address, []string{"localhost:0", "[::1]:0"}},
		{c.SMTP.Address, []string{"192.0.2.1:25", "[2001:db8::1]:25"}},
		{c.SMTP.EarlyTalk, 1500 * time.Millisecond},
		{c.TLS.PlaintextLoginNetworks, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
			netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("10.0.0.0/8")}},
		{c.Limits.MessageSize, Size(1 << 20)},
		{c.Limits.Connections, 10},
		{c.Limits.ConnectionsPerAddress, 10}, // the default, 50, gives way
		{c.Limits.ConnectionsPerAccount, 10}, // likewise
		{c.Limits.IMAPTimeout, 90 * time.Minute},
		{c.Store.ExpungedKeep, 7 * 24 * time.Hour},
		{c.Log.Level, "warn"},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := good(t, name+"data = \"/a\"\n[smtp]\naddress = [\":1\"]",
		"PATH=/bin", "KURIR_HOSTNAME=mx.example.org", "KURIR_DATA=rel", "KURIR_SMTP_ADDRESS=127.0.0.1:1025, [::1]:1025",
		"KURIR_POP3_ADDRESS=", "KURIR_LIMITS_RECIPIENTS=200", "KURIR_LIMITS_MESSAGE_SIZE=20MB", "KURIR_LIMITS_SMTP_TIMEOUT=6m",
		"KURIR_TLS_PLAINTEXT_LOGIN_NETWORKS=127.0.0.0/8 ::1/128", "KURIR_PORT_25_TCP=tcp://10.0.0.1:25", "KURIR_SERVICE_HOST=10.0.0.1")
	for _, tt := range []struct{ got, want any }{
		{c.Hostname, "mx.example.org"},
		{c.Data, filepath.Join(here, "rel")},
		{c.SMTP.Address, []string{"127.0.0.1:1025", "[::1]:1025"}},
		{len(c.POP3.Address), 0},
		{c.Limits.Recipients, 200},
		{c.Limits.MessageSize, Size(20e6)},
		{c.Limits.SMTPTimeout, 6 * time.Minute},
		{len(c.TLS.PlaintextLoginNetworks), 2},
		{len(c.warnings), 0},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
	_, mistakes := load(t, name, "KURIR_LIMITS_ERRORS=ten", "KURIR_LOG_LEVEL=loud", "KURIR_IMAP_ADDRESS=imap")
	want := []string{
		`KURIR_LIMITS_ERRORS: limits.errors: must be a whole number, not "ten"`,
		`KURIR_IMAP_ADDRESS: imap.address: "imap" is not host:port, such as ":25", "192.0.2.1:25" or "[2001:db8::1]:25"`,
		`KURIR_LOG_LEVEL: log.level: "loud" is none of ["debug" "info" "warn" "error"]`,
	}
	if !reflect.DeepEqual(mistakes, want) {
		t.Errorf("got  %q\nwant %q", mistakes, want)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, mistakes := load(t, `hostnam = "mail.example.com"
data = 7
[smpt]
address = [":25"]
anything = 1
[imap]
adress = [":143"]
expunged_keep = "1h"
address = ":143"
[limits]
recipients = "100"
  message_size = "50 apples"
smtp_timeout = 300
errors = 0
connections = 5
connections_per_address = 6
messages = 99999999999
messages = 1
[tls]
cert = "x"
plaintext_login_networks = ["10.0.0.1/8", "here"]
[[pop3]]
`)
	want := []string{
		`kurir.toml:1:1: hostnam: unknown key; did you mean hostname?`,
		`kurir.toml:2:8: data: must be text in quotes, not a number`,
		`kurir.toml:3:2: smpt: unknown section; did you mean smtp?`,
		`kurir.toml:7:1: imap.adress: unknown key; did you mean imap.address?`,
		`kurir.toml:8:1: imap.expunged_keep: unknown key; did you mean store.expunged_keep?`,
		`kurir.toml:9:11: imap.address: must be a list, such as [":25"], not text`,
		`kurir.toml:11:14: limits.recipients: must be a whole number, not text`,
		`kurir.toml:12:18: limits.message_size: "50 apples" is not a size: a whole number with B, KiB, MiB, GiB or TiB, such as "50MiB"`,
		`kurir.toml:13:16: limits.smtp_timeout: must be a time in quotes, such as "90s", not a number`,
		`kurir.toml:14:10: limits.errors: must be 1 or more`,
		`kurir.toml:16:27: limits.connections_per_address: must be limits.connections (5) or less`,
		`kurir.toml:17:12: limits.messages: 99999999999 is out of range`,
		`kurir.toml:18:1: limits.messages: is there twice, first in line 17`,
		`kurir.toml:20:8: tls.cert: needs tls.key as well (it may be the same file)`,
		`kurir.toml:21:1: tls.plaintext_login_networks: "10.0.0.1/8" has bits set beyond its length: is "10.0.0.0/8" meant?`,
		`kurir.toml:22:3: pop3: is there once only: write [pop3], not [[pop3]]`,
		`kurir.toml: hostname: is missing: the name other servers know this one by, such as "mail.example.com"`,
	}
	for i := range max(len(mistakes), len(want)) {
		switch {
		case i >= len(mistakes):
			t.Errorf("missing %q", want[i])
		case i >= len(want):
			t.Errorf("extra   %q", mistakes[i])
		case mistakes[i] != want[i]:
			t.Errorf("got  %s\nwant %s", mistakes[i], want[i])
		}
	}
}

// Paths are whole ones, however the file was named.
func TestRelativeFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("kurir.toml", []byte(name+"data = 'mail'"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load("kurir.toml", nil)
	if err != nil || c.Data != filepath.Join(dir, "mail") || c.Control != filepath.Join(dir, "mail", "control.sock") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`hostname = "mail"`, `1:12: hostname: "mail" is not a full host name`},
		{`hostname = "192.0.2.1"`, `1:12: hostname: "192.0.2.1" is not a full host name`},
		{`hostname = "-x.example.com"`, `is not a full host name`},
		{`hostname = "` + strings.Repeat("x.", 130) + `com"`, `is not a full host name`},
		{"hostname = ", `1:11: not TOML: `},
		{"hostname = mail.example.com", `; text needs straight quotes`},
		{"hostname = “mail.example.com”", `; text needs straight quotes`},
		{"hostname = \"mail.example.com\n", `; is the closing quote " missing?`},
		{"hostname: mail.example.com", `; write: key = "value"`},
		{"hostname = true", `1:12: hostname: must be text in quotes, not true or false`},
		{name + "[log]\nlevel = 1.5", `3:9: log.level: must be text in quotes, not a number with a fraction`},
		{name + "[log]\nlevel = 2020-01-01", `not a date or time of day`},
		{name + "[log]\nlevel = {}", `not a table`},
		{name + "[log]\nlevel = []", `not a list`},
		{name + "log = 1", `2:1: log: is a section: write [log] on a line of its own`},
		{name + "log = {format = \"xml\"}", `2:17: log.format: "xml" is none of ["text" "json"]`},
		{name + "log = {form = \"xml\"}", `2:8: log.form: unknown key; did you mean log.format?`},
		{name + "[imap]\naddress = [\":143\", 1]", `a list with something else than text in quotes`},
		{name + "limits.errors = 99999999999999999999", `limits.errors`},
		{name + "data = ''", `2:8: data: must be a directory`},
		{name + "tls.key = 'x'", `2:11: tls.key: needs tls.cert as well`},
		{name + "imap.address = [':993']", `imaps.address: :993 is taken by :993 in imap.address`},
		{name + "imap.address = ['0.0.0.0:993']", `imaps.address: :993 is taken by 0.0.0.0:993 in imap.address`},
		{name + "imap.address = ['127.0.0.1:1', '127.0.0.1:1']", `imap.address: 127.0.0.1:1 is taken by`},
		{name + "imap.address = ['x y:1']", `"x y" is neither an address nor a host name`},
		{name + "imap.address = [':imap']", `the port must be a number up to 65535`},
		{name + "imap.address = [':70000']", `the port must be a number up to 65535`},
		{name + "limits.message_size = 1000", `must be 64KiB or more`},
		{name + "limits.imap_timeout = '-1s'", `must be 1s or more`},
		{name + "limits.imap_timeout = '1 hour'", `"1 hour" is not a time`},
		{name + "smtp.early_talk = '2m'", `must be 1m or less`},
		{name + "store.expunged_keep = '-1h'", `must be 0s or more`},
		{name + "tls.plaintext_login_networks = ['x']", `"x" is neither a network nor an address`},
		{name + "zebra.crossing = 1", `2:1: zebra.crossing: unknown key`},
		{name + "[log]\n[log]\n", `not TOML`},
	} {
		_, mistakes := load(t, tt.text)
		if len(mistakes) != 1 || !strings.Contains(mistakes[0], tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, mistakes, tt.want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	os.WriteFile(large, make([]byte, maxFile+1), 0o600)
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "none: cannot be read: no such file or directory",
		dir:                        "is not a configuration file",
		large:                      "is not a configuration file",
	} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "configuration: hostname: is missing") {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestOpenHTTP(t *testing.T) {
	for addresses, want := range map[string]string{"'127.0.0.1:80', 'localhost:81', '[::1]:82'": "", "':80', '127.0.0.1:81'": ":80", "'192.0.2.1:80', 'example.com:80'": "192.0.2.1:80 example.com:80"} {
		if got := strings.Join(good(t, name+"http.address = ["+addresses+"]").OpenHTTP(), " "); got != want {
			t.Errorf("%s: %q", addresses, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	const quiet = name + "tls.cert = 'x'\ntls.key = 'x'\n"
	if got := good(t, quiet+"tls.plaintext_login_networks = ['127.0.0.0/8']").Warnings(); len(got) != 0 {
		t.Errorf("without reason: %q", got)
	}
	for _, tt := range []struct{ text, env, want string }{
		{name, "", "tls.cert is not set"},
		{quiet + "tls.plaintext_login_networks = ['192.168.0.0/16']", "", "has 192.168.0.0/16: passwords"},
		{quiet + "smtp.address = []", "", "no mail comes in"},
		{quiet + "submission.address = []\nsubmissions.address = []", "", "cannot send"},
		{quiet + "imap.address = []\nimaps.address = []\npop3.address = []\npop3s.address = []", "", "cannot read"},
		{quiet + "limits.imap_timeout = '90s'", "", "limits.imap_timeout is 1m30s: clients may count on 30m"},
		{quiet + "limits.recipients = 50", "", "limits.recipients is 50"},
		{quiet + "log.level = 'debug'", "", "log.level is debug"},
		{strings.ReplaceAll(quiet, "example.com", "local"), "", "hostname is mail.local"},
		{quiet, "KURIR_SMTP_ADRESS=:25", "KURIR_SMTP_ADRESS has no meaning; did you mean KURIR_SMTP_ADDRESS?"},
		{quiet, "KURIR_COMPLETELY_DIFFERENT_THING=1", "KURIR_COMPLETELY_DIFFERENT_THING has no meaning"},
	} {
		got := good(t, tt.text, tt.env).Warnings()
		if len(got) != 1 || !strings.Contains(got[0], tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

// A byte order mark, as some editors write it, is no part of the configuration.
func TestByteOrderMark(t *testing.T) {
	c, mistakes := load(t, "\ufeffhostname = \"mail.example.org\"\n")
	if len(mistakes) > 0 || c.Hostname != "mail.example.org" {
		t.Errorf("%q", mistakes)
	}
}
