package admin

import (
	"context"
	"errors"

	"kurir/store"
)

// ListMailboxes implements Operations; in the order in which clients get them. Mailboxes
// that only stand for a level above others are left out.
func (s *Service) ListMailboxes(ctx context.Context, address string) ([]Mailbox, error) {
	a, err := s.open(ctx, address)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	infos, err := a.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Mailbox, 0, len(infos))
	for _, m := range infos {
		if !m.Exists {
			continue
		}
		st, err := a.Status(ctx, m.Name)
		if errors.Is(err, store.ErrNoMailbox) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Mailbox{
			Name: m.Name, SpecialUse: m.SpecialUse, Subscribed: m.Subscribed,
			Messages: st.Messages, Unseen: st.Unseen, Bytes: st.Size, UIDValidity: st.UIDValidity,
		})
	}
	return list, nil
}

// open opens the mail of an account that the directory knows.
func (s *Service) open(ctx context.Context, address string) (*store.Account, error) {
	row, err := s.Directory.GetAccount(ctx, address)
	if err != nil {
		return nil, err
	}
	return s.Store.Account(ctx, row.Address)
}
