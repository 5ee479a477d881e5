package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func groupDB(t testing.TB) *DB {
	t.Helper()
	db, err := Open(context.Background(), filepath.Join(t.TempDir(), "kurir.db"), one)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func addFruit(ctx context.Context, name string) func(*sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO fruit (name) VALUES ($1)`, name)
		return err
	}
}

// hold keeps the database busy, so that calls of Group gather behind it, until the
// returned function is called.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	db.writer <- struct{}{}
	return func() { <-db.writer }
}

// wait returns once n calls of Group wait.
func (db *DB) wait(n int) {
	for {
		db.group.mu.Lock()
		got := len(db.group.waiting)
		db.group.mu.Unlock()
		if got == n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// The calls that wait together are one transaction, and the failure of one is its own.
func TestGroupSharesACommit(t *testing.T) {
	db := groupDB(t)
	release := hold(t, db)
	bad := errors.New("bad")
	const n = 20
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			errs[i] = db.Group(t.Context(), func(tx *sql.Tx) error {
				if err := addFruit(t.Context(), fmt.Sprint("fruit ", i))(tx); err != nil {
					return err
				}
				switch i {
				case 3:
					return bad
				case 4: // a failed statement undoes itself alone
					return addFruit(t.Context(), fmt.Sprint("fruit ", i))(tx)
				}
				return nil
			})
		})
	}
	db.wait(n)
	version := commits(t, db)
	before := version()
	release()
	all.Wait()
	for i, err := range errs {
		if (err != nil) != (i == 3 || i == 4) || i == 3 && err != bad {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if got := count(t, db, `SELECT count(*) FROM fruit`); got != n-2 {
		t.Errorf("%d rows", got)
	}
	if d := version() - before; d != 1 {
		t.Errorf("%d commits", d)
	}
}

// commits returns a function that counts the commits of others than one connection.
func commits(t *testing.T, db *DB) func() int {
	t.Helper()
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return func() (v int) {
		if err := c.QueryRowContext(t.Context(), `PRAGMA data_version`).Scan(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Who has given up while waiting has changed nothing.
func TestGroupGivenUp(t *testing.T) {
	db := groupDB(t)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	given, other := make(chan error, 1), make(chan error, 1)
	go func() { given <- db.Group(ctx, addFruit(ctx, "fig")) }()
	db.wait(1)
	go func() { other <- db.Group(t.Context(), addFruit(t.Context(), "plum")) }()
	db.wait(2)
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	release()
	if err := <-other; err != nil {
		t.Error(err)
	}
	if got := count(t, db, `SELECT count(*) FROM fruit WHERE name = 'plum'`) - count(t, db, `SELECT count(*) FROM fruit WHERE name = 'fig'`); got != 1 {
		t.Error("the wrong ones are there")
	}
}

// A commit that fails is everybody's failure: nothing of the group is there.
func TestGroupCommitFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	db := open(t, path, one, two)
	release := hold(t, db)
	var all sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		all.Go(func() {
			errs[i] = db.Group(t.Context(), func(tx *sql.Tx) error {
				if i == 2 { // found at the commit only
					if _, err := tx.ExecContext(t.Context(), `PRAGMA defer_foreign_keys = 1; INSERT INTO basket (fruit) VALUES (99)`); err != nil {
						return err
					}
				}
				return addFruit(t.Context(), fmt.Sprint(i))(tx)
			})
		})
	}
	db.wait(len(errs))
	release()
	all.Wait()
	for i, err := range errs {
		if err == nil || errors.Is(err, ErrUncertain) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if got := count(t, db, `SELECT count(*) FROM fruit`); got != 0 {
		t.Errorf("%d rows", got)
	}
	if err := db.Group(t.Context(), addFruit(t.Context(), "later")); err != nil {
		t.Error(err)
	}
}

// Many callers, of Tx too, all of whose changes are there in the end.
func TestGroupBesideTx(t *testing.T) {
	db := groupDB(t)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 20 {
				run := db.Group
				if j%5 == 0 {
					run = db.Tx
				}
				if err := run(t.Context(), addFruit(t.Context(), fmt.Sprint(i, "-", j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := count(t, db, `SELECT count(*) FROM fruit`); got != 320 {
		t.Errorf("%d rows", got)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, m := range []struct {
		name string
		run  func(*DB) func(context.Context, func(*sql.Tx) error) error
	}{
		{"Tx", func(db *DB) func(context.Context, func(*sql.Tx) error) error { return db.Tx }},
		{"Group", func(db *DB) func(context.Context, func(*sql.Tx) error) error { return db.Group }},
	} {
		b.Run(m.name, func(b *testing.B) {
			db := groupDB(b)
			run := m.run(db)
			var n sync.Mutex
			next := 0
			b.SetParallelism(20)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n.Lock()
					next++
					name := fmt.Sprint(next)
					n.Unlock()
					if err := run(context.Background(), addFruit(context.Background(), name)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// An error that ends the transaction, as that of a full disk may, is everybody's: all fail,
// all learn why, and nothing is there.
func TestGroupLosesItsTransaction(t *testing.T) {
	db := groupDB(t)
	if _, err := db.Exec(`CREATE TRIGGER trouble BEFORE INSERT ON fruit WHEN NEW.name = '2' BEGIN SELECT RAISE(ROLLBACK, 'no room'); END`); err != nil {
		t.Fatal(err)
	}
	release := hold(t, db)
	var all sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		all.Go(func() {
			errs[i] = db.Group(t.Context(), func(tx *sql.Tx) error {
				return addFruit(t.Context(), fmt.Sprint(i))(tx)
			})
		})
		db.wait(i + 1)
	}
	release()
	all.Wait()
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "no room") || errors.Is(err, ErrUncertain) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if n := count(t, db, `SELECT count(*) FROM fruit`); n != 0 {
		t.Errorf("%d rows", n)
	}
	for _, run := range []func(context.Context, func(*sql.Tx) error) error{db.Group, db.Tx} {
		if err := run(t.Context(), addFruit(t.Context(), fmt.Sprint("later", count(t, db, `SELECT count(*) FROM fruit`)))); err != nil {
			t.Error(err)
		}
	}
}
