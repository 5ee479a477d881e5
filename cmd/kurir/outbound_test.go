package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/config"
	"kurir/internal/queue"
	"kurir/internal/relay"
	"kurir/internal/telemetry"
)

// TestSelf: mail must not come back, but may go to another server on the same machine.
func TestSelf(t *testing.T) {
	loopback, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.77")
	for _, tt := range []struct {
		listen                    []string
		wantLoopback, wantAnother bool
	}{
		{[]string{":25"}, true, false},
		{[]string{"[::]:25"}, true, false},
		{[]string{"localhost:25"}, true, false},
		{[]string{"192.0.2.77:25"}, false, true},
		{[]string{"[::ffff:192.0.2.77]:25", "127.0.0.1:25"}, true, true},
		{nil, false, false},
	} {
		c := config.Default()
		c.Hostname, c.SMTP.Address = "mail.example.test", tt.listen
		s := self(c)
		if s.Is(loopback) != tt.wantLoopback || s.Is(other) != tt.wantAnother || !slices.Equal(s.Names, []string{"mail.example.test"}) {
			t.Errorf("%v: loopback %v, another %v, %v", tt.listen, s.Is(loopback), s.Is(other), s.Names)
		}
	}
}

// TestOutboundOptions: the configuration reaches relay and queue, the general smarthost
// behind the routes.
func TestOutboundOptions(t *testing.T) {
	c := config.Default()
	c.Hostname, c.Admin = "mail.example.test", "root@example.test"
	c.Relay.Smarthost = config.Smarthost{Address: "smtp.example.net:587", TLS: config.TLSStartTLS, Username: "u", Password: config.NewSecret("p")}
	c.Routes = []config.Route{{Recipients: []string{"example.com"}, Smarthost: config.Smarthost{Address: "mx"}}}
	c.Relay.IPv6, c.Relay.GiveUp, c.Relay.QueueMessages = false, time.Hour, 7
	c.Limits.AccountRecipientsDay = 3
	m := telemetry.New()
	o := dataOptions{cfg: c, log: slog.New(slog.DiscardHandler), metrics: m}
	r := o.relay(o.resolver())
	want := []relay.Route{
		{Recipients: []string{"example.com"}, Smarthost: "mx"},
		{Smarthost: "smtp.example.net:587", TLS: "starttls", Username: "u", Password: "p"},
	}
	if fmt.Sprint(r.Routes) != fmt.Sprint(want) || !r.Families.NoIPv6 || r.Families.NoIPv4 {
		t.Errorf("%v, %+v", r.Routes, r.Families)
	}
	for to, want := range map[string]string{"a@example.com": "example.com", "a@example.org": "smarthost:smtp.example.net:587"} {
		if got := r.Destination("x@example.test", to); got != want {
			t.Errorf("%s goes to %s", to, got)
		}
	}
	q := o.queueOptions()
	if q.Expire != time.Hour || q.MaxMessages != 7 || q.Limits.RecipientsDay != 3 || q.Admin != "root@example.test" || q.HoldRemote != "" {
		t.Errorf("%+v", q)
	}
	q.Observe(queue.EventSent, time.Second)
	q.Observe(queue.EventDelivered, time.Second)
	q.Reach("example.com", &relay.Reply{Status: "4.4.1", Text: "gone"})
	if red := m.Health.Red(); len(red) != 0 {
		t.Errorf("a domain of others: %v", red)
	}
	q.Reach("smarthost:smtp.example.net:587", &relay.Reply{Code: 421, Status: "4.3.2", Text: "later"})
	if red := m.Health.Red(); len(red) != 0 {
		t.Errorf("one that is busy: %v", red)
	}
	q.Reach("smarthost:smtp.example.net:587", &relay.Reply{Code: 535, Status: "5.7.8", Text: "wrong\npassword"})
	if red := m.Health.Red(); red["smarthost smtp.example.net:587"] != "535 5.7.8 wrong password" {
		t.Errorf("%v", red)
	}
	q.Reach("smarthost:smtp.example.net:587", nil)
	if red := m.Health.Red(); len(red) != 0 {
		t.Errorf("it works again: %v", red)
	}
	if o.local = true; o.queueOptions().HoldRemote == "" {
		t.Error("local sends")
	}
}

// TestDeviceWithoutAccount: a network that can send nothing is warned of at start.
func TestDeviceWithoutAccount(t *testing.T) {
	c := newConsole(t)
	dir := t.TempDir()
	cfg, err := localConfig(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Devices = []config.Device{
		{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}, Account: "gone@local.test"},
		{Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}, Account: "alice@local.test"},
	}
	var log bytes.Buffer
	s := &site{env: c.env, cfg: cfg, local: true, log: slog.New(slog.NewTextHandler(&log, nil)), metrics: telemetry.New()}
	if s.data, err = s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.data.Close()
	if err := addLocalAccounts(t.Context(), s.data); err != nil {
		t.Fatal(err)
	}
	s.checkDevices(t.Context())
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "gone@local.test") {
		t.Errorf("%d warnings: %s", n, &log)
	}
	if d := s.devices(); len(d) != 2 || d[1].Account != "alice@local.test" {
		t.Errorf("%v", d)
	}
}
