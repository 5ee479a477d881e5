package sqldb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What Open can find wrong with the file as such.
var (
	// ErrNewer: a newer kurir has written it, and this one could damage what it doesn't know.
	ErrNewer = errors.New("the database was written by a newer kurir; run that version or a later one (going back means restoring a backup from before the upgrade)")
	// ErrForeign: a SQLite database, but not kurir's.
	ErrForeign = errors.New("this is the database of another program; point the data directory elsewhere, or move the file away")
	// ErrDamaged: no SQLite database, or one with broken pages.
	ErrDamaged = errors.New("the file is no intact database; stop kurir, keep a copy, and restore kurir.db from a backup (mail is not in it and is safe)")
	// ErrLocked: another process holds it.
	ErrLocked = errors.New("another program holds the database; stop it (a second kurir, a backup tool, a sqlite3 shell) and try again")
)

// ErrUncertain: a commit failed in a way that leaves open what is on the disk. Nobody sees
// its changes, but after a crash or a power cut they may be there, unless another commit
// that has changed something has gone through in between.
var ErrUncertain = errors.New("the database could not make sure that the change is on the disk, or that it is not")

// failedCommit is the error of a commit. SQLite writes what makes a transaction valid last:
// without room for that it is not there, and all that is refused before is not either.
func failedCommit(err error) error {
	switch code(err) & 0xff {
	case 0, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_ERROR:
		return err
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

// IsDuplicate reports whether err says that a row with the same unique key is there.
func IsDuplicate(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CONSTRAINT_UNIQUE || c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// IsReferenced reports whether err says that other rows point to the row to be
// removed, or that the row pointed to is not there (a foreign key).
func IsReferenced(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY || c == sqlite3.SQLITE_CONSTRAINT_TRIGGER
}

// IsFull reports whether err says that the disk has no room for the write.
func IsFull(err error) bool { return code(err)&0xff == sqlite3.SQLITE_FULL }

// code is SQLite's extended result code, 0 for other errors.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// explain adds the path and what the admin can do to an error met while opening.
func explain(path string, err error) error {
	dir := filepath.Dir(path)
	switch c := code(err) & 0xff; {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; make the folder %s first, or correct the data directory in the configuration", err, dir)
	case errors.Is(err, fs.ErrPermission), c == sqlite3.SQLITE_PERM, c == sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%s: %w; the user that runs kurir (uid %d) needs to own the folder %s and all files in it", path, err, os.Geteuid(), dir)
	case c == sqlite3.SQLITE_NOTADB, c == sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	case c == sqlite3.SQLITE_BUSY, c == sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%s: %w: %w", path, ErrLocked, err)
	case c == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w; free some space on the disk of %s", path, err, dir)
	case c == sqlite3.SQLITE_CANTOPEN, c == sqlite3.SQLITE_IOERR:
		return fmt.Errorf("%s: %w; check the disk and that %s can be written", path, err, dir)
	}
	return fmt.Errorf("%s: %w", path, err)
}
