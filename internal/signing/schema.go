package signing

import "kurir/internal/sqldb"

// Migrations are the tables of this package, for sqldb.Open. Times are seconds since 1970.
var Migrations = []sqldb.Migration{{Name: "signing/1", SQL: `
CREATE TABLE dkim_keys (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	domain    TEXT NOT NULL,    -- in A-labels
	selector  TEXT NOT NULL,
	algorithm TEXT NOT NULL,    -- rsa or ed25519
	private   TEXT NOT NULL,    -- PKCS 8 in base64, '' for a retired key
	public    TEXT NOT NULL,    -- p= of its record, base64
	state     TEXT NOT NULL,    -- see the package comment
	created   BIGINT NOT NULL,
	since     BIGINT NOT NULL,  -- when it came into its state
	UNIQUE (domain, selector)
);
`}}
