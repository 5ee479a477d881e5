package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kurir/internal/directory"
)

// Suppressed is an address elsewhere whose server has said that it does not exist.
type Suppressed struct {
	Address string    `json:"address"`
	Refused bool      `json:"refused"` // mail to it is refused; else it was returned on one day alone
	Days    int       `json:"days"`    // on which mail was returned
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Expires time.Time `json:"expires"` // when this is forgotten
	Host    string    `json:"host,omitempty"`
	Reply   string    `json:"reply"`
	Message string    `json:"message,omitempty"` // id of the last one, for ShowQueue
}

// Unsuppress names addresses that are to be tried again.
type Unsuppress struct {
	Addresses []string `json:"addresses,omitempty"`
	All       bool     `json:"all,omitempty"` // in place of Addresses
}

// Unsuppressed tells which addresses were on the list.
type Unsuppressed struct {
	Removed []string `json:"removed"`
}

// ListSuppressed implements Operations; sorted by address.
func (s *Service) ListSuppressed(context.Context) ([]Suppressed, error) {
	all := []Suppressed{}
	if s.Suppression == nil {
		return all, nil
	}
	for _, e := range s.Suppression.Entries() {
		all = append(all, Suppressed{Address: e.Address, Refused: e.Refused(), Days: e.Days, First: e.First, Last: e.Last,
			Expires: e.Expires, Host: e.Host, Reply: e.Reply, Message: e.Message})
	}
	return all, nil
}

// Unsuppress implements Operations. An address that is not on the list is
// directory.ErrNoAccount, once the others were removed.
func (s *Service) Unsuppress(ctx context.Context, u Unsuppress) (Unsuppressed, error) {
	done := Unsuppressed{Removed: []string{}}
	if u.All == (len(u.Addresses) > 0) {
		return done, &invalid{"say which addresses, or all of them"}
	}
	if s.Suppression == nil {
		return done, nil
	}
	if u.All {
		for _, e := range s.Suppression.Entries() {
			u.Addresses = append(u.Addresses, e.Address)
		}
	}
	var unknown []string
	for _, a := range u.Addresses {
		was, err := s.Suppression.Remove(ctx, a)
		switch {
		case err != nil:
			return done, err
		case was:
			done.Removed = append(done.Removed, strings.ToLower(a))
		case !u.All:
			unknown = append(unknown, a)
		}
	}
	if len(unknown) > 0 {
		return done, &notSuppressed{fmt.Sprintf("not on the list: %s; see: kurir suppression list", strings.Join(unknown, ", "))}
	}
	return done, nil
}

// notSuppressed is directory.ErrNoAccount of addresses that are not on the list.
type notSuppressed struct{ text string }

func (n *notSuppressed) Error() string { return n.text }

func (n *notSuppressed) Unwrap() error { return directory.ErrNoAccount }

// ListSuppressed implements Operations.
func (c *Client) ListSuppressed(ctx context.Context) ([]Suppressed, error) {
	return post[[]Suppressed](ctx, c, "suppression.list", nil)
}

// Unsuppress implements Operations.
func (c *Client) Unsuppress(ctx context.Context, u Unsuppress) (Unsuppressed, error) {
	return post[Unsuppressed](ctx, c, "suppression.remove", u)
}
