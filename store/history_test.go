package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
)

// packedRows are histories as the index holds them, damaged ones among them.
var packedRows = []struct {
	packed []byte
	ranges string // "" is damage
}{
	{nil, "[]"},
	{[]byte{5}, "[{5 5}]"},
	{[]byte{5, 1, 2}, "[{5 5} {6 6} {8 8}]"}, // as the first version packed them
	{[]byte{5, 0, 3, 2}, "[{5 8} {10 10}]"},
	{binary.AppendUvarint(nil, maxUID), "[{4294967295 4294967295}]"},
	{[]byte{0}, ""},
	{[]byte{5, 0}, ""},
	{[]byte{0x80}, ""},
	{append(binary.AppendUvarint(nil, maxUID), 1), ""},
	{append(binary.AppendUvarint(nil, maxUID), 0, 1), ""},
	{binary.AppendUvarint(nil, 1<<33), ""},
}

func unpack(data []byte) (out []UIDRange, err error) {
	err = eachRun(data, func(r UIDRange) { out = append(out, r) })
	return out, err
}

func TestPackedRows(t *testing.T) {
	for _, r := range packedRows {
		got, err := unpack(r.packed)
		if text := fmt.Sprint(got); err == nil && text != r.ranges || err != nil && (r.ranges != "" || !errors.Is(err, errHistory)) {
			t.Errorf("%v: %s %v, want %s", r.packed, text, err, r.ranges)
		}
	}
	all := make([]UID, 1_000_000)
	for i := range all {
		all[i] = UID(i + 1)
	}
	if b := appendRuns(nil, all); len(b) > 8 {
		t.Errorf("a million following UIDs take %d bytes", len(b))
	}
}

func FuzzPackedRows(f *testing.F) {
	for _, r := range packedRows {
		f.Add(r.packed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ranges, err := unpack(data)
		var uids []UID
		last := uint64(0)
		for _, r := range ranges {
			if uint64(r.First) <= last || r.Last < r.First {
				t.Fatalf("%v is not in order", ranges)
			}
			last = uint64(r.Last)
			for u := uint64(r.First); u <= last && len(uids) < 1e5; u++ {
				uids = append(uids, UID(u))
			}
		}
		if err != nil || len(uids) == 1e5 {
			return
		}
		again, err := unpack(appendRuns(nil, uids))
		if err != nil || !slices.Equal(eachUID(again), uids) {
			t.Fatalf("%v became %v, %v", uids, again, err)
		}
	})
}

func eachUID(ranges []UIDRange) (uids []UID) {
	for _, r := range ranges {
		for u := uint64(r.First); u <= uint64(r.Last); u++ {
			uids = append(uids, UID(u))
		}
	}
	return uids
}

// Ranges gathered in any order, cut and emptied, beside sets that do the same UID by UID.
func TestRangeSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	some := func() []UIDRange {
		s := rangeSet{}
		for range rng.IntN(6) {
			first := 1 + UID(rng.IntN(60))
			s.add(UIDRange{first, first + UID(rng.IntN(7))})
		}
		return s.ranges()
	}
	for range 3000 {
		a, b, uids := some(), some(), eachUID(some())
		for i := 1; i < len(a); i++ {
			if a[i].First <= a[i-1].Last+1 {
				t.Fatalf("%v: not in order, or it touches", a)
			}
		}
		in := eachUID(b)
		var both, rest []UID
		for _, u := range eachUID(a) {
			if slices.Contains(in, u) {
				both = append(both, u)
			}
			if !slices.Contains(uids, u) {
				rest = append(rest, u)
			}
		}
		if got := eachUID(intersect(a, b)); !slices.Equal(got, both) {
			t.Fatalf("%v and %v: %v, want %v", a, b, got, both)
		}
		if got := eachUID(absent(a, uids)); !slices.Equal(got, rest) {
			t.Fatalf("%v without %v: %v, want %v", a, uids, got, rest)
		}
	}
}

// testVanished asks what vanished.
func testVanished(t *testing.T, v *View, since ModSeq, known ...UIDRange) string {
	t.Helper()
	got, err := v.Vanished(t.Context(), since, known)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(got)
}

func testRemove(t *testing.T, m *Mailbox, uids ...UID) ModSeq {
	t.Helper()
	gone, err := m.Remove(t.Context(), uids)
	if err != nil || !slices.Equal(gone, uids) {
		t.Fatalf("removed %v of %v: %v", gone, uids, err)
	}
	return m.count.modseq
}

