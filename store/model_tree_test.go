package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var modelNames = []string{"Lists", "Lists/go", "Lists/go/2026", "Reisen", "Reisen/Zürich", "a.b", "a.b/c", "INBOX/x", "Archive/2025", "Archive/2026"}

func (w *world) onAccount(a *wantAccount, f func(acc *Account)) {
	acc, err := w.s.Account(w.ctx(), a.address)
	w.must(err)
	defer acc.Close()
	f(acc)
}

func (w *world) createBox() bool {
	a := pick(w, w.accounts)
	name := pick(w, modelNames)
	w.note("create %s of %s", name, a.address)
	w.onAccount(a, func(acc *Account) {
		err := acc.Create(w.ctx(), name, "")
		if a.box(name) != nil {
			if !errors.Is(err, ErrMailboxExists) {
				w.fatalf("create: %v", err)
			}
			return
		}
		w.must(err)
		a.boxes = append(a.boxes, newWantBox(a, name))
		w.compare(a.box(name))
	})
	w.compareTree(a)
	return true
}

func (w *world) deleteBox() bool {
	a := pick(w, w.accounts)
	name := pick(w, modelNames)
	if w.pct(20) {
		name = pick(w, a.boxes).name
	}
	w.note("delete %s of %s", name, a.address)
	w.onAccount(a, func(acc *Account) {
		err := acc.Delete(w.ctx(), name)
		b := a.box(name)
		switch {
		case name == "INBOX":
			if !errors.Is(err, ErrNotPermitted) {
				w.fatalf("delete INBOX: %v", err)
			}
			return
		case b == nil:
			if !errors.Is(err, ErrNoMailbox) {
				w.fatalf("delete %s: %v", name, err)
			}
			return
		}
		w.must(err)
		a.boxes = slices.DeleteFunc(a.boxes, func(o *wantBox) bool { return o == b })
		w.turnedOut(b)
	})
	w.compareTree(a)
	return true
}

// turnedOut checks that sessions in a deleted mailbox learn of it, and ends them.
func (w *world) turnedOut(b *wantBox) {
	for _, c := range slices.Clone(w.sessions) {
		if c.b != b {
			continue
		}
		for uid, m := range b.msgs {
			if c.v.Seq(uid) == 0 || b.foreign[uid] {
				continue
			}
			if text, err := readMessage(w.ctx(), c.v, uid); err != nil || text != m.text {
				w.fatalf("%s is deleted: UID %d: %.60q %v", b.name, uid, text, err)
			}
			break
		}
		if _, err := c.v.Refresh(w.ctx(), true); !errors.Is(err, ErrMailboxGone) {
			w.fatalf("%s is deleted: refresh: %v", b.name, err)
		}
		if _, err := c.m.Wait(w.ctx(), NoModSeq); !errors.Is(err, ErrMailboxGone) {
			w.fatalf("%s is deleted: wait: %v", b.name, err)
		}
		if _, err := c.m.Append(w.ctx(), nil); !errors.Is(err, ErrMailboxGone) {
			w.fatalf("%s is deleted: append: %v", b.name, err)
		}
		w.leaveOne(c)
	}
}

func (w *world) renameBox() bool {
	a := pick(w, w.accounts)
	from := pick(w, a.boxes).name
	if w.pct(50) {
		from = pick(w, modelNames)
	}
	to := pick(w, modelNames)
	if from == "INBOX" {
		return false
	}
	w.note("rename %s to %s of %s", from, to, a.address)
	var moved []*wantBox
	clash := a.box(to) != nil
	for _, b := range a.boxes {
		if b.name == from || strings.HasPrefix(b.name, from+"/") {
			moved = append(moved, b)
			clash = clash || a.box(to+b.name[len(from):]) != nil
		}
	}
	w.onAccount(a, func(acc *Account) {
		err := acc.Rename(w.ctx(), from, to)
		switch {
		case strings.HasPrefix(to, from+"/"):
			if !errors.Is(err, ErrNotPermitted) {
				w.fatalf("rename below itself: %v", err)
			}
		case len(moved) == 0:
			if !errors.Is(err, ErrNoMailbox) {
				w.fatalf("rename of nothing: %v", err)
			}
		case clash:
			if !errors.Is(err, ErrMailboxExists) {
				w.fatalf("rename onto another: %v", err)
			}
		default:
			w.must(err)
			for _, b := range moved {
				b.name = to + b.name[len(from):]
			}
			for _, c := range w.sessions {
				if c.m.Name() != c.b.name {
					w.fatalf("a session is in %s, which is now %s", c.m.Name(), c.b.name)
				}
			}
		}
	})
	w.compareTree(a)
	return true
}

