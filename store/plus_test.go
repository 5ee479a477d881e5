package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Mail to user+detail goes into the user's own mailbox of that name, and else into INBOX.
func TestDeliverDetail(t *testing.T) {
	for _, c := range []struct{ made, detail, want string }{
		{"News", "News", ".News"},
		{"News", "news", ".News"},
		{"News NEWS", "NEWS", ".NEWS"},
		{"News NEWS", "nEWs", ".NEWS"},
		{"Lists/Go", "lists/go", ".Lists.Go"},
		{"Lists/Go", "Lists/", ""}, // the level above is no mailbox
		{"v1.2", "v1.2", ".v1&AC4-2"},
		{"Grüße", "grüße", ".Gr&APwA3w-e"},
		{"Gru\u0308n", "grün", ".Gr&APw-n"},
		{"News", "other", ""},
		{"News", "inbox", ""},
		{"News", "sent", ""}, // has a special use
		{"News", "Trash", ""},
		{"News", "..", ""},
		{"News", "../../bob", ""},
		{"News", "a//b", ""},
		{"News", "\x00", ""},
		{"News", strings.Repeat("n", 65), ""},
	} {
		t.Run(c.made+" "+c.detail, func(t *testing.T) {
			s, a := testAccount(t, nil)
			for _, name := range strings.Fields(c.made) {
				if err := a.Create(t.Context(), name, ""); err != nil {
					t.Fatal(err)
				}
			}
			m := stage(t, s, "Subject: x\r\n\r\n")
			defer m.Close()
			if _, err := s.Deliver(t.Context(), m, []Target{{Address: testAddress, Detail: c.detail}}); err != nil {
				t.Fatal(err)
			}
			names, err := os.ReadDir(filepath.Join(a.dir, c.want, "new"))
			if err != nil || len(names) != 1 {
				t.Errorf("in %q: %v, %v", c.want, names, err)
			}
		})
	}
}
