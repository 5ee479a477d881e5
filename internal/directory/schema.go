package directory

import "kurir/internal/sqldb"

// Migrations are the tables of this package, for sqldb.Open.
//
// Local parts and domain names are canonical (see Address); the local part of a
// catch-all alias is empty. Ids are never used twice, so that what was remembered about a
// removed account can't be taken for a new one of the same name. A target names an
// account or an alias by id: renaming an account needs no change of aliases, and one
// that an alias leads to can't vanish.
var Migrations = []sqldb.Migration{{Name: "directory/1", SQL: tables}, {Name: "directory/2 remote targets", SQL: remoteTargets},
	{Name: "directory/3 closed for mail", SQL: closedForMail},
	{Name: "directory/4 where credentials were used", SQL: lastFrom}, {Name: "directory/5 posting", SQL: posting}}

const tables = `
CREATE TABLE domains (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	name    TEXT NOT NULL UNIQUE,
	target  BIGINT REFERENCES domains (id), -- the domain that this one is an alias of
	created BIGINT NOT NULL
);
CREATE INDEX domains_target ON domains (target);

CREATE TABLE accounts (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	domain   BIGINT NOT NULL REFERENCES domains (id),
	local    TEXT NOT NULL,
	disabled BOOLEAN NOT NULL DEFAULT FALSE,
	quota    BIGINT NOT NULL DEFAULT 0, -- bytes, 0 for none
	created  BIGINT NOT NULL,
	UNIQUE (domain, local)
);

CREATE TABLE credentials (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	account   BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	kind      TEXT NOT NULL,
	name      TEXT NOT NULL,
	protocols TEXT NOT NULL, -- separated by commas, '' for all
	verifier  TEXT NOT NULL,
	created   BIGINT NOT NULL,
	last_used BIGINT NOT NULL DEFAULT 0,
	UNIQUE (account, kind, name)
);

CREATE TABLE aliases (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	domain   BIGINT NOT NULL REFERENCES domains (id),
	local    TEXT NOT NULL,
	may_send BOOLEAN NOT NULL,
	created  BIGINT NOT NULL,
	UNIQUE (domain, local)
);

CREATE TABLE alias_targets (
	alias          BIGINT NOT NULL REFERENCES aliases (id) ON DELETE CASCADE,
	position       BIGINT NOT NULL,
	target_account BIGINT REFERENCES accounts (id),
	target_alias   BIGINT REFERENCES aliases (id),
	detail         TEXT NOT NULL, -- what stood behind the + of the target
	PRIMARY KEY (alias, position),
	CHECK ((target_account IS NULL) <> (target_alias IS NULL))
);
CREATE INDEX alias_targets_account ON alias_targets (target_account);
CREATE INDEX alias_targets_alias ON alias_targets (target_alias);
`

// A target may be an address of another server as well.
const remoteTargets = `
CREATE TABLE alias_targets_2 (
	alias          BIGINT NOT NULL REFERENCES aliases (id) ON DELETE CASCADE,
	position       BIGINT NOT NULL,
	target_account BIGINT REFERENCES accounts (id),
	target_alias   BIGINT REFERENCES aliases (id),
	remote_local   TEXT NOT NULL, -- as the admin wrote it, without quotes; '' for a target here
	remote_domain  TEXT NOT NULL, -- canonical; '' for a target here
	detail         TEXT NOT NULL, -- what stood behind the + of a target here
	PRIMARY KEY (alias, position),
	CHECK ((target_account IS NOT NULL AND target_alias IS NULL AND remote_domain = '')
		OR (target_account IS NULL AND target_alias IS NOT NULL AND remote_domain = '')
		OR (target_account IS NULL AND target_alias IS NULL AND remote_domain <> '' AND remote_local <> ''))
);
INSERT INTO alias_targets_2 (alias, position, target_account, target_alias, remote_local, remote_domain, detail)
	SELECT alias, position, target_account, target_alias, '', '', detail FROM alias_targets;
DROP TABLE alias_targets;
ALTER TABLE alias_targets_2 RENAME TO alias_targets;
CREATE INDEX alias_targets_account ON alias_targets (target_account);
CREATE INDEX alias_targets_alias ON alias_targets (target_alias);
CREATE INDEX alias_targets_domain ON alias_targets (remote_domain);
`

// What is disabled can put its mail off, and say why.
const closedForMail = `
ALTER TABLE accounts ADD COLUMN defer_mail BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE accounts ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE domains ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE domains ADD COLUMN message TEXT NOT NULL DEFAULT '';
`

const lastFrom = `
ALTER TABLE credentials ADD COLUMN last_from TEXT NOT NULL DEFAULT ''; -- address of the client
`

// An alias may be for some writers only.
const posting = `
ALTER TABLE aliases ADD COLUMN post TEXT NOT NULL DEFAULT ''; -- 'members', 'domain', '' for anyone
`
