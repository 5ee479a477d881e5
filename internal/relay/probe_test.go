package relay_test

import (
	"fmt"
	"testing"

	"kurir/internal/smtpclient/smtptest"
)

// Probe tries every host, and hands over nothing.
func TestProbe(t *testing.T) {
	self := must(t)(smtptest.SelfSigned("mx2.example.net"))
	g := newRig(t, threeHosts+tlsa("mx2.example.net", 3, self)+"\nnull.test. MX 0 .")
	g.dns.Authentic()
	g.peer(&smtptest.Peer{}, "192.0.2.1")
	p := g.peer(&smtptest.Peer{TLS: self}, "192.0.2.2")
	all, reply := g.Probe(t.Context(), "example.net")
	var got []string
	for _, one := range all {
		got = append(got, fmt.Sprintf("%s, %s, %q, %s", one.Peer.Host, one.Peer.Policy, one.Peer.TLSName, one.Reply))
	}
	if reply != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", []string{`mx1.example.net, opportunistic, "", `, `mx2.example.net, dane, "mx2.example.net", `,
		`mx3.example.net, opportunistic, "", 4.4.1 mx3.example.net (192.0.2.3) cannot be reached: it refuses connections.`}) {
		t.Errorf("%q, %v", got, reply)
	}
	g.Close()
	wantCommands(t, p, "EHLO kurir.test", "STARTTLS", "EHLO kurir.test", "QUIT")
	if all, reply := g.Probe(t.Context(), "null.test"); len(all) != 0 || reply == nil || reply.Status != "5.1.10" {
		t.Errorf("%v, %v", all, reply)
	}
}
