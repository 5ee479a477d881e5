package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Account is a person's (or a machine's) mail: one login, one Maildir.
type Account struct {
	ID       int64 // never used again for another account; kept by RenameAccount
	Address  string
	Disabled bool   // may not log in: it is closed itself, or its domain is
	Deferred bool   // and mail for it is put off; without, it is still received
	Message  string // why, for who logs in and for senders who are put off; "" for nothing
	Quota    int64
	Created  time.Time
	Own      Closure // what was said of the account itself, whatever becomes of its domain
}

// AccountOptions is what an account may start with. The zero value: no password yet,
// no quota.
type AccountOptions struct {
	Verifier string // of the password, as package auth makes it; "" for none: no login
	Quota    int64  // bytes, 0 for none
	Closure
}

// AddAccount adds an account; its domain has to be there. Errors: ErrInvalidAddress,
// ErrNoDomain, ErrExists (an account or an alias has the address), ErrMessage.
func (d *Directory) AddAccount(ctx context.Context, address string, o AccountOptions) (Account, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return Account{}, err
	}
	if o.Closure, err = o.Closure.checked(); err != nil {
		return Account{}, err
	}
	var acc Account
	err = d.change(ctx, func(tx *sql.Tx) (err error) {
		acc, err = addAccount(ctx, tx, a, o)
		return err
	})
	return acc, err
}

func addAccount(ctx context.Context, tx *sql.Tx, a Address, o AccountOptions) (Account, error) {
	acc := Account{Address: a.String(), Quota: max(o.Quota, 0), Created: unix(now())}
	dom, err := findFreeName(ctx, tx, a)
	if err != nil {
		return acc, err
	}
	acc.close(o.Closure, dom.Closure)
	const insert = `INSERT INTO accounts (domain, local, disabled, defer_mail, message, quota, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`
	row := tx.QueryRowContext(ctx, insert, dom.ID, a.Local, acc.Own.Disabled, acc.Own.Defer, acc.Own.Message, acc.Quota, acc.Created.Unix())
	if err := row.Scan(&acc.ID); err != nil || o.Verifier == "" {
		return acc, err
	}
	return acc, setPassword(ctx, tx, acc.ID, o.Verifier)
}

// GetAccount finds an account by its address; a domain alias will do, an alias or a
// +tag will not. Errors: ErrInvalidAddress, ErrNoDomain, ErrNoAccount.
func (d *Directory) GetAccount(ctx context.Context, address string) (Account, error) {
	acc, err := d.account(ctx, d.cache.Load(), address)
	if err != nil {
		return Account{}, err
	}
	return acc, nil
}

// ListAccounts returns all accounts, sorted by domain and local part.
func (d *Directory) ListAccounts(ctx context.Context) ([]Account, error) {
	return collect(ctx, d.db, scanAccount, `SELECT `+accountColumns+` ORDER BY d.name, a.local`)
}

// SetPassword replaces the account's password by the one that verifier stands for.
// Errors as GetAccount.
func (d *Directory) SetPassword(ctx context.Context, address, verifier string) error {
	return d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		return setPassword(ctx, tx, acc.ID, verifier)
	})
}

// SetQuota bounds the account's mail, in bytes; 0 for no bound. Errors as GetAccount.
func (d *Directory) SetQuota(ctx context.Context, address string, quota int64) error {
	return d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		_, err := tx.ExecContext(ctx, `UPDATE accounts SET quota = $1 WHERE id = $2`, max(quota, 0), acc.ID)
		return err
	})
}