func (w *world) renameInbox() bool {
	a := pick(w, w.accounts)
	var free []string
	for _, n := range modelNames {
		if a.box(n) == nil {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return false
	}
	name := pick(w, free)
	inbox := a.box("INBOX")
	w.compare(inbox)
	w.note("rename INBOX to %s of %s", name, a.address)
	w.onAccount(a, func(acc *Account) { w.must(acc.Rename(w.ctx(), "inbox", name)) })
	b := newWantBox(a, name)
	for _, uid := range inbox.uids() {
		n := inbox.msgs[uid].clone()
		n.flags = named(n.flags)
		b.fresh = append(b.fresh, n)
	}
	w.bury(inbox, inbox.uids(), false)
	a.boxes = append(a.boxes, b)
	w.compare(b)
	w.compare(inbox)
	return true
}

func (w *world) subscribe() bool {
	a := pick(w, w.accounts)
	name := pick(w, modelNames)
	on := w.pct(60)
	w.note("subscribe %s %v", name, on)
	w.onAccount(a, func(acc *Account) {
		if on {
			w.must(acc.Subscribe(w.ctx(), name))
			a.subs[name] = true
		} else {
			w.must(acc.Unsubscribe(w.ctx(), name))
			delete(a.subs, name)
		}
	})
	w.compareTree(a)
	return true
}

// restart ends the store, cleanly or not, lets others act, and opens it again: perhaps
// after the machine's restart, perhaps without its index.
func (w *world) restart() bool {
	clean := w.pct(50)
	w.note("restart, clean %v", clean)
	w.leaveAll()
	if clean {
		if w.pct(50) {
			w.age()
		}
		w.must(w.s.Close())
	} else {
		w.s.kill()
	}
	for range w.rng.IntN(4) {
		pick(w, []func() bool{w.foreignDrop, w.foreignFlags, w.foreignMove, w.foreignRemove, w.foreignSeen})()
	}
	if w.pct(25) {
		w.boot++
		w.note("the machine restarted")
	}
	for _, a := range w.accounts {
		if w.pct(15) {
			w.note("the index of %s is lost", a.address)
			w.dropIndex(a)
		} else if w.pct(8) {
			w.note("the index of %s is damaged", a.address)
			w.dropIndex(a)
			w.must(os.WriteFile(filepath.Join(w.accountPath(a), "index.db"), []byte("not a database, but longer than its header would be"), 0o600))
		}
	}
	w.open()
	for range w.rng.IntN(3) {
		w.enter()
	}
	if w.pct(70) {
		w.compareAll()
	}
	return true
}

func (w *world) dropIndex(a *wantAccount) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(w.accountPath(a), "index.db"+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.must(err)
		}
	}
}

// loseIndex removes the index while it is in use.
func (w *world) loseIndex() bool {
	a := pick(w, w.accounts)
	w.note("the index of %s is removed while in use", a.address)
	w.dropIndex(a)
	return true
}

// age makes the folders' times of change old enough to be believed.
func (w *world) age() bool {
	for _, a := range w.accounts {
		for _, b := range a.boxes {
			for _, sub := range []string{"new", "cur"} {
				w.serial++
				t := time.Now().Add(-time.Hour + time.Duration(w.serial)*time.Millisecond)
				w.must(os.Chtimes(w.boxPath(b, sub), t, t))
			}
		}
	}
	w.note("time passes")
	for _, a := range w.accounts {
		for _, b := range a.boxes {
			if w.s.isClosed() {
				return true
			}
			w.compare(b)
		}
	}
	return true
}

func (w *world) fsck() bool {
	a := pick(w, w.accounts)
	w.compareAll()
	w.note("fsck %s", a.address)
	r, err := w.s.Fsck(w.ctx(), a.address, FsckOptions{})
	w.must(err)
	for _, f := range slices.Concat(r.Findings, findings(r)) {
		if !strings.Contains(f.What, "subscribed") && !strings.Contains(f.What, "dovecot-keywords") {
			w.fatalf("fsck: %+v", r)
		}
	}
	w.compareAll()
	return true
}

func findings(r FsckReport) (all []Finding) {
	for _, m := range r.Mailboxes {
		all = append(all, m.Findings...)
	}
	return all
}

// foreignFolder makes a folder as another program does, without kurir's own file.
func (w *world) foreignFolder() bool {
	a := pick(w, w.accounts)
	name := pick(w, modelNames)
	if a.box(name) != nil {
		return false
	}
	b := newWantBox(a, name)
	w.note("another program makes %s of %s", name, a.address)
	for _, sub := range []string{"", "cur", "new", "tmp"} {
		w.must(os.Mkdir(w.boxPath(b, sub), 0o700))
	}
	if w.pct(50) {
		w.must(os.WriteFile(w.boxPath(b, "dovecot-keywords"), fmt.Appendf(nil, "0 theirs\n3 work\n"), 0o600))
	}
	a.boxes = append(a.boxes, b)
	w.compare(b)
	return true
}
