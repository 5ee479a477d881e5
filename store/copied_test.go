package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A folder that another program copied, with all that is in it, is a mailbox of its own.
func TestCopiedFolder(t *testing.T) {
	for _, open := range []bool{true, false} {
		s, a := testAccount(t, nil)
		if err := a.Create(t.Context(), "X", ""); err != nil {
			t.Fatal(err)
		}
		x := testBox(t, a, "X")
		testAppend(t, x, "Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n")
		if !open {
			_, a = reopened(t, s, true, func(string) {})
		}
		if err := os.CopyFS(filepath.Join(a.dir, ".Y"), os.DirFS(filepath.Join(a.dir, ".X"))); err != nil {
			t.Fatal(err)
		}
		x, y := testBox(t, a, "X"), testBox(t, a, "Y")
		if x.ID() == y.ID() || x.UIDValidity() == y.UIDValidity() {
			t.Errorf("open %v: ids %s and %s, UIDVALIDITY %d and %d", open, x.ID(), y.ID(), x.UIDValidity(), y.UIDValidity())
		}
		for i, m := range []*Mailbox{x, y, x, y} {
			subject := fmt.Sprintf("%s %d", m.Name(), i)
			uids := testAppend(t, m, "Subject: "+subject+"\r\n\r\n")
			v := testView(t, m)
			if p, err := v.Structure(t.Context(), uids[0]); err != nil || p.Envelope.Subject != subject {
				t.Errorf("open %v: %+v %v, want %s", open, p, err, subject)
			}
			if want := 3 + i/2; v.Count() != want {
				t.Errorf("open %v: %s has %d messages, want %d", open, m.Name(), v.Count(), want)
			}
		}
	}
}
