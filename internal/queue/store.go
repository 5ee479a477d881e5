package queue

import (
	"context"
	"errors"
	"fmt"

	"kurir/store"
)

// MailStore is the Deliverer that puts messages into the store.
type MailStore struct{ *store.Store }

// DeliverFile delivers the message at path, on the store's file system.
func (s MailStore) DeliverFile(ctx context.Context, path, address string) error {
	m, err := s.StageFile(path)
	if err != nil {
		return err
	}
	defer m.Close()
	failed, err := s.Deliver(ctx, m, []store.Target{{Address: address}})
	if err == nil && len(failed) > 0 {
		err = failed[0].Err
	}
	if errors.Is(err, store.ErrNoAccount) {
		return fmt.Errorf("%w: %w", ErrNoRecipient, err)
	}
	return err
}
