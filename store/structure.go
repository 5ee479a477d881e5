package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"kurir/internal/message"
)

// Structure is the message's MIME structure with its envelope: parsed once, kept in the
// index. Errors: ErrExpunged, or ErrUnavailable with its cause.
func (v *View) Structure(ctx context.Context, uid UID) (*message.Part, error) {
	var p *message.Part
	err := v.Structures(ctx, []UID{uid}, func(_ int, q *message.Part) error { // its room is not used again
		p = q
		return nil
	})
	if err == nil && p == nil {
		err = ErrExpunged
	}
	return p, err
}

// Reparse is Structure for a message whose file is seen to be another than it was parsed
// from.
func (v *View) Reparse(ctx context.Context, uid UID) (*message.Part, error) {
	k, err := v.relearn(ctx, keptStructure, uid)
	if err != nil {
		return nil, err
	}
	return new(message.Decoder).Part(k[keptStructure][0])
}

// relearn learns a message anew, in place of what the index says of it.
func (v *View) relearn(ctx context.Context, kind keptKind, uid UID) (*kept, error) {
	v.m.state.RLock()
	ix, key := v.m.a.index(), v.m.key
	v.m.state.RUnlock()
	k, err := v.learn(ctx, kind, uid)
	if err == nil {
		ix.keep(key, uid, k)
		v.m.a.tidyIndex()
	}
	return k, err
}

// tidyIndex writes what waits for the index, if it is much; that it can't be written hurts
// nobody.
func (a *Account) tidyIndex() {
	a.noteKept(a.index().tidyKept())
}

// flushIndex writes what waits for the index.
func (a *Account) flushIndex() { a.noteKept(a.index().flushKept()) }

func (a *Account) noteKept(err error) {
	if err != nil {
		a.s.log.Warn("the index does not take what was read", "account", a.address, "error", err)
	}
}

// learnMissing learns, on all cores, what b does not have of the messages uids. b ends
// before the first message that was not learnt because those before it have keptText; after
// an error it ends before its message.
func (v *View) learnMissing(ctx context.Context, ix *index, key int64, kind keptKind, uids []UID, b *keptBatch) {
	todo := make([]int, 0, len(uids))
	for i := range uids {
		if !b.has[i] {
			todo = append(todo, i)
		}
	}
	errs := make([]error, len(todo))
	var next, size atomic.Int64
	work := func() {
		for size.Load() < keptText {
			n := int(next.Add(1)) - 1
			if n >= len(todo) {
				return
			}
			i := todo[n]
			k, err := v.learn(ctx, kind, uids[i])
			if err != nil {
				errs[n] = err
				continue
			}
			ix.keep(key, uids[i], k)
			b.recs[i], b.has[i] = *k[kind], true
			size.Add(int64(k.size()))
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(todo)) - 1 {
		wg.Go(work) // ends with todo
	}
	work()
	wg.Wait()
	v.m.a.tidyIndex()
	if n := int(next.Load()); n < len(todo) {
		b.cut(todo[n])
	}
	for n, err := range errs {
		if err != nil && !errors.Is(err, ErrExpunged) {
			b.cut(todo[n])
			b.err = err
			return
		}
	}
}

// learn reads a message for what is kept of it: for its structure all of it, and then it
// gives the other kinds as well, else its header. A panic over a message, which only its
// own goroutine can catch, is an error. Errors: ErrExpunged, or ErrUnavailable with its cause.
func (v *View) learn(ctx context.Context, kind keptKind, uid UID) (k *kept, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading UID %d: panic: %v\n%s", uid, p, debug.Stack())
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := v.Open(ctx, uid)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	h, err := readHead(b)
	if err != nil {
		return nil, kindOf(err)
	}
	defer h.free()
	k = new(kept)
	err = k.learnHeading(h)
	if err == nil && kind == keptStructure {
		err = k.learnStructure(h)
	}
	return k, kindOf(err)
}
