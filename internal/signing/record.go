package signing

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"strings"
)

// Record is a TXT record of a key.
type Record struct {
	Name  string // without a dot at the end
	Value string // of one TXT record; longer than 255 octets for RSA: it is written in several strings
	State string // of its key: publish all but those of Retired keys, which may be removed
}

// Records are the records of a domain's keys, by age. Errors are those of the database.
func (s *Signer) Records(ctx context.Context, domain string) ([]Record, error) {
	keys, err := s.Keys(ctx, canonical(domain))
	if err != nil || domain == "" {
		return nil, err
	}
	records := make([]Record, len(keys))
	for i, k := range keys {
		records[i] = k.Record()
	}
	return records, nil
}

// Name is the domain name of the key's record (RFC 6376 section 3.6.2.1).
func (k Key) Name() string { return k.Selector + "._domainkey." + k.Domain }

// Record is the key's record (RFC 6376 section 3.6.1).
func (k Key) Record() Record {
	return Record{Name: k.Name(), Value: "v=DKIM1; k=" + k.Algorithm + "; p=" + k.public, State: k.State}
}

// What the DNS shows of a key's record.
const (
	Published = "published" // it is there
	Missing   = "missing"   // nothing is
	Differs   = "differs"   // something else is
	Unknown   = "unknown"   // the DNS gave no answer
)

// Look asks the DNS for the record of a key. why has words about Differs and Unknown.
func (s *Signer) Look(ctx context.Context, k Key) (state, why string) {
	if s.o.DNS == nil {
		return Unknown, "this server asks no DNS"
	}
	texts, err := s.o.DNS.LookupTXT(ctx, k.Name())
	var failed *net.DNSError
	switch {
	case errors.As(err, &failed) && failed.IsNotFound:
		return Missing, ""
	case err != nil:
		return Unknown, err.Error()
	case len(texts) == 0:
		return Missing, ""
	case len(texts) > 1: // which one a verifier takes is not defined (RFC 6376 section 3.6.2.2)
		return Differs, "there are several TXT records of this name: one alone has to be there"
	}
	return k.compare(texts[0])
}

// compare says whether a TXT record is the key's own, however it is written.
func (k Key) compare(text string) (state, why string) {
	tags := map[string]string{"v": "DKIM1", "k": RSA}
	for tag := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(tag, "="); ok {
			tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	public, ok := tags["p"]
	switch {
	case !ok:
		return Differs, "the TXT record is none of a DKIM key"
	case tags["v"] != "DKIM1":
		return Differs, "it does not begin with v=DKIM1"
	case tags["k"] != k.Algorithm:
		return Differs, "its k= is " + tags["k"] + ", not " + k.Algorithm
	case public == "":
		return Differs, "its p= is empty: the key is revoked"
	case trimmed(public) == trimmed(k.public):
		return Published, ""
	}
	if _, err := base64.StdEncoding.DecodeString(public); err != nil {
		return Differs, "its p= cannot be read: a part of the text is missing, or something was added"
	}
	return Differs, "its p= is of another key"
}

// trimmed is base64 without the padding that some leave out.
func trimmed(text string) string { return strings.TrimRight(text, "=") }

// maxString is how many octets one string of a TXT record has at most (RFC 1035 section 3.3).
const maxString = 255

// Zone is the record as a line of a zone file, without an end of line.
func (r Record) Zone() string {
	var b strings.Builder
	b.WriteString(r.Name + ". IN TXT")
	for value := r.Value; value != ""; {
		n := min(len(value), maxString)
		b.WriteString(` "` + value[:n] + `"`)
		value = value[n:]
	}
	return b.String()
}
