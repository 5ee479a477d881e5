package dnsutil

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Certificate usages that count for mail (RFC 7672 section 3.1).
const (
	usageTA = 2 // a certificate that the server's own is issued by
	usageEE = 3 // the server's own, whatever it says of names and dates
)

// maxTLSA is how many records of one host are looked at.
const maxTLSA = 100

// TLSA is a record that names a server's certificate or key (RFC 6698 section 2.1).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      []byte
}

// String is the record as zone files have it: "3 1 1 9f86…".
func (t TLSA) String() string {
	return fmt.Sprintf("%d %d %d %s", t.Usage, t.Selector, t.Matching, hex.EncodeToString(t.Data))
}

// Usable tells whether mail can be sent by the record: usages 0 and 1, which need a public
// CA, are not for mail (RFC 7672 section 3.1.3), and what is not known cannot be used.
func (t TLSA) Usable() bool {
	if t.Usage != usageTA && t.Usage != usageEE || t.Selector > 1 {
		return false
	}
	switch t.Matching {
	case 0:
		return len(t.Data) > 0
	case 1:
		return len(t.Data) == sha256.Size
	case 2:
		return len(t.Data) == sha512.Size
	}
	return false
}

// is tells whether a certificate is the one that the record names.
func (t TLSA) is(c *x509.Certificate) bool {
	what := c.Raw
	if t.Selector == 1 {
		what = c.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 1:
		sum := sha256.Sum256(what)
		what = sum[:]
	case 2:
		sum := sha512.Sum512(what)
		what = sum[:]
	}
	return bytes.Equal(what, t.Data)
}

// DANE is what the TLSA records of a mail server ask of connections to it (RFC 7672).
type DANE struct {
	// Found tells that there are records, for certain: TLS is a must.
	Found bool
	// Base is the name that has them, which TLS is to be begun with (SNI).
	Base string
	// Records are those that can be used. Without any, every certificate will do.
	Records []TLSA
}

// DANE asks for the TLSA records of a mail server at a port, first those of what its name
// is an alias of, then its own (RFC 7672 section 2.2.2). Nothing counts but what is Secure:
// without that, and without records, the result is the zero DANE. The error is
// [ErrTemporary]: the server must not be used, as there may be records.
func (r *Resolver) DANE(ctx context.Context, h RouteHost, port uint16) (DANE, error) {
	var bases []string
	switch {
	case h.Secure && isHostname(h.Alias) && h.Alias != h.Name:
		bases = []string{h.Alias, h.Name}
	case h.Secure:
		bases = []string{h.Name}
	case h.Alias != "" && h.Alias != h.Name && r.Trusted():
		// The alias itself may be for certain, though what it stands for is not.
		alias, err := r.Lookup(ctx, h.Name, dns.TypeCNAME)
		if errors.Is(err, ErrTemporary) {
			return DANE{}, err
		}
		if alias.Secure {
			bases = []string{h.Name}
		}
	}
	for _, base := range bases {
		all, secure, err := r.TLSA(ctx, base, port)
		switch {
		case errors.Is(err, ErrTemporary):
			return DANE{}, err
		case err == nil && secure && len(all) > 0:
			return DANE{Found: true, Base: base, Records: strongest(all)}, nil
		}
	}
	return DANE{}, nil
}

// TLSA gives the TLSA records of a host at a TCP port, and whether they, or that there are
// none, are for certain. Possible errors: [ErrNotFound], [ErrNoData], [ErrTemporary],
// [ErrName].
func (r *Resolver) TLSA(ctx context.Context, host string, port uint16) (all []TLSA, secure bool, err error) {
	ascii, err := Name(host)
	if err != nil {
		return nil, false, err
	}
	answer, err := r.Lookup(ctx, "_"+strconv.Itoa(int(port))+"._tcp."+ascii, dns.TypeTLSA)
	for _, rr := range answer.Records {
		t, ok := rr.(*dns.TLSA)
		if !ok || len(all) == maxTLSA {
			continue
		}
		data, hexErr := hex.DecodeString(t.Certificate)
		if hexErr != nil {
			data = nil // a record that cannot be used
		}
		all = append(all, TLSA{t.Usage, t.Selector, t.MatchingType, data})
	}
	return all, answer.Secure, err
}

// strongest are the usable ones of records, without SHA-256 where there is SHA-512 for
// the same (RFC 7671 section 9).
func strongest(all []TLSA) []TLSA {
	usable := slices.DeleteFunc(slices.Clone(all), func(t TLSA) bool { return !t.Usable() })
	return slices.DeleteFunc(slices.Clone(usable), func(t TLSA) bool {
		return t.Matching == 1 && slices.ContainsFunc(usable, func(o TLSA) bool {
			return o.Usage == t.Usage && o.Selector == t.Selector && o.Matching == 2
		})
	})
}

// NeedsName tells whether it matters what name is in the server's certificate.
func (d DANE) NeedsName() bool {
	return slices.ContainsFunc(d.Records, func(t TLSA) bool { return t.Usage == usageTA })
}

// String is one line for each different set of records.
func (d DANE) String() string {
	all := make([]string, len(d.Records))
	for i, t := range d.Records {
		all[i] = t.String()
	}
	slices.Sort(all)
	return d.Base + " " + strings.Join(all, ", ")
}

// ErrTLSA: the certificate is not one that the TLSA records name.
var ErrTLSA = errors.New("its certificate is not the one that its TLSA records name")

// Verify looks whether the certificates of a server, its own first, are what the records
// name. With usage 3 the server's own must be it (RFC 7672 section 3.1.1); with usage 2 a
// chain must lead to it that is valid now, for Base or one of names (section 3.1.2). The
// error is [ErrTLSA], with the cause if a chain is there and is not valid. Without Records
// all is well.
func (d DANE) Verify(certs []*x509.Certificate, names []string, now time.Time) error {
	if len(d.Records) == 0 {
		return nil
	}
	if len(certs) == 0 {
		return fmt.Errorf("%w: there is none", ErrTLSA)
	}
	anchors, between, found := x509.NewCertPool(), x509.NewCertPool(), false
	for _, t := range d.Records {
		if t.Usage == usageEE && t.is(certs[0]) {
			return nil
		}
		if t.Usage != usageTA {
			continue
		}
		if t.Selector == 0 && t.Matching == 0 { // it need not be sent (RFC 7671 section 5.2.2)
			if c, err := x509.ParseCertificate(t.Data); err == nil {
				anchors.AddCert(c)
				found = true
			}
		}
		for _, c := range certs {
			if t.is(c) {
				anchors.AddCert(c)
				found = true
			}
		}
	}
	if !found {
		return ErrTLSA
	}
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	var first error
	for _, name := range append([]string{d.Base}, names...) {
		_, err := certs[0].Verify(x509.VerifyOptions{DNSName: name, Roots: anchors, Intermediates: between, CurrentTime: now})
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("%w: %w", ErrTLSA, first)
}
