package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// Account is one account's mail: a Maildir++ tree and its index. It is safe for
// concurrent use.
type Account struct {
	s       *Store
	address string
	dir     string
	ready   chan struct{} // closed when err and what follows are set
	err     error
	closing chan struct{} // non-nil: being closed; closed when done. Guarded by s.mu

	refs    int // guarded by s.mu
	lastUse time.Time

	treeMu sync.Mutex   // creating, deleting and renaming of mailboxes
	ixMu   sync.RWMutex // read: ix is ix for as long; written when the index is made anew

	mu      sync.Mutex
	gone    bool
	open    map[string]*Mailbox // by directory below dir; "" is INBOX
	known   map[string]folderInfo
	ix      *index // guarded by ixMu
	lastVal uint32 // the last UIDVALIDITY given
}

// accountDir gives the folder of an account.
func (s *Store) accountDir(address string) (string, error) {
	d, err := maildir.AccountDir(address)
	if err != nil {
		return "", errors.Join(ErrNoAccount, err)
	}
	return filepath.Join(s.mailDir(), filepath.FromSlash(d)), nil
}

// Account opens an account's mail, or finds it open. Close it when done. Errors:
// ErrNoAccount, ErrNewer, ErrClosed.
func (s *Store) Account(ctx context.Context, address string) (*Account, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrClosed
		}
		a := s.accounts[address]
		if a != nil && a.closing != nil {
			wait := a.closing
			s.mu.Unlock()
			<-wait
			continue
		}
		if a != nil {
			a.refs++
			s.mu.Unlock()
			<-a.ready
			if a.err != nil {
				a.Close()
				return nil, a.err
			}
			return a, nil
		}
		a = &Account{s: s, address: address, ready: make(chan struct{}), refs: 1, open: map[string]*Mailbox{}, known: map[string]folderInfo{}}
		s.accounts[address] = a
		s.mu.Unlock()
		a.err = kindOf(a.start(ctx))
		if a.err != nil {
			s.mu.Lock()
			delete(s.accounts, address)
			s.mu.Unlock()
		}
		close(a.ready)
		if a.err != nil {
			return nil, a.err
		}
		return a, nil
	}
}

// peek gives an account that is open already, with a reference to be given back; nil if
// it is not.
func (s *Store) peek(address string) *Account {
	s.mu.Lock()
	a := s.accounts[address]
	if a == nil || a.closing != nil || s.closed {
		s.mu.Unlock()
		return nil
	}
	a.refs++
	s.mu.Unlock()
	<-a.ready
	if a.err != nil {
		a.Close()
		return nil
	}
	return a
}

// Close gives the account back.
func (a *Account) Close() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.refs--
	a.lastUse = a.s.o.Now()
}

// Address is the account's address.
func (a *Account) Address() string { return a.address }

func (a *Account) start(ctx context.Context) (err error) {
	if a.dir, err = a.s.accountDir(a.address); err != nil {
		return err
	}
	if _, err := a.s.fs.Stat(filepath.Join(a.dir, "cur")); errors.Is(err, fs.ErrNotExist) {
		return ErrNoAccount
	} else if err != nil {
		return err
	}
	if err := a.finishRename(); err != nil {
		return err
	}
	if err := a.readLast(); err != nil {
		return err
	}
	if err := fsx.MkdirAll(a.s.fs, a.expungedDir(), 0o700); err != nil {
		return err
	}
	if err := a.clear(); err != nil {
		return err
	}
	a.ix, err = openIndex(filepath.Join(a.dir, "index.db"))
	return err
}

func (a *Account) expungedDir() string { return filepath.Join(a.dir, "expunged") }

