package store

import (
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomRow makes records of some places of a block.
func randomRow(r *rand.Rand, columns int) (records [blockSize]*record, large uint64) {
	for place := range blockSize {
		switch r.IntN(4) {
		case 0:
		case 1:
			large |= 1 << place
		default:
			rec := &record{}
			for c := range columns {
				rec[c] = strings.Repeat(string(rune('a'+r.IntN(3))), r.IntN(300))
			}
			records[place] = rec
		}
	}
	return records, large
}

func TestKeptRowRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, columns := range []int{1, maxColumns} {
		for range 50 {
			records, large := randomRow(r, columns)
			data := string(encodeRow(nil, &records, large, columns))
			var row keptRow
			if !row.decode(data, columns) || row.large != large {
				t.Fatalf("large %b, want %b", row.large, large)
			}
			for place, want := range records {
				got, ok := row.get(place, columns)
				if ok != (want != nil) || ok && got != *want {
					t.Fatalf("place %d: %q %v, want %q", place, got, ok, want)
				}
			}
		}
	}
	var none [blockSize]*record
	if b := encodeRow(nil, &none, 0, 1); len(b) != 0 {
		t.Errorf("a row of nothing: %q", b)
	}
}

// Bytes that are not a row are nothing, and make no trouble.
func TestKeptRowDamaged(t *testing.T) {
	records := [blockSize]*record{3: {"abc"}, 7: {"defg"}}
	good := string(encodeRow(nil, &records, 1<<9, 1))
	var row keptRow
	for _, data := range []string{
		"", "\x01", "\x02" + good[1:], good + "x", "\x01\x41" + good[2:], "\x01\x02\x07\x03\x00\x00",
		"\x01\x02\x03\x03\x00\x00", "\x01\x01\x40\x00", "\x01\x01\x03\x80\x80\x01", "\x01\x01\x03\xff\x7f",
	} {
		if row.decode(data, 1) || row.has != 0 {
			t.Errorf("%q is a row of %b", data, row.has)
		}
	}
	for i := range good {
		if row.decode(good[:i], 1) {
			t.Errorf("cut off at %d it is a row", i)
		}
	}
}

// What is found in a column is found in a message, not in the end of one and the beginning
// of the next.
func TestKeptRowFind(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		records, large := randomRow(r, maxColumns)
		var row keptRow
		if !row.decode(string(encodeRow(nil, &records, large, maxColumns)), maxColumns) {
			t.Fatal("no row")
		}
		c := r.IntN(maxColumns)
		needle := strings.Repeat(string(rune('a'+r.IntN(3))), 1+r.IntN(250))
		if r.IntN(4) == 0 {
			needle += "b"
		}
		want := uint64(0)
		for place, rec := range records {
			if rec != nil && strings.Contains(rec[c], needle) {
				want |= 1 << place
			}
		}
		if got := row.find(c, needle); got != want {
			t.Fatalf("%q in column %d: %b, want %b", needle, c, got, want)
		}
	}
}

func FuzzKeptRow(f *testing.F) {
	records, large := randomRow(rand.New(rand.NewPCG(5, 6)), maxColumns)
	f.Add(string(encodeRow(nil, &records, large, maxColumns)), "a")
	f.Add("\x01\x02\x03\x07\x03\x04abcdefg", "cd")
	f.Fuzz(func(t *testing.T, data, needle string) {
		var row keptRow
		for _, columns := range []int{1, maxColumns} {
			if !row.decode(data, columns) {
				continue
			}
			var records [blockSize]*record
			for place := range blockSize {
				if rec, ok := row.get(place, columns); ok {
					records[place] = &rec
				}
			}
			if needle != "" && row.find(0, needle)&^row.has != 0 {
				t.Error("found in a message that is not there")
			}
			again := string(encodeRow(nil, &records, row.large, columns))
			var second keptRow
			if row.has != 0 && (!second.decode(again, columns) || bits.OnesCount64(second.has) != bits.OnesCount64(row.has)) {
				t.Errorf("%q becomes %q", data, again)
			}
		}
	})
}
