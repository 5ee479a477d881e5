package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

// world is a DNS server that a site's configuration names.
func (s *testSite) world(zone string) *dnstest.Server {
	s.t.Helper()
	srv := dnstest.Start(s.t, zone)
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	write(s.t, s.config, string(text)+"\n[dns]\nservers = [\""+srv.Addr()+"\"]\n")
	return srv
}

// published is the zone of example.test as "dns records" has it, with what belongs into
// other zones, and what kurir has no part in.
func (s *testSite) published() string {
	s.t.Helper()
	var all recordsJSON
	if err := json.Unmarshal([]byte(s.dns("records example.test --json "+ours)), &all); err != nil {
		s.t.Fatal(err)
	}
	zone := s.dns("records example.test --zone --all "+ours) + `
example.test. SOA ns1.example.test. admin.example.test. 1 3600 600 86400 300
example.test. NS ns1.example.test.
example.test. NS ns2.example.test.
ns1.example.test. A 192.0.2.53
ns2.example.test. A 192.0.2.54
`
	for _, r := range all.Records {
		if r.Type == "PTR" {
			zone += r.Name + ". PTR " + r.Value + "\n"
		}
	}
	return zone
}

// What "dns records" prints is what "dns check" wants to see.
func TestDNSCheckRight(t *testing.T) {
	s := dnsTestSite(t)
	s.world(s.published())
	out := s.dns("check example.test --strict " + ours)
	contains(t, out, "What the DNS says of mail for example.test, on the server mail.example.test:\n",
		"ok       Mail for example.test comes to this server (MX 10 mail.example.test).", "ok       SPF lets this server send for example.test: v=spf1 mx -all",
		"ok       The DKIM key ", "is published.", "0 errors, 0 warnings, 1 note\n")
	var r checkJSON
	if err := json.Unmarshal([]byte(s.dns("check example.test --json "+ours)), &r); err != nil {
		t.Fatal(err)
	}
	if r.Domain != "example.test" || r.Errors+r.Warnings != 0 || len(r.Findings) < 10 || len(r.Notes) != 2 {
		t.Errorf("%+v", r)
	}
	s.serve() // and once more beside the server
	if beside := s.dns("check example.test " + ours); beside != out {
		t.Errorf("beside the server:\n%s", beside)
	}
}

func TestDNSCheckFaults(t *testing.T) {
	s := dnsTestSite(t)
	zone := s.published()
	srv := s.world(strings.Replace(zone, "example.test. 3600 IN MX 10 mail.example.test.", "example.test. 3600 IN MX 10 other.test.\nother.test. A 192.0.2.99", 1))
	code, out, errs := s.do("", strings.Fields("dns check example.test "+ours)...)
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, out, "error    No MX record of example.test leads to this server, mail.example.test.\n         The domain's mail goes elsewhere.\n         Publish, in place of what is there:\n           example.test  MX  10 mail.example.test.\n",
		"Others may remember the present answer for 1h more.", "error    SPF does not let 192.0.2.25, 2001:db8::25 send", "The record itself is right", "2 errors, 0 warnings")
	contains(t, errs, "2 errors, 0 warnings, 1 note")
	code, out, _ = s.do("", strings.Fields("dns check example.test --json "+ours)...)
	if code != exitFailed {
		t.Errorf("--json: exit %d", code)
	}
	contains(t, out, `"level": "error"`, `"old_until": "`, `"value": "10 mail.example.test."`)

	// A warning counts with --strict alone; the SPF record is judged by RFC 7208.
	if err := srv.SetZone(strings.Replace(zone, "v=spf1 mx -all", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all", 1)); err != nil {
		t.Fatal(err)
	}
	contains(t, s.dns("check example.test "+ours), "warning  The SPF record of example.test ends in ?all")
	if code, _, _ := s.do("", strings.Fields("dns check example.test --strict "+ours)...); code != exitFailed {
		t.Errorf("--strict: exit %d", code)
	}
	if err := srv.SetZone(strings.Replace(zone, "v=spf1 mx -all", "v=spf1 ip4:192.0.2.0/30 -all", 1)); err != nil {
		t.Fatal(err)
	}
	_, out, _ = s.do("", strings.Fields("dns check example.test "+ours)...)
	contains(t, out, "error    SPF does not let 192.0.2.25, 2001:db8::25 send for example.test (fail).", "v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 ip4:192.0.2.0/30 -all")
}

// --resolver is asked in place of the configuration's.
func TestDNSCheckResolver(t *testing.T) {
	s := dnsTestSite(t)
	s.world("")
	if code, _, errs := s.do("", strings.Fields("dns check example.test "+ours)...); code != exitFailed || !strings.Contains(errs, "1 error") {
		t.Errorf("exit %d: %s", code, errs)
	}
	other := dnstest.Start(t, s.published())
	s.dns("check example.test --resolver " + other.Addr() + " " + ours)
	for line, want := range map[string]string{
		"check example.test --resolver dns.test":    "is no DNS server",
		"check example.test --watch --json":         "exclude each other",
		"check":                                     "DOMAIN is missing",
		"check example.test --ipv4 10.1.1.1":        "private address",
		"check example.test --resolver 192.0.2.1 x": "one argument too many",
	} {
		if code, _, errs := s.do("", strings.Fields("dns "+line)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("kurir dns %s: exit %d: %s", line, code, errs)
		}
	}
}

