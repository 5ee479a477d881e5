package store

import (
	"encoding/binary"
	"math/bits"

	"kurir/internal/message"
)

// What is learnt of messages by reading them is kept in rows of blockSize UIDs each, a row
// for each of these kinds.
type keptKind int

const (
	keptStructure keptKind = iota // the binary form of the message.Part
	keptHeading                   // that of the message.Heading
	keptFolds                     // the fields of the heading that are looked for most, folded
	keptKinds
)

// foldedFields are the columns of a row of kind keptFolds.
var foldedFields = [maxColumns]message.FieldName{message.FieldSubject, message.FieldFrom, message.FieldTo, message.FieldCc, message.FieldBcc}

// columns is how many texts a row of the kind has of each message.
func (k keptKind) columns() int {
	if k == keptFolds {
		return len(foldedFields)
	}
	return 1
}

const (
	maxColumns = 5
	// largeText is the size from which what is kept of a message does not lie in a row
	// with others.
	largeText = 8 << 10
)

// record is what a row has of one message, a text for each column.
type record [maxColumns]string

func (r *record) size() (n int) {
	for _, t := range r {
		n += len(t)
	}
	return n
}

// keptRow is a row of the table kept, taken apart. Of the messages whose places have their
// bits in has, the texts of column c follow each other in text[c]. Those in large have none:
// what is kept of them is in the table large, or nowhere.
//
// On disk: a version; the number of messages; the place of each, with largeBit; for each
// column, for each message, the length of its text as a varint; the texts, column by column.
type keptRow struct {
	has, large uint64
	ends       [maxColumns][blockSize]uint32
	text       [maxColumns]string
}

const (
	keptVersion = 1
	largeBit    = 0x80
)

// decode takes a row apart, whose pieces r then has; false if it is damaged, and then it
// has nothing.
func (r *keptRow) decode(data string, columns int) bool {
	ok := r.take(data, columns)
	if !ok {
		r.has, r.large = 0, 0
	}
	return ok
}

func (r *keptRow) take(data string, columns int) bool {
	r.has, r.large = 0, 0
	if len(data) < 2 || data[0] != keptVersion || data[1] > blockSize || len(data) < 2+int(data[1]) {
		return false
	}
	n := int(data[1])
	for _, p := range []byte(data[2 : 2+n]) {
		bit := uint64(1) << (p &^ largeBit)
		if bit <= r.has { // out of order, or no place at all
			return false
		}
		r.has |= bit
		if p&largeBit != 0 {
			r.large |= bit
		}
	}
	data = data[2+n:]
	for c := range columns {
		size := 0
		for i := range n {
			v, k := shortUvarint(data)
			if k == 0 {
				return false
			}
			data = data[k:]
			size += v
			r.ends[c][i] = uint32(size)
		}
	}
	for c := range columns {
		size := 0
		if n > 0 {
			size = int(r.ends[c][n-1])
		}
		if size > len(data) {
			return false
		}
		r.text[c], data = data[:size], data[size:]
	}
	return data == ""
}

// shortUvarint reads a varint of at most two bytes; 0 bytes is an error.
func shortUvarint(b string) (v, n int) {
	switch {
	case len(b) > 0 && b[0] < 0x80:
		return int(b[0]), 1
	case len(b) > 1 && b[1] < 0x80:
		return int(b[0]&0x7f) | int(b[1])<<7, 2
	}
	return 0, 0
}

// at is the text in column c of the i-th message that is there.
func (r *keptRow) at(c, i int) string {
	from := uint32(0)
	if i > 0 {
		from = r.ends[c][i-1]
	}
	return r.text[c][from:r.ends[c][i]]
}

// get is the record of the message at a place; false if the row does not have it.
func (r *keptRow) get(place, columns int) (rec record, ok bool) {
	if r.has&^r.large&(1<<place) == 0 {
		return rec, false
	}
	i := bits.OnesCount64(r.has & (1<<place - 1))
	for c := range columns {
		rec[c] = r.at(c, i)
	}
	return rec, true
}

// encodeRow appends a row of the records that are there, and of those messages that are in
// large; nothing if there are none.
func encodeRow(b []byte, records *[blockSize]*record, large uint64, columns int) []byte {
	has := large
	for place, r := range records {
		if r != nil {
			has |= 1 << place
		}
	}
	if has == 0 {
		return b
	}
	b = append(b, keptVersion, byte(bits.OnesCount64(has)))
	for rest := has; rest != 0; rest &= rest - 1 {
		place := bits.TrailingZeros64(rest)
		if large&(1<<place) != 0 {
			place |= largeBit
		}
		b = append(b, byte(place))
	}
	for c := range columns {
		for rest := has; rest != 0; rest &= rest - 1 {
			n := 0
			if place := bits.TrailingZeros64(rest); large&(1<<place) == 0 {
				n = len(records[place][c])
			}
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	for c := range columns {
		for rest := has &^ large; rest != 0; rest &= rest - 1 {
			b = append(b, records[bits.TrailingZeros64(rest)][c]...)
		}
	}
	return b
}
