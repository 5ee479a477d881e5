package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// Copy copies messages to another mailbox of the same account, or the same one, all or
// none, with their flags and dates (RFC 9051 section 6.4.7). Messages that are gone are
// left out. Errors as for Append.
func (m *Mailbox) Copy(ctx context.Context, uids []UID, to *Mailbox) (CopyResult, error) {
	return m.transfer(ctx, uids, to, (*transfer).copy)
}

// Move moves messages to another mailbox of the same account (RFC 6851). After an error
// the result says which messages were moved before it. A move within one mailbox gives
// its messages new UIDs.
func (m *Mailbox) Move(ctx context.Context, uids []UID, to *Mailbox) (CopyResult, error) {
	return m.transfer(ctx, uids, to, (*transfer).move)
}

// transfer is a COPY or a MOVE under way.
type transfer struct {
	src, dst *Mailbox
	out, in  *changeSet // of src (MOVE) and of dst; one and the same within a mailbox
	res      CopyResult
	made     []string
	bytes    int64
	mapped   map[Flags]Flags
	lost     []UID // their files were not found
	last     bool  // those are left out
}

func (m *Mailbox) transfer(ctx context.Context, uids []UID, to *Mailbox, run func(*transfer, []*entry) error) (CopyResult, error) {
	if m.a != to.a {
		return CopyResult{}, errors.Join(ErrNotPermitted, errors.New("mailboxes of different accounts"))
	}
	defer lockBoth(m, to)()
	for _, b := range []*Mailbox{m, to} {
		if err := b.goneErr(); err != nil {
			return CopyResult{}, err
		}
		if err := b.catchUp(ctx); err != nil {
			return CopyResult{}, kindOf(err)
		}
		b.beforeOwnChange()
	}
	res := CopyResult{UIDValidity: to.file.UIDValidity}
	todo, try := sorted(uids), 0
	err := m.again(ctx, func() (bool, error) {
		t := &transfer{src: m, dst: to, last: try == 2}
		try++
		ents := m.entries(todo)
		if len(ents) == 0 {
			return false, nil
		}
		err := run(t, ents)
		res.Source, res.Dest = append(res.Source, t.res.Source...), append(res.Dest, t.res.Dest...)
		if len(t.res.Source) > 0 {
			todo = t.lost // the others are where they should be
		}
		return len(t.lost) > 0, err
	})
	return res, kindOf(err)
}

// entries gives copies of the entries of those messages that are there.
func (m *Mailbox) entries(uids []UID) (ents []*entry) {
	i := 0
	for _, uid := range uids {
		if e := m.seek(&i, uid); e != nil {
			c := *e
			ents = append(ents, &c)
		}
	}
	return ents
}

// lockBoth takes both mailbox locks, always in the same order.
func lockBoth(a, b *Mailbox) (unlock func()) {
	if a == b {
		a.mu.Lock()
		return a.mu.Unlock
	}
	if a.id > b.id {
		a, b = b, a
	}
	a.mu.Lock()
	b.mu.Lock()
	return func() { b.mu.Unlock(); a.mu.Unlock() }
}

// translate gives the flags of a message in the other mailbox: keywords by their names.
func (t *transfer) translate(f Flags) (Flags, error) {
	if f&^systemFlags == 0 || t.src == t.dst {
		return f, nil
	}
	if g, ok := t.mapped[f]; ok {
		return g, nil
	}
	set := FlagSet{Flags: f}
	for i, k := range t.src.keywords {
		if k != "" && f&KeywordFlag(i) != 0 {
			set.Keywords = append(set.Keywords, k)
		}
	}
	g, err := t.dst.flagBits(set, true)
	if err != nil {
		return 0, err
	}
	if t.mapped == nil {
		t.mapped = map[Flags]Flags{}
	}
	t.mapped[f] = g
	return g, nil
}

// begin raises the floors and opens the change of the destination.
func (t *transfer) begin(n int) error {
	if err := t.dst.raise(n, 2); err != nil {
		return err
	}
	t.in = &changeSet{modseq: t.dst.count.modseq + 1, uidNext: t.dst.nextUID(), foreign: map[UID]string{}}
	return nil
}

// target makes the entry and the path of a message in the destination.
func (t *transfer) target(e *entry, cur string) (entry, string, error) {
	n := *e
	n.uid, n.modseq = t.in.uidNext, t.in.modseq
	var err error
	if n.flags, err = t.translate(e.flags); err != nil {
		return n, "", err
	}
	return n, t.dst.newName(cur, &n, t.in), nil
}

