package admin

import (
	"context"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"kurir/internal/certs"
)

// Sources of certificates.
const (
	SourceCA    = "ca"    // fetched from a CA by ACME
	SourceFiles = "files" // tls.cert of the configuration
	SourceLocal = "local" // of a CA of the server's own, which nobody trusts unless told to
)

// States of certificates.
const (
	StateValid   = "valid"
	StateLate    = "late"    // it should have been renewed for a while
	StateEnding  = "ending"  // somebody has to act
	StateEnded   = "ended"   // clients refuse it
	StateWaiting = "waiting" // there is none: the DNS does not lead the name here
	StateMissing = "missing" // there is none yet; Problem says why
)

// Certificate is one that the server shows, or wants to have.
type Certificate struct {
	Names     []string  `json:"names"`
	Host      bool      `json:"host"` // of the mail host, shown wherever no other fits
	Source    string    `json:"source"`
	State     string    `json:"state"`
	Issuer    string    `json:"issuer,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Problem   string    `json:"problem,omitempty"`
	Chain     string    `json:"chain,omitempty"` // in PEM, the host's alone
}

// RenewCertificates asks for new certificates now.
type RenewCertificates struct {
	Names  []string `json:"names,omitempty"` // empty: all that the DNS leads here
	NewKey bool     `json:"new_key,omitempty"`
}

// String is what the log says of it.
func (r RenewCertificates) String() string {
	text := strings.Join(r.Names, " ")
	if text == "" {
		text = "all"
	}
	if r.NewKey {
		text += ", with new keys"
	}
	return text
}

// errNotServing answers where no server runs, whose certificates they are.
var errNotServing = &invalid{"certificates are the running server's part: start it with: kurir serve"}

// ListCertificates implements Operations; that of the host comes first.
func (s *Service) ListCertificates(context.Context) ([]Certificate, error) {
	if s.Certificates == nil {
		return nil, errNotServing
	}
	m := s.Certificates()
	all := []Certificate{}
	for _, c := range m.Certificates() {
		one := newCertificate(c, time.Now())
		if one.Source = SourceFiles; c.Local {
			one.Source = SourceLocal
		} else if m.AsksCA() {
			one.Source = SourceCA
		}
		if c.Host && !c.NotAfter.IsZero() {
			chain, err := m.Chain()
			if err != nil {
				return nil, err
			}
			for _, x := range chain {
				one.Chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw}))
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// newCertificate is a status in the words of Operations.
func newCertificate(c certs.Status, now time.Time) Certificate {
	one := Certificate{Names: c.Names, Host: c.Host, Issuer: c.Issuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Problem: c.Problem, State: StateValid}
	switch {
	case c.NotAfter.IsZero() && c.Waiting:
		one.State = StateWaiting
	case c.NotAfter.IsZero():
		one.State = StateMissing
	case now.After(c.NotAfter):
		one.State = StateEnded
	case c.Ending(now):
		one.State = StateEnding
	case c.Late(now):
		one.State = StateLate
	}
	return one
}

// RenewCertificates implements Operations. It returns once all were fetched, with what is
// served then; the error says what has failed.
func (s *Service) RenewCertificates(ctx context.Context, r RenewCertificates) ([]Certificate, error) {
	if s.Certificates == nil {
		return nil, errNotServing
	}
	err := s.Certificates().Renew(ctx, r.Names, r.NewKey)
	switch {
	case errors.Is(err, certs.ErrNoCA):
		return nil, &invalid{"no CA is asked for certificates: set [acme] enabled = true in the configuration (docs/certificates.md); files of tls.cert are read again when they change"}
	case err != nil:
		return nil, &invalid{err.Error()}
	}
	return s.ListCertificates(ctx)
}

// ListCertificates implements Operations.
func (c *Client) ListCertificates(ctx context.Context) ([]Certificate, error) {
	return post[[]Certificate](ctx, c, "certificate.list", nil)
}

// RenewCertificates implements Operations.
func (c *Client) RenewCertificates(ctx context.Context, r RenewCertificates) ([]Certificate, error) {
	return post[[]Certificate](ctx, c, "certificate.renew", r)
}