// readLast reads the last UIDVALIDITY out of kurir-account.
func (a *Account) readLast() error {
	b, err := fsx.ReadFile(a.s.fs, filepath.Join(a.dir, maildir.AccountFileName), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := maildir.ParseAccountFile(b)
	if errors.Is(err, maildir.ErrNewer) {
		return errors.Join(ErrNewer, err)
	}
	if err != nil {
		a.s.log.Error("kurir-account is damaged; the clock and the database keep UIDVALIDITY rising", "account", a.address, "error", err)
	}
	a.lastVal = f.LastUIDValidity
	return nil
}

// nextUIDValidity gives n new values of UIDVALIDITY, the last of them: max(now, last +
// 1), durable in kurir-account and in the ledger before anyone uses them.
func (a *Account) nextUIDValidity(ctx context.Context, n uint32) (uint32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, err := a.s.raiseUIDValidity(ctx, a.address, a.dir, a.lastVal, n)
	if err == nil {
		a.lastVal = v
	}
	return v, err
}

func (s *Store) raiseUIDValidity(ctx context.Context, address, dir string, last, n uint32) (uint32, error) {
	if s.o.Ledger != nil {
		l, err := s.o.Ledger.LastUIDValidity(ctx, address)
		if err != nil {
			return 0, err
		}
		last = max(last, l)
	}
	v := max(uint32(s.o.Now().Unix()), last+1) + n - 1
	if s.o.Ledger != nil {
		if err := s.o.Ledger.RaiseUIDValidity(ctx, address, v); err != nil {
			return 0, err
		}
	}
	f := maildir.AccountFile{LastUIDValidity: v}
	return v, fsx.WriteFile(s.fs, filepath.Join(dir, maildir.AccountFileName), f.Format(), 0o600)
}

// clear removes what an earlier run left half-made in the account's own folder; mailboxes
// see to theirs when they are opened.
func (a *Account) clear() error {
	err := a.s.clearTmp(filepath.Join(a.dir, "tmp"))
	if errors.Is(err, fs.ErrNotExist) {
		err = a.s.fs.Mkdir(filepath.Join(a.dir, "tmp"), 0o700)
	}
	if err != nil {
		return err
	}
	l := a.s.quotaLock(a.address) // maildirsize may be written just now
	l.Lock()
	defer l.Unlock()
	return a.s.clearTemp(a.dir)
}

// mailbox opens the mailbox in the directory dir, or finds it open, and counts the
// reference.
func (a *Account) mailbox(ctx context.Context, dir, name string) (*Mailbox, error) {
	for {
		a.mu.Lock()
		if a.gone {
			a.mu.Unlock()
			return nil, ErrNoAccount
		}
		m := a.open[dir]
		if m != nil && m.closing != nil {
			wait := m.closing
			a.mu.Unlock()
			<-wait
			continue
		}
		if m != nil {
			m.refs++
			a.mu.Unlock()
			<-m.ready
			if m.err != nil {
				m.Close()
				return nil, m.err
			}
			return m, nil
		}
		m = &Mailbox{a: a, s: a.s, dir: filepath.Join(a.dir, dir), name: name, ready: make(chan struct{}), refs: 1, views: map[*View]struct{}{}}
		a.open[dir] = m
		a.mu.Unlock()
		m.err = kindOf(m.start(ctx))
		if m.err != nil {
			a.mu.Lock()
			delete(a.open, dir)
			a.mu.Unlock()
		}
		close(m.ready)
		if m.err != nil {
			return nil, m.err
		}
		return m, nil
	}
}

// peek gives a mailbox that is open already; nil if it is not.
func (a *Account) peek(dir string) *Mailbox {
	a.mu.Lock()
	m := a.open[dir]
	if m == nil || m.closing != nil || a.gone {
		a.mu.Unlock()
		return nil
	}
	m.refs++
	a.mu.Unlock()
	<-m.ready
	if m.err != nil {
		m.Close()
		return nil
	}
	return m
}

// closeIdleMailboxes closes those that nobody has used for a while.
func (a *Account) closeIdleMailboxes() {
	a.mu.Lock()
	idle := map[string]*Mailbox{}
	for dir, m := range a.open {
		select {
		case <-m.ready:
		default:
			continue
		}
		if m.err == nil && m.refs == 0 && m.closing == nil && a.s.o.Now().Sub(m.lastUse) >= a.s.o.IdleAfter {
			m.closing = make(chan struct{})
			idle[dir] = m
		}
	}
	a.mu.Unlock()
	if len(idle) == 0 {
		return
	}
	all := make([]*Mailbox, 0, len(idle))
	for _, m := range idle {
		all = append(all, m)
	}
	if err := a.settle(all); err != nil {
		a.s.log.Error("closing idle mailboxes", "account", a.address, "error", err)
	}
	a.mu.Lock()
	for dir, m := range idle {
		if a.open[dir] == m {
			delete(a.open, dir)
		}
		close(m.closing)
	}
	a.mu.Unlock()
}

// settle makes mailboxes clean: what is on disk is durable, the index says the same, and
// then kurir-mailbox says that it does.
func (a *Account) settle(all []*Mailbox) error {
	var errs []error
	var dirty []*Mailbox
	for _, m := range all {
		changed, err := m.settleIndex()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name(), err))
		} else if changed {
			dirty = append(dirty, m)
		}
		if a.s.watch != nil {
			a.s.watch.remove(m)
		}
	}
	if len(dirty) > 0 {
		if err := a.index().checkpoint(); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	for _, m := range dirty {
		if err := m.settleFile(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// shut closes the account with all its mailboxes.
func (a *Account) shut() error {
	a.mu.Lock()
	a.gone = true
	all := make([]*Mailbox, 0, len(a.open))
	for _, m := range a.open {
		all = append(all, m)
	}
	a.mu.Unlock()
	kept := all[:0]
	for _, m := range all {
		if <-m.ready; m.err == nil {
			kept = append(kept, m)
		}
	}
	err := errors.Join(a.index().flushKept(), a.settle(kept))
	for _, m := range kept {
		m.retire(ErrClosed)
	}
	return errors.Join(err, a.index().close())
}

// DropExpunged removes at once what was expunged, of all accounts, and would have been kept
// for a while: the room is needed.
func (s *Store) DropExpunged() { s.sweep(0) }

// sweep removes what has been in expunged/ for longer than keep, of every account, open or
// not.
func (s *Store) sweep(keep time.Duration) {
	domains, err := s.fs.ReadNames(s.mailDir())
	if err != nil {
		s.log.Error("sweeping expunged mail", "error", err)
		return
	}
	for _, d := range domains {
		accounts, err := s.fs.ReadNames(filepath.Join(s.mailDir(), d))
		if err != nil {
			continue // no folder, or gone meanwhile
		}
		for _, a := range accounts {
			if err := s.sweepDir(filepath.Join(s.mailDir(), d, a, "expunged"), keep); err != nil {
				s.log.Error("sweeping expunged mail", "account", a+"@"+d, "error", err)
			}
		}
	}
}

// sweepDir removes what was moved into dir longer ago than keep: a rename sets the time of
// change of what it moves.
func (s *Store) sweepDir(dir string, keep time.Duration) error {
	names, err := s.fs.ReadNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	limit := s.o.Now().Add(-keep)
	var errs []error
	for _, n := range names {
		path := filepath.Join(dir, n)
		st, err := s.fs.Stat(path)
		if err != nil {
			continue
		}
		if changeTime(st).Before(limit) {
			errs = append(errs, fsx.RemoveAll(s.fs, path))
		}
	}
	return errors.Join(errs...)
}

// index gives the account's index.
func (a *Account) index() *index {
	a.ixMu.RLock()
	defer a.ixMu.RUnlock()
	return a.ix
}

// checkIndex makes the index anew if its file was removed or replaced behind our back.
// What is in memory is written to the new one with the next change.
func (a *Account) checkIndex(ctx context.Context) error {
	if !a.index().lost() {
		return nil
	}
	a.treeMu.Lock()
	defer a.treeMu.Unlock()
	if !a.index().lost() {
		return nil
	}
	a.mu.Lock()
	all := make([]*Mailbox, 0, len(a.open))
	for _, m := range a.open {
		all = append(all, m)
	}
	a.mu.Unlock()
	all = slices.DeleteFunc(all, func(m *Mailbox) bool { <-m.ready; return m.err != nil })
	slices.SortFunc(all, func(x, y *Mailbox) int { return strings.Compare(x.id, y.id) })
	for _, m := range all {
		m.mu.Lock()
		defer m.mu.Unlock()
	}
	a.s.log.Warn("the index was removed or replaced and is made anew", "account", a.address)
	for _, m := range all {
		m.state.Lock()
		m.key, m.voidIx = 0, true
		m.forgetHistory()
		m.state.Unlock()
	}
	if err := a.replaceIndex(); err != nil {
		return err
	}
	for _, m := range all {
		if !m.cols.loaded {
			if err := m.rebuild(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Account) replaceIndex() error {
	a.ixMu.Lock()
	defer a.ixMu.Unlock()
	if err := a.ix.close(); err != nil {
		a.s.log.Warn("closing the lost index", "account", a.address, "error", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		// What lies there now is of another time than the files.
		if err := os.Remove(a.ix.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	ix, err := openIndex(a.ix.path)
	if err != nil {
		return err
	}
	a.ix = ix
	return nil
}