// The configuration's blocklists are asked for our own addresses.
func TestDNSCheckLists(t *testing.T) {
	s := dnsTestSite(t, "[inbound]", `dnsbl = ["bl.test=127.0.0.2", "pbl.test=127.0.0.9"]`)
	s.world(s.published() + "\n25.2.0.192.bl.test. A 127.0.0.2\n25.2.0.192.pbl.test. A 127.0.0.2\n")
	_, out, _ := s.do("", strings.Fields("dns check example.test "+ours)...)
	contains(t, out, "error    192.0.2.25 is on the list bl.test.", "ok       192.0.2.25 is not on the list pbl.test.")
}

// waitFor waits until words were printed.
func (c *console) waitFor(t *testing.T, words string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(c.out.String(), words); time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("no %q in:\n%s", words, c.out.String())
		}
	}
}

// --watch goes on until all is right, and says what has changed.
func TestDNSWatch(t *testing.T) {
	s := dnsTestSite(t)
	zone := s.published()
	srv := s.world(strings.Replace(zone, "_dmarc.example.test. 3600 IN TXT", "nothing.test. 3600 IN TXT", 1))
	con := newConsole(t)
	con.pause = time.Millisecond
	done := make(chan int)
	go func() {
		done <- run(t.Context(), con.env, append([]string{"-c", s.config}, strings.Fields("dns check example.test --watch "+ours)...))
	}()
	con.waitFor(t, "1 error, 0 warnings")
	if err := srv.SetZone(zone); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitOK {
		t.Errorf("exit %d: %s", code, con.err.String())
	}
	contains(t, con.out.String(), " gone:    error    example.test has no DMARC record.\n", " now:     ok       The DMARC policy is quarantine: v=DMARC1; p=quarantine; rua=mailto:postmaster@example.test\nAll is right.\n")
	if n := strings.Count(con.out.String(), "comes to this server"); n != 1 {
		t.Errorf("what did not change is said %d times", n)
	}
}

// Ctrl-C ends --watch, which says what is left.
func TestDNSWatchInterrupted(t *testing.T) {
	s := dnsTestSite(t)
	s.world("")
	con := newConsole(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		done <- run(ctx, con.env, append([]string{"-c", s.config}, strings.Fields("dns check example.test --watch "+ours)...))
	}()
	con.waitFor(t, "1 error, 0 warnings")
	cancel()
	if code := <-done; code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "interrupted: 1 error, 0 warnings, 0 notes")
}

func TestDNSScreen(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := dnsutil.Report{Domain: "example.test", Host: "mail.example.test", Errors: 1, Findings: []dnsutil.Finding{
		{Level: dnsutil.LevelOK, What: "This is right."},
		{Level: dnsutil.LevelError, What: "Something with a long\x1b name is wrong.", OldUntil: now.Add(time.Hour),
			Records: []dnsutil.Record{{Name: "example.test", Type: "TXT", Value: strings.Repeat("x", 90)}}},
	}}
	text := screen(r, []string{"noted"}, []string{"now:     error    Something"}, now, 7*time.Second, 30)
	contains(t, text, "\x1b[H\x1b[2J", "\nerror    Something with a lon…\n", "example.test  TXT  "+strings.Repeat("x", 90)+"\n",
		"ok       This is right.\n", "Looking again in 7s. Ctrl-C e…\n", "Note: noted\n", "\nnow:     error    Something\n")
	if strings.Count(text, "\x1b") != 2 || strings.Index(text, "error ") > strings.Index(text, "ok ") {
		t.Errorf("%q", text)
	}
}

func TestRecordLine(t *testing.T) {
	for want, r := range map[string]dnsutil.Record{
		"a.test  MX  10 m.test.":                            {Name: "a.test", Type: "MX", Value: "10 m.test."},
		"m.test  A  192.0.2.1   (in the zone of that name)": {Name: "m.test", Type: "A", Value: "192.0.2.1", Elsewhere: true},
		"1.2.0.192.in-addr.arpa  PTR  m.test.":              {Name: "1.2.0.192.in-addr.arpa", Type: "PTR", Value: "m.test.", Elsewhere: true},
		"a.test  TXT  odd?":                                 {Name: "a.test", Type: "TXT", Value: "odd\x1b"},
	} {
		if got := recordLine(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRememberedText(t *testing.T) {
	now := time.Now()
	for left, want := range map[time.Duration]string{0: "", 30 * time.Second: "", 5 * time.Minute: "Others may remember the present answer for 5m more.", 3 * time.Hour: "Others may remember the present answer for 3h more."} {
		if got := rememberedText(dnsutil.Finding{OldUntil: now.Add(left)}, now); got != want {
			t.Errorf("%v: %q", left, got)
		}
	}
	if got := rememberedText(dnsutil.Finding{}, now); got != "" {
		t.Errorf("%q", got)
	}
}
