package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
)

// TestReconfigure: what stands behind the front-ends has the new configuration as well, and
// one relay hands over to the next.
func TestReconfigure(t *testing.T) {
	dns := dnstest.Start(t, "")
	s := newTestSite(t, "[dns]", fmt.Sprintf("servers = [%q]", dns.Addr()), "[relay]", `smarthost = "one.example.net"`, "[dkim]", "sign = true")
	s.must("", "domain", "add", "example.test")
	s.must("test-pass-1\n", "account", "add", "alice@example.test", "--password-stdin")
	srv := s.serve()
	s.must("Subject: x\n\nx\n", "send", "--from", "alice@example.test", "bob@elsewhere.test")
	goes := func(by string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !strings.Contains(s.must("", "queue", "list", "--json"), by); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nothing goes by %s: %s", by, s.must("", "queue", "list", "--json"))
			}
		}
	}
	goes("one.example.net")
	s.rewrite("one.example.net", "two.example.net")
	if done := s.reload(); strings.Join(done.Changed, " ") != "relay.smarthost" {
		t.Errorf("%+v", done)
	}
	s.must("Subject: y\n\ny\n", "send", "--from", "alice@example.test", "carol@elsewhere.test")
	goes("two.example.net")
	s.rewrite("[relay]", "admin = \"chief@example.test\"\n[relay]\nqueue_messages = 1")
	s.rewrite("admin = \"chief@example.test\"\n", "", "hostname =", "admin = \"chief@example.test\"\nhostname =")
	if done := s.reload(); strings.Join(done.Changed, " ") != "admin relay.queue_messages" {
		t.Errorf("%+v", done)
	}
	if code, _, errs := s.do("Subject: z\n\nz\n", "send", "--from", "alice@example.test", "dan@elsewhere.test"); code != exitFailed {
		t.Errorf("a queue that is full takes more: exit %d: %s", code, errs)
	}
	srv.stop()
}

// TestSealKeyOff: what signs obeys the configuration of the moment.
func TestSealKeyOff(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.offline(func(d *data) error {
		selector, key, err := d.sealKey(t.Context(), "example.test")
		if err != nil || key == nil || selector == "" {
			t.Errorf("with keys: %q, %v, %v", selector, key, err)
		}
		off := *d.config.Load()
		off.DKIM.Sign = false
		d.config.Store(&off)
		if _, key, err := d.sealKey(t.Context(), "example.test"); key != nil || err != nil {
			t.Errorf("sign = false: %v, %v", key, err)
		}
		text, err := d.sign(t.Context(), "example.test", strings.NewReader("From: <a@example.test>\r\n\r\nx\r\n"))
		if len(text) > 0 || err != nil {
			t.Errorf("signed all the same: %q, %v", text, err)
		}
		return nil
	})
}
