package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/internal/sqldb"
)

// Kinds of credential.
const (
	KindPassword = "password" // the account's own; at most one
	KindApp      = "app"      // made for one app or device, told apart by name
)

// Credential is one way to log in to an account.
type Credential struct {
	ID        int64 // never used again
	Kind      string
	Name      string // unique in account and kind; "" for the password
	Protocols string // those it is good for, "imap,submission"; "" for all
	Verifier  string // what the password is checked against, as package auth makes it
	Created   time.Time
	LastUsed  time.Time // zero for never; may lag behind by minutes
	LastFrom  string    // address of the client then; "" for never, or not known
}

// Use is when and from where a credential was used.
type Use struct {
	At   time.Time
	From string // address of the client
}

// Allows reports whether the credential is good for the protocol.
func (c *Credential) Allows(protocol string) bool {
	if c.Protocols == "" {
		return true
	}
	for p := range strings.SplitSeq(c.Protocols, ",") {
		if p == protocol {
			return true
		}
	}
	return false
}

// Login finds the account of a login name, which is its address in any spelling, under
// its domain or an alias of that, with its credentials. The slice is shared and must
// not be changed. Errors: ErrInvalidAddress, ErrNoDomain, ErrNoAccount; with the last,
// Account.Address alone is set, to the address that was looked for.
func (d *Directory) Login(ctx context.Context, username string) (Account, []Credential, error) {
	c := d.cache.Load()
	acc, err := d.account(ctx, c, username)
	if err != nil {
		return acc, nil, err
	}
	creds, err := lookup(c, c.credentials, acc.ID, func() ([]Credential, bool, error) {
		all, err := listCredentials(ctx, d.db, acc.ID)
		return slices.Clip(all), true, err
	})
	return acc, creds, err
}

// Credentials are those of an account as the database has them now, last uses included,
// the oldest first. Errors as GetAccount.
func (d *Directory) Credentials(ctx context.Context, address string) ([]Credential, error) {
	acc, err := d.GetAccount(ctx, address)
	if err != nil {
		return nil, err
	}
	return listCredentials(ctx, d.db, acc.ID)
}

// MaxCredentials bounds the credentials of one account: each costs a wrong password
// one more run of the hash function.
const MaxCredentials = 32

// AddCredential adds a credential to an account; of c, Kind, Name, Protocols and
// Verifier count. Errors: those of GetAccount, ErrExists, and ErrInUse when the account
// has MaxCredentials.
func (d *Directory) AddCredential(ctx context.Context, address string, c Credential) (Credential, error) {
	c.Created, c.LastUsed, c.LastFrom = unix(now()), time.Time{}, ""
	err := d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM credentials WHERE account = $1`, acc.ID).Scan(&n); err != nil {
			return err
		}
		if n >= MaxCredentials {
			return fmt.Errorf("%s: %w: all its %d credentials; remove one first", acc.Address, ErrInUse, MaxCredentials)
		}
		const insert = `INSERT INTO credentials (account, kind, name, protocols, verifier, created) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`
		err := tx.QueryRowContext(ctx, insert, acc.ID, c.Kind, c.Name, c.Protocols, c.Verifier, c.Created.Unix()).Scan(&c.ID)
		if sqldb.IsDuplicate(err) {
			return fmt.Errorf("%s %q of %s: %w; remove it first or choose another name", c.Kind, c.Name, acc.Address, ErrExists)
		}
		return err
	})
	return c, err
}

// ErrNoCredential: the account has no credential of this kind and name.
var ErrNoCredential = errors.New("no such credential")

// RemoveCredential takes a credential from an account. Errors: those of GetAccount,
// and ErrNoCredential.
func (d *Directory) RemoveCredential(ctx context.Context, address, kind, name string) error {
	return d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM credentials WHERE account = $1 AND kind = $2 AND name = $3`, acc.ID, kind, name)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return orError(err, fmt.Errorf("%s %q of %s: %w", kind, name, acc.Address, ErrNoCredential))
		}
		return nil
	})
}

// Touch notes when credentials, by id, were last used. It is meant to be called now and
// then with many: it costs a durable transaction, but doesn't count as a change (Generation).
func (d *Directory) Touch(ctx context.Context, used map[int64]Use) error {
	if len(used) == 0 {
		return nil
	}
	return d.db.Tx(ctx, func(tx *sql.Tx) error {
		for id, u := range used {
			if _, err := tx.ExecContext(ctx, `UPDATE credentials SET last_used = $1, last_from = $3 WHERE id = $2 AND last_used < $1`, u.At.Unix(), id, u.From); err != nil {
				return err
			}
		}
		return nil
	})
}

func setPassword(ctx context.Context, tx *sql.Tx, account int64, verifier string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO credentials (account, kind, name, protocols, verifier, created)
		VALUES ($1, $2, '', '', $3, $4)
		ON CONFLICT (account, kind, name) DO UPDATE SET verifier = excluded.verifier, created = excluded.created, last_used = 0, last_from = ''`,
		account, KindPassword, verifier, now())
	return err
}

func listCredentials(ctx context.Context, q querier, account int64) ([]Credential, error) {
	return collect(ctx, q, func(rows *sql.Rows) (c Credential, err error) {
		var created, used int64
		err = rows.Scan(&c.ID, &c.Kind, &c.Name, &c.Protocols, &c.Verifier, &created, &used, &c.LastFrom)
		c.Created, c.LastUsed = unix(created), unix(used)
		return c, err
	}, `SELECT id, kind, name, protocols, verifier, created, last_used, last_from FROM credentials WHERE account = $1 ORDER BY id`, account)
}
