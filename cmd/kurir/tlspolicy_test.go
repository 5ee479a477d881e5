package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/relay"
)

// The configuration reaches the relay, and the tables are there.
func TestTLSOptions(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	cfg := config.Default()
	cfg.Hostname, cfg.Data = "mail.example.test", s.dir
	cfg.Destinations = []config.Destination{{Domain: "*.example.net", TLS: "encrypt"}}
	cfg.DNS.Servers = []string{"127.0.0.1:1"}
	d, err := openData(t.Context(), dataOptions{cfg: cfg, files: fsx.OS{}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got := fmt.Sprint(d.relay.Destinations); got != fmt.Sprint([]relay.Destination{{Domain: "*.example.net", TLS: relay.DestinationEncrypt}}) {
		t.Error(got)
	}
	if d.relay.STS != relay.STS(d.tlsPolicies) || d.relay.Memory != relay.Memory(d.tlsPolicies) {
		t.Errorf("%v, %v", d.relay.STS, d.relay.Memory)
	}
	if until := d.tlsPolicies.SawTLS(t.Context(), "mx.example.net", true); !until.IsZero() {
		t.Error(until)
	}
	if until := d.tlsPolicies.SawTLS(t.Context(), "mx.example.net", false); until.IsZero() {
		t.Error("forgotten")
	}
}

func TestAuthorities(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if roots, err := authorities(""); roots != nil || err != nil {
		t.Errorf("%v, %v", roots, err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.pem"):   "relay.ca_file: open ",
		write("empty.pem", "no PEM"):     "holds no certificate in PEM form",
		write("half.pem", "-----BEGIN "): "holds no certificate in PEM form",
	} {
		if _, err := authorities(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
		r := &report{}
		cfg := config.Default()
		cfg.Relay.CAFile, cfg.DNS.Servers = file, []string{"192.0.2.53"}
		checkTLSPolicy(r, cfg)
		if r.Errors != 1 || len(r.Findings) != 2 || !strings.Contains(r.Findings[1].Text, "DANE is not used") {
			t.Errorf("%+v", r)
		}
	}
	r := &report{}
	cfg := config.Default()
	cfg.DNS.Servers = []string{"127.0.0.1"}
	if checkTLSPolicy(r, cfg); r.Errors != 0 || !strings.Contains(r.Findings[0].Text, "DANE is used where") {
		t.Errorf("%+v", r)
	}
}
