package relay

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"kurir/internal/smtpclient"
)

// dialed is an error as the system's dialer has it.
func dialed(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", err)}
}

// What a sender reads of a host that cannot be connected to.
func TestWhy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{dialed(syscall.ECONNREFUSED), "it refuses connections"},
		{dialed(syscall.ECONNRESET), "it ended the connection"},
		{dialed(syscall.ENETUNREACH), "this server has no way to such addresses"},
		{dialed(syscall.EHOSTUNREACH), "there is no way to it"},
		{dialed(syscall.EADDRNOTAVAIL), "this server lacks the address that it is to connect from"},
		{dialed(syscall.ETIMEDOUT), "it does not answer"},
		{dialed(syscall.EACCES), "dial tcp4: connect: permission denied"},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), "it does not answer"},
		{os.ErrDeadlineExceeded, "it does not answer"},
		{smtpclient.ErrTimeout, "it does not answer"},
		{context.Canceled, "the attempt was broken off"},
		{io.EOF, "it ended the connection"},
		{smtpclient.ErrClosed, "it ended the connection"},
		{&net.DNSError{Err: "x", IsTimeout: true}, "it does not answer"},
		{errors.New("odd\r\nwords\x00"), "odd \nwords"},
	} {
		if got := why(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if noFamily(dialed(syscall.ECONNREFUSED)) || !noFamily(dialed(syscall.ENETUNREACH)) || !noFamily(dialed(syscall.EAFNOSUPPORT)) {
		t.Error("noFamily")
	}
}

// What a sender reads of TLS that is not as it should be.
func TestWhyTLS(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{x509.UnknownAuthorityError{}, "its certificate is from nobody that this server trusts"},
		{x509.HostnameError{Host: "mx.example.net", Certificate: &x509.Certificate{}}, "its certificate is not for mx.example.net"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "its certificate has expired, or is not valid yet"},
		{&smtpclient.Broken{Stage: smtpclient.StartTLS, Err: smtpclient.ErrClosed}, "it ended the connection"},
		{&smtpclient.Broken{Stage: smtpclient.StartTLS, Err: smtpclient.ErrTimeout}, "it does not answer"},
		{&smtpclient.Reply{Code: 454, Status: "4.7.0", Lines: []string{"not", "now"}}, "454 4.7.0 not now"},
		{errors.New("tls: something"), "tls: something"},
	} {
		if got := whyTLS(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"it is so":                      "It is so.",
		"It is so.":                     "It is so.",
		"example.net has no address":    "example.net has no address.",
		"mx: no":                        "mx: no.",
		"[192.0.2.1] is none":           "[192.0.2.1] is none.",
		"\u00e4rger":                    "\u00e4rger.",
		"":                              ".",
		"the disk\x07 is full\r\n":      "The disk  is full.",
		"bob@example.net is no address": "bob@example.net is no address.",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Texts are bounded, and cut between characters.
func TestBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 10_000), strings.Repeat("\u00fc", 5000), "x" + strings.Repeat("\u4f8b", 3000), strings.Repeat("\xff", 9000), strings.Repeat("\xffx", 9000)} {
		for _, got := range []string{bounded(text), sentence(text)} {
			if len(got) > maxText || !utf8.ValidString(got) || len(got) < 1000 && text[0] != 0xff {
				t.Errorf("%d octets, valid %v", len(got), utf8.ValidString(got))
			}
		}
	}
}

func TestShow(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:25")
	for _, c := range []struct {
		p    Peer
		want string
	}{
		{Peer{Host: "mx.test", Address: at}, "mx.test (192.0.2.1)"},
		{Peer{Host: "mx.test"}, "mx.test"},
		{Peer{Address: at}, "192.0.2.1"},
		{Peer{Host: "[192.0.2.1]", Address: at}, "192.0.2.1"},
		{Peer{Host: "mx.test", Address: netip.MustParseAddrPort("[2001:db8::1]:25")}, "mx.test (2001:db8::1)"},
		{Peer{}, ""},
	} {
		if got := c.p.show(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}

func TestOctets(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 9999: "9999 bytes", 10_000: "10 kB", 999_999: "999 kB", 1_000_000: "1.0 MB", 9_940_000: "9.9 MB", 35_882_577: "35 MB"} {
		if got := octets(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// The words of types, which are in lists and parameters.
func TestTypes(t *testing.T) {
	for n, want := range map[Notify]string{NotifyDefault: "", NotifyNever: "NEVER", NotifyDelay: "DELAY", NotifySuccess | NotifyFailure | NotifyDelay: "SUCCESS,FAILURE,DELAY"} {
		if n.String() != want {
			t.Errorf("%d: %q", n, n)
		}
	}
	for _, c := range []struct {
		n                       Notify
		failure, delay, success bool
	}{
		{NotifyDefault, true, true, false}, {NotifyNever, false, false, false}, {NotifySuccess, false, false, true},
		{NotifyFailure, true, false, false}, {NotifyDelay | NotifySuccess, false, true, true},
	} {
		if c.n.Failure() != c.failure || c.n.Delay() != c.delay || c.n.Success() != c.success {
			t.Errorf("%q: %v %v %v", c.n, c.n.Failure(), c.n.Delay(), c.n.Success())
		}
	}
	if Deferred.String() != "deferred" || Failed.String() != "failed" || Sent.String() != "sent" {
		t.Error("actions")
	}
	if (Outcome{}).Action != Deferred {
		t.Error("an outcome nobody has set must be tried again")
	}
}

// What is known of ailing addresses is bounded.
func TestAilingIsBounded(t *testing.T) {
	var l ailing
	now := time.Now()
	for i := range 3 * ailingMost {
		l.add(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 25), now)
		if len(l.until) > ailingMost {
			t.Fatalf("%d are kept", len(l.until))
		}
	}
}
