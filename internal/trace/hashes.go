package trace

import (
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"slices"
)

// hashes is a set of hashed names.
type hashes []uint32

// hash is FNV-1a of a name.
func hash(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return h.Sum32()
}

func (h *hashes) add(names ...string) {
	for _, n := range names {
		*h = append(*h, hash(n))
	}
}

// String is the set in order, each once, in 8 hexadecimal digits.
func (h hashes) String() string {
	slices.Sort(h)
	var b []byte
	for _, one := range slices.Compact(h) {
		b = binary.BigEndian.AppendUint32(b, one)
	}
	return hex.EncodeToString(b)
}

// mayHave tells whether a set's text may have one of the names; it may be wrong in saying
// yes. The names are hashed and in 8 digits.
func mayHave(set string, wanted []string) bool {
	for _, w := range wanted {
		if find(set, w) {
			return true
		}
	}
	return false
}

// find searches the sorted digits.
func find(set, want string) bool {
	low, high := 0, len(set)/8
	for low < high {
		mid := (low + high) / 2
		switch got := set[8*mid : 8*mid+8]; {
		case got == want:
			return true
		case got < want:
			low = mid + 1
		default:
			high = mid
		}
	}
	return false
}

// digits is a name's hash as it stands in a set.
func digits(name string) string { return hashes{hash(name)}.String() }
