package forward

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
var Migrations = []sqldb.Migration{{Name: "forward/1", SQL: `
CREATE TABLE forward_secret (
	id      BIGINT PRIMARY KEY, -- 1, there is one
	secret  TEXT NOT NULL,      -- 32 octets in hexadecimal
	created BIGINT NOT NULL     -- seconds since 1970
);
`}}

// secretSize is that of the key of an HMAC with SHA-1 or SHA-256, in octets.
const secretSize = 32

// readSecret reads the secret, or makes it if there is none.
func readSecret(ctx context.Context, db *sqldb.DB, now time.Time) (secret []byte, err error) {
	err = db.Tx(ctx, func(tx *sql.Tx) error {
		var text string
		err := tx.QueryRowContext(ctx, `SELECT secret FROM forward_secret WHERE id = 1`).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			secret = make([]byte, secretSize)
			rand.Read(secret)
			_, err = tx.ExecContext(ctx, `INSERT INTO forward_secret (id, secret, created) VALUES (1, $1, $2)`, hex.EncodeToString(secret), now.Unix())
			return err
		}
		if err != nil {
			return err
		}
		if secret, err = hex.DecodeString(text); err == nil && len(secret) != secretSize {
			err = fmt.Errorf("it has %d octets", len(secret))
		}
		if err != nil {
			return fmt.Errorf("the secret of return addresses is damaged (%w): restore kurir.db from a backup, or empty the table forward_secret: "+
				"a new one is made then, and what comes back to mail that has left before is refused", err)
		}
		return nil
	})
	return secret, err
}
