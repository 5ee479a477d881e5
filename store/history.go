package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
)

// The index remembers which UIDs each change expunged: a row of the table expunged. That
// is a mailbox's history. It begins at the mailbox's horizon, the mod-sequence after which
// nothing is missing from it, and is bounded: what is too much of it is forgotten from its
// oldest change on, and the horizon rises.

// historyBound is how much of its history a mailbox keeps.
type historyBound struct {
	rows  int   // changes that expunged messages
	bytes int64 // of their packed UIDs
}

// defaultHistory is 65,536 changes, or some four million UIDs that were expunged one here
// and one there; a run of following UIDs takes no more room than one.
var defaultHistory = historyBound{rows: 1 << 16, bytes: 4 << 20}

// history counts what the index holds of a mailbox's history.
type history struct {
	counted bool // it has been looked up since the mailbox was opened
	historyBound
}

func (h historyBound) over(b historyBound) bool { return h.rows > b.rows || h.bytes > b.bytes }

// record writes what cs expunges, and prunes the history if that is too much; r gets the
// new horizon.
func (m *Mailbox) record(tx *sql.Tx, r *indexRow, cs *changeSet) error {
	r.history = m.history
	if cs.fresh || m.voidIx { // the index holds none
		r.history = history{counted: true}
	}
	if len(cs.del) == 0 {
		return nil
	}
	h := &r.history
	if !h.counted {
		err := tx.QueryRow("SELECT count(*), ifnull(sum(length(uids)), 0) FROM expunged WHERE mailbox=?", r.key).Scan(&h.rows, &h.bytes)
		if err != nil {
			return err
		}
		h.counted = true
	}
	packed := seal(appendRuns(nil, cs.del), r.key, int64(cs.modseq))
	if _, err := tx.Exec("INSERT OR REPLACE INTO expunged (mailbox, modseq, uids) VALUES (?,?,?)", r.key, cs.modseq, packed); err != nil {
		return err
	}
	h.rows++
	h.bytes += int64(len(packed))
	if !h.over(m.s.history) {
		return nil
	}
	return pruneHistory(tx, r, m.s.history)
}

// pruneHistory forgets the oldest changes, down to three quarters of the bound, so that
// not every change has to.
func pruneHistory(tx *sql.Tx, r *indexRow, b historyBound) error {
	rest := historyBound{rows: b.rows * 3 / 4, bytes: b.bytes * 3 / 4}
	rows, err := tx.Query("SELECT modseq, length(uids) FROM expunged WHERE mailbox=? ORDER BY modseq", r.key)
	if err != nil {
		return err
	}
	var last ModSeq
	for r.history.over(rest) && rows.Next() {
		var n int64
		if err := rows.Scan(&last, &n); err != nil {
			return errors.Join(err, rows.Close())
		}
		r.history.rows--
		r.history.bytes -= n
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	r.horizon = max(r.horizon, last)
	if _, err := tx.Exec("DELETE FROM expunged WHERE mailbox=? AND modseq<=?", r.key, last); err != nil {
		return err
	}
	_, err = tx.Exec("UPDATE mailbox SET horizon=? WHERE key=?", r.horizon, r.key)
	return err
}

// forgetHistory says that the index no longer knows what was expunged up to now. The
// caller holds mu.
func (m *Mailbox) forgetHistory() { m.horizon = max(m.horizon, m.count.modseq) }

// appendRuns packs ascending UIDs: each as the difference to the one before it; those that
// follow it without a gap as 0 and their number.
func appendRuns(b []byte, uids []UID) []byte {
	last := UID(0)
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		b = binary.AppendUvarint(b, uint64(uids[i]-last))
		if j > i {
			b = binary.AppendUvarint(append(b, 0), uint64(j-i))
		}
		last = uids[j]
		i = j + 1
	}
	return b
}

var errHistory = errors.New("damaged history")

// eachRun calls f with the ranges of packed UIDs, which ascend.
func eachRun(data []byte, f func(UIDRange)) error {
	next := func() (uint64, bool) {
		n, k := binary.Uvarint(data)
		if k <= 0 || n > maxUID {
			return 0, false
		}
		data = data[k:]
		return n, true
	}
	for last := uint64(0); len(data) > 0; {
		gap, ok := next()
		first := last + gap
		if last = first; ok && len(data) > 0 && data[0] == 0 {
			data = data[1:]
			var more uint64
			more, ok = next()
			last += more
		}
		if !ok || gap == 0 || last > maxUID {
			return errHistory
		}
		f(UIDRange{UID(first), UID(last)})
	}
	return nil
}

