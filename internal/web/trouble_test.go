package web

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTrouble(t *testing.T) {
	var all Trouble
	at := netip.MustParseAddr
	all.Note(at("192.0.2.1"), "IMAP", errors.New("remote error: tls: unknown certificate authority"))
	all.Note(at("::ffff:192.0.2.1"), "SMTP", errors.New("EOF"))
	all.Note(at("2001:db8::1"), "POP3", errors.New("tls: client offered only unsupported versions: [301]"))
	for viewer, want := range map[string]string{
		"192.0.2.1": "SMTP IMAP ", "192.0.2.2": "", "2001:db8::ffff": "POP3 ", "2001:db8:0:1::1": "", "::ffff:192.0.2.1": "SMTP IMAP ",
	} {
		got := ""
		for _, a := range all.Recent(at(viewer), 5) {
			got += a.Protocol + " "
		}
		if got != want {
			t.Errorf("%s sees %q, want %q", viewer, got, want)
		}
	}
	if got := all.Recent(netip.Addr{}, 5); len(got) != 0 {
		t.Errorf("nobody sees %v", got)
	}
	for i := range maxTrouble {
		all.Note(at("198.51.100.1"), fmt.Sprint(i), errors.New("?"))
	}
	if len(all.last) != maxTrouble || len(all.Recent(at("192.0.2.1"), 5)) != 0 || all.Recent(at("198.51.100.1"), 1)[0].Protocol != fmt.Sprint(maxTrouble-1) {
		t.Errorf("%d are kept", len(all.last))
	}
}

func TestTLSProblem(t *testing.T) {
	for text, want := range map[string]string{
		"remote error: tls: bad certificate":                   "does not trust",
		"remote error: tls: unknown certificate authority":     "does not trust",
		"tls: client offered only unsupported versions: [2]":   "old versions",
		"tls: first record does not look like a TLS handshake": "did not encrypt",
		"read tcp: i/o timeout":                                "said nothing",
		"EOF":                                                  "broke off",
		"tls: no cipher suite supported by both":               "did not agree",
	} {
		if got := tlsProblem(text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// The viewer sees what failed at his own address, in its place in time.
func TestLiveTrouble(t *testing.T) {
	v := newVisitor(t)
	trouble := &Trouble{}
	v.server.Pages.Trouble = trouble
	v.enter()
	v.recent = []Attempt{{Time: time.Now().Add(-time.Minute), Protocol: "POP3 (reading mail)", TLS: "TLS 1.3"}}
	trouble.Note(netip.MustParseAddr("192.0.2.1"), "IMAP (reading mail)", errors.New("remote error: tls: bad certificate"))
	trouble.Note(netip.MustParseAddr("192.0.2.9"), "SMTP (sending mail)", errors.New("EOF"))
	v.header.Set("From-Address", "192.0.2.1:5555")
	text := v.want(200, "/setup/live", nil, "A device at your own address reached us", "Encryption: <b class=\"no\">failed</b>: the device does not trust")
	if strings.Index(text, "IMAP") > strings.Index(text, "POP3") || strings.Contains(text, "SMTP") {
		t.Error(text)
	}
}
