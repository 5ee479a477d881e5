package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// startPolicies serves policies of MTA-STS, by domain, on port 443 of an address. Its
// certificate is for the hosts of the domains in trusted. It returns the PEM file of who has
// signed it, and what takes the host away.
func startPolicies(t *testing.T, address string, policies map[string]string, trusted ...string) (ca string, end func()) {
	t.Helper()
	names := []string{"web.test"}
	for _, d := range trusted {
		names = append(names, "mta-sts."+d)
	}
	cert, certPEM, _ := certificate(t, time.Now().Add(24*time.Hour), names...)
	ca = newClient(t).file("ca.pem", string(certPEM))
	l, err := net.Listen("tcp", address+":443")
	ok(t, "HTTPS", err)
	s := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := policies[strings.TrimPrefix(r.Host, "mta-sts.")]
		if !found || r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, text)
	})}
	done := make(chan struct{})
	go func() {
		s.ServeTLS(l, "", "")
		close(done)
	}()
	end = func() {
		s.Close()
		<-done
	}
	t.Cleanup(end)
	return ca, end
}

func stsPolicy(mode string, mx ...string) string {
	return "version: STSv1\r\nmode: " + mode + "\r\nmx: " + strings.Join(mx, "\r\nmx: ") + "\r\nmax_age: 604800\r\n"
}

// TestMTASTS sends to a Postfix by the names of several domains that have a policy, or say
// that they have. Its certificate is for mx.right.test alone.
func TestMTASTS(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	address := ownAddress(t)
	domains := []string{"right.test", "moved.test", "stranger.test", "trying.test", "unsafe.test"}
	p := newPostfix(t, address, "mx.right.test", "127.0.0.1:1", "virtual_mailbox_domains = "+strings.Join(domains, " "), "virtual_mailbox_maps = static:carol/")
	web := ownAddress(t)
	ca, end := startPolicies(t, web, map[string]string{
		"right.test":    stsPolicy("enforce", "mx.right.test"),
		"moved.test":    stsPolicy("enforce", "*.old.test", "mx.moved.test"),
		"stranger.test": stsPolicy("enforce", "mx.stranger.test"),
		"trying.test":   stsPolicy("testing", "mx.elsewhere.test"),
		"unsafe.test":   stsPolicy("enforce", "mx.elsewhere.test"),
	}, "right.test", "moved.test", "stranger.test", "trying.test")
	mx := map[string]string{"right.test": "mx.right.test", "moved.test": "mx.right.test"} // else mx. and the domain
	var zone string
	for _, d := range domains {
		host := mx[d]
		if host == "" {
			host = "mx." + d
		}
		zone += fmt.Sprintf("%[1]s. 0 MX 10 %[2]s.\n%[2]s. 0 A %[3]s\n_mta-sts.%[1]s. 0 TXT \"v=STSv1; id=1\"\nmta-sts.%[1]s. 0 A %[4]s\n", d, host, address, web)
	}
	both := newClient(t).file("both.pem", readAll(t, ca)+readAll(t, p.ca))
	m := newMailer(t, setup{zone: zone, relay: append(soon, fmt.Sprintf("ca_file = %q", both))})
	send := func(t *testing.T, domain, subject string, parts ...string) {
		t.Helper()
		id := m.sends(alice, letter(alice, "carol@"+domain, subject, "Hello"), "carol@"+domain)
		m.waitsFor(t, id, parts...)
	}
	for domain, parts := range map[string][]string{
		"right.test":    {"TLS policy: mta-sts enforce\n", "verified as mx.right.test", "250 2.0.0"},
		"moved.test":    {"TLS policy: mta-sts enforce\n", "4.7.5", "mx.right.test (" + address + ") cannot be used: it is none of the mail servers"},
		"stranger.test": {"TLS policy: mta-sts enforce\n", "4.7.5", "its certificate is"},
		"trying.test":   {"TLS policy: opportunistic, mta-sts testing (enforced, it would have refused this host: it is none of the mail servers", "250 2.0.0"},
		"unsafe.test":   {"TLS policy: opportunistic\n", "250 2.0.0"}, // a policy from a host without a valid certificate is none
	} {
		t.Run(domain, func(t *testing.T) {
			m.within(t)
			p.within(t)
			send(t, domain, "to "+domain, parts...)
		})
	}
	contains(t, m.run.out.String(), "certificate is valid for")
	contains(t, m.kurir("", "tls", "right.test"), "mta-sts enforce", "verified as mx.right.test")
	if out, code := m.tryKurir("", "tls", "stranger.test"); code != 1 {
		t.Errorf("exit %d: %s", code, out)
	}

	// Somebody takes the policy's host and record away, and the mail elsewhere.
	m.stop()
	end()
	ok(t, "zone", m.dns.SetZone("right.test. 0 MX 10 mx.stranger.test.\nmx.stranger.test. 0 A "+address+"\n"))
	m.start()
	send(t, "right.test", "hijacked", "TLS policy: mta-sts enforce\n", "mx.stranger.test ("+address+") cannot be used")
	for _, domain := range []string{"moved.test", "stranger.test"} {
		if strings.Contains(p.log(), "to=<carol@"+domain+">") {
			t.Errorf("%s has its message:\n%s", domain, p.log())
		}
	}
	if n := strings.Count(p.log(), "to=<carol@right.test>"); n != 1 {
		t.Errorf("right.test has %d messages", n)
	}
}

func readAll(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	ok(t, "file", err)
	return string(text)
}
