package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// other gives each field a value that is not its default, as TOML and as a variable.
func other(f field) (inTOML, inEnv string) {
	switch v := f.target.(type) {
	case *bool:
		return strconv.FormatBool(!*v), map[bool]string{true: "No", false: "yes"}[*v]
	case *int:
		return "7", "7"
	case *Size:
		return `"1MiB"`, "1MiB"
	case *time.Duration:
		d := max(42*time.Second, time.Duration(f.least)*2)
		if f.key == "relay.retry_most" {
			d = time.Hour
		}
		return strconv.Quote(formatDuration(d)), d.String()
	case *[]string:
		if f.key == "dns.servers" {
			return `["192.0.2.53", "[2001:db8::53]:53"]`, "192.0.2.53,[2001:db8::53]:53"
		}
		if strings.HasPrefix(f.key, "inbound.") || f.key == "acme.names" || f.key == "trust.arc_sealers" {
			return `["a.example", "b.example"]`, "a.example,b.example"
		}
		if f.key == "dns.addresses" {
			return `["192.0.2.25", "2001:db8::25"]`, "192.0.2.25,2001:db8::25"
		}
		if f.key == "acme.challenges" {
			return `["http-01"]`, "http-01"
		}
		if f.key == "login.mechanisms" {
			return `["plain", "user"]`, "plain,user"
		}
		if f.key == "login.own_password" {
			return `["web", "imap"]`, "web,imap"
		}
		return `["127.0.0.1:0", "[::1]:0"]`, "127.0.0.1:0,[::1]:0"
	case *[]netip.Prefix:
		return `["127.0.0.0/8", "::1/128"]`, "127.0.0.0/8, ::1/128"
	}
	for key, value := range map[string]string{
		"hostname": "mx.example.org", "log.level": "error", "web.mta_sts": "testing", "log.format": "json", "admin": "alice@example.com",
		"relay.smarthost": "smtp.example.net:2525", "relay.smarthost_tls": "none", "relay.fallback": "smtp.example.net:2525", "relay.fallback_tls": "none",
		"acme.email": "bob@example.com", "store.reserve": "1GiB", "acme.directory": "https://ca.example/dir", "acme.dns_provider": "desec",
		"trust.dmarc": "mark", "dns.trusted": "yes", "lmtp.socket_mode": "0666", "trust.own_domains": "off", "relay.source_ipv4": "192.0.2.1", "relay.source_ipv6": "2001:db8::1",
	} {
		if f.key == key {
			return `"` + value + `"`, value
		}
	}
	return `"/elsewhere/` + f.key + `"`, "/elsewhere/" + f.key
}

// Each key can be set in the file and by its variable, with the same effect, which is
// to change that key alone.
func TestEachKey(t *testing.T) {
	for _, f := range fields(Default()) {
		inTOML, inEnv := other(f)
		base := name
		if f.key == "hostname" {
			base = ""
		}
		rest := "" // the other half of a pair
		switch f.key {
		case "tls.cert":
			rest = "\ntls.key = '/k'"
		case "tls.key":
			rest = "\ntls.cert = '/c'"
		case "relay.smarthost_username":
			rest = "\nrelay.smarthost = 'h'\nrelay.smarthost_password = 'p'"
		case "relay.smarthost_password", "relay.smarthost_password_file":
			rest = "\nrelay.smarthost = 'h'\nrelay.smarthost_username = 'u'"
		case "relay.fallback_username":
			rest = "\nrelay.fallback = 'h'\nrelay.fallback_password = 'p'"
		case "relay.fallback_password", "relay.fallback_password_file":
			rest = "\nrelay.fallback = 'h'\nrelay.fallback_username = 'u'"
		default:
			rest = acmeRest[f.key]
		}
		file := good(t, base+f.key+" = "+inTOML+rest)
		env := good(t, base+strings.TrimPrefix(rest, "\n"), f.env()+"="+inEnv)
		if !reflect.DeepEqual(file, env) {
			t.Errorf("%s: file %+v, variable %+v", f.key, file, env)
		}
		set, unset := fields(file), fields(good(t, name))
		for i := range set {
			same := reflect.DeepEqual(set[i].target, unset[i].target)
			derived := f.key == "data" && set[i].key == "control" || // lies in data, unless it is set
				f.key == "limits.connections" && strings.HasPrefix(set[i].key, "limits.connections_per_") ||
				f.key == "relay.connections" && set[i].key == "relay.connections_per_destination" ||
				rest != "" && (strings.HasPrefix(set[i].key, "tls.") || strings.HasPrefix(set[i].key, "relay.smarthost") || strings.HasPrefix(set[i].key, "relay.fallback") || strings.HasPrefix(set[i].key, "acme."))
			if same == (set[i].key == f.key) && !derived {
				t.Errorf("%s changed %s: %v", f.key, set[i].key, !same)
			}
		}
	}
}

