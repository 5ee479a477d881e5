package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Post says who may write to an alias. Programs of the administrator always may.
type Post string

// Who may write. Each includes those before it.
const (
	PostMembers Post = "members" // those that the alias leads to
	PostDomain  Post = "domain"  // and all accounts of its domain
	PostAnyone  Post = ""        // and everybody else
)

// ParsePost reads "members", "domain" or "anyone".
func ParsePost(s string) (Post, error) {
	switch s {
	case "anyone", "":
		return PostAnyone, nil
	case string(PostMembers), string(PostDomain):
		return Post(s), nil
	}
	return "", fmt.Errorf("%q is none of members, domain and anyone", s)
}

// String is what ParsePost reads.
func (p Post) String() string {
	if p == PostAnyone {
		return "anyone"
	}
	return string(p)
}

// Posting is whether somebody may write to an address.
type Posting int

// The answers of MayPost.
const (
	PostingRefused Posting = iota
	PostingAllowed
	// PostingIfProven: the sender is a member on another server, whose address anybody
	// could write down. He may if the message proves to be his.
	PostingIfProven
)

// MayPost says whether a writer may send mail to an address here. A writer who has logged
// in is known by his account, whatever address he writes with; all others have none, and
// are known by their sender address. What counts is the rule of the address that was
// written to: aliases that it leads to have no say. Errors as Resolve.
func (d *Directory) MayPost(ctx context.Context, account, sender, address string) (Posting, error) {
	c := d.cache.Load()
	a, _, err := parse(address, true)
	if err != nil { // "postmaster" has no domain
		return PostingAllowed, nil
	}
	dom, ok, err := d.domain(ctx, c, a.Domain)
	if err != nil || !ok {
		return PostingAllowed, err
	}
	e, _, err := d.owner(ctx, c, dom.ID, a.Local)
	switch {
	case err != nil:
		return PostingRefused, err
	case e == nil || e.post == PostAnyone:
		return PostingAllowed, nil
	case account == "":
		return e.strangers(sender), nil
	}
	acc, err := d.account(ctx, c, account)
	if err != nil {
		return PostingRefused, ownFault(err)
	}
	member := slices.ContainsFunc(e.recipients, func(r Recipient) bool { return r.Remote == "" && r.Account.ID == acc.ID })
	if member || e.post == PostDomain && strings.HasSuffix(acc.Address, "@"+dom.Name) {
		return PostingAllowed, nil
	}
	return PostingRefused, nil
}

// strangers tells whether a sender is a member on another server. Servers differ in
// whether the case of a local part matters; for a member it does not.
func (e *entry) strangers(sender string) Posting {
	from, _, err := parse(sender, true)
	if err != nil {
		return PostingRefused
	}
	for _, r := range e.recipients {
		if member, _, err := parse(r.Remote, true); err == nil && member == from {
			return PostingIfProven
		}
	}
	return PostingRefused
}
