package config

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestChanged(t *testing.T) {
	base := func() *Config {
		c := Default()
		c.Hostname, c.Control = "mail.example.com", "/var/lib/kurir/control.sock"
		return c
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"nothing":    {func(*Config) {}, nil},
		"empty list": {func(c *Config) { c.DNS.Servers = nil }, nil},
		"number":     {func(c *Config) { c.Limits.Recipients++ }, []string{"limits.recipients"}},
		"list":       {func(c *Config) { c.SMTP.Address = []string{":25", ":2525"} }, []string{"smtp.address"}},
		"networks": {func(c *Config) { c.Proxy.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} },
			[]string{"proxy.networks"}},
		"password": {func(c *Config) { c.Relay.Smarthost.Password = NewSecret("x") }, []string{"relay.smarthost_password"}},
		"tables": {func(c *Config) {
			c.Routes = []Route{{Recipients: []string{"example.net"}}}
			c.Devices = []Device{{Account: "printer@example.com"}}
			c.Destinations = []Destination{{Domain: "example.net", TLS: "verify"}}
			c.Log.Level = "debug"
		}, []string{"log.level", "route", "device", "destination"}},
	} {
		a, b := base(), base()
		tt.change(b)
		if got := Changed(a, b); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestKeepFixed(t *testing.T) {
	was, is := Default(), Default()
	was.Hostname, is.Hostname = "mail.example.com", "mail.example.net"
	was.Control, is.Control = "/a/control.sock", "/b/control.sock"
	is.Data, is.Store.ExpungedKeep, is.Limits.Recipients = "/elsewhere", 2*time.Hour, 7
	got := is.KeepFixed(was)
	if want := []string{"hostname", "data", "control", "store.expunged_keep"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Changed(was, is); !slices.Equal(got, []string{"limits.recipients"}) || is.Hostname != "mail.example.com" {
		t.Errorf("afterwards these differ: %q", got)
	}
}

func TestIsFixed(t *testing.T) {
	for key, want := range map[string]bool{"data": true, "store.expunged_keep": true, "smtp.address": false, "admin": false, "store": false} {
		if IsFixed(key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}

// Of each section it has been thought about whether a reload puts its keys into force. One
// that is new here belongs into fixed, or into this list once cmd/kurir/reload.go,
// reconfigure.go or the front-ends, which are made anew, heed it.
func TestReloadable(t *testing.T) {
	atOnce := []string{"", "smtp", "lmtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "http", "web", "acme", "tls",
		"limits", "inbound", "trust", "proxy", "dns", "relay", "dkim", "forward", "log", "accounts", "login"}
	for _, f := range fields(Default()) {
		section, _, _ := cutLast(f.key)
		if !IsFixed(f.key) && !slices.Contains(atOnce, section) {
			t.Errorf("%s: what does a reload do with it?", f.key)
		}
	}
}