// RenameAccount gives an account another address, in the same domain or another. Its
// credentials stay, and aliases that lead to it still do; moving the mail on disk is
// the caller's. Errors: those of GetAccount for the old address, of AddAccount for the new.
func (d *Directory) RenameAccount(ctx context.Context, from, to string) error {
	a, err := ParseAddress(to)
	if err != nil {
		return err
	}
	return d.changeAccount(ctx, from, func(tx *sql.Tx, acc Account) error {
		dom, err := findFreeName(ctx, tx, a)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE accounts SET domain = $1, local = $2 WHERE id = $3`, dom.ID, a.Local, acc.ID)
		return err
	})
}

// RemoveAccount forgets an account and its credentials; its mail on disk is the
// caller's. Errors: those of GetAccount, and ErrInUse while an alias leads to it.
func (d *Directory) RemoveAccount(ctx context.Context, address string) error {
	return d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		const query = `SELECT x.local, d.name FROM alias_targets t JOIN aliases x ON x.id = t.alias JOIN domains d ON d.id = x.domain
			WHERE t.target_account = $1 ORDER BY d.name, x.local LIMIT 10`
		if err := refuseWhileTarget(ctx, tx, acc.Address, query, acc.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM accounts WHERE id = $1`, acc.ID)
		return err
	})
}

// changeAccount finds the account inside the transaction that changes it.
func (d *Directory) changeAccount(ctx context.Context, address string, fn func(tx *sql.Tx, acc Account) error) error {
	a, err := ParseAddress(address)
	if err != nil {
		return err
	}
	return d.change(ctx, func(tx *sql.Tx) error {
		dom, err := findRealDomain(ctx, tx, a.Domain)
		if err != nil {
			return err
		}
		acc, err := findAccount(ctx, tx, dom.ID, a.Local)
		if errors.Is(err, sql.ErrNoRows) {
			return noAccount(Address{a.Local, dom.Name}.String())
		} else if err != nil {
			return err
		}
		return fn(tx, acc)
	})
}

const accountColumns = `a.id, a.local, d.name, a.disabled, a.defer_mail, a.message, d.disabled, d.message, a.quota, a.created FROM accounts a JOIN domains d ON d.id = a.domain`

func scanAccount(rows *sql.Rows) (acc Account, err error) {
	var a Address
	var created int64
	var own, domain Closure
	err = rows.Scan(&acc.ID, &a.Local, &a.Domain, &own.Disabled, &own.Defer, &own.Message, &domain.Disabled, &domain.Message, &acc.Quota, &created)
	acc.close(own, domain)
	acc.Address, acc.Created = a.String(), unix(created)
	return acc, err
}

// findAccount gives sql.ErrNoRows if there is none.
func findAccount(ctx context.Context, q querier, domain int64, local string) (Account, error) {
	return firstAccount(ctx, q, ` WHERE a.domain = $1 AND a.local = $2`, domain, local)
}

func firstAccount(ctx context.Context, q querier, where string, args ...any) (Account, error) {
	all, err := collect(ctx, q, scanAccount, `SELECT `+accountColumns+where, args...)
	if err != nil {
		return Account{}, err
	}
	if len(all) == 0 {
		return Account{}, sql.ErrNoRows
	}
	return all[0], nil
}

// findFreeName returns the domain of an address that no account and no alias has yet.
func findFreeName(ctx context.Context, q querier, a Address) (Domain, error) {
	dom, err := findOwnDomain(ctx, q, a)
	if err != nil {
		return dom, err
	}
	if _, err := findAccount(ctx, q, dom.ID, a.Local); !errors.Is(err, sql.ErrNoRows) {
		return dom, orError(err, fmt.Errorf("account %s: %w", a, ErrExists))
	}
	if _, err := findAlias(ctx, q, dom.ID, a.Local); !errors.Is(err, sql.ErrNoRows) {
		return dom, orError(err, fmt.Errorf("alias %s: %w; remove it first", a, ErrExists))
	}
	return dom, nil
}

// refuseWhileTarget gives ErrInUse with the names that query finds, if it finds any.
func refuseWhileTarget(ctx context.Context, tx *sql.Tx, what, query string, id any) error {
	names, err := collect(ctx, tx, func(rows *sql.Rows) (string, error) {
		var a Address
		err := rows.Scan(&a.Local, &a.Domain)
		return a.String(), err
	}, query, id)
	if err != nil || len(names) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w: aliases lead to it (%s); remove or change them first", what, ErrInUse, strings.Join(names, ", "))
}

func noAccount(address string) error {
	return fmt.Errorf("%s: %w; see: kurir account list", address, ErrNoAccount)
}
