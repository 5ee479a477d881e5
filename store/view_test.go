package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kurir/internal/maildir"
)

// The log of changes answers a session that asks often; one that is too late is answered
// by a look at all messages. Both say the same.
func TestRefreshWithAndWithoutLog(t *testing.T) {
	for _, late := range []bool{false, true} {
		_, a := testAccount(t, nil)
		ctx := t.Context()
		m := testBox(t, a, "INBOX")
		testAppend(t, m, "1", "2", "3", "4", "5", "6")
		v, held := testView(t, m), testView(t, m)
		set := func(uid UID) {
			t.Helper()
			if _, _, err := m.Store(ctx, []UID{uid}, AddFlags, FlagSet{Flags: Flagged}, NoModSeq); err != nil {
				t.Fatal(err)
			}
		}
		set(2)
		set(6)
		if _, err := m.Remove(ctx, []UID{1, 4}); err != nil {
			t.Fatal(err)
		}
		testAppend(t, m, "7", "8")
		if _, err := m.Remove(ctx, []UID{7}); err != nil {
			t.Fatal(err)
		}
		set(8)
		if late {
			m.changes = changeLog{since: m.count.modseq}
		}
		d, err := held.Refresh(ctx, false)
		if got := fmt.Sprint(d.Expunged, d.Exists, seqs(d.Changed), held.UIDs(), held.Count()); err != nil || got != "[] 7 [2 6] [1 2 3 4 5 6 8] 7" {
			t.Error(late, got, err)
		}
		if in, ok := held.Info(4); !ok || in.UID != 4 { // expunged, not told: the last that was known
			t.Error(in, ok)
		}
		if text, err := readMessage(ctx, held, 4); err != nil || text != "4" {
			t.Error(text, err)
		}
		d, err = held.Refresh(ctx, true)
		if got := fmt.Sprint(d.Expunged, d.ExpungedUIDs, d.Exists, held.UIDs()); err != nil || got != "[4 1] [1 4] -1 [2 3 5 6 8]" {
			t.Error(late, got, err)
		}
		d, err = v.Refresh(ctx, true)
		if got := fmt.Sprint(d.Expunged, d.ExpungedUIDs, d.Exists, seqs(d.Changed), v.UIDs()); err != nil || got != "[4 1] [1 4] 5 [1 4] [2 3 5 6 8]" {
			t.Error(late, got, err)
		}
		if d, err := v.Refresh(ctx, true); err != nil || d.Exists != -1 || d.Expunged != nil || d.Changed != nil || d.Keywords != nil {
			t.Errorf("nothing happened: %+v %v", d, err)
		}
		if _, err := v.Open(ctx, 1); err != nil && !errors.Is(err, ErrExpunged) {
			t.Error(err)
		}
		if v.Seq(4) != 0 || v.Seq(8) != 5 || v.UIDL(7) == "x" {
			t.Error(v.Seq(4), v.Seq(8))
		}
		if _, ok := v.Info(6); ok {
			t.Error("a message that is none")
		}
	}
}

func seqs(list []Info) (s []int) {
	for _, i := range list {
		s = append(s, i.Seq)
	}
	return s
}

func TestChangeLogForgets(t *testing.T) {
	var l changeLog
	if got, ok := l.after(0); got != nil || !ok {
		t.Error(got, ok)
	}
	for i := range 3 * maxLogged / 8 {
		cs := &changeSet{modseq: ModSeq(i + 1)}
		for k := range 4 {
			cs.put = append(cs.put, entry{uid: UID(i + k)})
			cs.del = append(cs.del, UID(i+k+10))
		}
		l.add(cs)
	}
	last := ModSeq(3 * maxLogged / 8)
	if l.total > maxLogged || l.since == 0 {
		t.Error(l.total, l.since)
	}
	if _, ok := l.after(l.since - 1); ok {
		t.Error("it reaches back too far")
	}
	got, ok := l.after(last - 2)
	if n := int(last) - 2; !ok || !slices.Equal(got, []UID{UID(n), UID(n + 1), UID(n + 2), UID(n + 3), UID(n + 4), UID(n + 10), UID(n + 11), UID(n + 12), UID(n + 13), UID(n + 14)}) {
		t.Error(got, ok)
	}
	if got, ok := l.after(last); got != nil || !ok {
		t.Error(got, ok)
	}
}

