package store

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"kurir/internal/message"
)

// While it can't be found out which messages a mailbox has, nobody is told that any is
// gone, and once it can, the view is right.
func TestViewThatCannotBeLoaded(t *testing.T) {
	s, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "1", "2", "3", "4", "5", "6")
	start := m.count.modseq
	testRemove(t, m, 1, 3, 4)
	_, a = reopened(t, s, true, func(path string) {
		exec(t, path, "UPDATE block SET data = x'01ff'; CREATE TRIGGER full BEFORE INSERT ON block BEGIN SELECT RAISE(ABORT, 'disk'); END")
	})
	m = testBox(t, a, "INBOX")
	v, seen := testView(t, m), testView(t, m)
	if n := len(v.UIDs()); n != 3 {
		t.Fatalf("%d messages were told, %d are listed", 3, n)
	}
	if got, err := v.Vanished(t.Context(), start, []UIDRange{{1, 6}}); err == nil {
		t.Errorf("%v have vanished", got)
	}
	if got, err := v.Search(t.Context(), AllOf{}); err == nil {
		t.Errorf("found %v", got)
	}
	if err := v.Structures(t.Context(), v.UIDs(), func(int, *message.Part) error { return nil }); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if d, err := seen.Refresh(t.Context(), true); len(d.ExpungedUIDs) > 0 {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := a.index().db.Exec("DROP TRIGGER full"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*View{v, seen, testView(t, m)} {
		if err := v.Load(); err != nil {
			t.Fatal(err)
		}
		d, err := v.Refresh(t.Context(), true)
		if err != nil || !slices.Equal(v.UIDs(), []UID{2, 5, 6}) || slices.Contains(d.ExpungedUIDs, 2) {
			t.Errorf("%v %+v %v", v.UIDs(), d, err)
		}
		if got := testVanished(t, v, start, UIDRange{1, 6}); got != "[{1 1} {3 4}]" {
			t.Error(got)
		}
	}
}

// A change that the index does not take has not happened: the messages are read as before,
// nobody is told that any is gone, and the change can be made once there is room.
func TestIndexIsFull(t *testing.T) {
	_, a := testAccount(t, nil)
	m, x := testBox(t, a, "INBOX"), testBox(t, a, "Archive")
	uids := testAppend(t, m, "Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n", "Subject: 3\r\n\r\n", "Subject: 4\r\n\r\n")
	v := testView(t, m)
	db := a.index().db
	changes := map[string]func() error{
		"STORE": func() error {
			_, _, err := m.Store(t.Context(), uids[:2], AddFlags, FlagSet{Flags: Seen}, NoModSeq)
			return err
		},
		"EXPUNGE": func() error { _, err := m.Remove(t.Context(), uids[2:3]); return err },
		"MOVE":    func() error { _, err := m.Move(t.Context(), uids[3:], x); return err },
		"MOVE within": func() error {
			_, err := m.Move(t.Context(), uids[1:2], m)
			return err
		},
	}
	for name, change := range changes {
		if _, err := db.Exec("CREATE TRIGGER full BEFORE UPDATE ON mailbox BEGIN SELECT RAISE(ABORT, 'disk'); END"); err != nil {
			t.Fatal(err)
		}
		if err := change(); err == nil {
			t.Errorf("%s: no error", name)
		}
		for i, uid := range uids {
			b, err := v.Open(t.Context(), uid)
			if err != nil {
				t.Fatalf("%s: UID %d can't be read: %v", name, uid, err)
			}
			b.Close()
			if got, ok := v.Info(i + 1); !ok || got.Flags != 0 {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if _, err := db.Exec("DROP TRIGGER full"); err != nil {
			t.Fatal(err)
		}
		if d, err := v.Refresh(t.Context(), true); err != nil || len(d.Expunged)+len(d.Changed) > 0 || d.Exists >= 0 {
			t.Errorf("%s: %+v %v", name, d, err)
		}
	}
	for _, name := range []string{"STORE", "EXPUNGE", "MOVE"} {
		if err := changes[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d, err := v.Refresh(t.Context(), true); err != nil || len(d.Expunged) != 2 || len(d.Changed) != 2 {
		t.Errorf("%+v %v", d, err)
	}
	if st, err := x.Status(t.Context()); err != nil || st.Messages != 1 {
		t.Errorf("%+v %v", st, err)
	}
}

// forgetWaiting loses what waits for the index, as a crash does.
func (ix *index) forgetWaiting() {
	ix.kept.mu.Lock()
	defer ix.kept.mu.Unlock()
	ix.kept.blocks, ix.kept.count, ix.kept.size = nil, 0, 0
}

// A disk that changes a bit of what is kept, or gives back a row in the place of another,
// costs a look at the messages and shows no client anything wrong.
func TestKeptRowsOfAFailingDisk(t *testing.T) {
	m, v := keptBox(t, 130)
	ix := m.a.index()
	checkStructures(t, v, v.UIDs(), nobody)
	if err := ix.flushKept(); err != nil {
		t.Fatal(err)
	}
	damage := func(query string, args ...any) {
		t.Helper()
		if _, err := ix.db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
		ix.forgetWaiting()
	}
	check := func(uids []UID) {
		t.Helper()
		checkStructures(t, v, uids, nobody)
		if err := v.Headings(t.Context(), uids, func(i int, h *message.Heading) error {
			if s, _ := h.First(message.FieldSubject); s != fmt.Sprintf("=?utf-8?q?n=C3=B6_%d?=", uids[i]) {
				t.Errorf("UID %d: %q", uids[i], s)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		last := uids[len(uids)-1]
		if got, err := v.headingHas(t.Context(), uids, message.FieldSubject, message.Fold(nil, fmt.Appendf(nil, "nö %d", last))); err != nil || !slices.Equal(got, []UID{last}) {
			t.Errorf("%d: %v %v", last, got, err)
		}
	}
	third := v.UIDs()[127:]
	for kind := range keptKinds {
		var good []byte
		if err := ix.db.QueryRow("SELECT data FROM kept WHERE kind=? AND block=2", kind).Scan(&good); err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(good) {
			bad := slices.Clone(good)
			bad[bit/8] ^= 1 << (bit % 8)
			damage("UPDATE kept SET data=? WHERE kind=? AND block=2", bad, kind)
			check(third)
		}
		damage("UPDATE kept SET data=? WHERE kind=? AND block=2", good, kind)
	}
	damage("UPDATE kept SET block = block + 1000; UPDATE kept SET block = 1001 - block WHERE block < 1002; UPDATE kept SET block = 2 WHERE block = 1002")
	check(v.UIDs())
}

// A bit of the history that changed shortens no answer.
func TestHistoryOfAFailingDisk(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	var texts []string
	for i := range 30 {
		texts = append(texts, fmt.Sprint(i))
	}
	testAppend(t, m, texts...)
	start := m.count.modseq
	at := testRemove(t, m, 3, 9, 10, 11, 20)
	v := testView(t, m)
	db := a.index().db
	var good []byte
	if err := db.QueryRow("SELECT uids FROM expunged").Scan(&good); err != nil {
		t.Fatal(err)
	}
	horizon := m.horizon
	for bit := range 8 * len(good) {
		bad := slices.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := db.Exec("UPDATE expunged SET uids=?", bad); err != nil {
			t.Fatal(err)
		}
		m.horizon = horizon
		if got := testVanished(t, v, start, UIDRange{1, 30}); got != "[{3 3} {9 11} {20 20}]" {
			t.Fatalf("bit %d: %s", bit, got)
		}
	}
	m.horizon = horizon
	if _, err := db.Exec("UPDATE expunged SET uids=?, modseq=?", good, at+5); err != nil {
		t.Fatal(err)
	}
	if got := testVanished(t, v, start, UIDRange{1, 30}); got != "[{3 3} {9 11} {20 20}]" || m.horizon == horizon {
		t.Errorf("a row of another change: %s, horizon %d", got, m.horizon)
	}
}

// openOther makes a second account.
func openOther(t *testing.T, s *Store) *Account {
	t.Helper()
	if err := s.CreateAccount(t.Context(), "other@example.org"); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "other@example.org")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// Another account's index, copied over one in use or into the place of one whose
// write-ahead log was left by a crash: neither has anything to say of the other's messages.
func TestIndexOfAnotherAccount(t *testing.T) {
	for _, running := range []bool{true, false} {
		s, a := testAccount(t, nil)
		other := openOther(t, s)
		const n = 3000
		for _, acc := range []*Account{a, other} {
			m := testBox(t, acc, "INBOX")
			var texts []string
			for i := range n {
				texts = append(texts, fmt.Sprintf("Subject: %s %d\r\n\r\n", acc.address, i+1))
			}
			testAppend(t, m, texts...)
			v := testView(t, m)
			if err := v.Structures(t.Context(), v.UIDs(), func(int, *message.Part) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(acc.index().flushKept(), acc.index().checkpoint()); err != nil {
				t.Fatal(err)
			}
		}
		path := a.index().path
		data, err := os.ReadFile(other.index().path)
		if err != nil {
			t.Fatal(err)
		}
		if running {
			err = os.WriteFile(path, data, 0o600)
		} else {
			testRemove(t, testBox(t, a, "INBOX"), n)
			var wal []byte
			if wal, err = os.ReadFile(path + "-wal"); err != nil || len(wal) == 0 {
				t.Fatal("no write-ahead log:", err)
			}
			_, a = reopened(t, s, false, func(path string) {
				err = errors.Join(os.WriteFile(path, data, 0o600), os.WriteFile(path+"-wal", wal, 0o600))
				os.Remove(path + "-shm")
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			m := testBox(t, a, "INBOX")
			v := testView(t, m)
			if err := v.Load(); err != nil {
				continue // and the index is made anew
			}
			uids := v.UIDs()
			if len(uids) < n-4 {
				t.Fatalf("%d messages", len(uids))
			}
			if err := v.Structures(t.Context(), uids, func(i int, p *message.Part) error {
				if want := fmt.Sprint(testAddress, " ", uids[i]); p == nil || p.Envelope.Subject != want {
					t.Fatalf("running %v: UID %d: %+v", running, uids[i], p)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			if _, err := m.Remove(t.Context(), uids[:1]); err == nil && running {
				t.Error("a change went into another's index")
			}
			running = false
		}
	}
}
