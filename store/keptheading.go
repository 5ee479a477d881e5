package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"kurir/internal/message"
)

// headSize is how much of a message is read first: nearly always its header, and often all.
const headSize = 64 << 10

// head is a message's file with its beginning in memory; use it no more after free.
type head struct {
	b    []byte
	file io.ReaderAt
	size int64
	*headRoom
}

// headRoom is what reading a message takes, used again and again.
type headRoom struct {
	buf     [headSize]byte
	scratch []byte
}

var headRooms = sync.Pool{New: func() any { return new(headRoom) }}

func readHead(b *Body) (*head, error) {
	h := &head{headRoom: headRooms.Get().(*headRoom)}
	h.file, h.size = b.Stored()
	h.b = h.buf[:min(h.size, headSize)]
	if err := readFull(h.file, h.b, 0); err != nil {
		h.free()
		return nil, err
	}
	return h, nil
}

func (h *head) free() {
	if cap(h.scratch) > headSize {
		h.scratch = nil
	}
	headRooms.Put(h.headRoom)
}

// all reads the whole message.
func (h *head) all() io.Reader { return io.MultiReader(bytes.NewReader(h.b), h.rest()) }

// rest reads what is behind the head.
func (h *head) rest() io.Reader {
	n := int64(len(h.b))
	return io.NewSectionReader(h.file, n, h.size-n)
}

// learnStructure sets the structure; h is used up.
func (k *kept) learnStructure(h *head) error {
	p, err := message.ParseIn(h.buf[:], len(h.b), h.rest(), message.Limits{})
	if err != nil {
		return err
	}
	if h.scratch, err = p.AppendBinary(h.scratch[:0]); err != nil {
		return err
	}
	k[keptStructure] = &record{string(h.scratch)}
	return nil
}

// learnHeading sets the heading and the folds.
func (k *kept) learnHeading(h *head) error {
	raw := h.b
	if len(raw) == headSize && !bytes.Contains(raw, []byte("\n\r\n")) && !bytes.Contains(raw, []byte("\n\n")) {
		var err error
		if raw, err = message.ReadHeader(bufio.NewReader(h.all()), maxSearchHeader); err != nil && !errors.Is(err, message.ErrHeaderTooLong) {
			return err
		}
	}
	p := message.ParseHeading(raw)
	h.scratch = p.AppendBinary(h.scratch[:0])
	k[keptHeading] = &record{string(h.scratch)}
	h.scratch = h.scratch[:0]
	var ends [maxColumns]int
	for c, name := range foldedFields {
		h.scratch = p.AppendFolded(h.scratch, name)
		ends[c] = len(h.scratch)
	}
	all, from := string(h.scratch), 0
	k[keptFolds] = &record{}
	for c, end := range ends {
		k[keptFolds][c], from = all[from:end], end
	}
	return nil
}

// headingHas lists which of the messages uids, which ascend, have needle, a text in the form
// of [message.Fold], in a field of that name; with an empty needle, those that have the
// field. Messages that are gone are not found. Errors: ctx's, ErrUnavailable with its cause.
func (v *View) headingHas(ctx context.Context, uids []UID, name message.FieldName, needle []byte) ([]UID, error) {
	column := slices.Index(foldedFields[:], name)
	if column < 0 {
		return v.headingsHave(ctx, uids, name, needle)
	}
	if err := v.load(); err != nil {
		return nil, err
	}
	s := foldSearch{v: v, ctx: ctx, column: column, name: name, needle: string(needle)}
	if s.needle == "" {
		s.needle = string([]byte{message.Folded})
	}
	for len(uids) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, _ := searchUID(uids[:min(len(uids), foldSpan*blockSize)], (uids[0]/blockSize+foldSpan)*blockSize)
		if err := s.search(uids[:n]); err != nil {
			return nil, err
		}
		uids = uids[n:]
	}
	return s.found, nil
}

// headingsHave is headingHas for the fields that are not kept folded.
func (v *View) headingsHave(ctx context.Context, uids []UID, name message.FieldName, needle []byte) (found []UID, err error) {
	var buf []byte
	err = v.Headings(ctx, uids, func(i int, h *message.Heading) error {
		if h == nil {
			return nil
		}
		if buf = h.AppendFolded(buf[:0], name); len(buf) > 0 && bytes.Contains(buf, needle) {
			found = append(found, uids[i])
		}
		return nil
	})
	return found, err
}

// foldSpan is how many blocks of folds are looked at before others may use the index.
const foldSpan = 64

// foldSearch looks for a text in one column of the folds.
type foldSearch struct {
	v      *View
	ctx    context.Context
	column int
	name   message.FieldName
	needle string
	row    keptRow
	found  []UID
}

// search looks through messages of no more than foldSpan blocks.
func (s *foldSearch) search(uids []UID) error {
	m := s.v.m
	m.state.RLock()
	ix, key := m.a.index(), m.key
	m.state.RUnlock()
	first := uids[0] / blockSize
	var want, hit [foldSpan]uint64
	for _, uid := range uids {
		want[uid/blockSize-first] |= 1 << placeOf(uid)
	}
	ix.waiting(key, keptFolds, uids, func(i int, r *record) {
		b, bit := uids[i]/blockSize-first, uint64(1)<<placeOf(uids[i])
		want[b] &^= bit
		if strings.Contains(r[s.column], s.needle) {
			hit[b] |= bit
		}
	})
	if err := ix.keptRows(s.ctx, key, keptFolds, first, uids[len(uids)-1]/blockSize, func(block UID, data string) {
		b := block - first
		if want[b] != 0 && s.row.decode(data, maxColumns) {
			hit[b] |= s.row.find(s.column, s.needle) & want[b]
			want[b] &^= s.row.has &^ s.row.large
		}
	}); err != nil && s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	return s.collect(first, &want, &hit)
}

// collect takes the hits, and reads the headings of the messages in want, whose folds are
// not there.
func (s *foldSearch) collect(first UID, want, hit *[foldSpan]uint64) error {
	var missing []UID
	for b := range want {
		missing = appendPlaces(missing, first+UID(b), want[b])
		s.found = appendPlaces(s.found, first+UID(b), hit[b])
	}
	if len(missing) == 0 {
		return nil
	}
	needle := []byte(s.needle)
	if s.needle[0] == message.Folded {
		needle = nil
	}
	more, err := s.v.headingsHave(s.ctx, missing, s.name, needle)
	if len(more) > 0 {
		s.found = append(s.found, more...)
		slices.Sort(s.found)
	}
	return err
}

// appendPlaces appends the UIDs of the places in a block whose bits are set.
func appendPlaces(uids []UID, block UID, places uint64) []UID {
	for ; places != 0; places &= places - 1 {
		uids = append(uids, block*blockSize+UID(bits.TrailingZeros64(places)))
	}
	return uids
}

// find gives the places whose texts in column c have the needle, which is not empty.
func (r *keptRow) find(c int, needle string) (hits uint64) {
	text := r.text[c]
	rest := r.has // not passed yet
	i := 0        // of the first message in rest
	for from := 0; ; {
		k := strings.Index(text[from:], needle)
		if k < 0 {
			return hits
		}
		at := from + k
		for int(r.ends[c][i]) <= at {
			rest &= rest - 1
			i++
		}
		if at+len(needle) > int(r.ends[c][i]) { // half of it in the next one
			from = at + 1
			continue
		}
		hits |= rest & -rest
		from = int(r.ends[c][i])
	}
}
