package queue

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kurir/store"
)

// MailStore is the Deliverer that puts messages into the store.
type MailStore struct {
	*store.Store
	// Junk tells of a message whether it is for the mailbox for junk; nil: none is.
	Junk func(io.Reader) bool
	// Detail is what a recipient has behind its + for an account; nil: nothing.
	Detail func(ctx context.Context, recipient, account string) string
	// Deferred is an error while an account's mail has to wait; nil: it never has.
	Deferred func(ctx context.Context, address string) error
}

// DeliverFile delivers the message at path, on the store's file system.
func (s MailStore) DeliverFile(ctx context.Context, path, address, recipient string) error {
	if s.Deferred != nil {
		if err := s.Deferred(ctx, address); err != nil {
			return err
		}
	}
	m, err := s.StageFile(path)
	if err != nil {
		return err
	}
	defer m.Close()
	junk, err := s.isJunk(m)
	if err != nil {
		return err
	}
	to := store.Target{Address: address, Junk: junk}
	if s.Detail != nil && !junk {
		to.Detail = s.Detail(ctx, recipient, address)
	}
	failed, err := s.Deliver(ctx, m, []store.Target{to})
	if err == nil && len(failed) > 0 {
		err = failed[0].Err
	}
	if errors.Is(err, store.ErrNoAccount) {
		return fmt.Errorf("%w: %w", ErrNoRecipient, err)
	}
	return err
}

// isJunk looks into a message for what was decided when it came.
func (s MailStore) isJunk(m *store.Staged) (bool, error) {
	if s.Junk == nil {
		return false, nil
	}
	r, err := m.Reader()
	if err != nil {
		return false, err
	}
	defer r.Close()
	return s.Junk(r), nil
}
