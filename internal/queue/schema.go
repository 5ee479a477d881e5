package queue

import (
	"context"
	"database/sql"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open. See the package comment; the
// first step is that of a queue for mailboxes here alone, with times in seconds.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{
		{Name: "queue/1 local retry", SQL: localRetry},
		{Name: "queue/2 outbound", SQL: outbound},
		{Name: "queue/3 tls", SQL: tlsColumns},
		{Name: "queue/4 by", SQL: byColumns},
	}
}

const localRetry = `
CREATE TABLE local_retry (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	file      TEXT NOT NULL,
	sender    TEXT NOT NULL,
	recipient TEXT NOT NULL,
	account   TEXT NOT NULL,
	created   BIGINT NOT NULL,
	next      BIGINT NOT NULL,
	attempts  BIGINT NOT NULL,
	held      BIGINT NOT NULL,
	error     TEXT NOT NULL
);
CREATE INDEX local_retry_next ON local_retry (held, next);
CREATE INDEX local_retry_file ON local_retry (file);
`

// Rows of local_retry keep their ids, which are part of the names of private copies. What
// was held for want of a relay waits no longer; its destination is filled in by Open.
// Nobody is told late that these are late.
const outbound = `
CREATE TABLE queue_message (
	id          TEXT PRIMARY KEY,
	file        TEXT NOT NULL,   -- in the queue's folder
	sender      TEXT NOT NULL,   -- reverse-path, '' if null
	account     TEXT NOT NULL,   -- who submitted it, '' for mail from outside and notices
	client      TEXT NOT NULL,   -- where it came from, in words
	envid       TEXT NOT NULL,   -- RFC 3461, as xtext
	ret         TEXT NOT NULL,
	utf8        BIGINT NOT NULL, -- 1: accepted with SMTPUTF8
	require_tls BIGINT NOT NULL,
	size        BIGINT NOT NULL, -- octets on the wire, 0 if not known
	priority    BIGINT NOT NULL, -- the least goes first
	created     BIGINT NOT NULL,
	counted     BIGINT NOT NULL  -- recipients that count towards the account's limits
);
CREATE TABLE queue_recipient (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	message     TEXT NOT NULL,
	address     TEXT NOT NULL,   -- as the sender wrote it
	orcpt       TEXT NOT NULL,
	notify      BIGINT NOT NULL, -- relay.Notify
	account     TEXT NOT NULL,   -- the mailbox here that it goes to, '' for another host
	destination TEXT NOT NULL,
	due         BIGINT NOT NULL, -- of the next attempt
	attempts    BIGINT NOT NULL,
	not_before  BIGINT NOT NULL,
	deadline    BIGINT NOT NULL, -- of the last attempt
	delay       BIGINT NOT NULL, -- when the sender is told that it is late; 0: not, or has been
	held        BIGINT NOT NULL, -- 0 no, 1 by the administrator, 2 by a limit, 3 as all mail for elsewhere
	reason      TEXT NOT NULL,   -- why it is held
	marked      BIGINT NOT NULL, -- when the final dot was about to be sent; 0: no attempt is so far
	code        BIGINT NOT NULL, -- of the last reply
	status      TEXT NOT NULL,
	reply       TEXT NOT NULL,
	host        TEXT NOT NULL    -- whose reply it was
);
CREATE INDEX queue_recipient_due ON queue_recipient (due);
CREATE INDEX queue_recipient_message ON queue_recipient (message);
CREATE TABLE queue_event (
	id        INTEGER PRIMARY KEY,
	message   TEXT NOT NULL,
	recipient TEXT NOT NULL,   -- address, '' for all of the message's
	at        BIGINT NOT NULL,
	kind      TEXT NOT NULL,
	host      TEXT NOT NULL,
	address   TEXT NOT NULL,
	tls       TEXT NOT NULL,
	code      BIGINT NOT NULL,
	status    TEXT NOT NULL,
	reply     TEXT NOT NULL
);
CREATE INDEX queue_event_message ON queue_event (message);
CREATE INDEX queue_event_at ON queue_event (at);
CREATE TABLE queue_destination (
	name     TEXT PRIMARY KEY,
	failures BIGINT NOT NULL,  -- in a row
	last     BIGINT NOT NULL,  -- the time of the last one
	next     BIGINT NOT NULL,  -- when one message is tried
	code     BIGINT NOT NULL,
	status   TEXT NOT NULL,
	reply    TEXT NOT NULL,
	host     TEXT NOT NULL
);
INSERT INTO queue_message (id, file, sender, account, client, envid, ret, utf8, require_tls, size, priority, created, counted)
	SELECT file, file, MIN(sender), '', '', '', '', 0, 0, 0, 1, MIN(created) * 1000, 0 FROM local_retry GROUP BY file;
INSERT INTO queue_recipient (id, message, address, orcpt, notify, account, destination, due, attempts, not_before, deadline, delay,
		held, reason, marked, code, status, reply, host)
	SELECT id, file, recipient, '', 0, account, '', next * 1000, attempts, created * 1000, (created + 432000) * 1000, 0,
		0, '', 0, 0, '4.3.0', error, '' FROM local_retry;
DROP TABLE local_retry;
`

