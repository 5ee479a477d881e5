package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/certs"
	"kurir/internal/config"
	"kurir/internal/fsx"
)

// A provider of the configuration is one that there is code for.
func TestDNSProviders(t *testing.T) {
	for _, name := range config.DNSProviders() {
		ca := &certs.CA{Directory: "https://ca.test/", DNS: certs.DNSProvider{Name: name}, Files: fsx.OS{}, Dir: filepath.Join(t.TempDir(), "acme")}
		if _, err := certs.Open(t.Context(), certs.Options{Host: "mail.example.test", CA: ca}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateCommands(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	if code, _, errs := s.do("", "certificate", "list"); code != exitFailed || !strings.Contains(errs, "start it with: kurir serve") {
		t.Errorf("without a server: %d, %s", code, errs)
	}
	serving := start(t, newConsole(t), "serve", "-c", s.config)
	defer serving.stop()
	var all []admin.Certificate
	if err := json.Unmarshal([]byte(s.must("", "certificate", "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || all[0].Source != admin.SourceLocal || !all[0].Host || all[0].Names[0] != "mail.example.test" || !strings.Contains(all[0].Chain, "BEGIN CERTIFICATE") {
		t.Errorf("%+v", all)
	}
	if out := s.must("", "certificate", "list"); !strings.Contains(out, "a CA of kurir's own") || !strings.Contains(out, "valid") {
		t.Errorf("%s", out)
	}
	if code, _, errs := s.do("", "certificate", "renew"); code != exitFailed || !strings.Contains(errs, "[acme] enabled = true") {
		t.Errorf("renew: %d, %s", code, errs)
	}
}

// With a CA that cannot be reached the server serves, and says what is missing.
func TestServesWithoutTheCA(t *testing.T) {
	s := newTestSite(t, "[web]", `http = ["127.0.0.1:40020"]`, `https = ["127.0.0.1:40021"]`, "[dns]", `servers = ["127.0.0.1:9"]`,
		"[acme]", "enabled = true", `email = "a@example.test"`, `directory = "https://127.0.0.1:9/"`)
	s.must("", "domain", "add", "example.test")
	if _, out, _ := s.do("", "check"); !strings.Contains(out, "no certificate was fetched yet for mail.example.test; the server asks https://127.0.0.1:9/") {
		t.Errorf("%s", out)
	}
	serving := start(t, newConsole(t), "serve", "-c", s.config)
	defer serving.stop()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var all []admin.Certificate
		if err := json.Unmarshal([]byte(s.must("", "certificate", "list", "--json")), &all); err != nil {
			t.Fatal(err)
		}
		if len(all) == 4 && all[0].State == admin.StateWaiting && strings.Contains(all[0].Problem, "the DNS does not say where mail.example.test is") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", all)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, out, _ := s.do("", "dns", "records", "example.test", "--ipv4", "192.0.2.1"); strings.Contains(out, "TLSA") || !strings.Contains(out, "was not fetched yet") {
		t.Errorf("%s", out)
	}
}

func TestBadCertificateFiles(t *testing.T) {
	for _, lines := range [][]string{
		{"[tls]", `client_ca = "/nowhere/ca.pem"`},
		{"[acme]", "enabled = true", `challenges = ["http-01"]`, `ca_file = "/nowhere/ca.pem"`},
	} {
		s := newTestSite(t, lines...)
		if code, out, _ := s.do("", "check"); code != exitFailed || !strings.Contains(out, "/nowhere/ca.pem: no such file") {
			t.Errorf("check, %q: %d, %s", lines, code, out)
		}
		if code, _, errs := s.do("", "serve"); code != exitFailed || !strings.Contains(errs, "/nowhere/ca.pem: no such file") {
			t.Errorf("%q: %d, %s", lines, code, errs)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pool("tls.client_ca", empty); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("%v", err)
	}
}

func TestCertificateRow(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for want, c := range map[string]admin.Certificate{
		"a.test\tvalid\t2026-03-02 (60 days)\tLet's Encrypt R3": {Names: []string{"a.test"}, State: "valid", NotAfter: now.Add(60*24*time.Hour + time.Minute), Issuer: "Let's Encrypt R3"},
		"a.test\tlate\t2026-01-03 (36 hours)\tX: it failed":     {Names: []string{"a.test"}, State: "late", NotAfter: now.Add(36 * time.Hour), Issuer: "X", Problem: "it failed"},
		"a.test b.test\tended\t2026-01-01 (over)\tX":            {Names: []string{"a.test", "b.test"}, State: "ended", NotAfter: now.Add(-time.Minute), Issuer: "X"},
		"a.test\tending\t2026-01-01 (1 minute)\tX":              {Names: []string{"a.test"}, State: "ending", NotAfter: now.Add(time.Minute), Issuer: "X"},
		"a.test\twaiting\t-\tnot in?the DNS":                    {Names: []string{"a.test"}, State: "waiting", Problem: "not in\nthe DNS"},
	} {
		if got := certificateRow(c, now); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// The administrator is told once at each step, and with what helps.
func TestTellsOfCertificates(t *testing.T) {
	var steps certSteps
	var moves []int
	for _, at := range []int{0, 0, 1, 1, 2, 2, 0, 1} {
		if steps.moved("a.test", at) {
			moves = append(moves, at)
		}
	}
	if len(moves) != 4 || moves[0] != 1 || moves[1] != 2 || moves[2] != 0 || moves[3] != 1 {
		t.Errorf("%v", moves)
	}
	if steps.moved("b.test", 1) != true {
		t.Error("another certificate")
	}
	steps.forget("a.test")
	if !steps.moved("a.test", 1) {
		t.Error("what could not be told is not told again")
	}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := certs.Status{Names: []string{"a.test"}, Host: true, Managed: true, NotBefore: now.Add(-80 * 24 * time.Hour), NotAfter: now.Add(10*24*time.Hour + time.Minute), Problem: "port 80 is closed"}
	for text, want := range map[string][]string{
		certificateLetter(c, now): {"the certificate for a.test ends in 10 days, on 11 January 2026", "; port 80 is closed.", "kurir certificate renew a.test"},
		certificateLetter(certs.Status{Names: c.Names, NotBefore: c.NotBefore, NotAfter: now.Add(-time.Hour)}, now): {"ended on 1 January 2026 11:00 UTC: clients refuse it", "files that you keep up to date"},
	} {
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in:\n%s", w, text)
			}
		}
	}
}

// The mail about an end goes out once, through the queue.
func TestMailsTheEnd(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("secret word\n", "account", "add", "postmaster@example.test", "--password-stdin")
	cert := certificate(t, "mail.example.test", time.Now().Add(-88*24*time.Hour), time.Now().Add(48*time.Hour-time.Minute))
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.config, append(text, []byte("\n[tls]\ncert = '"+cert+"'\nkey = '"+cert+"'\n")...), 0o600); err != nil {
		t.Fatal(err)
	}
	serving := start(t, newConsole(t), "serve", "-c", s.config)
	defer serving.stop()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(s.must("", "mailbox", "list", "postmaster@example.test", "--json"), `"messages": 1`) {
		if time.Now().After(deadline) {
			t.Fatalf("no mail: %s", serving.err.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, out, _ := s.do("", "health"); code != exitFailed || !strings.Contains(out, "certificate_end: the certificate for mail.example.test ends in 47 hours") {
		t.Errorf("%d, %s", code, out)
	}
	// What was wrong with a certificate goes when it is not used any more.
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("", "reload")
	if _, out, _ := s.do("", "health"); strings.Contains(out, "certificate") {
		t.Error(out)
	}
}
