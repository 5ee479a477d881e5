// Package store owns the mail: accounts as Maildir++ trees of one file a message, the
// index that makes them quick, and the views that sessions hold of a mailbox. The files
// are the truth and the index a cache; docs/store-format.md has the format and the order
// of events. The package knows no protocol: no SMTP codes, no IMAP atoms; and it writes
// only through internal/fsx, SQLite's own files aside.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// Options are what a Store depends on. Only Dir is needed.
type Options struct {
	Dir      string // the data directory: mail/, stage/ and removed/ lie below it
	Hostname string // goes into file names; empty means os.Hostname
	Log      *slog.Logger

	// FS writes; nil means fsx.OS.
	FS fsx.FS
	// BootID names the kernel's run; empty means fsx.BootID.
	BootID string
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// ExpungedKeep is how long expunged messages and deleted mailboxes stay on disk;
	// zero means an hour.
	ExpungedKeep time.Duration
	// IdleAfter is how long an unused mailbox stays in memory; zero means five minutes.
	IdleAfter time.Duration
	// Quota gives an account's limit in bytes, 0 for none; nil means none anywhere.
	Quota func(ctx context.Context, address string) (int64, error)
	// Room tells whether so many bytes more may be stored; an error says that there is no room.
	// nil: there always is, until the disk is full.
	Room func(add int64) error
	// Ledger keeps the last UIDVALIDITY of an address when its folder is gone; nil
	// means that only the folder's own file remembers.
	Ledger Ledger
	// NoWatch leaves inotify alone: foreign changes are then seen when a mailbox is
	// next looked at.
	NoWatch bool
	// Observe is told of each fsync: see fsx.GroupOptions.
	Observe func(kind string, n int, d time.Duration)
	// Failed is told of each fsync that failed.
	Failed func(error)
	// MaxMailboxes bounds the mailboxes, INBOX among them, that can be made in one account,
	// and its subscriptions; zero means 20,000. What other programs made is shown beyond it.
	MaxMailboxes int
	// StageMemory bounds the bytes of all messages that wait in memory while they are
	// received; zero means 64 MiB.
	StageMemory int64
}

// Ledger remembers the last UIDVALIDITY given to a mailbox of an address, so that an
// account that is removed and made again never gives one twice.
type Ledger interface {
	LastUIDValidity(ctx context.Context, address string) (uint32, error)
	RaiseUIDValidity(ctx context.Context, address string, v uint32) error
}

// Store is all the mail below one data directory. It is safe for concurrent use.
type Store struct {
	o     Options
	fs    fsx.FS
	log   *slog.Logger
	group *fsx.Group
	bases *maildir.BaseMaker
	hosts maildir.HostTable

	history  historyBound
	scans    turns    // of all searches of contents
	watch    *watcher // nil: not watching
	stageMem atomic.Int64
	stageSeq atomic.Uint64
	quotaMu  [64]sync.Mutex // by address: maildirsize files

	mu       sync.Mutex
	closed   bool
	accounts map[string]*Account

	started int64     // when it was opened, in seconds
	run     string    // names this opening among the temporary files of others
	swept   time.Time // when expunged/ of all accounts was; of the janitor alone

	stop chan struct{}
	done sync.WaitGroup
}

// Open opens the store below o.Dir, and makes its folders if need be. What an earlier run
// left half-received is removed. The caller holds the data directory's lock. Errors:
// ErrNewer, or the system's.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = fsx.OS{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BootID == "" {
		o.BootID = fsx.BootID()
	}
	if o.Hostname == "" {
		o.Hostname, _ = os.Hostname()
	}
	if o.ExpungedKeep == 0 {
		o.ExpungedKeep = time.Hour
	}
	if o.MaxMailboxes == 0 {
		o.MaxMailboxes = DefaultMaxMailboxes
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = 5 * time.Minute
	}
	if o.StageMemory == 0 {
		o.StageMemory = 64 << 20
	}
	s := &Store{
		o:        o,
		fs:       o.FS,
		log:      o.Log,
		bases:    maildir.NewBaseMaker(o.Hostname, os.Getpid(), o.Now),
		accounts: map[string]*Account{},
		history:  defaultHistory,
		scans:    newTurns(runtime.GOMAXPROCS(0)),
		started:  o.Now().Unix(),
		run:      tmpPrefix + randomHex(4) + "-",
		stop:     make(chan struct{}),
	}
	for _, d := range []string{s.mailDir(), s.stageDir()} {
		if err := fsx.MkdirAll(s.fs, d, 0o700); err != nil {
			return nil, err
		}
	}
	if err := s.checkStamp(); err != nil {
		return nil, err
	}
	if err := s.clearStage(); err != nil {
		return nil, err
	}
	// What an earlier run had done but not synced is there to be seen: before anybody is
	// told of it, or builds on it, no power cut may take it back.
	if err := s.fs.SyncFS(s.mailDir()); err != nil {
		return nil, err
	}
	s.group = fsx.NewGroup(s.fs, o.Dir, fsx.GroupOptions{Observe: o.Observe, Failed: o.Failed})
	if !o.NoWatch {
		w, err := newWatcher(s)
		if err != nil {
			s.log.Warn("changes by other programs are seen only when a mailbox is opened", "error", err)
		}
		s.watch = w
	}
	s.done.Go(s.janitor)
	return s, nil
}

