package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Recipient is an account that gets the mail for an address, or an address of another
// server that it is passed on to.
type Recipient struct {
	Account Account // zero for an address of another server
	Detail  string  // "tag" of user+tag, as the sender or the alias wrote it; "" for none
	Remote  string  // an address of another server, "" for an account here
	Alias   string  // the alias that Remote is a target of, "@domain" for a catch-all; "" for an account
	// Deferred: mail is not to go to this one now, because the account is closed for mail,
	// or the domain of the address that was asked for; Message is what the admin says.
	Deferred bool
	Message  string
}

// Resolve says who receives mail for an address (RFC 5321 section 2.3.11), each
// account and each address of another server once. The first of these that fits counts:
//
//   - the account or alias of exactly this local part;
//   - the one of the part before the first "+", what follows being the detail;
//   - the domain's catch-all;
//   - for postmaster and abuse: the domain's oldest account, enabled ones first, or if
//     it has none the oldest of all.
//
// Domain aliases are followed, and "postmaster" without a domain means the oldest
// domain's that is open. A local part that needs quotes may come without them.
// Disabled accounts are among the answers; see Recipient.Deferred. Errors: ErrInvalidAddress, ErrNoDomain
// (not ours, whatever the local part), ErrNoAccount (ours, but unknown), ErrLoop (the aliases are at fault).
func (d *Directory) Resolve(ctx context.Context, address string) ([]Recipient, error) {
	c := d.cache.Load()
	if strings.EqualFold(address, "postmaster") {
		dom, err := d.oldestDomain(ctx, c)
		if err != nil {
			return nil, err
		}
		address = "postmaster@" + dom
	}
	a, detail, invalid := parse(address, true)
	if a.Domain == "" {
		return nil, invalid
	}
	dom, ok, err := d.domain(ctx, c, a.Domain)
	if err != nil {
		return nil, err
	}
	if !ok {
		// Whether the local part of a stranger is valid is for his server to say.
		return nil, noDomain(a.Domain)
	}
	if invalid != nil {
		return nil, invalid
	}
	e, tagged, err := d.owner(ctx, c, dom.ID, a.Local)
	if err == nil && e == nil {
		e, tagged, err = d.fallback(ctx, c, dom.ID, a.Local)
	}
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, noAccount(Address{a.Local, dom.Name}.String())
	}
	all := slices.Clone(e.recipients)
	for i := range all {
		if tagged && all[i].Detail == "" && all[i].Remote == "" {
			all[i].Detail = detail
		}
		all[i].Deferred, all[i].Message = all[i].Account.Deferred, all[i].Account.Message
		if dom.Disabled {
			all[i].Deferred = true
			all[i].Message = dom.Message
		}
	}
	return all, nil
}

// Detail is what stands behind the + for an account that an address leads to; "" if
// nothing does, or the address does not lead there.
func (d *Directory) Detail(ctx context.Context, address, account string) string {
	found, err := d.Resolve(ctx, address)
	if i := slices.IndexFunc(found, func(r Recipient) bool { return r.Account.Address == account }); err == nil && i >= 0 {
		return found[i].Detail
	}
	return ""
}

// owner finds the account or alias of a local part, with or without its detail; nil
// if there is none.
func (d *Directory) owner(ctx context.Context, c *cache, domain int64, local string) (e *entry, tagged bool, err error) {
	e, err = d.name(ctx, c, nameKey{domain, local})
	if err != nil || e != nil {
		return e, false, err
	}
	if base, _ := splitDetail(local); base != local {
		e, err = d.name(ctx, c, nameKey{domain, base})
	}
	return e, true, err
}

// fallback finds who gets the mail for a name that nobody has.
func (d *Directory) fallback(ctx context.Context, c *cache, domain int64, local string) (e *entry, tagged bool, err error) {
	if e, err = d.name(ctx, c, nameKey{domain, ""}); err != nil || e != nil {
		return e, false, err
	}
	switch base, _ := splitDetail(local); base {
	case "postmaster", "abuse": // RFC 5321 section 4.5.1, RFC 2142 section 4
		e, err = d.name(ctx, c, nameKey{domain, firstAccountKey})
	}
	return e, true, err
}

func (d *Directory) oldestDomain(ctx context.Context, c *cache) (string, error) {
	if _, _, err := d.domain(ctx, c, ""); err != nil {
		return "", err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	var oldest Domain
	for _, dom := range c.domains {
		if dom.AliasOf != "" {
			continue
		}
		if oldest.ID == 0 || oldest.Disabled && !dom.Disabled || dom.ID < oldest.ID && dom.Disabled == oldest.Disabled {
			oldest = dom
		}
	}
	if oldest.ID == 0 {
		return "", fmt.Errorf("postmaster: %w", ErrNoDomain)
	}
	return oldest.Name, nil
}

// account finds the account with exactly this address. With ErrNoAccount, the answer's
// Address is what was looked for.
func (d *Directory) account(ctx context.Context, c *cache, address string) (Account, error) {
	a, _, err := parse(address, true)
	if err != nil {
		return Account{}, err
	}
	dom, ok, err := d.domain(ctx, c, a.Domain)
	if err != nil {
		return Account{}, err
	}
	if !ok {
		return Account{}, noDomain(a.Domain)
	}
	e, err := d.name(ctx, c, nameKey{dom.ID, a.Local})
	if err != nil {
		return Account{}, err
	}
	if e == nil || !e.account {
		address := Address{a.Local, dom.Name}.String()
		return Account{Address: address}, noAccount(address)
	}
	return e.recipients[0].Account, nil
}

// MaySendAs reports whether the account may use address as a sender. It may if Resolve
// would deliver there by name (fallbacks aside) and it is
//
//   - the account's own address, with or without a +tag, under its domain or an alias of that;
//   - an alias that leads to this account and no other;
//   - an alias given with may-send that leads to this account among others.
//
// No address of a closed domain may be used.
// A catch-all counts only when given with may-send. An address that belongs to
// someone else, isn't local or isn't valid is false, as is an account that isn't there;
// an error is ours alone.
func (d *Directory) MaySendAs(ctx context.Context, account, address string) (bool, error) {
	c := d.cache.Load()
	acc, err := d.account(ctx, c, account)
	if err != nil {
		return false, ownFault(err)
	}
	a, _, err := parse(address, true)
	if err != nil {
		return false, nil
	}
	dom, ok, err := d.domain(ctx, c, a.Domain)
	if err != nil || !ok || dom.Disabled {
		return false, err
	}
	e, _, err := d.owner(ctx, c, dom.ID, a.Local)
	if err == nil && e == nil {
		if e, err = d.name(ctx, c, nameKey{dom.ID, ""}); e != nil && !e.maySend {
			e = nil
		}
	}
	if err != nil || e == nil {
		return false, ownFault(err)
	}
	among := slices.ContainsFunc(e.recipients, func(r Recipient) bool { return r.Remote == "" && r.Account.ID == acc.ID })
	return among && (e.maySend || len(e.recipients) == 1), nil
}

// ownFault drops the errors that are an answer rather than a failure.
func ownFault(err error) error {
	for _, answer := range []error{ErrInvalidAddress, ErrNoDomain, ErrNoAccount, ErrLoop} {
		if errors.Is(err, answer) {
			return nil
		}
	}
	return err
}
