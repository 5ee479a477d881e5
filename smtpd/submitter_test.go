package smtpd

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
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

// RFC 5248 section 2.4 has 5.7.13: who was disabled or removed since the login sends no
// more, and nobody who has got the address meanwhile is taken for that user.
func TestUserGone(t *testing.T) {
	s, _ := testServer(t)
	for account, want := range map[string]int{
		"alice@local.test": 0, "dave@local.test": 525, "removed@local.test": 525, "postmaster@local.test": 525,
		"staff@local.test": 525, "x@removed.test": 525, "x@down.test": 451,
	} {
		ss := &session{wire: &wire{srv: s, run: newRun(s, Submission), ctx: t.Context()}, account: account}
		for _, from := range []Path{{}, {"alice", "local.test"}} {
			got := 0
			if _, r := ss.whoSends(from); r != nil {
				got = r.Code
			}
			if got != want {
				t.Errorf("%s as <%s>: %d, want %d", account, from, got, want)
			}
		}
	}
}

// A device's account that is no more does not become the one that its mail goes to now,
// by a catch-all or because it was postmaster's.
func TestDeviceGone(t *testing.T) {
	s, _ := testServer(t)
	s.Devices = []Device{{[]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, "postmaster@local.test"}}
	w := &wire{srv: s, run: newRun(s, Inbound), ctx: t.Context(), log: s.Log}
	w.device = w.run.deviceAt(netip.MustParseAddr("192.0.2.1"))
	if by, r := (&session{wire: w}).whoSends(Path{"alice", "local.test"}); by.submits() || r != nil {
		t.Errorf("%+v, %v", by, r)
	}
}

// Whenever a client leaves before its last dot, nobody gets anything; after it, all do.
func TestCutRemote(t *testing.T) {
	talk := "HELO x\r\nMAIL FROM:<scanner@local.test>\r\nRCPT TO:<x@elsewhere.example>\r\nRCPT TO:<bob@local.test>\r\nDATA\r\nSubject: x\r\n\r\ntext\r\n.\r\n"
	for n := range len(talk) + 1 {
		serving(t, Inbound, func(t *testing.T, s *Server, st *fakeStore, dial dialer, stop func()) {
			s.Devices = []Device{{[]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, "scanner@local.test"}}
			c := dial()
			c.say(talk[:n])
			c.Close()
			synctest.Wait()
			want := 0
			if n == len(talk) {
				want = 2
			}
			if st.left() != want || st.open != 0 || st.queue.open != 0 {
				t.Errorf("after %q: %d messages, %d staged, %d kept", talk[:n], st.left(), st.open, st.queue.open)
			}
		})
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
