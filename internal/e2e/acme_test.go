package e2e

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
)

// namesHere leads the host and the names of its domain to this machine, all but one.
const namesHere = `
mail.local.test.          A 127.0.0.1
autoconfig.local.test.    A 127.0.0.1
mta-sts.local.test.       CNAME mail.local.test.
autodiscover.local.test.  A 127.0.0.9
`

// servesFrom waits until a name is shown with a certificate of roots.
func servesFrom(t *testing.T, address, name string, roots *x509.CertPool) (c *x509.Certificate) {
	t.Helper()
	ok(t, name, eventually(patience, func() (err error) {
		if c, err = shown(address, name, roots); err != nil {
			time.Sleep(100 * time.Millisecond) // the log has a line for each of these
		}
		return err
	}))
	return c
}

// TestACME fetches certificates from a CA by each way that needs a port, serves them on
// every port, and has names join when the DNS leads them here.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"http-01", "tls-alpn-01"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			web, webs := aPort(t), aPort(t)
			dns := dnstest.Start(t, namesHere)
			p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: web, https: webs})
			m := newMailer(t, setup{dns: dns.Addr(), rest: fmt.Sprintf("[web]\nhttp = [\"127.0.0.1:%d\"]\nhttps = [\"127.0.0.1:%d\"]\n", web, webs) +
				p.acme(fmt.Sprintf("challenges = [%q]", way))})
			root, https := p.root(), fmt.Sprintf("127.0.0.1:%d", webs)
			host := servesFrom(t, m.at(imapsPort), "mail.local.test", root)
			for _, at := range []string{m.at(submissionsPort), m.at(pop3sPort), https} {
				if c := servesFrom(t, at, "mail.local.test", root); !c.Equal(host) {
					t.Errorf("%s shows another certificate", at)
				}
			}
			for _, name := range []string{"autoconfig.local.test", "mta-sts.local.test"} {
				if c := servesFrom(t, https, name, root); len(c.DNSNames) != 1 || c.DNSNames[0] != name {
					t.Errorf("%s: %q", name, c.DNSNames)
				}
			}
			for _, name := range []string{"", "autodiscover.local.test", "elsewhere.test"} {
				if c, err := shown(m.at(imapsPort), name, nil); err != nil || !c.Equal(host) {
					t.Errorf("a client that asks for %q is shown %v, %v", name, c, err)
				}
			}
			if err := dns.SetZone(strings.ReplaceAll(namesHere, "127.0.0.9", "127.0.0.1")); err != nil {
				t.Fatal(err)
			}
			servesFrom(t, https, "autodiscover.local.test", root)
		})
	}
}
