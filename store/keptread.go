package store

import (
	"context"
	"errors"
	"math/bits"
	"sync"

	"kurir/internal/message"
)

// Structures calls f for each of the messages uids, which ascend, with its place in uids
// and its MIME structure, see [View.Structure]; nil for a message that is gone. What it
// gives is valid until f returns. Those that the index does not have are parsed, on all
// cores, and kept. While f is at work the next are got ready. Errors: f's, ctx's,
// ErrUnavailable with its cause.
func (v *View) Structures(ctx context.Context, uids []UID, f func(i int, p *message.Part) error) error {
	var d message.Decoder
	return v.eachKept(ctx, keptStructure, uids, func(i int, r *record) error {
		if r == nil {
			return f(i, nil)
		}
		p, err := d.Part(r[0])
		if err != nil { // damaged
			k, err := v.relearn(ctx, keptStructure, uids[i])
			if errors.Is(err, ErrExpunged) {
				return f(i, nil)
			}
			if err == nil {
				p, err = d.Part(k[keptStructure][0])
			}
			if err != nil {
				return err
			}
		}
		return f(i, p)
	})
}

// Headings calls f for each of the messages uids, which ascend, with its place in uids and
// what is kept of its header; nil for a message that is gone. What it gives is valid until
// f returns; its values are so for good. Else it is like Structures.
func (v *View) Headings(ctx context.Context, uids []UID, f func(i int, h *message.Heading) error) error {
	var h message.Heading
	return v.eachKept(ctx, keptHeading, uids, func(i int, r *record) error {
		if r == nil {
			return f(i, nil)
		}
		if err := h.Decode(r[0]); err != nil { // damaged
			k, err := v.relearn(ctx, keptHeading, uids[i])
			if errors.Is(err, ErrExpunged) {
				return f(i, nil)
			}
			if err == nil {
				err = h.Decode(k[keptHeading][0])
			}
			if err != nil {
				return err
			}
		}
		return f(i, &h)
	})
}

// keptSpan is how many blocks are read at once, and keptText from how many bytes of what is
// kept a batch ends early: a hostile message has megabytes.
const (
	keptSpan = 4
	keptText = 2 << 20
)

// keptBatch is what is known of some messages that follow each other in a list.
type keptBatch struct {
	first int // place of the first in the list
	recs  []record
	has   []bool // false: the message is gone
	err   error  // of the message after the last of recs
}

// batchEnd says how many of uids, which ascend, one batch holds.
func batchEnd(uids []UID) int {
	end := (uids[0]/blockSize + keptSpan) * blockSize
	n, _ := searchUID(uids[:min(len(uids), keptSpan*blockSize)], end)
	return n
}

// eachKept calls f with what is kept of each of the messages uids, nil for those that are
// gone.
func (v *View) eachKept(ctx context.Context, kind keptKind, uids []UID, f func(i int, r *record) error) error {
	if err := v.load(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if len(uids) == 0 {
		return nil
	}
	if batchEnd(uids) == len(uids) {
		for i := 0; i < len(uids); {
			b := v.readBatch(ctx, kind, uids[i:])
			b.first = i
			if err := b.each(f); err != nil {
				return err
			}
			i += len(b.recs)
		}
		return nil
	}
	batches := make(chan *keptBatch)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { // ends with the list, or with ctx
		defer close(batches)
		v.readBatches(ctx, kind, uids, batches)
	})
	for b := range batches {
		if err := b.each(f); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// each calls f for each of the messages, and gives the error of the one after.
func (b *keptBatch) each(f func(i int, r *record) error) error {
	for i := range b.recs {
		r := &b.recs[i]
		if !b.has[i] {
			r = nil
		}
		if err := f(b.first+i, r); err != nil {
			return err
		}
	}
	return b.err
}

// readBatches reads the messages uids batch by batch, up to the first error.
func (v *View) readBatches(ctx context.Context, kind keptKind, uids []UID, out chan<- *keptBatch) {
	for i := 0; i < len(uids); {
		n := batchEnd(uids[i:])
		b := v.readBatch(ctx, kind, uids[i:i+n])
		b.first = i
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
		i += len(b.recs)
	}
}

// cut ends the batch before its i-th message.
func (b *keptBatch) cut(i int) { b.recs, b.has = b.recs[:i], b.has[:i] }

// readBatch finds what is kept of messages of no more than keptSpan blocks, of all of them
// unless that is more than keptText, but of one at least. What is not kept is learnt and kept.
func (v *View) readBatch(ctx context.Context, kind keptKind, uids []UID) *keptBatch {
	b := &keptBatch{recs: make([]record, len(uids)), has: make([]bool, len(uids))}
	if b.err = ctx.Err(); b.err != nil {
		b.recs = nil
		return b
	}
	v.m.state.RLock()
	ix, key := v.m.a.index(), v.m.key // checkIndex takes the key away first
	v.m.state.RUnlock()
	missing := ix.readKept(ctx, key, kind, uids, b)
	if missing > 0 {
		v.learnMissing(ctx, ix, key, kind, uids[:len(b.recs)], b)
	}
	return b
}

// readKept fills b with what is kept and says how many messages it did not find. What can't
// be read is not there.
func (ix *index) readKept(ctx context.Context, mailbox int64, kind keptKind, uids []UID, b *keptBatch) (missing int) {
	missing = len(uids)
	ix.waiting(mailbox, kind, uids, func(i int, r *record) {
		b.recs[i], b.has[i] = *r, true
		missing--
	})
	if missing == 0 {
		return 0
	}
	var row keptRow
	var apart []int
	i := 0
	// An error shows as messages that are missing, which are then read.
	_ = ix.keptRows(ctx, mailbox, kind, uids[0]/blockSize, uids[len(uids)-1]/blockSize, func(block UID, data string) {
		row.decode(data, kind.columns())
		for ; i < len(uids) && uids[i]/blockSize < block; i++ {
		}
		for ; i < len(uids) && uids[i]/blockSize == block; i++ {
			place := placeOf(uids[i])
			if b.has[i] {
				continue
			}
			if row.large&(1<<place) != 0 {
				apart = append(apart, i)
			} else if row.has&(1<<place) != 0 {
				k := bits.OnesCount64(row.has & (1<<place - 1))
				for c := range kind.columns() {
					b.recs[i][c] = row.at(c, k)
				}
				b.has[i] = true
				missing--
			}
		}
	})
	size := 0
	for _, i := range apart {
		if size >= keptText {
			b.cut(i)
			break
		}
		if s, err := ix.largeText(ctx, mailbox, kind, uids[i]); err == nil && s != "" {
			b.recs[i][0], b.has[i] = s, true
			size += len(s)
			missing--
		}
	}
	return missing
}
