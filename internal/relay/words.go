package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"

	"kurir/dnsutil"
	"kurir/internal/smtpclient"
)

// maxText bounds what we say, in octets.
const maxText = 4 << 10

// verdict is what becomes of recipients.
type verdict struct {
	action    Action
	reply     Reply
	peer      Peer
	whole     bool // nothing at this destination can be reached
	uncertain bool
}

// said is what a server's reply means: 4xx and 5xx are what they are, but 421, which is
// about the connection.
func said(r *smtpclient.Reply, p Peer) *verdict {
	v := &verdict{peer: p, reply: Reply{Code: r.Code, Status: r.Status, Text: r.Text()}}
	switch {
	case r.Positive():
		v.action = Sent
	case r.Permanent():
		v.action = Failed
	}
	if v.reply.Status == "" {
		v.reply.Status = "4.0.0"
	}
	return v
}

// deferred makes a verdict one that is not for good.
func (v *verdict) deferred() *verdict {
	v.action, v.reply.Status = Deferred, temporary(v.reply.Status)
	return v
}

// temporary is a status as one of class 4.
func temporary(status string) string {
	if len(status) > 1 {
		return "4" + status[1:]
	}
	return "4.0.0"
}

// show names a host for people: "mx.example.net (192.0.2.1)".
func (p Peer) show() string {
	switch addr := p.Address.Addr(); {
	case !addr.IsValid():
		return p.Host
	case p.Host == "" || isLiteral(p.Host):
		return addr.String()
	default:
		return fmt.Sprintf("%s (%s)", p.Host, addr)
	}
}

// sentence gives an error's text a capital letter, unless it begins with a name, a full
// stop, and a bound.
func sentence(text string) string {
	text = bounded(text)
	first, _, _ := strings.Cut(text, " ")
	if c, n := utf8.DecodeRuneInString(text); n == 1 && c >= 'a' && c <= 'z' && !strings.ContainsAny(first, ".@[:") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// bounded is a text without what cannot be printed, of bounded length.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) > maxText-3 {
		text = strings.ToValidUTF8(text[:maxText-3], "")
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return ' '
		}
		return r
	}, text))
}

// why says in a few words why a host could not be connected to, to stand behind a colon.
func why(err error) string {
	var timeout net.Error
	for _, m := range []struct {
		is    error
		words string
	}{
		{syscall.ECONNREFUSED, "it refuses connections"},
		{syscall.ECONNRESET, "it ended the connection"},
		{syscall.ENETUNREACH, "this server has no way to such addresses"},
		{syscall.EHOSTUNREACH, "there is no way to it"},
		{syscall.EADDRNOTAVAIL, "this server lacks the address that it is to connect from"},
		{context.DeadlineExceeded, "it does not answer"},
		{os.ErrDeadlineExceeded, "it does not answer"},
		{smtpclient.ErrTimeout, "it does not answer"},
		{context.Canceled, "the attempt was broken off"},
		{io.EOF, "it ended the connection"},
		{smtpclient.ErrClosed, "it ended the connection"},
	} {
		if errors.Is(err, m.is) {
			return m.words
		}
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "it does not answer"
	}
	return bounded(err.Error())
}

// noFamily tells whether an error means that this machine cannot reach any address of
// that kind.
func noFamily(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// whyTLS says in a few words why there is no TLS as it should be.
func whyTLS(err error) string {
	if errors.Is(err, dnsutil.ErrTLSA) {
		return dnsutil.ErrTLSA.Error()
	}
	if v, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = v.Err
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is from nobody that this server trusts"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is not for " + e.Host
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "its certificate has expired, or is not valid yet"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "what it sends is not TLS"
	}
	if b, ok := errors.AsType[*smtpclient.Broken](err); ok {
		err = b.Err
	}
	return why(err)
}
