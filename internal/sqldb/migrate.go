package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// applicationID marks a SQLite file as kurir's: "kuri" in ASCII.
const applicationID = 0x6b757269

// prepare checks whose database this is and how new, sets what is kept in the file,
// and applies what is missing of all.
func (db *DB) prepare(ctx context.Context, path string, all []Migration) error {
	applied, err := db.applied(ctx)
	if err != nil {
		return err
	}
	if err := checkApplied(applied, all); err != nil {
		return err
	}
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("SQLite's WAL mode does not work here (journal mode stays %q); keep the data on a local disk, not on a network file system", mode)
	}
	done := make(map[string]bool, len(applied))
	for _, name := range applied {
		done[name] = true
	}
	for _, m := range all {
		if done[m.Name] {
			continue
		}
		if err := db.apply(ctx, m); err != nil {
			return fmt.Errorf("migration %q: %w", m.Name, err)
		}
	}
	return nil
}

// applied returns the names of the migrations that the file has had. It changes nothing.
func (db *DB) applied(ctx context.Context) (names []string, err error) {
	err = db.View(ctx, func(tx *sql.Tx) error {
		var id, version, tables int
		if err := tx.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
			return err
		}
		switch {
		case id == 0 && tables == 0:
			return nil // new
		case id != applicationID:
			return ErrForeign
		}
		names, err = texts(ctx, tx, `SELECT name FROM migrations ORDER BY name`)
		if err == nil && version > len(names) {
			// A stamp ahead of the table: whoever wrote it keeps books in a newer way.
			err = ErrNewer
		}
		return err
	})
	return names, err
}

// apply runs one migration, notes its name and raises the stamp, all or nothing.
func (db *DB) apply(ctx context.Context, m Migration) error {
	return db.Tx(ctx, func(tx *sql.Tx) error {
		const book = `CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied BIGINT NOT NULL)`
		if _, err := tx.ExecContext(ctx, book); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, m.SQL); err != nil {
			return err
		}
		const note = `INSERT INTO migrations (name, applied) VALUES ($1, $2)`
		if _, err := tx.ExecContext(ctx, note, m.Name, time.Now().Unix()); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM migrations`).Scan(&n); err != nil {
			return err
		}
		// PRAGMA takes no placeholders; both values are numbers of ours.
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, applicationID, n))
		return err
	})
}

// checkApplied refuses a file that has had a migration this program has never heard of.
func checkApplied(applied []string, all []Migration) error {
	known := make(map[string]bool, len(all))
	for _, m := range all {
		known[m.Name] = true
	}
	for _, name := range applied {
		if !known[name] {
			return fmt.Errorf("%w (it has %q)", ErrNewer, name)
		}
	}
	return nil
}

// checkNames finds a name that is missing or used twice: a mistake in the program.
func checkNames(all []Migration) error {
	seen := make(map[string]bool, len(all))
	for _, m := range all {
		if m.Name == "" || seen[m.Name] {
			return fmt.Errorf("migration name %q is empty or used twice", m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

// texts collects a query's only column.
func texts(ctx context.Context, tx *sql.Tx, query string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
