package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kurir/internal/fsx/fsxtest"
	"kurir/internal/message"
)

// keptBox is a mailbox of n messages, each with a Subject of its own.
func keptBox(t *testing.T, n int) (*Mailbox, *View) {
	t.Helper()
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("Subject: =?utf-8?q?n=C3=B6_%d?=\r\nFrom: a%d@example.org\r\n\r\n", i+1, i%7)
	}
	testAppend(t, m, texts...)
	return m, testView(t, m)
}

// checkStructures wants each of the messages with its own Subject, and nil for those gone.
func checkStructures(t *testing.T, v *View, uids []UID, gone func(UID) bool) {
	t.Helper()
	n := 0
	err := v.Structures(t.Context(), uids, func(i int, p *message.Part) error {
		if i != n {
			t.Fatalf("place %d after %d", i, n-1)
		}
		n++
		want := fmt.Sprintf("=?utf-8?q?n=C3=B6_%d?=", uids[i])
		if (p == nil) != gone(uids[i]) || p != nil && p.Envelope.Subject != want {
			t.Fatalf("UID %d: %+v", uids[i], p)
		}
		return nil
	})
	if err != nil || n != len(uids) {
		t.Fatal(n, err)
	}
}

func nobody(UID) bool { return false }

// A mailbox with gaps, any choice of its messages, whatever of them is kept.
func TestStructuresWithGaps(t *testing.T) {
	m, v := keptBox(t, 1500)
	var del []UID
	for uid := UID(1); uid <= 1500; uid++ {
		if uid%5 == 0 || uid > 300 && uid < 700 || uid >= 1024 && uid < 1088 {
			del = append(del, uid)
		}
	}
	if _, err := m.Remove(t.Context(), del); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, share := range []int{50, 10, 3, 2, 1, 1} {
		var some []UID
		for _, uid := range v.UIDs() {
			if r.IntN(share) == 0 {
				some = append(some, uid)
			}
		}
		checkStructures(t, v, some, nobody)
	}
	checkStructures(t, v, nil, nobody)
}

// Messages that are expunged while they are read are still read, or gone.
func TestStructuresWhileExpunged(t *testing.T) {
	m, v := keptBox(t, 1000)
	n := 0
	err := v.Structures(t.Context(), v.UIDs(), func(i int, p *message.Part) error {
		if n++; i == 10 {
			if _, err := m.Remove(t.Context(), []UID{5, 12, 500, 990}); err != nil {
				return err
			}
			m.state.Lock()
			m.graves = nil // as if long ago
			m.state.Unlock()
		}
		if uid := v.UIDs()[i]; p == nil && uid != 12 && uid != 500 && uid != 990 || uid == 990 && p != nil {
			return fmt.Errorf("UID %d: %+v", uid, p)
		}
		return nil
	})
	if err != nil || n != 1000 {
		t.Error(n, err)
	}
}

// What is damaged in the index is read again, and set right.
func TestKeptRowsDamaged(t *testing.T) {
	m, v := keptBox(t, 200)
	ix := m.a.index()
	checkStructures(t, v, v.UIDs(), nobody)
	for _, set := range []string{"data = x'00'", "data = x'01013f'", "data = substr(data, 1, 50)", "data = zeroblob(200)"} {
		if err := ix.flushKept(); err != nil {
			t.Fatal(err)
		}
		if _, err := ix.db.Exec("UPDATE kept SET " + set + " WHERE block < 3"); err != nil {
			t.Fatal(err)
		}
		checkStructures(t, v, v.UIDs(), nobody)
		if err := ix.flushKept(); err != nil {
			t.Fatal(err)
		}
		for kind := range keptKinds {
			b := &keptBatch{recs: make([]record, 200), has: make([]bool, 200)}
			if n := ix.readKept(t.Context(), m.key, kind, v.UIDs(), b); n != 0 {
				t.Errorf("%s: kind %d: %d messages are not kept", set, kind, n)
			}
		}
	}
}

