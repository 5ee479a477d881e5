// Package invite owns the links by which people sign in to the setup pages without a
// password: an administrator makes one for an account, and it works once, within a week.
//
// In kurir.db, table invites, a row for each link that was neither used nor is past its
// time; of its token only the SHA-256 is kept. It belongs to the account's id, so that a
// renamed account keeps it and another account of the same address does not get it.
package invite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"

	"kurir/internal/directory"
	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open, behind those of directory.
var Migrations = []sqldb.Migration{{Name: "invite/1", SQL: `
CREATE TABLE invites (
	token   TEXT PRIMARY KEY, -- SHA-256, in base64
	account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	expires BIGINT NOT NULL   -- seconds since 1970
);
CREATE INDEX invites_account ON invites (account);
`}}

// Life is how long an invitation works.
const Life = 7 * 24 * time.Hour

// Most is how many invitations an account may have at once; the next one ends the oldest.
const Most = 5

// ErrNone: there is no such invitation, or no longer.
var ErrNone = errors.New("no such invitation")

// Accounts finds accounts; *directory.Directory does.
type Accounts interface {
	GetAccount(ctx context.Context, address string) (directory.Account, error)
	ListAccounts(ctx context.Context) ([]directory.Account, error)
}

// Invites are the invitations. Its methods may be called from any goroutine.
type Invites struct {
	DB       *sqldb.DB // with Migrations
	Accounts Accounts
	Now      func() time.Time // nil: time.Now
}

func (i *Invites) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}

// Make invites the owner of an account. The token has 130 random bits, in letters and
// digits. Errors: those of directory.GetAccount, and directory.ErrInUse for an account
// that may not log in.
func (i *Invites) Make(ctx context.Context, address string) (token string, expires time.Time, err error) {
	acc, err := i.Accounts.GetAccount(ctx, address)
	if err != nil {
		return "", expires, err
	}
	token, expires = rand.Text(), i.now().Add(Life).Truncate(time.Second)
	err = i.DB.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM invites WHERE expires <= $1`, i.now().Unix()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM invites WHERE account = $1 AND token NOT IN
			(SELECT token FROM invites WHERE account = $1 ORDER BY expires DESC, token LIMIT $2)`, acc.ID, Most-1); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO invites (token, account, expires) VALUES ($1, $2, $3)`, digest(token), acc.ID, expires.Unix())
		return err
	})
	return token, expires, err
}

// Find returns the address of the account that a token invites to. The error is ErrNone
// for every token that does not work, that of a closed account too.
func (i *Invites) Find(ctx context.Context, token string) (address string, err error) {
	var id int64
	row := i.DB.QueryRowContext(ctx, `SELECT account FROM invites WHERE token = $1 AND expires > $2`, digest(token), i.now().Unix())
	if err := row.Scan(&id); err != nil {
		return "", orNone(err)
	}
	return i.address(ctx, id)
}

// Use is Find, and the token works no more.
func (i *Invites) Use(ctx context.Context, token string) (address string, err error) {
	if _, err := i.Find(ctx, token); err != nil {
		return "", err // guesses write nothing
	}
	var id int64
	err = i.DB.Tx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `DELETE FROM invites WHERE token = $1 AND expires > $2 RETURNING account`, digest(token), i.now().Unix()).Scan(&id)
	})
	if err != nil {
		return "", orNone(err)
	}
	return i.address(ctx, id)
}

// Revoke ends all invitations of an account and says how many there were.
func (i *Invites) Revoke(ctx context.Context, address string) (n int, err error) {
	acc, err := i.Accounts.GetAccount(ctx, address)
	if err != nil {
		return 0, err
	}
	err = i.DB.Tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM invites WHERE account = $1`, acc.ID)
		if err != nil {
			return err
		}
		gone, err := r.RowsAffected()
		n = int(gone)
		return err
	})
	return n, err
}

// address is that of an account which may log in.
func (i *Invites) address(ctx context.Context, id int64) (string, error) {
	all, err := i.Accounts.ListAccounts(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if a.ID == id && !a.Disabled {
			return a.Address, nil
		}
	}
	return "", ErrNone
}

func orNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNone
	}
	return err
}

// digest is what is kept of a token.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