func TestVanished(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "1", "2", "3", "4", "5", "6", "7", "8")
	start := m.count.modseq
	first := testRemove(t, m, 2)
	early := testView(t, m)
	second := testRemove(t, m, 3, 4, 8)
	late := testView(t, m)
	for _, c := range []struct {
		v     *View
		since ModSeq
		known []UIDRange
		want  string
	}{
		{late, start, nil, "[{2 4} {8 8}]"},
		{late, first, nil, "[{3 4} {8 8}]"},
		{late, second, nil, "[]"},
		{late, start, []UIDRange{{4, 5}, {7, 1000}}, "[{4 4} {8 8}]"},
		{late, start, []UIDRange{{1, 1}, {5, 7}}, "[]"},
		{late, start, []UIDRange{{9, maxUID}}, "[]"}, // UIDNEXT and above have never been
		{late, second + 5, nil, "[{2 4} {8 8}]"},     // of a mailbox that was put back since
		{early, start, nil, "[{2 2}]"},               // the others are still in the view
	} {
		if got := testVanished(t, c.v, c.since, c.known...); got != c.want {
			t.Errorf("since %d of %v: %s, want %s", c.since, c.known, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := late.Vanished(ctx, start, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Settled stays below what is expunged and not told.
func TestSettled(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "1", "2", "3")
	v := testView(t, m)
	start := m.count.modseq
	at := testRemove(t, m, 2)
	for step, want := range []string{"", "flags", "flags"} {
		if want == "flags" {
			if _, _, err := m.Store(t.Context(), []UID{3}, AddFlags, FlagSet{Flags: []Flags{Seen, Flagged}[step-1]}, NoModSeq); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v.Refresh(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if v.Settled() != start || v.ModSeq() != at+ModSeq(step) || !slices.Equal(v.Pending(), []UID{2}) {
			t.Errorf("settled up to %d, told up to %d, pending %v", v.Settled(), v.ModSeq(), v.Pending())
		}
	}
	if _, err := v.Refresh(t.Context(), true); err != nil || v.Settled() != v.ModSeq() || len(v.Pending()) > 0 {
		t.Errorf("settled up to %d of %d, pending %v, %v", v.Settled(), v.ModSeq(), v.Pending(), err)
	}
}

// Where the history was lost every UID that is not there may have been expunged.
func TestVanishedWithoutHistory(t *testing.T) {
	lose := map[string]func(t *testing.T, s *Store, m *Mailbox) *Store{
		"index removed": func(t *testing.T, s *Store, m *Mailbox) *Store {
			path := m.a.index().path
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			os.Remove(path)
			return openTest(t, s.o.Dir, nil)
		},
		"power cut": func(t *testing.T, s *Store, m *Mailbox) *Store {
			s.kill()
			return openTest(t, s.o.Dir, func(o *Options) { o.BootID = "boot-2" })
		},
		"index removed while in use": func(t *testing.T, s *Store, m *Mailbox) *Store {
			os.Remove(m.a.index().path)
			return s
		},
		"index void": func(t *testing.T, s *Store, m *Mailbox) *Store {
			m.count.unseen++
			m.fsckCounters()
			return s
		},
		"row damaged": func(t *testing.T, s *Store, m *Mailbox) *Store {
			if _, err := m.a.index().db.Exec("UPDATE expunged SET uids = x'00'"); err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	for name, f := range lose {
		t.Run(name, func(t *testing.T) {
			s, a := testAccount(t, nil)
			m := testBox(t, a, "INBOX")
			testAppend(t, m, "1", "2", "3", "4", "5")
			start := m.count.modseq
			at := testRemove(t, m, 2, 3)
			s = f(t, s, m)
			a, err := s.Account(t.Context(), testAddress)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			m = testBox(t, a, "INBOX")
			v := testView(t, m)
			if got := testVanished(t, v, start, UIDRange{1, 5}); got != "[{2 3}]" {
				t.Errorf("after the loss: %s", got)
			}
			// What comes after the loss is remembered, and hides nothing of before it.
			now := v.ModSeq()
			next := testRemove(t, m, 5)
			v = testView(t, m)
			for _, c := range []struct {
				since ModSeq
				want  string
			}{{start, "[{2 3} {5 5}]"}, {now, "[{5 5}]"}, {next, "[]"}} {
				if got := testVanished(t, v, c.since, UIDRange{1, 5}); got != c.want {
					t.Errorf("since %d, told up to %d before: %s, want %s", c.since, at, got, c.want)
				}
			}
		})
	}
}

// The oldest changes are forgotten, and the horizon says so, also after a restart.
func TestHistoryIsPruned(t *testing.T) {
	for _, b := range []historyBound{{rows: 4, bytes: 1 << 20}, {rows: 1000, bytes: 9 * (1 + sealSize)}, {rows: 1000, bytes: 0}} {
		s, a := testAccount(t, nil)
		s.history = b
		m := testBox(t, a, "INBOX")
		var texts []string
		for i := range 40 {
			texts = append(texts, fmt.Sprint(i))
		}
		testAppend(t, m, texts...)
		start := m.count.modseq
		var at []ModSeq // after the change that expunged message 2i+1
		for i := range 20 {
			at = append(at, testRemove(t, m, UID(2*i+1)))
			if m.history.over(b) {
				t.Fatalf("history %+v over %+v", m.history, b)
			}
		}
		check := func(m *Mailbox, left int) {
			t.Helper()
			v := testView(t, m)
			if m.horizon < at[10] || b.bytes > 0 && m.horizon >= at[18] {
				t.Errorf("%+v: horizon %d of %v", b, m.horizon, at)
			}
			for i, since := range append([]ModSeq{start}, at...) {
				got, err := v.Vanished(t.Context(), since, []UIDRange{{1, 40}})
				if err != nil {
					t.Fatal(err)
				}
				uids := eachUID(got)
				if want := 20 - i; since >= m.horizon && len(uids) != want || since < m.horizon && len(uids) != 20 {
					t.Errorf("%+v: since %d, horizon %d: %v", b, since, m.horizon, uids)
				}
			}
			if n := countHistory(t, m); n != left {
				t.Errorf("%+v: %d rows, want %d", b, n, left)
			}
		}
		left := m.history.rows
		check(m, left)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, s.o.Dir, nil)
		s.history = b
		again, err := s.Account(t.Context(), testAddress)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		m = testBox(t, again, "INBOX")
		check(m, left)
		testRemove(t, m, 2)
		if n := countHistory(t, m); n != m.history.rows || m.history.over(b) {
			t.Errorf("%+v: %d rows, counted are %+v", b, n, m.history)
		}
	}
}

func countHistory(t *testing.T, m *Mailbox) (n int) {
	t.Helper()
	if err := m.a.index().db.QueryRow("SELECT count(*) FROM expunged WHERE mailbox=?", m.key).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A million UIDs that were expunged by themselves, every other one: the answer is no longer
// than the list of messages, and what it takes to find it is bounded.
func TestVanishedMillion(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	const n, rows = 1_000_000, 500
	start := m.count.modseq
	at := start
	err := m.a.index().commit(func(tx *sql.Tx) error {
		for row := range UID(rows) {
			var uids []UID
			for u := 1 + 2*row; u <= 2*n; u += 2 * rows {
				uids = append(uids, u)
			}
			at++
			if _, err := tx.Exec("INSERT INTO expunged VALUES (?,?,?)", m.key, at, seal(appendRuns(nil, uids), m.key, int64(at))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.count.modseq, m.count.uidNext = at, 2*n+1
	for _, c := range []struct {
		step, ranges int
	}{{2, n}, {2000, 2*n/2000 + 1}, {3 * n, maxExact}} { // messages at every step-th UID
		v := &View{m: m, uidNext: 2*n + 1, told: at}
		for u := c.step; u <= 2*n; u += c.step {
			v.uids = append(v.uids, UID(u))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := v.Vanished(t.Context(), start, nil)
		runtime.ReadMemStats(&after)
		if err != nil || len(got) > c.ranges {
			t.Errorf("messages at every %d: %d ranges, want at most %d, %v", c.step, len(got), c.ranges, err)
		}
		missing := 0
		i := 0
		for u := UID(1); u <= 2*n; u += 2 {
			for i < len(got) && got[i].Last < u {
				i++
			}
			if i == len(got) || got[i].First > u {
				missing++
			}
		}
		if missing > 0 {
			t.Errorf("messages at every %d: %d UIDs are missing", c.step, missing)
		}
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 200 {
			t.Errorf("messages at every %d: %d MiB were allocated", c.step, mb)
		} else {
			t.Logf("messages at every %d: %d ranges, %d MiB allocated in all", c.step, len(got), mb)
		}
	}
}
