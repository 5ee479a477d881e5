package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyDigest is a certificate's key as a TLSA record 3 1 1 has it.
func keyDigest(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	ok(t, "certificate", err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	ok(t, "certificate", err)
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// waitsFor waits until an attempt for a message has ended with all of the parts shown.
func (m *mailer) waitsFor(t *testing.T, id string, parts ...string) {
	t.Helper()
	err := eventually(patience, func() error {
		shown := m.kurir("", "queue", "show", id)
		for _, p := range parts {
			if !strings.Contains(shown, p) {
				return fmt.Errorf("no %q in:\n%s", p, shown)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDANE sends to a Postfix with a certificate that nobody has signed, which is known by
// its TLSA record: in zones that Knot has signed, verified by unbound.
func TestDANE(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	need(t, "knotd", "unbound")
	const domains = "right.secured.net wrong.secured.net bare.secured.net forged.net hijacked.net plain.net"
	address := ownAddress(t)
	p := newPostfix(t, address, "mail.secured.net", "127.0.0.1:1", "virtual_mailbox_domains = "+domains, "virtual_mailbox_maps = static:carol/")
	right, wrong := keyDigest(t, p.ca), strings.Repeat("0f", sha256.Size)
	mx := func(domain, digest string) string {
		text := fmt.Sprintf("%[1]s. MX 10 mx.%[1]s.\nmx.%[1]s. A %[2]s\n", domain, address)
		if digest != "" {
			text += fmt.Sprintf("_25._tcp.mx.%s. TLSA 3 1 1 %s\n", domain, digest)
		}
		return text
	}
	validator := "127.0.0.1:" + freePort(t)
	startValidator(t, validator,
		zone{name: "secured.net.", signed: true, text: mx("right.secured.net", right) + mx("wrong.secured.net", wrong) + mx("bare.secured.net", "")},
		zone{name: "forged.net.", signed: true, text: mx("forged.net", wrong), forge: func(text string) string { return strings.ReplaceAll(text, strings.ToUpper(wrong), right) }},
		zone{name: "hijacked.net.", signed: true, text: mx("hijacked.net", right), forge: func(text string) string { return strings.ReplaceAll(text, "10 mx.hijacked.net.", "10 mx.plain.net.") }},
		zone{name: "plain.net.", text: mx("plain.net", wrong)})
	m := newMailer(t, setup{dns: validator, relay: soon})
	for domain, parts := range map[string][]string{
		"right.secured.net": {"TLS policy: dane\n", "verified as mx.right.secured.net", "250 2.0.0"},
		"bare.secured.net":  {"TLS policy: opportunistic\n", "certificate not verified", "250 2.0.0"},
		"plain.net":         {"TLS policy: opportunistic\n", "certificate not verified", "250 2.0.0"},
		"wrong.secured.net": {"TLS policy: dane\n", "4.7.5", "not the one that its TLSA records name"},
		"forged.net":        {"TLS policy: dane\n", "4.4.3", "TLSA"},
		"hijacked.net":      {"4.4.3"},
	} {
		t.Run(domain, func(t *testing.T) {
			m.within(t)
			p.within(t)
			id := m.sends(alice, letter(alice, "carol@"+domain, "to "+domain, "Hello"), "carol@"+domain)
			m.waitsFor(t, id, parts...)
		})
	}
	contains(t, m.kurir("", "tls", "right.secured.net"), "TLS policy  dane\n", "verified as mx.right.secured.net")
	if out, code := m.tryKurir("", "tls", "wrong.secured.net"); code != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	t.Run("REQUIRETLS", func(t *testing.T) {
		m.within(t)
		// This Postfix does not know REQUIRETLS, which TLS that is safe does not make up for.
		conf := m.trust()
		conf.ServerName = "mail.local.test"
		c, err := tls.Dial("tcp", m.at(submissionsPort), conf)
		ok(t, "TLS", err)
		s, err := newSubmission(textproto.NewConn(c), alice)
		ok(t, "login", err)
		defer s.Close()
		_, err = s.submit("<"+alice+"> REQUIRETLS", []string{"<carol@right.secured.net>"}, letter(alice, "carol@right.secured.net", "in confidence", "Hello"))
		ok(t, "submission", err)
		contains(t, m.arrived(alice, "Action: failed", "Subject: in confidence"), "Status: 5.7.30")
	})
	for _, domain := range []string{"wrong.secured.net", "forged.net", "hijacked.net"} {
		if strings.Contains(p.log(), "to=<carol@"+domain+">") {
			t.Errorf("%s has its message:\n%s", domain, p.log())
		}
	}
}

// TestPostfixDANE: a Postfix that sends by DANE alone finds our certificate good by the TLSA
// record that "dns records" prints, and by no other.
func TestPostfixDANE(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	need(t, "unshare")
	m, key := newRecordsMailer(t)
	smtp, address, dns := m.port(smtpPort), ownAddress(t), ownAddress(t)
	text := m.kurir("", append([]string{"dns", "records", "local.test", "--zone", "--all"}, recordFlags...)...)
	contains(t, text, "_25._tcp.mail.local.test. 3600 IN TLSA 3 1 1 "+key)
	text = strings.NewReplacer("_25._tcp.", "_"+smtp+"._tcp.", " A 192.0.2.25", " A 127.0.0.1").Replace(text) // where it is here
	wrong := fmt.Sprintf("wrong.local.test. A 127.0.0.1\n_%s._tcp.wrong.local.test. TLSA 3 1 1 %s\n", smtp, strings.Repeat("0f", sha256.Size))
	startValidator(t, dns+":53", zone{name: "local.test.", signed: true, text: text + wrong})
	p := makePostfix(t, address, "mx.postfix.test", "127.0.0.1:1", "smtp_dns_support_level = dnssec", "smtp_tls_security_level = dane-only", "smtp_host_lookup = dns",
		fmt.Sprintf("transport_maps = inline:{ { %s = smtp:[mail.local.test]:%s }, { %s = smtp:[wrong.local.test]:%[2]s } }", alice, smtp, bob))
	p.resolv = filepath.Join(p.dir, "etc", "resolv.conf")
	p.file("etc/resolv.conf", "nameserver "+dns+"\noptions trust-ad\n")
	p.start()
	for _, to := range []string{alice, bob} {
		p.sendmail(strings.ReplaceAll(letter("carol@postfix.test", to, "by DANE", "Hello"), "\r\n", "\n"), "-i", "-f", "carol@postfix.test", to)
	}
	m.arrived(alice, "Subject: by DANE\r\n")
	p.logs("Verified TLS connection established to mail.local.test[127.0.0.1]:" + smtp)
	p.logs("for wrong.local.test[127.0.0.1]:" + smtp + ": num=65:no matching DANE TLSA records")
	if n := len(m.mailboxOf(bob, "INBOX").messages); n != 0 {
		t.Errorf("bob has %d messages", n)
	}
}
