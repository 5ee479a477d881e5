package admin

import (
	"context"
	"strings"

	"kurir/internal/directory"
)

func (d Disable) closure() directory.Closure {
	return directory.Closure{Disabled: d.Disabled, Defer: d.Defer, Message: d.Message}
}

// DisableDomain implements Operations. The sessions of all its accounts end.
func (s *Service) DisableDomain(ctx context.Context, d Disable) error {
	name, err := directory.ParseDomain(d.Address)
	if err != nil {
		return err
	}
	if err := s.Directory.CloseDomain(ctx, name, d.closure()); err != nil {
		return err
	}
	if !d.Disabled {
		return s.resume(ctx, "@"+name)
	}
	all, err := s.Directory.ListAccounts(ctx)
	for _, a := range all {
		if strings.HasSuffix(a.Address, "@"+name) {
			s.forget(a.Address)
		}
	}
	return err
}

// resume has the queue try what has waited for an account, or for "@" and a domain, while
// that was closed for mail.
func (s *Service) resume(ctx context.Context, whose string) error {
	if s.Queue == nil {
		return nil
	}
	waited := directory.DeferredError{Address: whose}
	_, err := s.ChangeQueue(ctx, QueueChange{Action: QueueRetry, Filter: QueueFilter{Error: waited.Error()}})
	return err
}

// DisableDomain implements Operations.
func (c *Client) DisableDomain(ctx context.Context, d Disable) error {
	return c.act(ctx, "domain.disable", d)
}
