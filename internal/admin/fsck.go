package admin

import (
	"context"

	"kurir/store"
)

// Fsck implements Operations.
func (s *Service) Fsck(ctx context.Context, f Fsck) (FsckReport, error) {
	row, err := s.Directory.GetAccount(ctx, f.Address)
	if err != nil {
		return FsckReport{}, err
	}
	found, err := s.Store.Fsck(ctx, row.Address, store.FsckOptions{Restored: f.Restored})
	r := FsckReport{Address: row.Address, Mailboxes: len(found.Mailboxes), Findings: []Finding{}}
	add := func(mailbox string, all []store.Finding) {
		for _, f := range all {
			r.Findings = append(r.Findings, Finding{Mailbox: mailbox, What: f.What, Repaired: f.Repaired})
		}
	}
	add("", found.Findings)
	for _, m := range found.Mailboxes {
		r.Messages += m.Messages
		add(m.Name, m.Findings)
	}
	return r, err
}
