package signing

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"kurir/internal/mailauth/sig"
)

// sealed are the fields of which one more is signed than there are, so that none can be
// added on the way (RFC 6376 section 5.4.2).
var sealed = []string{
	"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// signed are the fields that are signed where they are there: a mailing list or another
// forwarder may add its own (RFC 6376 section 5.4.1; RFC 8058 section 4 for List-Unsubscribe).
var signed = []string{
	"Sender", "Content-Disposition", "Content-Language", "Auto-Submitted", "Feedback-ID",
	"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
	"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner", "List-Archive",
}

// Sign makes the DKIM-Signature fields of a message, one for each active key, as lines that
// end in CRLF, to be put in front. It signs as domain or, if that has no keys, as the nearest
// domain above it that has: to DMARC that is as good. With none the result is empty, and msg
// is not read. Else it is read once, to its end; lines may end in CRLF or in LF alone.
//
// The signature covers the message as it is on the wire, all of the body, and the header
// fields in which a reader sees who has written what to whom. It does not cover Received,
// Return-Path and other fields of its way. Errors: ErrHeader, those of msg, of the database
// and of a key that cannot be read.
func (s *Signer) Sign(ctx context.Context, domain string, msg io.Reader) (header []byte, err error) {
	ring, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	keys := ring.signers(canonical(domain))
	if len(keys) == 0 {
		return nil, nil
	}
	c, err := readContent(msg)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		f, err := c.sign(k, s.o.Now().Unix())
		if err != nil {
			return nil, err
		}
		header = append(header, f...)
	}
	return header, nil
}

// Resign is Sign for a message that was signed here and has been changed since, as for a
// host without 8BITMIME: its first field is a signature of ours. It signs as the domain of
// that; the result is empty if the message is none of those.
func (s *Signer) Resign(ctx context.Context, open func() (io.ReadCloser, error)) (header []byte, err error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	br := bufio.NewReaderSize(r, 4<<10)
	head, err := br.Peek(4 << 10)
	if err != nil && err != io.EOF {
		return nil, err
	}
	ring, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	domain := ring.signerOf(string(head))
	if domain == "" {
		return nil, nil
	}
	return s.Sign(ctx, domain, br)
}

// signerOf is the domain of the message that begins so, if one of these keys has signed it.
func (r *keyring) signerOf(head string) string {
	name, rest, _ := strings.Cut(head, ":")
	if !strings.EqualFold(name, "DKIM-Signature") {
		return ""
	}
	tags := map[string]string{}
	for tag := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if name = strings.TrimSpace(name); name == "b" || name == "h" {
			break
		}
		tags[name] = strings.TrimSpace(value)
	}
	for _, k := range r.all {
		if k.Domain == tags["d"] && k.Selector == tags["s"] {
			return k.Domain
		}
	}
	return ""
}

// signers are the keys that sign for a domain.
func (r *keyring) signers(domain string) []*Key {
	for domain != "" {
		if keys := r.active[domain]; len(keys) > 0 {
			return keys
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return nil
}

// sign makes the field of one key (RFC 6376 section 3.7).
func (c *content) sign(k *Key, at int64) ([]byte, error) {
	if k.private == nil {
		return nil, k.damage
	}
	names := c.names()
	var f strings.Builder
	fmt.Fprintf(&f, "DKIM-Signature: v=1; a=%s-sha256; c=relaxed/relaxed;\r\n\td=%s;\r\n\ts=%s; t=%d;\r\n\th=", k.Algorithm, k.Domain, k.Selector, at)
	foldNames(&f, names)
	fmt.Fprintf(&f, ";\r\n\tbh=%s;\r\n\tb=", base64.StdEncoding.EncodeToString(c.body))

	hash := sha256.New()
	c.header.Write(hash, sig.Relaxed, names, nil)
	hash.Write(sig.Relaxed.Field(nil, []byte(f.String())))
	digest := hash.Sum(nil)
	how := crypto.SHA256
	if k.Algorithm == Ed25519 { // it signs the digest as its message (RFC 8463 section 3)
		how = 0
	}
	signature, err := k.private.Sign(rand.Reader, digest, how)
	if err != nil {
		return nil, fmt.Errorf("signing with %s: %w", k.Name(), err)
	}
	foldText(&f, base64.StdEncoding.EncodeToString(signature))
	f.WriteString("\r\n")
	return []byte(f.String()), nil
}

// names are those for h=: each as often as its field is there, and those of sealed once more.
func (c *content) names() (names []string) {
	for _, list := range []struct {
		names []string
		more  int
	}{{sealed, 1}, {signed, 0}} {
		for _, name := range list.names {
			for range len(c.header.Named(name)) + list.more {
				names = append(names, name)
			}
		}
	}
	return names
}

// lineWidth is where lines of a signature are folded.
const lineWidth = 72

// foldNames writes h=, folded between names.
func foldNames(f *strings.Builder, names []string) {
	width := len("\th=")
	for i, name := range names {
		if i > 0 {
			f.WriteByte(':')
			if width += 1 + len(name); width > lineWidth {
				f.WriteString("\r\n\t")
				width = len(name)
			}
		} else {
			width += len(name)
		}
		f.WriteString(name)
	}
}

// foldText writes base64, folded anywhere.
func foldText(f *strings.Builder, text string) {
	for len(text) > lineWidth {
		f.WriteString(text[:lineWidth] + "\r\n\t")
		text = text[lineWidth:]
	}
	f.WriteString(text)
}
