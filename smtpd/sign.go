package smtpd

import (
	"context"
	"errors"
	"io"
	"strings"

	"kurir/internal/message"
)

// Signer signs what is submitted (DKIM, RFC 6376).
type Signer interface {
	// Sign makes the signature fields of a message by an author at domain, as lines that end
	// in CRLF. There are none if nothing signs for that domain; the message is not read then.
	Sign(ctx context.Context, domain string, message io.Reader) (header []byte, err error)
}

// sign signs a message that is submitted, as the domain of its author: that is the one that
// receivers compare with (RFC 9989). Where that is none of ours, which only the
// administrator's own programs can bring about, the account's domain answers for it.
// Strangers' mail is not signed. A message that should be signed and can't be is an error.
func (s *session) sign(ctx context.Context, m *incoming) (header []byte, err error) {
	signer := s.wire.srv.Signer
	if signer == nil || !s.by.submits() {
		return nil, nil
	}
	r, err := m.staged.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	account := s.by.account
	for _, domain := range []string{m.head.seen().author, account[strings.LastIndexByte(account, '@')+1:]} {
		if domain == "" {
			continue
		}
		if header, err = signer.Sign(ctx, domain, r); err != nil || header != nil {
			return header, err
		}
	}
	return nil, nil
}

// authorDomain is the domain of the first address in a From field, "" if there is none.
func authorDomain(value string) string {
	for _, a := range message.ParseAddressList(value) {
		if a.Host != "" {
			return a.Host
		}
	}
	return ""
}