// A value of the wrong kind is a mistake for each key, and says what is wanted.
func TestEachKeyRefusesOtherKinds(t *testing.T) {
	for _, f := range fields(Default()) {
		for _, value := range []string{"true", "1.5", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "{a = 1}", "[1]", "[[]]", "inf"} {
			if _, ok := f.target.(*bool); ok && value == "true" {
				continue
			}
			_, mistakes := load(t, f.key+" = "+value)
			found := false
			for _, m := range mistakes {
				found = found || strings.Contains(m, f.key+": must be "+f.wants()+", not ")
			}
			if !found {
				t.Errorf("%s = %s: %q", f.key, value, mistakes)
			}
		}
	}
}

func TestFormatIsRead(t *testing.T) {
	c := good(t, name+"tls.plaintext_login_networks = ['127.0.0.0/8', '::1/128']\nlimits.message_size = 1234567\nimap.address = []")
	var text strings.Builder
	for _, f := range fields(c) {
		text.WriteString(f.key + " = " + f.format() + "\n")
	}
	if again := good(t, text.String()); !reflect.DeepEqual(again, c) {
		t.Errorf("%s\nis read as %+v", &text, again)
	}
}

func TestMistakesAreTyped(t *testing.T) {
	_, err := Load("", []string{"KURIR_HOSTNAME=x", "KURIR_LIMITS_ERRORS=0"})
	var m Mistake
	if !errors.As(err, &m) || m != (Mistake{Source: "KURIR_HOSTNAME", Key: "hostname", Problem: m.Problem}) {
		t.Errorf("%#v", m)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 2 {
		t.Errorf("%v", err)
	}
	for want, m := range map[string]Mistake{
		"f:1:2: k: p": {"f", 1, 2, "k", "p", nil},
		"f:1:2: p":    {"f", 1, 2, "", "p", nil},
		"f: k: p":     {"f", 0, 0, "k", "p", nil},
	} {
		if m.Error() != want {
			t.Errorf("%q, want %q", m.Error(), want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	l := newLoader("")
	for _, tt := range []struct {
		key     string
		section bool
		want    string
	}{
		{"hostnmae", false, "hostname"},
		{"datadir", false, ""},
		{"limits.msgsize", false, ""},
		{"limits.message-size", false, "limits.message_size"},
		{"limits.mesage_size", false, "limits.message_size"},
		{"message_size", false, "limits.message_size"},
		{"tls.log.level", false, "log.level"},
		{"imap.port", false, ""},
		{"smtp.adresses", false, "smtp.address"},
		{strings.Repeat("x", 200), false, ""},
		{"limit", true, "limits"},
		{"submision", true, "submission"},
		{"imap4s", true, "imaps"},
		{"webmail", true, ""},
		{"realy", true, "relay"},
		{"devices", true, "[[device]]"},
		{"routes", true, "[[route]]"},
		{"relay.networks", false, "proxy.networks"},
		{"relay.password", false, "password in [[route]]"},
		{"relay.smarthost_pasword", false, "relay.smarthost_password"},
	} {
		want := ""
		if tt.want != "" {
			want = "; did you mean " + tt.want + "?"
		}
		if got := l.suggest(tt.key, tt.section); got != want {
			t.Errorf("%q: %q, want %q", tt.key, got, want)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	for _, tt := range []struct {
		addr, host string
		port       uint64
		ok         bool
	}{
		{":25", "", 25, true},
		{"0.0.0.0:25", "", 25, true},
		{"[::]:25", "", 25, true},
		{"[0:0::0]:25", "", 25, true},
		{"127.0.0.1:0", "127.0.0.1", 0, true},
		{"[2001:DB8:0::1]:25", "2001:db8::1", 25, true},
		{"[fe80::1%eth0]:25", "fe80::1%eth0", 25, true},
		{"localhost:65535", "localhost", 65535, true},
		{"mail.example.com:25", "mail.example.com", 25, true},
		{"", "", 0, false},
		{"25", "", 0, false},
		{"::1:25", "", 0, false},
		{"127.0.0.1", "", 0, false},
		{"127.0.0.1:", "", 0, false},
		{"127.0.0.1:-1", "", 0, false},
		{"127.0.0.1:65536", "", 0, false},
		{"127.0.0.256:25", "", 0, false},
		{"exa mple:25", "", 0, false},
	} {
		host, port, err := splitAddress(tt.addr)
		if (err == nil) != tt.ok || host != tt.host || err == nil && port != tt.port {
			t.Errorf("%q: %q %d %v", tt.addr, host, port, err)
		}
	}
}

func TestIsHostname(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "mail.example.com": true, "xn--bcher-kva.example": true, "1.2.3.x": true, "a-b.c": true, strings.Repeat("x", 63) + ".y": true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "a_b": false, "-a": false, "a-": false, "192.0.2.1": false,
		"bücher.example": false, "a b": false, "a/b": false, strings.Repeat("x", 64) + ".y": false, "::1": false,
	} {
		if isHostname(s) != want {
			t.Errorf("%q", s)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "0.0.0.0/0": "0.0.0.0/0", "192.0.2.1": "192.0.2.1/32", "::1": "::1/128", "2001:db8::/32": "2001:db8::/32",
		"::ffff:192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.0/120": "192.0.2.0/24",
		"10.0.0.1/8": "", "10.0.0.0/33": "", "10.0.0/8": "", "fe80::1%eth0": "", "": "", "example.com": "",
	} {
		got, err := parsePrefix(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
