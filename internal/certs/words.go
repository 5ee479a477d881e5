package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/mholt/acmez/v3/acme"
)

// maxProblem bounds what a CA's words may be here, in bytes.
const maxProblem = 600

// advice is what to do about the kinds of errors of RFC 8555 section 6.7.
var advice = map[string]string{
	"connection":              "the CA could not connect: is %s open to the world, in the firewall and at the provider, and does the DNS name the right addresses, IPv6 among them?",
	"unauthorized":            "the CA found something else there: does the DNS lead to this server, and does no other program or proxy answer on %s?",
	"dns":                     "the CA could not look the name up: see whether its DNS is right for the whole world (kurir dns check)",
	"caa":                     "a CAA record of the domain forbids this CA: change the record, or acme.directory",
	"rateLimited":             "the CA's limit is reached: it is tried again later by itself",
	"rejectedIdentifier":      "this CA gives no certificates for such a name",
	"externalAccountRequired": "this CA wants an account of its own: set acme.eab_key_id and acme.eab_key",
	"invalidContact":          "the CA does not like acme.email",
	"unsupportedContact":      "the CA does not like acme.email",
	"tls":                     "the CA's handshake failed: does another program or proxy answer on %s?",
	"incorrectResponse":       "the CA found something else there: does the DNS lead to this server, and does no other program or proxy answer on %s?",
}

// words say what has happened to an order, and what to do about it.
func (m *Manager) words(name string, err error) string {
	var problem acme.Problem
	if errors.As(err, &problem) {
		kind := strings.TrimPrefix(problem.Type, acme.ProblemTypeNamespace)
		text := problem.Detail
		for _, sub := range problem.Subproblems {
			text += "; " + sub.Detail
		}
		if problem.Status == http.StatusServiceUnavailable || problem.Status == http.StatusInternalServerError {
			return clip("the CA has a fault of its own, and is asked again: " + text)
		}
		a := advice[kind]
		if strings.Contains(a, "%s") {
			a = fmt.Sprintf(a, m.ports())
		}
		if a == "" {
			return clip("the CA refused: " + text)
		}
		return clip(fmt.Sprintf("%s (%s)", a, text))
	}
	if cause(err).Error() == again {
		return "the CA had forgotten the account, and a new one was made: it is tried again"
	}
	var unknown x509.UnknownAuthorityError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return clip(fmt.Sprintf("the certificate of the CA's own server is not trusted: set acme.ca_file (%v)", unknown))
	case errors.As(err, &dns), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return clip(fmt.Sprintf("the CA %s cannot be reached, and is asked again: %v", m.o.CA.Directory, cause(err)))
	}
	return clip(cause(err).Error())
}

// cause is what an error says without the names of steps of ours that it went through.
func cause(err error) error {
	for _, step := range []string{" Obtain: ", " Renew: "} {
		for err != nil && strings.Contains(err.Error(), step) && errors.Unwrap(err) != nil {
			err = errors.Unwrap(err)
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	return err
}

// ports are where the CA looks.
func (m *Manager) ports() string {
	switch ca := m.o.CA; {
	case ca.HTTP && ca.ALPN:
		return "port 80 or 443"
	case ca.ALPN:
		return "port 443"
	}
	return "port 80"
}

// clip makes a text one line of bounded length.
func clip(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxProblem {
		text = strings.ToValidUTF8(text[:maxProblem], "") + "…"
	}
	return text
}
