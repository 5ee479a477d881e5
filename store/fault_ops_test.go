package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
)

// A faultOp is an operation of which each call to the file system fails once in turn.
type faultOp struct {
	name   string
	whole  bool    // after an error nothing has changed
	again  []error // what a second attempt may say: the first had got that far
	warm   bool    // the mailboxes have been looked at before
	do     func(f *faultCase) error
	noOpen bool // do opens the store itself
	apart  bool // hard links, and renames out of stage/, are refused
	spill  bool // messages do not wait in memory
	long   bool // it has many calls, alike
}

// A faultCase is one store in which one call fails.
type faultCase struct {
	t       testing.TB
	ctx     context.Context
	dir     string
	rec     *fsxtest.Recorder
	fs      *fsxtest.Faulty
	s       *Store
	spill   bool
	targets []Target // of a delivery: those that are left
}

// apartFS refuses what would cross from one file system to another.
type apartFS struct{ fsx.FS }

func (f apartFS) Link(from, to string) error {
	return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EXDEV}
}

func (f apartFS) RenameNoReplace(from, to string) error {
	if filepath.Base(filepath.Dir(from)) == "stage" && !strings.Contains(from, "account-") {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EXDEV}
	}
	return f.FS.RenameNoReplace(from, to)
}

// errPartial says that a delivery left some targets for later.
var errPartial = errors.New("some targets failed")

var faultOps = []faultOp{
	{name: "deliver", whole: true, do: func(f *faultCase) error { return f.deliver(Target{Address: alice}) }},
	{name: "deliver to an open mailbox", whole: true, warm: true, do: func(f *faultCase) error { return f.deliver(Target{Address: alice}) }},
	{name: "deliver to several", whole: true, do: func(f *faultCase) error {
		return f.deliver(Target{Address: alice, Flags: Seen}, Target{Address: bob}, Target{Address: alice, Mailbox: "Archive"})
	}},
	{name: "keep and deliver", whole: true, do: (*faultCase).keepAndDeliver},
	{name: "deliver across file systems", whole: true, apart: true, do: func(f *faultCase) error { return f.deliver(Target{Address: alice}) }},
	{name: "deliver to several across file systems", whole: true, apart: true, do: func(f *faultCase) error {
		return f.deliver(Target{Address: alice}, Target{Address: bob})
	}},
	{name: "append across file systems", whole: true, apart: true, do: (*faultCase).append},
	{name: "copy without links", whole: true, apart: true, do: func(f *faultCase) error { return f.transfer("INBOX", "Archive", (*Mailbox).Copy) }},
	{name: "deliver, spilled", whole: true, spill: true, do: func(f *faultCase) error { return f.deliver(Target{Address: alice}) }},
	{name: "keep and deliver, spilled", whole: true, spill: true, do: (*faultCase).keepAndDeliver},
	{name: "deliver junk", whole: true, do: func(f *faultCase) error { return f.deliver(Target{Address: alice, Junk: true}) }},
	{name: "deliver, edited", whole: true, do: (*faultCase).deliverEdited},
	{name: "deliver, edited and spilled", whole: true, spill: true, do: (*faultCase).deliverEdited},
	{name: "append", whole: true, do: (*faultCase).append},
	{name: "append, warm", whole: true, warm: true, do: (*faultCase).append},
	{name: "store", do: (*faultCase).store},
	{name: "store, warm", warm: true, do: (*faultCase).store},
	{name: "copy", whole: true, do: func(f *faultCase) error { return f.transfer("INBOX", "Archive", (*Mailbox).Copy) }},
	{name: "copy, warm", whole: true, warm: true, do: func(f *faultCase) error { return f.transfer("INBOX", "Archive", (*Mailbox).Copy) }},
	{name: "move", do: func(f *faultCase) error { return f.transfer("INBOX", "Archive", (*Mailbox).Move) }},
	{name: "move, warm", warm: true, do: func(f *faultCase) error { return f.transfer("INBOX", "Archive", (*Mailbox).Move) }},
	{name: "expunge", do: func(f *faultCase) error {
		return f.in("INBOX", func(_ *Account, m *Mailbox) error { _, err := m.Expunge(f.ctx, nil); return err })
	}},
	{name: "remove, warm", warm: true, do: func(f *faultCase) error {
		return f.in("INBOX", func(_ *Account, m *Mailbox) error { _, err := m.Remove(f.ctx, []UID{1, 3}); return err })
	}},
	{name: "select", do: func(f *faultCase) error {
		return f.in("INBOX", func(_ *Account, m *Mailbox) error {
			v, err := m.View(f.ctx)
			if err == nil {
				v.Close()
			}
			return err
		})
	}},
	{name: "create", again: []error{ErrMailboxExists}, do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Create(f.ctx, "n/m", "Junk") })
	}},
	{name: "delete", again: []error{ErrNoMailbox}, do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Delete(f.ctx, "a/b") })
	}},
	{name: "rename", again: []error{ErrNoMailbox}, do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Rename(f.ctx, "a", "z/y") })
	}},
	{name: "rename, warm", warm: true, again: []error{ErrNoMailbox}, do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Rename(f.ctx, "a", "z/y") })
	}},
	{name: "rename INBOX", again: []error{ErrMailboxExists}, do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Rename(f.ctx, "INBOX", "old") })
	}},
	{name: "subscribe", do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Subscribe(f.ctx, "a/b") })
	}},
	{name: "unsubscribe", do: func(f *faultCase) error {
		return f.account(func(a *Account) error { return a.Unsubscribe(f.ctx, "Sent") })
	}},
	{name: "create account", long: true, again: []error{ErrAccountExists}, do: func(f *faultCase) error { return f.s.CreateAccount(f.ctx, robert) }},
	{name: "rename account", again: []error{ErrNoAccount}, do: func(f *faultCase) error { return f.s.RenameAccount(f.ctx, bob, robert) }},
	{name: "remove account", again: []error{ErrNoAccount}, do: func(f *faultCase) error {
		_, err := f.s.RemoveAccount(f.ctx, bob, false)
		return err
	}},
	{name: "close", long: true, warm: true, do: func(f *faultCase) error { return f.s.Close() }},
	{name: "open", noOpen: true, do: (*faultCase).open},
}

