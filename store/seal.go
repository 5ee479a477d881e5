package store

import (
	"encoding/binary"
	"hash/crc32"
)

// A row whose damage would not show, since any bytes could be its content, ends in a
// checksum of them and of the place where the row belongs: SQLite has none, and a disk that
// fails gives back what was never written there.

const sealSize = 4

var sealTable = crc32.MakeTable(crc32.Castagnoli)

func sealOf(data []byte, place ...int64) uint32 {
	var sum uint32
	var b [8]byte
	for _, n := range place {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		sum = crc32.Update(sum, sealTable, b[:])
	}
	return crc32.Update(sum, sealTable, data)
}

// seal appends the checksum of a row that belongs at place.
func seal(data []byte, place ...int64) []byte {
	return binary.LittleEndian.AppendUint32(data, sealOf(data, place...))
}

// unseal takes the checksum away; false if it is another one.
func unseal(data []byte, place ...int64) ([]byte, bool) {
	n := len(data) - sealSize
	if n < 0 || binary.LittleEndian.Uint32(data[n:]) != sealOf(data[:n], place...) {
		return nil, false
	}
	return data[:n], true
}
