package smtpd

import (
	"context"
	"errors"

	"kurir/internal/directory"
)

// Some addresses here are groups whose members alone may write to them. Users, devices and
// programs are known when they name a recipient. A stranger may be a member only by his
// address, which anybody can write down: his message has to prove it.

var (
	replyMembersOnly = &Reply{550, "5.7.2", "only members of this group may write to it", nil}
	replyUnproven    = &Reply{550, "5.7.2", "only members of this group may write to it, and neither SPF nor DKIM prove that this is from one", nil}
)

// mayPost refuses a recipient that the sender may not write to (RFC 3463 section 3.8,
// X.7.2). unproven: he may if the message proves to be his.
func (s *session) mayPost(to Path) (unproven bool, err error) {
	w := s.wire
	if s.by.role == trusted {
		return false, nil
	}
	p, err := w.srv.Directory.MayPost(w.ctx, s.by.account, s.mail.From.String(), w.address(to))
	switch {
	case err != nil:
		return false, err
	case p == directory.PostingAllowed:
		return false, nil
	case p == directory.PostingIfProven && w.srv.Policy != nil && w.run.mode != LMTP:
		return true, nil
	}
	return false, replyMembersOnly
}

// provePosting refuses a message to a group whose author could not be proven to be a
// member. A message has one answer: its other recipients do not get it either.
func (s *session) provePosting(ctx context.Context) *Reply {
	for _, r := range s.recipients {
		if !r.unproven {
			continue
		}
		if s.verdict.Author == "" {
			return replyUnproven.because(errors.New(s.wire.address(r.To)))
		}
		p, err := s.wire.srv.Directory.MayPost(ctx, "", s.verdict.Author, s.wire.address(r.To))
		if err != nil {
			return replyTo(err)
		}
		if p == directory.PostingRefused {
			return replyUnproven.because(errors.New(s.wire.address(r.To) + " from " + s.verdict.Author))
		}
	}
	return nil
}
