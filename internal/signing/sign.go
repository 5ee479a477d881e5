package signing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
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
// Return-Path and other fields of its way. A body with more than 1 MiB of white space in a row is
// not signed, which is logged. Errors: ErrHeader, those of msg, of the database and of a key that
// cannot be read.
func (s *Signer) Sign(ctx context.Context, domain string, msg io.Reader) (header []byte, err error) {
	ring, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	keys := ring.signers(canonical(domain))
	if len(keys) == 0 {
		return nil, nil
	}
	header, err = s.sign(keys, bufio.NewReaderSize(msg, 32<<10))
	if errors.Is(err, errBlank) {
		s.o.Log.Warn("not signed", "domain", keys[0].Domain, "reason", err)
		return nil, nil
	}
	return header, err
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
		if name = strings.TrimSpace(name); name == "b" {
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

// sign makes the fields of all keys while the message is read once (RFC 6376 section 3.7).
func (s *Signer) sign(keys []*Key, msg *bufio.Reader) (fields []byte, err error) {
	h, err := readHeader(msg)
	if err != nil {
		return nil, err
	}
	names, header := choose(h)
	var signers []*dkim.Signer
	var all []io.Writer
	defer func() {
		for _, signer := range signers { // each is a goroutine, which ends when it is closed
			_ = signer.Close()
		}
	}()
	for _, k := range keys {
		if k.private == nil {
			return nil, k.damage
		}
		signer, err := dkim.NewSigner(&dkim.SignOptions{
			Domain: k.Domain, Selector: k.Selector, Signer: k.private, HeaderKeys: names,
			HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		})
		if err != nil {
			return nil, fmt.Errorf("signing with %s: %w", k.Name(), err)
		}
		signers, all = append(signers, signer), append(all, signer)
	}
	to := io.MultiWriter(all...)
	if _, err := to.Write(header); err != nil {
		return nil, err
	}
	if _, err := io.Copy(&wire{to: to}, msg); err != nil {
		return nil, err
	}
	for i, signer := range signers {
		if err := signer.Close(); err != nil {
			return nil, fmt.Errorf("signing with %s: %w", keys[i].Name(), err)
		}
		fields = append(fields, fold(signer.Signature())...)
	}
	return fields, nil
}

// lineWidth is where lines of a signature are folded.
const lineWidth = 76

// fold breaks lines at spaces, which to the relaxed form is no change (RFC 6376 section
// 3.4.2): the library folds between tags, but not within h=.
func fold(field string) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(field, "\r\n") {
		width := 0
		for i, word := range strings.Split(line, " ") {
			switch {
			case i > 0 && width > 1 && width+1+len(word) > lineWidth:
				b.WriteString("\r\n\t")
				width = 1
			case i > 0:
				b.WriteByte(' ')
				width++
			}
			b.WriteString(word)
			width += len(word)
		}
	}
	return b.String()
}
