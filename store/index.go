package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// index is an account's index.db: a cache of what the names of its files say, and of what
// can be learnt only by reading them. It may be deleted at any time. Messages lie in
// blocks of blockSize UIDs, packed (columns.go), so that one row is written for a flag
// and few for many.
type index struct {
	db    *sql.DB
	path  string
	inode uint64
	mu    sync.Mutex // one transaction at a time

	damaged atomic.Bool // SQLite says so

	kept keptCache
}

// indexVersion is written to PRAGMA user_version; an index of another version is dropped.
const indexVersion = 2

const indexSchema = `
CREATE TABLE mailbox (
	key INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: what is on its way to the index bears it
	id TEXT NOT NULL UNIQUE,
	uidvalidity INTEGER NOT NULL,
	generation INTEGER NOT NULL,
	uidnext INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	horizon INTEGER NOT NULL,
	messages INTEGER NOT NULL,
	unseen INTEGER NOT NULL,
	deleted INTEGER NOT NULL,
	firstunseen INTEGER NOT NULL,
	firstunseenuid INTEGER NOT NULL,
	size INTEGER NOT NULL,
	newtime INTEGER NOT NULL,
	curtime INTEGER NOT NULL
) STRICT;
CREATE TABLE block (
	mailbox INTEGER NOT NULL,
	block INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (mailbox, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE expunged (
	mailbox INTEGER NOT NULL,
	modseq INTEGER NOT NULL,
	uids BLOB NOT NULL,
	PRIMARY KEY (mailbox, modseq)
) STRICT, WITHOUT ROWID;
` + keptSchema

// keptSchema has what is learnt of messages by reading them: see keptRow. Parted by kind,
// so that what one command wants lies side by side.
const keptSchema = `
CREATE TABLE kept (
	mailbox INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	block INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (mailbox, kind, block)
) STRICT, WITHOUT ROWID;
CREATE TABLE large (
	mailbox INTEGER NOT NULL,
	kind INTEGER NOT NULL,
	uid INTEGER NOT NULL,
	data BLOB NOT NULL,
	PRIMARY KEY (mailbox, kind, uid)
) STRICT, WITHOUT ROWID;
`

// keySchema has the keys of mailboxes begin at a number of this index's own: no row of
// another account's index is taken for one of this, should a copy, or a write-ahead log
// that was left over, bring it here.
const keySchema = "INSERT INTO sqlite_sequence (name, seq) VALUES ('mailbox', random() & 0x3fffffffffffffff);"

// indexSteps bring an index of an older version to the next one: that of version v is at v.
// They drop no more than what the next one holds in another form, so that clients load
// nothing again. Version 1 could lose a part of its history without a word.
var indexSteps = [indexVersion]string{
	1: "DROP TABLE structure;" + keptSchema + `
DELETE FROM expunged;
UPDATE mailbox SET horizon = max(horizon, modseq);
DELETE FROM sqlite_sequence WHERE name = 'mailbox';` + keySchema + `
UPDATE block SET mailbox = mailbox + (SELECT seq FROM sqlite_sequence WHERE name = 'mailbox');
UPDATE mailbox SET key = key + (SELECT seq FROM sqlite_sequence WHERE name = 'mailbox');`,
}

// openIndex opens the index at path. One that is missing, damaged or of another version
// is made anew: it is a cache.
func openIndex(path string) (*index, error) {
	ix, err := tryIndex(path)
	if err == nil {
		return ix, nil
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if rerr := os.Remove(path + suffix); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			return nil, errors.Join(err, rerr)
		}
	}
	return tryIndex(path)
}

func tryIndex(path string) (*index, error) {
	// SQLite would make the file readable for all that can reach it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+uriPath(path)+
		"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(10000)&_pragma=cache_size(-512)&_pragma=wal_autocheckpoint(2000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	ix := &index{db: db, path: path}
	if err := ix.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return ix, nil
}

