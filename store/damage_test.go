package store

import (
	"errors"
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