func TestKeywords(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	m, junk := testBox(t, a, "INBOX"), testBox(t, a, "Junk")
	uids := testAppend(t, m, "1", "2")
	v := testView(t, m)
	add := func(m *Mailbox, k ...string) error {
		_, _, err := m.Store(ctx, uids[:1], AddFlags, FlagSet{Keywords: k}, NoModSeq)
		return err
	}
	for i := range MaxKeywords {
		if err := add(m, fmt.Sprintf("k%d", i)); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := add(m, "K3", "$forwarded"); err != nil { // case does not matter
		t.Error(err)
	}
	if err := add(m, "k27"); !errors.Is(err, ErrTooManyKeywords) {
		t.Error(err)
	}
	for _, bad := range []string{"", "a b", "(", "\\Seen", "é", "a\x00"} {
		if err := add(m, bad); !errors.Is(err, ErrInvalidKeyword) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := m.Store(ctx, uids, RemoveFlags, FlagSet{Keywords: []string{"never"}}, NoModSeq); err != nil {
		t.Error("taking away what is not there:", err)
	}
	if !v.KeywordsChanged() {
		t.Error("keywords to tell, and the view does not say so")
	}
	d, err := v.Refresh(ctx, true)
	if err != nil || v.KeywordsChanged() || len(d.Keywords) != MaxKeywords || d.Keywords[25] != "k25" || d.Changed[0].Flags != ^systemFlags|Forwarded {
		t.Errorf("%+v %v", d, err)
	}
	// A copy goes by the names, not the letters; if they have no room it is not made.
	testAppend(t, junk, "1")
	if err := add(junk, "k25", "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Copy(ctx, uids, junk); !errors.Is(err, ErrTooManyKeywords) {
		t.Error(err)
	}
	if st, _ := junk.Status(ctx); st.Messages != 1 {
		t.Error(st)
	}
	if _, _, err := m.Store(ctx, uids[:1], SetFlags, FlagSet{Keywords: []string{"k25", "k7"}}, NoModSeq); err != nil {
		t.Fatal(err)
	}
	r, err := m.Copy(ctx, uids, junk)
	if err != nil {
		t.Fatal(err)
	}
	jv := testView(t, junk)
	if in, _ := jv.Info(jv.Seq(r.Dest[0])); flagNames(in.Flags, jv.Keywords()) != "k25 k7" {
		t.Error(in, jv.Keywords())
	}
}

// A mailbox that was adopted keeps the unique-ids that its POP3 clients know.
func TestUIDLOfBefore(t *testing.T) {
	_, a := testAccount(t, nil)
	for _, n := range []string{"1700000000.M1P1Q1.old", "1700000001.M2P1Q2.old"} {
		if err := os.WriteFile(filepath.Join(a.dir, "cur", n+":2,S"), []byte("A: b\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := maildir.AppendUIDL(nil, "1700000000.M1P1Q1.old", "0000001f4a3b")
	if err := os.WriteFile(filepath.Join(a.dir, maildir.UIDLFile), line, 0o600); err != nil {
		t.Fatal(err)
	}
	v := testView(t, testBox(t, a, "INBOX"))
	if got := v.UIDL(1); got != "0000001f4a3b" {
		t.Errorf("UIDL %q", got)
	}
	if got := v.UIDL(2); len(got) != 16 {
		t.Errorf("UIDL of a message that the file does not list: %q", got)
	}
}

// A view's client can work out for itself what its change made of flags only where nobody
// else changed them since it was told: not even a moment before its own change.
func TestViewStoreOwn(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "1", "2", "3", "4")
	v := testView(t, m)
	other := func(uid UID, op FlagOp, f Flags) {
		t.Helper()
		if _, _, err := m.Store(ctx, []UID{uid}, op, FlagSet{Flags: f}, NoModSeq); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string, uids []UID, f Flags, since ModSeq) {
		t.Helper()
		got, err := v.Store(ctx, uids, AddFlags, FlagSet{Flags: f}, since)
		if s := fmt.Sprint(got.Own, got.ModSeq, got.Modified); err != nil || s != want {
			t.Errorf("%s %v, want %s", s, err, want)
		}
	}
	told := v.ModSeq()
	other(2, AddFlags, Flagged)
	other(3, AddFlags, Seen)
	expect(fmt.Sprint([]UID{1, 4}, told+3, []UID{}), []UID{1, 2, 3, 4}, Seen, NoModSeq) // 2 has changed twice, 3 is as it was wanted
	other(4, RemoveFlags, Seen)
	expect("[] 0 []", []UID{3}, Seen, NoModSeq) // the mailbox's last change is another's
	expect(fmt.Sprint([]UID{}, 0, []UID{1, 4}), []UID{1, 4}, Draft, told)
	d, err := v.Refresh(ctx, true)
	if got := fmt.Sprint(seqs(d.Changed)); err != nil || got != "[1 2 3 4]" {
		t.Error(got, err)
	}
	expect(fmt.Sprint([]UID{2, 4}, v.ModSeq()+1, []UID{}), []UID{2, 4}, Draft, v.ModSeq())

	// What another program did is seen first.
	if _, err := v.Refresh(ctx, true); err != nil {
		t.Fatal(err)
	}
	file := fileOf(t, m, 1)
	base, _, _ := strings.Cut(file, ":2,")
	move(t, file, base+":2,F")
	m.curDirty.Store(true)
	expect(fmt.Sprint([]UID{}, v.ModSeq()+2, []UID{}), []UID{1}, Draft, NoModSeq)
	if d, err = v.Refresh(ctx, true); err != nil || len(d.Changed) != 1 || d.Changed[0].Flags != Flagged|Draft {
		t.Errorf("%+v %v", d, err)
	}
}
