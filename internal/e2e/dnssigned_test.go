package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDNSCheckSigned has Knot sign and serve what "dns records" prints, as printed; with the
// policy of MTA-STS where it belongs, "dns check" has nothing to say about it that is bad.
func TestDNSCheckSigned(t *testing.T) {
	t.Parallel()
	web := ownAddress(t)
	ca, _ := startPolicies(t, web, map[string]string{"local.test": stsPolicy("enforce", "mail.local.test")}, "local.test")
	m, _ := newRecordsMailer(t)
	text := m.kurir("", append([]string{"dns", "records", "local.test", "--zone", "--all"}, recordFlags...)...)
	validator := "127.0.0.1:" + freePort(t)
	startValidator(t, validator,
		zone{name: "local.test.", signed: true, text: text + "local.test. NS ns2.local.test.\nns2.local.test. A 192.0.2.54\nwww.local.test. A " + web + "\n"},
		zone{name: "2.0.192.in-addr.arpa.", text: reverseRecords(text, "2.0.192.in-addr.arpa.")},
		zone{name: "8.b.d.0.1.0.0.2.ip6.arpa.", text: reverseRecords(text, "8.b.d.0.1.0.0.2.ip6.arpa.")})
	for what, c := range map[string]struct {
		env, level string
	}{
		"content":              {"SSL_CERT_FILE=" + ca, "ok"},
		"unknown certificates": {"SSL_CERT_FILE=/dev/null", "warning"},
	} {
		out := newClient(t).must("", "env", append([]string{c.env, "SSL_CERT_DIR=/nonexistent", binary, "dns", "check", "local.test", "--json", "-c", m.config, "--resolver", validator}, recordFlags...)...)
		var r struct {
			Findings []struct{ Level, Area, Name, What string }
		}
		ok(t, what, json.Unmarshal([]byte(out), &r))
		said := ""
		for _, f := range r.Findings {
			said += f.What + "\n"
			if want := map[bool]string{true: c.level, false: "ok"}[f.Area == "mta-sts"]; f.Level != want {
				t.Errorf("%s: %+v", what, f)
			}
		}
		contains(t, said, "The zone local.test is signed with DNSSEC.", "A TLSA record fits the certificate (DANE).")
		if what == "content" {
			contains(t, said, "The MTA-STS policy names this server (mode enforce).")
		}
	}
}

// reverseRecords are the PTR records of a zone that "dns records" prints in comments.
func reverseRecords(text, zone string) (records string) {
	for line := range strings.Lines(text) {
		if record, found := strings.CutPrefix(line, "; "); found && strings.Contains(line, " IN PTR ") && strings.Contains(line, zone) {
			records += record
		}
	}
	return records
}
