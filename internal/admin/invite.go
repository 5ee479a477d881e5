package admin

import (
	"context"
	"time"
)

// Invited is an invitation to set up mail apps, which is shown this once.
type Invited struct {
	Address string    `json:"address"` // the account's, in its canonical form
	URL     string    `json:"url"`     // it signs in whoever opens it first
	Expires time.Time `json:"expires"`
}

// RevokedInvites tells how many invitations of an account do not work any more.
type RevokedInvites struct {
	Revoked int `json:"revoked"`
}

// InviteAccount implements Operations. Errors: those of directory.GetAccount.
func (s *Service) InviteAccount(ctx context.Context, address string) (Invited, error) {
	acc, err := s.Directory.GetAccount(ctx, address)
	switch {
	case err != nil:
		return Invited{}, err
	case acc.Disabled:
		return Invited{}, &invalid{acc.Address + " is closed to logins; to open it: kurir account enable " + acc.Address}
	case s.Invites == nil:
		return Invited{}, &invalid{"there are no invitations on this server"}
	}
	token, expires, err := s.Invites.Make(ctx, acc.Address)
	return Invited{Address: acc.Address, URL: s.PagesURL() + "/setup/i/" + token, Expires: expires}, err
}

// RevokeInvites implements Operations. Errors: those of directory.GetAccount.
func (s *Service) RevokeInvites(ctx context.Context, address string) (r RevokedInvites, err error) {
	if s.Invites != nil {
		r.Revoked, err = s.Invites.Revoke(ctx, address)
	}
	return r, err
}

// InviteAccount implements Operations.
func (c *Client) InviteAccount(ctx context.Context, address string) (Invited, error) {
	return post[Invited](ctx, c, "account.invite", address)
}

// RevokeInvites implements Operations.
func (c *Client) RevokeInvites(ctx context.Context, address string) (RevokedInvites, error) {
	return post[RevokedInvites](ctx, c, "account.uninvite", address)
}