// Vanished lists the UIDs of known that belonged to messages which were expunged after
// since and of which the view holds none: what VANISHED (EARLIER) says (RFC 7162 section
// 3.2.10.1). The ranges ascend and do not touch; nil for known is every UID below UIDNEXT.
// Where the history does not reach back to since, and within a long answer, UIDs that the
// mailbox does not have may be listed as well: never one too few. Errors: ErrMailboxGone,
// ErrClosed, those of Load, or ctx's.
func (v *View) Vanished(ctx context.Context, since ModSeq, known []UIDRange) ([]UIDRange, error) {
	if err := v.load(); err != nil { // who does not know what is there can't say what is not
		return nil, err
	}
	uids := v.uids
	if known == nil {
		known = []UIDRange{{1, maxUID}}
	}
	known = intersect(known, []UIDRange{{1, v.uidNext - 1}})
	if len(known) == 0 {
		return nil, nil
	}
	gone := rangeSet{uids: uids}
	whole, err := v.m.expungedSince(ctx, since, &gone)
	switch {
	case err != nil:
		return nil, err
	case !whole:
		return absent(known, uids), nil
	}
	return absent(intersect(gone.ranges(), known), uids), nil
}

// expungedSince adds to gone what was expunged after since; false if the history does not
// reach back that far.
func (m *Mailbox) expungedSince(ctx context.Context, since ModSeq, gone *rangeSet) (bool, error) {
	m.mu.Lock() // no change, no prune and no new index meanwhile
	defer m.mu.Unlock()
	if err := m.goneErr(); err != nil {
		return false, err
	}
	if since < m.horizon || since > m.count.modseq { // or it is of a mailbox that was put back since
		return false, nil
	}
	if since == m.count.modseq || m.voidIx {
		return true, nil
	}
	err := m.a.index().expunged(ctx, m.key, since, func(data []byte) error { return eachRun(data, gone.add) })
	if err != nil && ctx.Err() == nil { // the answer without it is longer, and as right
		m.s.log.Error("the history of expunged messages can't be read", "account", m.a.address, "mailbox", m.Name(), "error", err)
		m.forgetHistory()
		return false, nil
	}
	return true, err
}

// expunged calls f with the packed UIDs of each change after since.
func (ix *index) expunged(ctx context.Context, key int64, since ModSeq, f func(data []byte) error) error {
	rows, err := ix.db.QueryContext(ctx, "SELECT modseq, uids FROM expunged WHERE mailbox=? AND modseq>?", key, since)
	if err != nil {
		return ix.note(err)
	}
	defer rows.Close()
	var modseq int64
	var data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&modseq, &data); err != nil {
			return err
		}
		packed, ok := unseal(data, key, modseq)
		if !ok {
			return errHistory
		}
		if err := f(packed); err != nil {
			return err
		}
	}
	return ix.note(rows.Err())
}

// rangeSet gathers ranges of UIDs in any order.
type rangeSet struct {
	uids  []UID // those that exist: a long list is joined over UIDs that do not
	list  []UIDRange
	tidy  int // so many at the front are in order
	limit int // tidied at this length
}

// maxExact is how many ranges a list may have before UIDs in between that nobody has are
// taken for expunged too, which keeps it as short as the list of messages.
const maxExact = 1 << 13

func (s *rangeSet) add(r UIDRange) {
	s.list = append(s.list, r)
	if len(s.list) >= max(s.limit, 8*maxExact) {
		s.limit = 2 * len(s.ranges())
	}
}

// ranges puts what was gathered in order.
func (s *rangeSet) ranges() []UIDRange {
	if s.tidy == len(s.list) {
		return s.list
	}
	slices.SortFunc(s.list, func(a, b UIDRange) int { return int(int64(a.First) - int64(b.First)) })
	s.list = join(s.list, func(a, b UIDRange) bool { return uint64(b.First) <= uint64(a.Last)+1 })
	if len(s.list) > maxExact {
		s.list = join(s.list, func(a, b UIDRange) bool {
			i, _ := searchUID(s.uids, a.Last+1)
			return i == len(s.uids) || s.uids[i] >= b.First
		})
	}
	s.tidy = len(s.list)
	return s.list
}

// join makes one of neighbours for which touch holds, in place.
func join(list []UIDRange, touch func(a, b UIDRange) bool) []UIDRange {
	out := list[:0]
	for _, r := range list {
		if n := len(out); n > 0 && touch(out[n-1], r) {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// intersect gives what is in both of two ascending lists of ranges.
func intersect(a, b []UIDRange) (out []UIDRange) {
	for len(a) > 0 && len(b) > 0 {
		if r := (UIDRange{max(a[0].First, b[0].First), min(a[0].Last, b[0].Last)}); r.First <= r.Last {
			out = append(out, r)
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// absent gives what is in ranges and not among uids; both ascend.
func absent(ranges []UIDRange, uids []UID) (out []UIDRange) {
	for _, r := range ranges {
		i, _ := searchUID(uids, r.First)
		next := uint64(r.First)
		for uids = uids[i:]; len(uids) > 0 && uids[0] <= r.Last; uids = uids[1:] {
			if uint64(uids[0]) > next {
				out = append(out, UIDRange{UID(next), uids[0] - 1})
			}
			next = uint64(uids[0]) + 1
		}
		if next <= uint64(r.Last) {
			out = append(out, UIDRange{UID(next), r.Last})
		}
	}
	return out
}
