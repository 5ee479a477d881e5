package store

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// reopened closes a store, changes something, and opens it again.
func reopened(t *testing.T, s *Store, clean bool, change func(path string)) (*Store, *Account) {
	t.Helper()
	if clean {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	} else {
		s.kill()
	}
	change(filepath.Join(s.o.Dir, indexOf(t, testAddress)))
	n := openTest(t, s.o.Dir, nil)
	a, err := n.Account(t.Context(), testAddress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return n, a
}

func exec(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+uriPath(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// Whatever becomes of the index: the same messages with the same UIDs and flags, and a
// mod-sequence that does not go back.
func TestIndexIsACache(t *testing.T) {
	none := func(string) {}
	for _, c := range []struct {
		name    string
		clean   bool
		change  func(t *testing.T, path string)
		trusted bool
	}{
		{"untouched", true, nil, true},
		{"after a crash", false, nil, true},
		{"removed", true, func(t *testing.T, p string) { os.Remove(p) }, false},
		{"no database", true, func(t *testing.T, p string) { os.WriteFile(p, make([]byte, 5000), 0o600) }, false},
		{"cut off", true, func(t *testing.T, p string) { os.Truncate(p, 5000) }, false},
		{"another version", true, func(t *testing.T, p string) { exec(t, p, "PRAGMA user_version = 99") }, false},
		{"a damaged block", true, func(t *testing.T, p string) { exec(t, p, "UPDATE block SET data = x'01ff'") }, false},
		{"a missing block", true, func(t *testing.T, p string) { exec(t, p, "DELETE FROM block") }, false},
		{"a missing table", true, func(t *testing.T, p string) { exec(t, p, "DROP TABLE block") }, false},
		{"another generation", true, func(t *testing.T, p string) { exec(t, p, "UPDATE mailbox SET generation = generation - 1") }, false},
		{"another UIDVALIDITY", true, func(t *testing.T, p string) { exec(t, p, "UPDATE mailbox SET uidvalidity = 5") }, false},
		{"another's row", false, func(t *testing.T, p string) { exec(t, p, "DELETE FROM mailbox") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, a := testAccount(t, nil)
			ctx := t.Context()
			m := testBox(t, a, "INBOX")
			var texts []string
			for range 150 {
				texts = append(texts, "A: b\r\n\r\n")
			}
			testAppend(t, m, texts...)
			if _, err := m.Remove(ctx, []UID{1, 70, 150}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := m.Store(ctx, []UID{2, 3}, AddFlags, FlagSet{Flags: Seen, Keywords: []string{"work"}}, NoModSeq); err != nil {
				t.Fatal(err)
			}
			was := testView(t, m)
			st, _ := m.Status(ctx)
			infos := was.Infos(1, 1000, nil)
			change := none
			if c.change != nil {
				change = func(p string) { c.change(t, p) }
			}
			s, a = reopened(t, s, c.clean, change)
			_ = s
			m = testBox(t, a, "INBOX")
			v := testView(t, m)
			uids := v.UIDs()
			d, err := v.Refresh(ctx, true)
			if err != nil || len(d.Expunged) > 0 || d.Exists >= 0 || v.Count() != len(infos) || len(uids) != len(infos) {
				t.Fatalf("%+v %v, %d messages, want %d", d, err, v.Count(), len(infos))
			}
			for i, in := range v.Infos(1, 1000, nil) {
				if was := infos[i]; in.UID != was.UID || in.Flags != was.Flags || in.Size != was.Size || in.ModSeq < was.ModSeq || c.trusted && in != was {
					t.Fatalf("%+v, was %+v", in, was)
				}
			}
			now, err := m.Status(ctx)
			if err != nil || now.UIDValidity != st.UIDValidity || now.UIDNext < st.UIDNext || now.HighestModSeq < st.HighestModSeq || c.trusted && now != st {
				t.Errorf("%+v %v, was %+v", now, err, st)
			}
			if got := testAppend(t, m, "A: c\r\n\r\n"); got[0] < st.UIDNext {
				t.Error("a UID is given again:", got)
			}
		})
	}
}

// Removed while in use, with a session that has not looked at its messages yet.
func TestIndexRemovedWhileOpen(t *testing.T) {
	s, a := testAccount(t, nil)
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	texts := []string{"Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n", "Subject: 3\r\n\r\n"}
	testAppend(t, m, texts...)
	testAppend(t, testBox(t, a, "Junk"), "Subject: junk 1\r\n\r\n")
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Chtimes(m.path("cur"), old, old), os.Chtimes(m.path("new"), old, old)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Status(ctx); err != nil {
		t.Fatal(err)
	}
	_, a = reopened(t, s, true, func(string) {})
	m = testBox(t, a, "INBOX")
	lazy, lazy2 := testView(t, m), testView(t, m)
	if !lazy.lazy || lazy.Count() != 3 {
		t.Fatal("the view is loaded already")
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(a.index().path + suffix)
	}
	// A file goes with the index: nobody knows any more which UID it had.
	names, err := os.ReadDir(m.path("cur"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("cur", names[0].Name())); err != nil {
		t.Fatal(err)
	}
	junk := testBox(t, a, "Junk") // notices
	if uids := lazy.UIDs(); len(uids) != 3 {
		t.Fatalf("the client was told of 3 messages, the view has %v", uids)
	}
	for _, v := range []*View{lazy, lazy2} {
		d, err := v.Refresh(ctx, true)
		if err != nil || len(d.Expunged) != 1 || d.Exists >= 0 || v.Count() != 2 {
			t.Errorf("%+v %v, %d messages", d, err, v.Count())
		}
	}
	// The structures of two mailboxes are not mixed up while the index knows neither.
	jv := testView(t, junk)
	for _, c := range []struct {
		v    *View
		want string
	}{{jv, "junk 1"}, {lazy, texts[2][len("Subject: ") : len("Subject: ")+1]}} {
		uid := c.v.UIDs()[c.v.Count()-1]
		if p, err := c.v.Structure(ctx, uid); err != nil || p.Envelope.Subject != c.want {
			t.Errorf("%+v %v, want %q", p, err, c.want)
		}
	}
}

// A mailbox that is made after another was deleted never gets that one's structures.
func TestStructureOfADeletedMailbox(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	for _, subject := range []string{"first", "second", "third"} {
		if err := a.Create(ctx, "X", ""); err != nil {
			t.Fatal(err)
		}
		m := testBox(t, a, "X")
		uids := testAppend(t, m, "Subject: "+subject+"\r\n\r\n")
		v := testView(t, m)
		for range 2 {
			if p, err := v.Structure(ctx, uids[0]); err != nil || p.Envelope.Subject != subject {
				t.Fatalf("%+v %v, want %q", p.Envelope, err, subject)
			}
		}
		if subject == "second" {
			if err := a.index().flushKept(); err != nil {
				t.Fatal(err)
			}
			if p, err := v.Structure(ctx, uids[0]); err != nil || p.Envelope.Subject != subject {
				t.Fatalf("%+v %v, want %q", p.Envelope, err, subject)
			}
		}
		if err := a.Delete(ctx, "X"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.index().flushKept(); err != nil { // what waited of the third
		t.Fatal(err)
	}
	var n int
	if err := a.index().db.QueryRow("SELECT count(*) FROM kept").Scan(&n); err != nil || n != 0 {
		t.Error("rows of mailboxes that were deleted:", n, err)
	}
}

// An index that turns out to be damaged while it is in use is made anew.
func TestIndexDamagedWhileOpen(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A: 1\r\n\r\n")
	if _, err := a.index().db.Exec("DROP TABLE block"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(ctx, []Appending{{Message: stage(t, m.s, "A: 2\r\n\r\n")}}); err == nil {
		t.Fatal("the change was accepted")
	}
	m = testBox(t, a, "INBOX")
	if got := testAppend(t, m, "A: 3\r\n\r\n"); got[0] < 2 {
		t.Error(got)
	}
	if st, err := m.Status(ctx); err != nil || st.Messages != 2 {
		t.Error(st, err)
	}
}

// What is expunged leaves nothing behind in the index.
func TestStructuresGoWithTheirMessages(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	uids := testAppend(t, m, "Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n", "Subject: 3\r\n\r\n")
	v := testView(t, m)
	for i, uid := range uids {
		if _, err := v.Structure(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := a.index().flushKept(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := m.Remove(t.Context(), uids[1:]); err != nil {
		t.Fatal(err)
	}
	if err := a.index().flushKept(); err != nil {
		t.Fatal(err)
	}
	for kind := range keptKinds {
		var row keptRow
		if err := a.index().keptRows(t.Context(), m.key, kind, 0, 1, func(_ UID, data string) { row.decode(data, kind.columns()) }); err != nil || row.has != 1<<uids[0] {
			t.Errorf("kind %d: %b %v", kind, row.has, err)
		}
	}
	if _, err := m.Remove(t.Context(), uids[:1]); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := a.index().db.QueryRow("SELECT count(*) FROM kept").Scan(&n); err != nil || n != 0 {
		t.Error("rows of a block without messages:", n, err)
	}
}

// An index of version 1 keeps all that clients can notice, and loses its structures. Of its
// history nobody knows whether it is whole: what was expunged before is answered without it.
func TestIndexOfVersion1(t *testing.T) {
	s, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	sent := testBox(t, a, "Sent")
	testAppend(t, sent, "Subject: sent\r\n\r\n")
	uids := testAppend(t, m, "Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n", "Subject: 3\r\n\r\n")
	start := m.count.modseq
	at := testRemove(t, m, 1)
	st, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, a = reopened(t, s, true, func(path string) {
		exec(t, path, `DROP TABLE kept; DROP TABLE large; DELETE FROM expunged;
			CREATE TEMP TABLE old AS SELECT key, row_number() OVER (ORDER BY key) AS n FROM mailbox;
			UPDATE block SET mailbox = (SELECT n FROM old WHERE key = mailbox);
			UPDATE mailbox SET horizon = 1, key = (SELECT n FROM old WHERE old.key = mailbox.key);
			UPDATE sqlite_sequence SET seq = 2;
			CREATE TABLE structure (mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (mailbox, uid)) STRICT, WITHOUT ROWID;
			INSERT INTO structure VALUES (1, 2, x'00'); PRAGMA user_version = 1`)
	})
	m, sent = testBox(t, a, "INBOX"), testBox(t, a, "Sent")
	now, err := m.Status(t.Context())
	if err != nil || now != st {
		t.Errorf("%+v %v, was %+v", now, err, st)
	}
	if m.key <= 2 || sent.key <= 2 || m.key == sent.key {
		t.Errorf("keys %d and %d", m.key, sent.key)
	}
	v := testView(t, m)
	for since, want := range map[ModSeq]string{start: "[{1 1}]", at: "[]"} {
		if got := testVanished(t, v, since, UIDRange{1, 3}); got != want {
			t.Errorf("since %d: %s, want %s", since, got, want)
		}
	}
	for v, want := range map[*View]string{v: "2", testView(t, sent): "sent"} {
		if p, err := v.Structure(t.Context(), v.UIDs()[0]); err != nil || p.Envelope.Subject != want {
			t.Error(p, err)
		}
	}
	testRemove(t, m, uids[1])
	if got := testVanished(t, v, at, UIDRange{1, 3}); got != "[]" { // not told yet
		t.Error(got)
	}
	if got := testVanished(t, testView(t, m), at, UIDRange{1, 3}); got != "[{2 2}]" {
		t.Error(got)
	}
}

func TestIndexPathWithSigns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a%41?b#c.db")
	ix, err := openIndex(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ix.close()
	if _, err := os.Stat(path); err != nil || ix.lost() {
		t.Error(err)
	}
}