func (t *transfer) done(e *entry, n entry) {
	t.in.put = append(t.in.put, n)
	t.in.uidNext++
	t.bytes += int64(n.stored)
	t.res.Source = append(t.res.Source, e.uid)
	t.res.Dest = append(t.res.Dest, n.uid)
}

func (t *transfer) copy(ents []*entry) error {
	var bytes int64
	for _, e := range ents {
		bytes += int64(e.stored)
	}
	if err := t.dst.s.CheckQuota(context.Background(), t.dst.a.address, bytes); err != nil {
		return err
	}
	if err := t.begin(len(ents)); err != nil {
		return err
	}
	from, cur := t.src.path("cur"), t.dst.path("cur")
	s := t.src.s
	fail := func(err error) error {
		t.res.Source, t.res.Dest = nil, nil
		return t.dst.undo(t.in, t.made, err)
	}
	for _, e := range ents {
		n, path, err := t.target(e, cur)
		if err != nil {
			return fail(err)
		}
		err = s.linkOrCopy(filepath.Join(from, t.src.cols.name(e, t.src.tag, &s.hosts)), path)
		if errors.Is(err, fs.ErrNotExist) {
			t.src.curDirty.Store(true)
			t.lost = append(t.lost, e.uid)
			continue
		}
		if err != nil {
			t.made = notTaken(t.made, path, err)
			return fail(err)
		}
		t.made = append(t.made, path)
		t.done(e, n)
	}
	if len(t.lost) > 0 && !t.last {
		return fail(nil)
	}
	if len(t.in.put) == 0 {
		return nil
	}
	if err := s.group.SyncDir(cur); err != nil {
		return fail(err)
	}
	t.dst.ownCurChange()
	if err := t.dst.commit(t.in); err != nil {
		return fail(err)
	}
	t.dst.a.addUse(t.bytes, int64(len(t.in.put)))
	return nil
}

func (t *transfer) move(ents []*entry) error {
	if err := t.begin(len(ents)); err != nil {
		return err
	}
	t.out = t.in
	if t.src != t.dst {
		if err := t.src.raise(0, 1); err != nil {
			return err
		}
		t.out = &changeSet{modseq: t.src.count.modseq + 1}
	}
	from, cur := t.src.path("cur"), t.dst.path("cur")
	s := t.src.s
	var failed error
	for _, e := range ents {
		n, path, err := t.target(e, cur)
		if err == nil {
			err = s.fs.RenameNoReplace(filepath.Join(from, t.src.cols.name(e, t.src.tag, &s.hosts)), path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			t.src.curDirty.Store(true)
			t.lost = append(t.lost, e.uid)
			continue
		}
		if err != nil {
			failed = err
			t.src.spend(nil, err)
			t.dst.spend(t.in, err)
			break
		}
		t.made = append(t.made, path)
		t.out.del = append(t.out.del, e.uid)
		t.done(e, n)
	}
	if len(t.in.put) == 0 {
		return failed
	}
	return errors.Join(failed, t.commitMove(from, cur))
}

// moveBack undoes the renames of a move that could not be made known, or whose destination
// could not be made durable: a later sync of the source alone would lose the messages.
func (t *transfer) moveBack(from, cur string) (err error) {
	s := t.src.s
	for i, path := range t.made {
		if e, ok := t.src.cols.get(t.res.Source[i]); ok {
			err = errors.Join(err, s.fs.RenameNoReplace(path, filepath.Join(from, t.src.cols.name(e, t.src.tag, &s.hosts))))
		}
	}
	return errors.Join(err, s.group.SyncDir(from), s.group.SyncDir(cur))
}

// commitMove makes a move durable, the destination before the source, and known.
func (t *transfer) commitMove(from, cur string) error {
	dirs := []string{cur, from}
	if t.src == t.dst {
		dirs = dirs[:1]
	}
	for i, d := range dirs {
		if err := t.src.s.group.SyncDir(d); err != nil {
			if i == 0 && t.src != t.dst {
				err = errors.Join(err, t.moveBack(from, cur))
			}
			t.src.spend(nil, err)
			t.dst.spend(t.in, err)
			t.res.Source, t.res.Dest = nil, nil
			return err
		}
	}
	t.src.ownCurChange()
	t.dst.ownCurChange()
	ms, css := []*Mailbox{t.dst}, []*changeSet{t.in}
	if t.src != t.dst {
		ms, css = append(ms, t.src), append(css, t.out)
	}
	if err := commitAll(ms, css); err != nil {
		err = errors.Join(err, t.moveBack(from, cur))
		t.res.Source, t.res.Dest = nil, nil
		return err
	}
	return nil
}