func (s *Store) mailDir() string  { return filepath.Join(s.o.Dir, "mail") }
func (s *Store) stageDir() string { return filepath.Join(s.o.Dir, "stage") }

// formatVersion is the version of the format on disk that this package reads and writes.
const formatVersion = 1

// checkStamp reads <data>/mail/kurir-store, which names the version of the format, and
// writes it into a new store.
func (s *Store) checkStamp() error {
	path := filepath.Join(s.mailDir(), "kurir-store")
	b, err := fsx.ReadFile(s.fs, path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return fsx.WriteFile(s.fs, path, fmt.Appendf(nil, "kurir-store %d\n", formatVersion), 0o600)
	}
	if err != nil {
		return err
	}
	var v int
	if _, err := fmt.Sscanf(string(b), "kurir-store %d", &v); err != nil {
		return fmt.Errorf("%s: not a version stamp: restore it from a backup, or delete it if no newer kurir ever used this folder", path)
	}
	if v > formatVersion {
		return fmt.Errorf("%w: %s says format %d, this one knows %d: install the newer version again", ErrNewer, path, v, formatVersion)
	}
	return nil
}

// clearStage removes what an earlier run was receiving when it stopped.
func (s *Store) clearStage() error {
	names, err := s.fs.ReadNames(s.stageDir())
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := fsx.RemoveAll(s.fs, filepath.Join(s.stageDir(), n)); err != nil {
			return err
		}
	}
	return s.clearTemp(s.mailDir())
}

// clearTemp removes from a directory what fsx.WriteFile left when an earlier run died.
func (s *Store) clearTemp(dir string) error {
	names, err := s.fs.ReadNames(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if fsx.IsTemp(n) {
			if err := s.fs.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// clearTmp removes from a mailbox's tmp/ what an earlier run left half-made: messages on
// their way, and mailboxes that were being made.
func (s *Store) clearTmp(dir string) error {
	names, err := s.fs.ReadNames(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, tmpPrefix) && !strings.HasPrefix(n, s.run) {
			if err := fsx.RemoveAll(s.fs, filepath.Join(dir, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tmpPrefix begins the names that kurir makes in tmp/; those of this run begin with s.run.
const tmpPrefix = "kurir-"

// OpenAccounts counts the accounts whose mail is open.
func (s *Store) OpenAccounts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accounts)
}

// Close stops the store cleanly: every mailbox is marked so that its index can be
// trusted at the next opening. Sessions that still hold something get errors.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	all := make([]*Account, 0, len(s.accounts))
	for _, a := range s.accounts {
		all = append(all, a)
	}
	s.mu.Unlock()
	close(s.stop)
	if s.watch != nil {
		s.watch.close()
	}
	s.done.Wait()
	var errs []error
	for _, a := range all {
		<-a.ready
		if a.err == nil {
			errs = append(errs, a.shut())
		}
	}
	return errors.Join(append(errs, s.group.Close())...)
}

// background runs f on a goroutine that the store's end waits for; false if it has ended.
func (s *Store) background(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.done.Go(f)
	}
	return !s.closed
}

// janitor closes what nobody uses and sweeps expunged/ of all accounts.
func (s *Store) janitor() {
	t := time.NewTicker(max(s.o.IdleAfter/4, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.tidy()
		}
	}
}

func (s *Store) tidy() {
	s.mu.Lock()
	var idle, open []*Account
	for _, a := range s.accounts {
		select {
		case <-a.ready:
		default:
			continue
		}
		if a.err == nil && a.refs == 0 && s.o.Now().Sub(a.lastUse) >= s.o.IdleAfter {
			// Whoever asks for the account from now on waits until it is closed.
			a.closing = make(chan struct{})
			idle = append(idle, a)
		} else if a.err == nil {
			open = append(open, a)
		}
	}
	s.mu.Unlock()
	for _, a := range idle {
		if err := a.shut(); err != nil {
			s.log.Error("closing an idle account", "account", a.address, "error", err)
		}
		s.mu.Lock()
		delete(s.accounts, a.address)
		close(a.closing)
		s.mu.Unlock()
	}
	for _, a := range open {
		a.closeIdleMailboxes()
		a.flushIndex()
	}
	if now := s.o.Now(); now.Sub(s.swept) >= s.o.ExpungedKeep/4 {
		s.swept = now
		s.sweep(s.o.ExpungedKeep)
	}
}

// kindOf turns an error of the system into the store's kind, with its cause.
func kindOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errors.Join(ErrDiskFull, err)
	}
	for _, k := range []error{ErrNoAccount, ErrAccountExists, ErrNoMailbox, ErrMailboxExists, ErrMailboxGone, ErrOverQuota, ErrDiskFull,
		ErrTooManyKeywords, ErrInvalidKeyword, ErrNameTooLong, ErrInvalidName, ErrNotPermitted, ErrExpunged, ErrUnavailable, ErrNewer, ErrClosed,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, k) {
			return err
		}
	}
	return errors.Join(ErrUnavailable, err)
}
