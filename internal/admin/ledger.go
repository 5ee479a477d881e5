package admin

import (
	"context"
	"database/sql"
	"errors"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
var Migrations = []sqldb.Migration{{
	Name: "admin/1 uid_validity",
	SQL: `CREATE TABLE uid_validity (
		address TEXT PRIMARY KEY,
		last BIGINT NOT NULL
	)`,
}}

// Ledger remembers the last UIDVALIDITY that was given in each account, beyond the life
// of the account's folder: an account that is removed and made again must not reuse one
// (RFC 9051 section 2.3.1.1). It implements store.Ledger.
type Ledger struct{ DB *sqldb.DB }

// LastUIDValidity returns the highest value raised to for address, 0 if there is none.
func (l Ledger) LastUIDValidity(ctx context.Context, address string) (uint32, error) {
	var last uint32
	err := l.DB.QueryRowContext(ctx, `SELECT last FROM uid_validity WHERE address = $1`, address).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, err
}

// RaiseUIDValidity makes v the last value of address, durably, unless it is higher already.
func (l Ledger) RaiseUIDValidity(ctx context.Context, address string, v uint32) error {
	return l.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO uid_validity (address, last) VALUES ($1, $2)
			ON CONFLICT (address) DO UPDATE SET last = excluded.last WHERE excluded.last > uid_validity.last`, address, v)
		return err
	})
}