// uriPath escapes what has a meaning in an SQLite URI.
func uriPath(p string) string {
	b := make([]byte, 0, len(p))
	for i := range len(p) {
		switch c := p[i]; c {
		case '%', '?', '#':
			b = fmt.Appendf(b, "%%%02x", c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func (ix *index) prepare() error {
	var v int
	if err := ix.db.QueryRow("PRAGMA user_version").Scan(&v); err != nil {
		return err
	}
	if v < 0 || v > indexVersion {
		return fmt.Errorf("index of version %d", v)
	}
	if v < indexVersion {
		script := indexSchema + keySchema
		if v > 0 {
			script = strings.Join(indexSteps[v:], "")
		}
		if err := ix.commit(func(tx *sql.Tx) error {
			_, err := tx.Exec(script + fmt.Sprintf("PRAGMA user_version = %d", indexVersion))
			return err
		}); err != nil {
			return err
		}
	}
	var tables int
	if err := ix.db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name IN ('mailbox', 'block', 'expunged', 'kept', 'large')").Scan(&tables); err != nil {
		return err
	}
	if tables != 5 {
		return fmt.Errorf("index of %d tables", tables)
	}
	st, err := os.Stat(ix.path)
	if err != nil {
		return err
	}
	ix.inode = inodeOf(st)
	return nil
}

func inodeOf(st fs.FileInfo) uint64 {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

// lost says whether the file at the index's path is no longer the one that is open, or was
// found to be damaged.
func (ix *index) lost() bool {
	if ix.damaged.Load() {
		return true
	}
	st, err := os.Stat(ix.path)
	return err != nil || inodeOf(st) != ix.inode
}

func (ix *index) close() error { return ix.db.Close() }

// commit runs f in one transaction.
func (ix *index) commit(f func(tx *sql.Tx) error) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	tx, err := ix.db.Begin()
	if err != nil {
		return ix.note(err)
	}
	if err := f(tx); err != nil {
		return errors.Join(ix.note(err), tx.Rollback())
	}
	return ix.note(tx.Commit())
}

// note remembers whether an error says that the file is damaged: see lost.
func (ix *index) note(err error) error {
	var e *sqlite.Error
	if errors.Is(err, errNoRow) {
		ix.damaged.Store(true)
	}
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
			ix.damaged.Store(true)
		}
	}
	return err
}

// checkpoint brings all that was committed into the database file, durable.
func (ix *index) checkpoint() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	_, err := ix.db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// indexRow is a mailbox's row: its counters, and what its files looked like.
type indexRow struct {
	key         int64
	uidValidity uint32
	generation  uint64
	counters
	horizon ModSeq
	history history // not in the row
	newTime int64   // mtimes of new/ and cur/ in nanoseconds; 0 is unknown
	curTime int64
}

// row reads the row of the mailbox with that id; nil if there is none.
func (ix *index) row(id string) (*indexRow, error) {
	var r indexRow
	err := ix.db.QueryRow(`SELECT key, uidvalidity, generation, uidnext, modseq, horizon, messages, unseen, deleted,
		firstunseen, firstunseenuid, size, newtime, curtime FROM mailbox WHERE id = ?`, id).Scan(
		&r.key, &r.uidValidity, &r.generation, &r.uidNext, &r.modseq, &r.horizon, &r.messages, &r.unseen, &r.deleted,
		&r.firstUnseen, &r.firstUnseenUID, &r.size, &r.newTime, &r.curTime)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &r, err
}

// errNoRow says that the index does not have the row of a mailbox that it was read from or
// written to before: it is another one.
var errNoRow = errors.New("the index does not know the mailbox any more")

// putRow writes the row of a mailbox and sets its key, if it had none.
func putRow(tx *sql.Tx, id string, r *indexRow) error {
	if r.key == 0 {
		res, err := tx.Exec(`INSERT INTO mailbox (id, uidvalidity, generation, uidnext, modseq, horizon, messages, unseen, deleted,
			firstunseen, firstunseenuid, size, newtime, curtime) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
			id, r.uidValidity, r.generation, r.uidNext, r.modseq, r.horizon, r.messages, r.unseen, r.deleted,
			r.firstUnseen, r.firstUnseenUID, r.size, r.newTime, r.curTime)
		if err != nil {
			return err
		}
		r.key, err = res.LastInsertId()
		return err
	}
	res, err := tx.Exec(`UPDATE mailbox SET uidvalidity=?, generation=?, uidnext=?, modseq=?, horizon=?, messages=?, unseen=?, deleted=?,
		firstunseen=?, firstunseenuid=?, size=?, newtime=?, curtime=? WHERE key=?`,
		r.uidValidity, r.generation, r.uidNext, r.modseq, r.horizon, r.messages, r.unseen, r.deleted,
		r.firstUnseen, r.firstUnseenUID, r.size, r.newTime, r.curTime, r.key)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); n != 1 {
		return errors.Join(errNoRow, err)
	}
	return nil
}

// dropMailbox forgets a mailbox, or with keepRow all of it but its row.
func dropMailbox(tx *sql.Tx, key int64, keepRow bool) error {
	for _, q := range []string{"DELETE FROM block WHERE mailbox=?", "DELETE FROM expunged WHERE mailbox=?",
		"DELETE FROM kept WHERE mailbox=?", "DELETE FROM large WHERE mailbox=?", "DELETE FROM mailbox WHERE key=?"} {
		if keepRow && q == "DELETE FROM mailbox WHERE key=?" {
			continue
		}
		if _, err := tx.Exec(q, key); err != nil {
			return err
		}
	}
	return nil
}

// blocks calls f with each of a mailbox's blocks, in the order of their UIDs.
func (ix *index) blocks(key int64, f func(data []byte) error) error {
	rows, err := ix.db.QueryContext(context.Background(), "SELECT data FROM block WHERE mailbox=? ORDER BY block", key)
	if err != nil {
		return ix.note(err)
	}
	defer rows.Close()
	var data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&data); err != nil {
			return err
		}
		if err := f(data); err != nil {
			return err
		}
	}
	return ix.note(rows.Err())
}

// dropMailbox forgets a mailbox.
func (ix *index) dropMailbox(key int64) error {
	return ix.commit(func(tx *sql.Tx) error { return dropMailbox(tx, key, false) })
}