// A text that is no Part's or Heading's form, in a row that is sound.
func TestKeptTextsDamaged(t *testing.T) {
	m, v := keptBox(t, 3)
	ix := m.a.index()
	for range 2 {
		ix.keep(m.key, 2, &kept{keptStructure: {"\x01nonsense"}, keptHeading: {"\x01\x63"}})
		if err := ix.flushKept(); err != nil {
			t.Fatal(err)
		}
		checkStructures(t, v, v.UIDs(), nobody)
		ix.keep(m.key, 2, &kept{keptStructure: {""}, keptHeading: {""}})
		checkStructures(t, v, v.UIDs(), nobody)
		ix.keep(m.key, 2, &kept{keptHeading: {"nonsense"}})
		n := 0
		if err := v.Headings(t.Context(), v.UIDs(), func(i int, h *message.Heading) error {
			if s, ok := h.First(message.FieldSubject); !ok || s != fmt.Sprintf("=?utf-8?q?n=C3=B6_%d?=", i+1) {
				t.Errorf("%d: %+v", i, h)
			}
			n++
			return nil
		}); err != nil || n != 3 {
			t.Error(n, err)
		}
	}
}

// Large structures lie apart, and go with their messages; what waits for the index is
// bounded in bytes, not only in number.
func TestKeptLarge(t *testing.T) {
	m, v := keptBox(t, 64)
	ix := m.a.index()
	checkStructures(t, v, v.UIDs(), nobody)
	large := strings.Repeat("x", 300<<10)
	for uid := UID(1); uid <= 20; uid++ {
		ix.keep(m.key, uid, &kept{keptStructure: {large}})
		m.a.tidyIndex()
		if n := ix.kept.size; n > keptBytes {
			t.Fatalf("%d bytes wait", n)
		}
	}
	ix.keep(m.key, 30, &kept{keptStructure: {strings.Repeat("x", hugeText)}})
	if err := ix.flushKept(); err != nil || ix.kept.size != 0 || ix.kept.count != 0 {
		t.Fatal(ix.kept.size, ix.kept.count, err)
	}
	if s, err := ix.largeText(t.Context(), m.key, keptStructure, 7); s != large || err != nil {
		t.Error(len(s), err)
	}
	var bytes int
	count := func() (n int) {
		if err := ix.db.QueryRow("SELECT (SELECT count(*) FROM large), (SELECT coalesce(max(length(data)), 0) FROM kept)").Scan(&n, &bytes); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count(); n != 20 || bytes > 64*largeText {
		t.Errorf("%d lie apart, a row has %d bytes", n, bytes)
	}
	ix.keep(m.key, 1, &kept{keptStructure: {"small"}})
	if _, err := m.Remove(t.Context(), []UID{2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := ix.flushKept(); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 17 {
		t.Errorf("%d lie apart", n)
	}
	checkStructures(t, v, []UID{7, 30}, nobody) // damaged, and not kept
	if _, err := m.Remove(t.Context(), v.UIDs()); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d lie apart of a mailbox without messages", n)
	}
}

// An error of the disk ends the walk at its message, behind those before it.
func TestStructuresUnavailable(t *testing.T) {
	m, v := keptBox(t, 100)
	path, faulty := m.path("cur", m.cols.name(&m.cols.ents[41], m.tag, &m.s.hosts)), fsxtest.NewFaulty(m.s.fs)
	faulty.Fail(1, func(c fsxtest.Call) bool { return c.Kind == fsxtest.Open && c.Name == path }, fsxtest.Fault{Err: syscall.EIO})
	m.s.fs = faulty
	n := 0
	err := v.Structures(t.Context(), v.UIDs(), func(int, *message.Part) error { n++; return nil })
	if !errors.Is(err, ErrUnavailable) || n != 41 {
		t.Error(n, err)
	}
}

// headingHas finds what a look at each header finds.
func TestHeadingHas(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	r := rand.New(rand.NewPCG(7, 7))
	words := []string{"Grüße", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "report", "REPORT", "a@b", "ab", "ba", "", "\xe4"}
	fields := []string{"Subject", "From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Message-ID", "References", "subject"}
	var texts []string
	for i := range 300 {
		var b strings.Builder
		for range r.IntN(8) {
			fmt.Fprintf(&b, "%s: %s %s\r\n", fields[r.IntN(len(fields))], words[r.IntN(len(words))], words[r.IntN(len(words))])
		}
		if i%97 == 0 {
			fmt.Fprintf(&b, "Subject: %s REPORT\r\n", strings.Repeat("long ", 3000))
		}
		texts = append(texts, b.String()+"\r\nreport\r\n")
	}
	uids := testAppend(t, m, texts...)
	v := testView(t, m)
	for round := range 4 {
		for name := message.FieldDate; name <= message.FieldReferences; name++ {
			for _, s := range []string{"report", "grüße", "b", "a", "B REPORT", "", "long", "nowhere", "ä"} {
				needle := message.Fold(nil, []byte(s))
				var want []UID
				for i, text := range texts {
					h := message.ParseHeading([]byte(text))
					if b := h.AppendFolded(nil, name); len(b) > 0 && bytes.Contains(b, needle) {
						want = append(want, uids[i])
					}
				}
				got, err := v.headingHas(t.Context(), uids, name, needle)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("round %d, field %d, %q: %v %v, want %v", round, name, s, got, err, want)
				}
			}
		}
		switch round { // waiting; kept; partly damaged
		case 0:
			a.flushIndex()
		case 1:
			if _, err := a.index().db.Exec("UPDATE kept SET data = x'00' WHERE block = 2"); err != nil {
				t.Fatal(err)
			}
		case 2:
			if _, err := a.index().db.Exec("DELETE FROM kept WHERE kind = 2 AND block = 1"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Sessions that read, expunge and flush at once.
func TestKeptConcurrent(t *testing.T) {
	m, v := keptBox(t, 600)
	var wg sync.WaitGroup
	defer wg.Wait()
	views := [3]*View{testView(t, m), testView(t, m), testView(t, m)}
	for i, w := range views {
		wg.Go(func() {
			for range 3 {
				n := 0
				err := w.Structures(t.Context(), w.UIDs(), func(i int, p *message.Part) error {
					if n++; p != nil && p.Envelope.Subject != fmt.Sprintf("=?utf-8?q?n=C3=B6_%d?=", w.UIDs()[i]) {
						t.Errorf("UID %d: %+v", w.UIDs()[i], p.Envelope)
					}
					return nil
				})
				if err != nil || n != 600 {
					t.Error(n, err)
				}
				if got, err := w.headingHas(t.Context(), w.UIDs(), message.FieldSubject, message.Fold(nil, []byte("nö 11"))); err != nil || len(got) < 5 {
					t.Error(got, err)
				}
				m.a.flushIndex()
			}
		})
		wg.Go(func() {
			for uid := UID(200 + i); uid < 600; uid += 30 {
				if _, err := m.Remove(t.Context(), []UID{uid}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	checkStructures(t, v, v.UIDs()[:150], nobody)
}

// What is read ahead is bounded in bytes as well: large messages come a few at a time, out of
// their files, the index, or what waits for it; each comes once, and in its place.
func TestKeptBatchesBounded(t *testing.T) {
	const n, header = 40, 200 << 10
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("Subject: =?utf-8?q?n=C3=B6_%d?=\r\nReferences:%s\r\n\r\n", i+1, strings.Repeat("\r\n <a@b.example>", header/16))
	}
	testAppend(t, m, texts...)
	v := testView(t, m)
	v.load()
	for _, from := range []string{"files", "index"} {
		b := v.readBatch(t.Context(), keptHeading, v.UIDs())
		size := 0
		for i := range b.recs {
			size += b.recs[i].size()
		}
		if b.err != nil || len(b.recs) == 0 || len(b.has) != len(b.recs) || size > keptText+64*header {
			t.Errorf("from %s: %d messages with %d bytes in a batch, %v", from, len(b.recs), size, b.err)
		}
		if len(b.recs) == n {
			t.Errorf("from %s: all in one batch", from)
		}
		checkStructures(t, v, v.UIDs(), nobody)
		if err := m.a.index().flushKept(); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	if err := v.Headings(t.Context(), v.UIDs(), func(i int, h *message.Heading) error {
		if i != last || h == nil {
			t.Fatalf("place %d after %d", i, last-1)
		}
		last++
		return nil
	}); err != nil || last != n {
		t.Error(last, err)
	}
}