func (f *faultCase) open() (err error) {
	var memory int64
	if f.spill {
		memory = 1
	}
	f.s, err = Open(f.ctx, Options{Dir: f.dir, FS: f.fs, Hostname: "host.test", BootID: "boot-1", NoWatch: true, Now: ahead, StageMemory: memory,
		Quota: func(context.Context, string) (int64, error) { return 1 << 30, nil }})
	return err
}

func (f *faultCase) staged(text string) (*Staged, error) {
	m, err := f.s.Stage()
	if err != nil {
		return nil, err
	}
	if _, err := m.Write([]byte(text)); err != nil {
		return nil, errors.Join(err, f.closed(m))
	}
	return m, nil
}

const newText = "Subject: new\r\n\r\nnew\r\n"

func (f *faultCase) deliver(targets ...Target) error {
	if f.targets == nil {
		f.targets = targets
	}
	m, err := f.staged(newText)
	if err != nil {
		return err
	}
	return errors.Join(f.deliverStaged(m), f.closed(m))
}

// deliverEdited delivers what has got text inserted and a header on top.
func (f *faultCase) deliverEdited() error {
	f.targets = []Target{{Address: alice}}
	m, err := f.staged(newText)
	if err != nil {
		return err
	}
	if err = m.Insert(0, "X-Original-"); err == nil {
		err = m.Prepend([]byte("Received: by x\r\n"))
	}
	if err == nil {
		err = f.deliverStaged(m)
	}
	return errors.Join(err, f.closed(m))
}

// closed closes a message. That its file could not be removed is no failure of the
// operation: the next opening does.
func (f *faultCase) closed(m *Staged) error {
	err := m.Close()
	if err != nil && f.fs.Fired() == 0 {
		return err
	}
	return nil
}

func (f *faultCase) deliverStaged(m *Staged) error {
	failed, err := f.s.Deliver(f.ctx, m, f.targets)
	if err != nil || len(failed) == 0 {
		return err
	}
	f.targets = nil
	for _, e := range failed {
		if !errors.Is(e.Err, ErrDiskFull) && !errors.Is(e.Err, ErrUnavailable) {
			f.t.Errorf("a target failed with %v", e.Err)
		}
		f.targets = append(f.targets, e.Target)
	}
	return errPartial
}

// keepAndDeliver delivers what lies in the queue.
func (f *faultCase) keepAndDeliver() error {
	path := filepath.Join(f.dir, "queue", "1")
	if _, err := os.Stat(path); err != nil {
		m, err := f.staged(newText)
		if err == nil {
			err = m.Prepend([]byte("Received: by x\r\n"))
		}
		if err == nil {
			err = m.KeepAs(path)
		}
		if m != nil {
			err = errors.Join(err, f.closed(m))
		}
		if err != nil {
			return err
		}
	}
	if f.targets == nil {
		f.targets = []Target{{Address: alice}, {Address: bob}}
	}
	m, err := f.s.StageFile(path)
	if err != nil {
		return err
	}
	return errors.Join(f.deliverStaged(m), f.closed(m))
}

func (f *faultCase) account(do func(a *Account) error) error {
	a, err := f.s.Account(f.ctx, alice)
	if err != nil {
		return err
	}
	defer a.Close()
	return do(a)
}

func (f *faultCase) in(name string, do func(a *Account, m *Mailbox) error) error {
	return f.account(func(a *Account) error {
		m, err := a.Mailbox(f.ctx, name)
		if err != nil {
			return err
		}
		defer m.Close()
		return do(a, m)
	})
}

func (f *faultCase) append() error {
	return f.in("Archive", func(_ *Account, m *Mailbox) error {
		var list []Appending
		for i := range 2 {
			st, err := f.staged(fmt.Sprintf("Subject: appended %d\r\n\r\nx\r\n", i))
			if err != nil {
				return err
			}
			defer func() {
				if err := f.closed(st); err != nil {
					f.t.Error(err)
				}
			}()
			list = append(list, Appending{Message: st, Flags: FlagSet{Flags: Flagged, Keywords: []string{"fresh"}}})
		}
		_, err := m.Append(f.ctx, list)
		return err
	})
}

func (f *faultCase) store() error {
	return f.in("INBOX", func(_ *Account, m *Mailbox) error {
		_, _, err := m.Store(f.ctx, []UID{1, 2, 3}, AddFlags, FlagSet{Flags: Answered, Keywords: []string{"fresh"}}, NoModSeq)
		return err
	})
}

func (f *faultCase) transfer(from, to string, run func(*Mailbox, context.Context, []UID, *Mailbox) (CopyResult, error)) error {
	return f.in(from, func(a *Account, m *Mailbox) error {
		n, err := a.Mailbox(f.ctx, to)
		if err != nil {
			return err
		}
		defer n.Close()
		_, err = run(m, f.ctx, []UID{1, 2}, n)
		return err
	})
}
