package policy

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// fakeDNS answers from TXT records by name, and fails as it is told to.
type fakeDNS struct {
	txt    map[string]string
	ptr    map[string]string
	a      map[string]string
	fails  map[string]bool          // temporarily
	takes  map[string]time.Duration // before the answer; more than there is time for never comes
	mu     sync.Mutex
	asked  map[string]int
	broken bool // all fail
}

func (d *fakeDNS) ask(ctx context.Context, name string) error {
	d.mu.Lock()
	if d.asked == nil {
		d.asked = map[string]int{}
	}
	d.asked[name]++
	d.mu.Unlock()
	if t := d.takes[name]; t > 0 {
		select {
		case <-time.After(t):
		case <-ctx.Done():
		}
	}
	if d.broken || d.fails[name] || ctx.Err() != nil {
		return &net.DNSError{Err: "server failure", Name: name, IsTemporary: true}
	}
	return nil
}

func missing(name string) error {
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (d *fakeDNS) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if err := d.ask(ctx, name); err != nil {
		return nil, err
	}
	if v, ok := d.txt[name]; ok {
		return []string{v}, nil
	}
	return nil, missing(name)
}

func (d *fakeDNS) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return nil, errors.Join(d.ask(ctx, name), missing(name))
}

func (d *fakeDNS) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	host = strings.TrimSuffix(host, ".")
	if err := d.ask(ctx, host); err != nil {
		return nil, err
	}
	if v, ok := d.a[host]; ok {
		return []net.IPAddr{{IP: net.ParseIP(v)}}, nil
	}
	return nil, missing(host)
}

func (d *fakeDNS) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	if err := d.ask(ctx, addr); err != nil {
		return nil, err
	}
	if v, ok := d.ptr[addr]; ok {
		return []string{v}, nil
	}
	return nil, missing(addr)
}

// testKey signs for every domain in tests.
var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func keyRecord() string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(testKey.Public().(ed25519.PublicKey))
}

// world is a DNS in which example.org asks to refuse, with SPF for 192.0.2.1 and a key
// s1; quarantine.example asks for junk; none.example for nothing; plain.example has no
// record at all.
func world() *fakeDNS {
	return &fakeDNS{
		txt: map[string]string{
			"_dmarc.example.org":               "v=DMARC1; p=reject",
			"_dmarc.quarantine.example":        "v=DMARC1; p=quarantine",
			"_dmarc.none.example":              "v=DMARC1; p=none",
			"example.org":                      "v=spf1 ip4:192.0.2.1 -all",
			"mx.example.org":                   "v=spf1 ip4:192.0.2.1 -all",
			"s1._domainkey.example.org":        keyRecord(),
			"s1._domainkey.quarantine.example": keyRecord(),
			"s1._domainkey.lists.example":      keyRecord(),
			"s1._domainkey.plain.example":      keyRecord(),
		},
		ptr: map[string]string{"192.0.2.1": "mx.example.org."},
		a:   map[string]string{"mx.example.org": "192.0.2.1"},
	}
}

// text is a message from an address.
func text(from string) string {
	return "From: " + from + "\r\nTo: alice@local.test\r\nSubject: hello\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\ntext\r\n"
}

// sign puts a signature of a domain above a message.
func sign(t testing.TB, domain, msg string) string {
	t.Helper()
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(msg), &dkim.SignOptions{
		Domain: domain, Selector: "s1", Signer: testKey, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func opener(msg string) Open {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(msg)), nil }
}

// arrival is a message from mx.example.org, which may send for it.
func arrival() Arrival {
	return Arrival{ID: "x-1", IP: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example.org", Sender: "bob@example.org", Recipients: []string{"alice@local.test"}}
}

// elsewhere is one from an address that nobody has named.
func elsewhere() Arrival {
	a := arrival()
	a.IP, a.Helo = netip.MustParseAddr("198.51.100.9"), "host.test"
	return a
}
