package admin

import (
	"context"
	"fmt"
	"time"

	"kurir/internal/logins"
)

// maxLogins bounds a list of logins.
const maxLogins = 2 * logins.MaxRows

// LoginQuery says which logins of an account to list.
type LoginQuery struct {
	Address string `json:"address"`
	Failed  bool   `json:"failed,omitempty"` // those that were not let in only
	Limit   int    `json:"limit,omitempty"`  // the latest; 0 for all that are kept
}

// LoginRecord is one attempt to log in, or many that were alike.
type LoginRecord struct {
	Result     string    `json:"result"` // "ok", "invalid", "throttled", "disabled", "error"
	Reason     string    `json:"reason"` // in a sentence
	Remote     string    `json:"remote"` // address of the client
	Protocol   string    `json:"protocol"`
	Mechanism  string    `json:"mechanism"`
	TLS        string    `json:"tls,omitempty"` // version; empty without
	Credential string    `json:"app,omitempty"` // name of the app password; empty for the account's own
	Count      int64     `json:"count"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
}

// ListLogins implements Operations. Errors: those of directory.GetAccount.
func (s *Service) ListLogins(ctx context.Context, q LoginQuery) ([]LoginRecord, error) {
	acc, err := s.Directory.GetAccount(ctx, q.Address)
	if err != nil {
		return nil, err
	}
	all := []LoginRecord{}
	if s.Logins == nil {
		return all, nil
	}
	if q.Limit <= 0 {
		q.Limit = maxLogins
	}
	rows, err := s.Logins.List(ctx, logins.Query{Account: acc.Address, Failed: q.Failed, Limit: q.Limit})
	for _, r := range rows {
		all = append(all, LoginRecord{Result: r.Result, Reason: r.Reason, Remote: r.Remote, Protocol: r.Protocol, Mechanism: r.Mechanism,
			TLS: r.TLS, Credential: r.Credential, Count: r.Count, First: r.First, Last: r.Last})
	}
	return all, err
}

// renameLogins has the history follow its account, which has the new address already.
func (s *Service) renameLogins(ctx context.Context, from, to string) error {
	if s.Logins == nil {
		return nil
	}
	if err := s.Logins.Rename(ctx, from, to); err != nil {
		return fmt.Errorf("%s is now %s, but its history of logins is not there: %w", from, to, err)
	}
	return nil
}

// removeLogins forgets the history of an account that is gone.
func (s *Service) removeLogins(ctx context.Context, address string) error {
	if s.Logins == nil {
		return nil
	}
	if err := s.Logins.Remove(ctx, address); err != nil {
		return fmt.Errorf("%s is removed, but its history of logins is still there, for 90 days: %w", address, err)
	}
	return nil
}

// ListLogins implements Operations.
func (c *Client) ListLogins(ctx context.Context, q LoginQuery) ([]LoginRecord, error) {
	return post[[]LoginRecord](ctx, c, "logins.list", q)
}