// tls_optional: what domains ask for by DANE and MTA-STS does not count (RFC 8689 section 5).
// policy: what TLS had to be like at a host, in words.
const tlsColumns = `
ALTER TABLE queue_message ADD COLUMN tls_optional BIGINT NOT NULL DEFAULT 0;
ALTER TABLE queue_event ADD COLUMN policy TEXT NOT NULL DEFAULT '';
`

// by_at: until when it is to be delivered, 0 if nobody said so; by_mode: as in RFC 2852, "R",
// "N", "RT" or "NT". mt_priority is in priority already.
const byColumns = `
ALTER TABLE queue_message ADD COLUMN mt_priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE queue_message ADD COLUMN by_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE queue_message ADD COLUMN by_mode TEXT NOT NULL DEFAULT '';
`

// statements are what is run for each message, prepared once.
type statements struct {
	message, recipient, event  *sql.Stmt
	mark, postpone, tell, gone *sql.Stmt
	closed, open               *sql.Stmt
	last                       *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, db *sqldb.DB) error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.message, `INSERT INTO queue_message (id, file, sender, account, client, envid, ret, utf8, require_tls, size, priority, created, counted, tls_optional,
			mt_priority, by_at, by_mode)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`},
		{&s.recipient, `INSERT INTO queue_recipient (message, address, orcpt, notify, account, destination, due, attempts, not_before, deadline, delay,
			held, reason, marked, code, status, reply, host)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $16, $17) RETURNING id`},
		{&s.event, `INSERT INTO queue_event (message, recipient, at, kind, host, address, tls, code, status, reply, policy)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`},
		{&s.mark, `UPDATE queue_recipient SET marked = $1 WHERE id = $2`},
		{&s.postpone, `UPDATE queue_recipient SET due = $1, attempts = $2, deadline = $3, marked = 0, code = $4, status = $5, reply = $6, host = $7
			WHERE id = $8`},
		{&s.tell, `UPDATE queue_recipient SET delay = 0 WHERE id = $1`},
		{&s.gone, `DELETE FROM queue_recipient WHERE id = $1`},
		{&s.closed, `INSERT INTO queue_destination (name, failures, last, next, code, status, reply, host)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (name) DO UPDATE SET failures = $2, last = $3, next = $4, code = $5, status = $6, reply = $7, host = $8`},
		{&s.open, `DELETE FROM queue_destination WHERE name = $1`},
		{&s.last, `SELECT code, status, reply, host FROM queue_recipient WHERE id = $1`},
	} {
		stmt, err := db.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

// change runs prepared statements in one transaction and remembers the first error.
type change struct {
	ctx     context.Context
	tx      *sql.Tx
	err     error
	changed bool // for certain
}

func (c *change) exec(s *sql.Stmt, args ...any) {
	if c.err == nil {
		_, c.err = c.tx.StmtContext(c.ctx, s).ExecContext(c.ctx, args...)
	}
}

// group runs fn in a transaction that is durable when group returns nil. The end of ctx
// does not interrupt it.
func (q *Queue) group(ctx context.Context, fn func(*change)) error {
	ctx = context.WithoutCancel(ctx)
	before, changed := q.doubts.count(), false
	err := q.o().DB.Group(ctx, func(tx *sql.Tx) error {
		c := &change{ctx: ctx, tx: tx}
		fn(c)
		changed = c.changed
		return c.err
	})
	if err == nil && changed {
		q.forsake(nil, q.doubts.certain(before)...)
	}
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
