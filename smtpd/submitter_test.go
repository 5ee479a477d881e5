package smtpd

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// The narrowest network counts, in its own address family; a zone or the form of an IPv4
// address in IPv6 is no way in or out.
func TestDeviceAt(t *testing.T) {
	device := func(account string, networks ...string) Device {
		d := Device{Account: account}
		for _, n := range networks {
			d.Networks = append(d.Networks, netip.MustParsePrefix(n))
		}
		return d
	}
	s := &Server{Devices: []Device{
		device("wide", "192.0.2.0/24", "2001:db8::/32"),
		device("one", "192.0.2.7/32", "2001:db8::7/128"),
		device("half", "192.0.2.0/25"),
		device("link", "fe80::/64"),
		device("again", "192.0.2.7/32"),
		device("none"),
	}}
	for ip, want := range map[string]string{
		"192.0.2.7": "one", "::ffff:192.0.2.7": "one", "192.0.2.8": "half", "192.0.2.200": "wide", "192.0.3.1": "",
		"2001:db8::7": "one", "2001:db8:1::1": "wide", "fe80::1%eth0": "link", "2001:db9::1": "", "::1": "",
	} {
		got := ""
		if d := newRun(s, Inbound).deviceAt(netip.MustParseAddr(ip)); d != nil {
			got = d.Account
		}
		if got != want {
			t.Errorf("%s: %q, want %q", ip, got, want)
		}
		if newRun(s, Trusted).deviceAt(netip.MustParseAddr(ip)) != nil {
			t.Errorf("%s: a device on the trusted listener", ip)
		}
	}
	if newRun(s, Inbound).deviceAt(netip.Addr{}) != nil {
		t.Error("a device without an address")
	}
}

// The administrator's programs are not slowed down, nor sent away.
func TestTrustedErrors(t *testing.T) {
	serving(t, Trusted, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
		c := dial()
		c.say("HELO x\r\nMAIL FROM:<>\r\n")
		for _, want := range []string{"220", "250", "250"} {
			c.hear(want)
		}
		start := time.Now()
		for range 200 {
			c.say("RCPT TO:<nobody@local.test>\r\nFOO\r\n")
			c.hear("550 5.1.1")
			c.hear("500 5.5.2")
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
		c.say("QUIT\r\n")
		c.hear("221")
	})
}

// Who talks before the greeting is no mail server, but a printer may.
func TestEarlyDevice(t *testing.T) {
	s, _ := testServer(t)
	s.Devices = []Device{{[]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, "scanner@local.test"}}
	s = s.withDefaults()
	for from, want := range map[string]*Reply{"scanner@local.test": nil, "x@remote.example": replyEarly} {
		w := &wire{srv: s, run: newRun(s, Inbound), ctx: t.Context(), log: s.Log, early: func() bool { return true }}
		w.device = w.run.deviceAt(netip.MustParseAddr("192.0.2.1"))
		local, domain, _ := strings.Cut(from, "@")
		if by, r := (&session{wire: w}).whoSends(Path{local, domain}); r != want || by.submits() != (want == nil) {
			t.Errorf("%s: %+v, %v", from, by, r)
		}
	}
}

func TestIsHostName(t *testing.T) {
	for name, want := range map[string]bool{
		"b.example": true, "a_b.example": true, "1.2.3.example": true, "xn--bcher-kva.example": true, "Bücher.example": true,
		"1.2.3.4": false, "b.123": false, "xn--zzzzzzzzz9.example": false, "\u2603_.example": false,
		strings.Repeat(strings.Repeat("a", 62)+".", 4) + "e":  true,
		strings.Repeat(strings.Repeat("a", 62)+".", 4) + "ee": false,
	} {
		if isHostName(name) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
}
