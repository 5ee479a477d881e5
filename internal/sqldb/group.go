package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxGroup bounds how many callers share one commit.
const maxGroup = 256

// group is who waits for the next shared commit.
type group struct {
	mu      sync.Mutex
	waiting []*member
	leader  bool // somebody has taken it on to run those that wait
}

// member is one call of Group.
type member struct {
	ctx  context.Context
	fn   func(tx *sql.Tx) error
	done chan error // buffered
}

// Group is Tx for what happens often: calls that wait at the same time are run in one
// transaction, each in a savepoint of its own, and share its commit and fsync. Nobody
// waits for company: a group is what has come while the last commit was under way. An
// error of fn undoes what fn did and nothing else, unless it ends the transaction (a full
// disk): then it is everybody's. After any error nothing of this call has changed, but see
// ErrUncertain. fn must use tx alone, and must not begin or end transactions.
func (db *DB) Group(ctx context.Context, fn func(tx *sql.Tx) error) error {
	m := &member{ctx: ctx, fn: fn, done: make(chan error, 1)}
	g := &db.group
	g.mu.Lock()
	g.waiting = append(g.waiting, m)
	lead := !g.leader
	g.leader = true
	g.mu.Unlock()
	if lead {
		// Not in this goroutine, whose caller is content with one call's end: lead ends when
		// nobody waits any more.
		go db.lead()
	}
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
	}
	if g.leave(m) {
		return ctx.Err()
	}
	// It is being run; the answer is near.
	return <-m.done
}

// leave takes m out of those that wait; false: it is being run already.
func (g *group) leave(m *member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if w == m {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// next takes those that are to be run together. With none left the lead is over.
func (g *group) next() []*member {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	if n == 0 {
		g.leader, g.waiting = false, nil
		return nil
	}
	batch := g.waiting[:n:n]
	g.waiting = append([]*member(nil), g.waiting[n:]...)
	return batch
}

// lead runs groups until nobody waits.
func (db *DB) lead() {
	for {
		// Who writes otherwise goes first, and more can gather behind it.
		db.writer <- struct{}{}
		batch := db.group.next()
		if batch == nil {
			<-db.writer
			return
		}
		db.runGroup(batch)
		<-db.writer
	}
}

// runGroup runs a group in one transaction and answers its members.
func (db *DB) runGroup(batch []*member) {
	failed := make([]error, len(batch))
	// The end of one member's context is no reason to fail the others.
	ctx := context.WithoutCancel(batch[0].ctx)
	err := db.run(ctx, nil, func(tx *sql.Tx) error {
		for i, m := range batch {
			if failed[i] = m.ctx.Err(); failed[i] != nil {
				continue
			}
			if len(batch) == 1 { // there is nobody else's to keep
				failed[i] = m.fn(tx)
				return failed[i]
			}
			var err error
			if failed[i], err = inSavepoint(ctx, tx, m.fn); err != nil {
				return err
			}
		}
		return nil
	})
	for i, m := range batch {
		if failed[i] == nil {
			failed[i] = err
		}
		m.done <- failed[i]
	}
}

// inSavepoint runs fn so that its error undoes only what it did. err is the
// transaction's: it can't go on.
func inSavepoint(ctx context.Context, tx *sql.Tx, fn func(tx *sql.Tx) error) (failed, err error) {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT member`); err != nil {
		return nil, err
	}
	if failed = fn(tx); failed != nil {
		if _, err = tx.ExecContext(ctx, `ROLLBACK TO member`); err != nil {
			err = errors.Join(failed, err) // the others learn why
		}
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `RELEASE member`)
	}
	return failed, err
}
