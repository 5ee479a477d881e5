package logins

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"kurir/internal/auth"
	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
var Migrations = []sqldb.Migration{{Name: "logins/1", SQL: `
CREATE TABLE logins (
	account    TEXT NOT NULL,    -- canonical address
	good       BOOLEAN NOT NULL, -- result is "ok"
	result     TEXT NOT NULL,
	remote     TEXT NOT NULL,
	protocol   TEXT NOT NULL,
	mechanism  TEXT NOT NULL,
	tls        TEXT NOT NULL,
	credential TEXT NOT NULL,
	reason     TEXT NOT NULL,    -- of the last attempt
	attempts   BIGINT NOT NULL,
	first      BIGINT NOT NULL,
	last       BIGINT NOT NULL,
	PRIMARY KEY (account, result, remote, protocol, mechanism, tls, credential)
);
CREATE INDEX logins_last ON logins (last);
CREATE TABLE login_secret (
	id     BIGINT PRIMARY KEY, -- 1, there is one
	secret TEXT NOT NULL       -- 32 octets in hexadecimal
);
`}}

const secretSize = 32

// Secret is the server's secret for auth.Options.Secret, made with the first call. One that
// is damaged is replaced: the salts alone depend on it that are shown for names without app passwords.
func Secret(ctx context.Context, db *sqldb.DB) (secret []byte, err error) {
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, `SELECT secret FROM login_secret WHERE id = 1`).Scan(&text)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if secret, err = hex.DecodeString(text); err == nil && len(secret) == secretSize {
			return nil
		}
		secret = make([]byte, secretSize)
		rand.Read(secret) // never fails
		_, err = tx.ExecContext(ctx, `INSERT INTO login_secret (id, secret) VALUES (1, $1)
			ON CONFLICT (id) DO UPDATE SET secret = excluded.secret`, hex.EncodeToString(secret))
		return err
	})
	return secret, err
}

// store adds the attempts of some keys in one transaction, and cuts their accounts' rows to size.
func (h *History) store(ctx context.Context, keys []key) error {
	return h.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		touched := map[string]bool{}
		for _, k := range keys {
			if err := put(ctx, tx, k, h.writing[k]); err != nil {
				return err
			}
			touched[k.account] = true
		}
		for account := range touched {
			for _, good := range []bool{true, false} {
				if err := cut(ctx, tx, account, good); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func put(ctx context.Context, tx *sql.Tx, k key, e *Entry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO logins (account, good, result, remote, protocol, mechanism, tls, credential, reason, attempts, first, last)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (account, result, remote, protocol, mechanism, tls, credential) DO UPDATE SET
			attempts = logins.attempts + excluded.attempts,
			reason = CASE WHEN excluded.last >= logins.last THEN excluded.reason ELSE logins.reason END,
			first = CASE WHEN excluded.first < logins.first THEN excluded.first ELSE logins.first END,
			last = CASE WHEN excluded.last > logins.last THEN excluded.last ELSE logins.last END`,
		k.account, k.result == auth.ResultOK, k.result, k.remote, k.protocol, k.mechanism, k.tls, k.credential, e.Reason, e.Count, e.First.Unix(), e.Last.Unix())
	return err
}

// cut removes an account's oldest rows beyond MaxRows.
func cut(ctx context.Context, tx *sql.Tx, account string, good bool) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE account = $1 AND good = $2
		AND (result, remote, protocol, mechanism, tls, credential) NOT IN (
			SELECT result, remote, protocol, mechanism, tls, credential FROM logins
			WHERE account = $1 AND good = $2 ORDER BY last DESC, first DESC LIMIT $3)`, account, good, MaxRows)
	return err
}

// load reads all rows of an account.
func (h *History) load(ctx context.Context, account string) (map[key]*Entry, error) {
	rows, err := h.o.DB.QueryContext(ctx, `SELECT result, remote, protocol, mechanism, tls, credential, reason, attempts, first, last
		FROM logins WHERE account = $1`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[key]*Entry{}
	for rows.Next() {
		var e Entry
		var first, last int64
		if err := rows.Scan(&e.Result, &e.Remote, &e.Protocol, &e.Mechanism, &e.TLS, &e.Credential, &e.Reason, &e.Count, &first, &last); err != nil {
			return nil, err
		}
		e.First, e.Last = time.Unix(first, 0).UTC(), time.Unix(last, 0).UTC()
		all[e.key(account)] = &e
	}
	return all, rows.Err()
}

func (h *History) rename(ctx context.Context, from, to string) error {
	return h.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		// What an earlier account of the new address may have left is none of this one's.
		if _, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE account = $1`, to); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE logins SET account = $1 WHERE account = $2`, to, from)
		return err
	})
}

func (h *History) remove(ctx context.Context, account string) error {
	return h.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE account = $1`, account)
		return err
	})
}

// prune removes what is too old, and the oldest beyond Options.Max.
func (h *History) prune(ctx context.Context) {
	err := h.o.DB.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE last < $1`, time.Now().Add(-h.o.Keep).Unix()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM logins WHERE last < (
			SELECT min(last) FROM (SELECT last FROM logins ORDER BY last DESC LIMIT $1) AS latest)`, h.o.Max)
		return err
	})
	if err != nil && ctx.Err() == nil {
		h.o.Log.Error("old rows of the history of logins cannot be removed", "error", err)
	}
}
