package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// recordFlags are what the tests' machine cannot know.
var recordFlags = strings.Fields("--ipv4 192.0.2.25 --ipv6 2001:db8::25 --mta-sts-host www.local.test --autoconfig-host www.local.test")

// rest is what else a zone has to hold.
const rest = `
local.test. 3600 IN SOA ns1.local.test. admin.local.test. 1 3600 600 86400 300
local.test. 3600 IN NS ns1.local.test.
local.test. 3600 IN NS ns2.local.test.
ns1.local.test. 3600 IN A 192.0.2.53
ns2.local.test. 3600 IN A 192.0.2.54
www.local.test. 3600 IN A 127.0.0.1
`

// newRecordsMailer is a mailer with a certificate that is not of its own CA, and gives
// the certificate's key as TLSA has it.
func newRecordsMailer(t *testing.T) (m *mailer, key string) {
	t.Helper()
	c, certPEM, keyPEM := certificate(t, time.Now().Add(24*time.Hour), "mail.local.test")
	m = newMailer(t, setup{})
	m.stop()
	files := newClient(t)
	text, err := os.ReadFile(m.config)
	if err != nil {
		t.Fatal(err)
	}
	tls := fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", files.file("cert.pem", string(certPEM)), files.file("key.pem", string(keyPEM)))
	if err := os.WriteFile(m.config, []byte(strings.Replace(string(text), "[tls]\n", tls, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.launch(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
	return m, hex.EncodeToString(sum[:])
}

// TestZoneLoads has the zone files of BIND and Knot judge what "dns records" prints.
func TestZoneLoads(t *testing.T) {
	t.Parallel()
	c := newClient(t, "named-checkzone", "kzonecheck")
	m, key := newRecordsMailer(t)
	for _, all := range []string{"--all=false", "--all"} {
		zone := m.kurir("", append([]string{"dns", "records", "local.test", "--zone", all}, recordFlags...)...)
		contains(t, zone, "k=rsa", "k=ed25519", "TLSA 3 1 1 "+key, "; 25.2.0.192.in-addr.arpa. 3600 IN PTR mail.local.test.")
		path := c.file("local.test.zone", zone+rest)
		contains(t, c.must("", "named-checkzone", "-i", "full", "-k", "fail", "-n", "fail", "-m", "fail", "-M", "fail", "-S", "fail", "-r", "fail", "local.test", path), "OK")
		c.must("", "kzonecheck", "-o", "local.test", path)
	}
}

// TestDNSCheck publishes what "dns records" prints, and "dns check" of the built program
// finds it, then what is missing.
func TestDNSCheck(t *testing.T) {
	t.Parallel()
	m, _ := newRecordsMailer(t)
	zone := m.kurir("", append([]string{"dns", "records", "local.test", "--zone", "--all"}, recordFlags...)...) + rest
	for line := range strings.Lines(zone) {
		if record, ok := strings.CutPrefix(line, "; "); ok && strings.Contains(line, " IN PTR ") {
			zone += record
		}
	}
	publish := func(zone string) {
		t.Helper()
		if err := m.dns.SetZone(zone); err != nil {
			t.Fatal(err)
		}
	}
	publish(zone)
	m.dns.Authentic()
	check := append([]string{"dns", "check", "local.test", "--json"}, recordFlags...)
	var r struct {
		Findings []struct{ Level, Area, What string }
		Errors   int
		Warnings int
	}
	for _, state := range []string{"running", "stopped"} {
		if state == "stopped" {
			m.stop()
		}
		out, code := m.tryKurir("", check...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%s: %v: %s", state, err, out)
		}
		// Nobody serves the policy of MTA-STS here; all else is right.
		if code != 0 || r.Errors != 0 || r.Warnings != 1 {
			t.Errorf("%s: exit %d: %s", state, code, out)
		}
		for _, f := range r.Findings {
			if f.Level != "ok" && f.Area != "mta-sts" {
				t.Errorf("%s: %+v", state, f)
			}
		}
	}
	publish(strings.ReplaceAll(zone, "v=spf1 mx -all", "v=spf1 +all"))
	out, code := m.tryKurir("", check...)
	if code != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	contains(t, out, fmt.Sprintf("%q", "SPF lets everybody send in the name of local.test: +all in the record of local.test."))
}
