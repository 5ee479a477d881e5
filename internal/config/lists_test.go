package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// uncommented is Example with its lists, which are comments there.
func uncommented() string {
	var b strings.Builder
	for line := range strings.Lines(Example()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// The lists that Example shows can be used when their comment signs are taken away, and
// show every key.
func TestExampleOfLists(t *testing.T) {
	text := strings.ReplaceAll(uncommented(), "\npassword = \"\"", "")
	c := good(t, text)
	if len(c.Routes) != 1 || len(c.Devices) != 1 || c.Routes[0].Smarthost.Address != "smtp.example.net:587" || c.Devices[0].Account != "scanner@example.com" {
		t.Errorf("routes %+v, devices %+v", c.Routes, c.Devices)
	}
	for _, li := range lists() {
		if li.doc == "" || !strings.Contains(Example(), "\n#[["+li.name+"]]\n") {
			t.Errorf("[[%s]] is not documented", li.name)
		}
		for _, f := range li.sample() {
			if f.doc == "" || !f.entry || !strings.Contains(Example(), "\n#"+f.key+" = ") {
				t.Errorf("%s of [[%s]] is not documented", f.key, li.name)
			}
		}
	}
	if keys, leaves := len(routeFields("", &Route{})), countLeaves(reflect.TypeFor[Route]()); keys != leaves {
		t.Errorf("%d keys of a route, but %d fields", keys, leaves)
	}
	if keys, leaves := len(deviceFields("", &Device{})), countLeaves(reflect.TypeFor[Device]()); keys != leaves {
		t.Errorf("%d keys of a device, but %d fields", keys, leaves)
	}
}

func TestListValues(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "pw")
	if err := os.WriteFile(secret, []byte("from a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := good(t, name+`
[[device]]
networks = ["192.168.1.7", "2001:db8::/64"]
account = "Scanner@example.com"
[relay]
smarthost = "Smarthost.example.net"
smarthost_tls = "tls"
smarthost_username = "u"
smarthost_password = "p"
[[route]]
recipients = ["Example.NET.", "*.bücher.example"]
smarthost = "mx"
[[route]]
senders = ["example.org"]
smarthost = "[2001:db8::1]"
tls = "opportunistic"
username = "me"
password_file = "`+secret+`"
[[route]]
smarthost = "192.0.2.1:26"
[[device]]
networks = ["10.0.0.0/8"]
account = "cron@example.com"
`)
	want := []Route{
		{Recipients: []string{"example.net", "*.xn--bcher-kva.example"}, Smarthost: Smarthost{Address: "mx", TLS: "opportunistic"}},
		{Senders: []string{"example.org"}, Smarthost: Smarthost{Address: "[2001:db8::1]:587", TLS: "opportunistic", Username: "me", PasswordFile: secret}},
		{Smarthost: Smarthost{Address: "192.0.2.1:26", TLS: "starttls"}},
	}
	if !reflect.DeepEqual(c.Routes, want) {
		t.Errorf("routes %+v", c.Routes)
	}
	if h := c.Relay.Smarthost; h.Address != "smarthost.example.net:465" || h.Password.Reveal() != "p" {
		t.Errorf("relay %+v", c.Relay)
	}
	devices := []Device{
		{Networks: []netip.Prefix{netip.MustParsePrefix("192.168.1.7/32"), netip.MustParsePrefix("2001:db8::/64")}, Account: "scanner@example.com"},
		{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Account: "cron@example.com"},
	}
	if !reflect.DeepEqual(c.Devices, devices) {
		t.Errorf("devices %+v", c.Devices)
	}
	if err := c.ReadPasswords(); err != nil || c.Routes[1].Smarthost.Password.Reveal() != "from a file" {
		t.Errorf("password file: %v", err)
	}
	same := good(t, name+"route = [{smarthost = 'mx', recipients = ['example.net']}, {smarthost = 'a.example'}]\ndevice = []")
	if len(same.Routes) != 2 || same.Routes[1].Smarthost.Address != "a.example:587" || len(same.Devices) != 0 {
		t.Errorf("inline: %+v", same.Routes)
	}
}

// Each mistake in a list has its own place, and the lists do not mix.
func TestListMistakes(t *testing.T) {
	_, mistakes := load(t, name+`[[route]]
recipients = ["user@example.net", "x y"]
smarthst = "a.example"
[[route]]
smarthost = "a.example"
smarthost = "b.example"
tls = "ssl"
[[route]]
smarthost = 25
[[device]]
networks = ["0.0.0.0/0", "10.0.0.0/7", "::/0", "2000::/3", "192.168.0.0/33"]
[[device]]
networks = ["64.0.0.0/2", "2001::/16", "10.0.0.0/8", "10.0.0.0/8", "64:ff9b::/96"]
account = "scanner"
[route]
recipients = ["a.example"]
[[devices]]
networks = []
[[relay]]
[device.x]
[limits]
networks = []
`)
	want := []string{
		`kurir.toml:2:3: route[1]: smarthost is missing: the server that takes this mail, or "mx"`,
		`kurir.toml:3:1: route[1].recipients: "user@example.net" is an address: write its domain alone, such as "example.net"`,
		`kurir.toml:3:1: route[1].recipients: "x y" is not a domain, such as "example.net" or "*.example.net"`,
		`kurir.toml:4:1: route[1].smarthst: unknown key; did you mean route[1].smarthost?`,
		`kurir.toml:7:1: route[2].smarthost: is there twice, first in line 6`,
		`kurir.toml:8:7: route[2].tls: "ssl" is none of ["starttls" "tls" "opportunistic" "none"]`,
		`kurir.toml:10:13: route[3].smarthost: must be text in quotes, not a number`,
		`kurir.toml:11:3: device[1]: account is missing: the account that the devices send as`,
		`kurir.toml:12:1: device[1].networks: "192.168.0.0/33" is neither a network nor an address, such as "192.0.2.0/24", "192.0.2.7" or "2001:db8::/32"`,
		`kurir.toml:14:1: device[2].networks: 64.0.0.0/2 is a good part of the Internet: `,
		`kurir.toml:14:1: device[2].networks: 2001::/16 is a good part of the Internet: `,
		`kurir.toml:14:1: device[2].networks: 10.0.0.0/8 is there twice, first in device[2]`,
		`kurir.toml:14:1: device[2].networks: 64:ff9b::/96 is a good part of the Internet: `,
		`kurir.toml:15:11: device[2].account: "scanner" is not a mail address, such as "alice@example.com"`,
		`kurir.toml:16:2: route: may be there several times: write [[route]], not [route]`,
		`kurir.toml:18:3: devices: unknown section; did you mean [[device]]?`,
		`kurir.toml:20:3: relay: is there once only: write [relay], not [[relay]]`,
		`kurir.toml:21:2: device.x: unknown section`,
		`kurir.toml:23:1: limits.networks: unknown key; did you mean proxy.networks?`,
	}
	for i := range max(len(mistakes), len(want)) {
		switch {
		case i >= len(mistakes):
			t.Errorf("missing %q", want[i])
		case i >= len(want):
			t.Errorf("extra   %q", mistakes[i])
		case !strings.HasPrefix(mistakes[i], want[i]):
			t.Errorf("got  %s\nwant %s", mistakes[i], want[i])
		}
	}
}

func TestOutboundMistakes(t *testing.T) {
	const device = "[[device]]\naccount = 'a@example.com'\nnetworks = "
	const route = "[[route]]\nsmarthost = 'mx'\n"
	for _, tt := range []struct{ text, want string }{
		{"admin = 'alice'", `2:9: admin: "alice" is not a mail address`},
		{"admin = 'Alice <alice@example.com>'", `is not a mail address`},
		{"dns.servers = ['ns.example.net']", `dns.servers: "ns.example.net" is not an address`},
		{"dns.servers = ['192.0.2.1:0']", `is not an address`},
		{"dns.servers = ['[::1]']", `is not an address`},
		{"dns.servers = '192.0.2.1'", `must be a list of texts`},
		{"relay.smarthost = 'a b'", `"a b" is neither a host nor host:port`},
		{"relay.smarthost = 'a.example:smtp'", `the port must be a number from 1 to 65535`},
		{"relay.smarthost = 'https://a.example'", `is neither a host nor host:port`},
		{"relay.smarthost = 'u@a.example:25'", `is neither a host nor host:port`},
		{"relay.smarthost_user = 'u'", `did you mean relay.smarthost_username?`},
		{"relay.smarthost = 'a.example:0'", `the port must be a number from 1 to 65535`},
		{"relay.smarthost_tls = ''", `is none of ["starttls"`},
		{"relay.smarthost_username = 'u'\nrelay.smarthost_password = 'p'", `2:28: relay.smarthost_username: means nothing without relay.smarthost`},
		{"relay.smarthost = 'mx'\nrelay.smarthost_password = 'p'", `means nothing without relay.smarthost`},
		{"relay.smarthost = 'h'\nrelay.smarthost_username = 'u'", `3:28: relay.smarthost_username: needs smarthost_password or smarthost_password_file`},
		{"relay.smarthost = 'h'\nrelay.smarthost_password = 'p'", `needs smarthost_username as well`},
		{"relay.smarthost = 'h'\nrelay.smarthost_username = 'u'\nrelay.smarthost_password = 'p'\nrelay.smarthost_password_file = 'f'", `5:33: relay.smarthost_password_file: excludes smarthost_password`},
		{"relay.smarthost = 'h'\nrelay.smarthost_username = 'u'\nrelay.smarthost_password = \"a\\nb\"", `must be one line`},
		{"relay.ipv4 = false\nrelay.ipv6 = false", `no other server could be reached`},
		{"relay.ipv4 = 'yes'", `relay.ipv4: must be true or false, not text`},
		{"hostname = true", `hostname`},
		{"relay.source_ipv4 = '::1'", `"::1"`},
		{"relay.source_ipv4 = '2001:db8::1'", `2001:db8::1 is not an IPv4 address`},
		{"relay.source_ipv6 = '192.0.2.1'", `192.0.2.1 is not an IPv6 address`},
		{"relay.source_ipv6 = 'fe80::1%eth0'", `is not an address`},
		{"relay.connections = 5\nrelay.connections_per_destination = 6", `must be relay.connections (5) or less`},
		{"relay.queue_messages = 0", `must be 1 or more`},
		{"relay.retry_first = '1ms'", `must be 1s or more`},
		{"relay.retry_first = '5h'\nrelay.retry_most = '4h'", `must be relay.retry_first (5h) or more`},
		{"relay.history = '1h'", `must be 1d or more`},
		{"limits.account_messages_hour = -1", `must be 0 or more`},
		{"[[route]]", `smarthost is missing`},
		{"[[route]]\nsmarthost = ''", `smarthost is missing`},
		{route + "tls = 'tls'", `no port with TLS from the start`},
		{route + "username = 'u'\npassword = 'p'", `route[1].username: means nothing with smarthost = "mx"`},
		{route + "recipients = ['*']", `is not a domain`},
		{route + "password = 1", `must be text in quotes, not a number`},
		{"route = 1", `2:1: route: is a table that may be there several times`},
		{"route = [1]", `write [[route]] on a line of its own`},
		{"route = [{smarthost = 'mx', x = 1}]", `2:29: route[1].x: unknown key`},
		{"route.smarthost = 'mx'", `write [[route]] on a line of its own`},
		{"[[route.x]]", `route.x: unknown section`},
		{device + "[]", `networks is missing`},
		{device + "['::ffff:0.0.0.0/96']", `0.0.0.0/0 is a good part of the Internet`},
		{device + "['10.0.0.0/8']\n" + device + "['10.0.0.0/8']", `7:1: device[2].networks: 10.0.0.0/8 is there twice, first in device[1]`},
	} {
		text := name + tt.text
		if strings.HasPrefix(tt.text, "hostname") {
			text = tt.text
		}
		_, mistakes := load(t, text)
		if tt.text == "relay.source_ipv4 = '::1'" {
			tt.want = "::1 is not an IPv4 address"
		}
		if len(mistakes) != 1 || !strings.Contains(mistakes[0], tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, mistakes, tt.want)
		}
	}
}

func TestBooleanVariables(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "1": true, "YES": true, "false": false, "0": false, "no": false} {
		if c := good(t, name, "KURIR_RELAY_IPV4="+text); c.Relay.IPv4 != want {
			t.Errorf("%s: %v", text, c.Relay.IPv4)
		}
	}
	for _, text := range []string{"", " ", "perhaps", "true 1"} {
		if _, mistakes := load(t, name, "KURIR_RELAY_IPV4="+text); len(mistakes) != 1 || !strings.Contains(mistakes[0], "must be true or false") {
			t.Errorf("%q: %q", text, mistakes)
		}
	}
}

func TestTooWide(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0/0": true, "10.0.0.0/7": true, "10.0.0.0/8": false, "192.168.0.0/16": false, "127.0.0.1/32": false,
		"::/0": true, "2001::/31": true, "2001:db8::/32": false, "fe80::/64": false, "::1/128": false, "fd00::/48": false,
		"::/96": true, "64:ff9b::/96": true, "64:ff9b::a00:0/104": false, "64:ff9b::/64": true,
	} {
		if got := tooWide(netip.MustParsePrefix(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
