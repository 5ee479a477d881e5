package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/maildir"
)

// fileOf gives the path of a message's file.
func fileOf(t *testing.T, m *Mailbox, uid UID) string {
	t.Helper()
	e, ok := m.cols.get(uid)
	if !ok {
		t.Fatalf("no UID %d", uid)
	}
	return m.path("cur", m.cols.name(e, m.tag, &m.s.hosts))
}

func reports(t *testing.T, s *Store, o FsckOptions) (string, FsckReport) {
	t.Helper()
	r, err := s.Fsck(t.Context(), testAddress, o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("account: %s (%v)", f.What, f.Repaired))
	}
	for _, m := range r.Mailboxes {
		for _, f := range m.Findings {
			lines = append(lines, fmt.Sprintf("%s: %s (%v)", m.Name, f.What, f.Repaired))
		}
	}
	return strings.Join(lines, "\n"), r
}

func TestFsckFindings(t *testing.T) {
	text := "A: b\r\n\r\nx\r\n"
	for _, c := range []struct {
		want string // a part of the report; "" is a clean one
		do   func(t *testing.T, m *Mailbox, files []string)
		now  int // messages afterwards
	}{
		{"", func(*testing.T, *Mailbox, []string) {}, 4},
		{"INBOX: 1 messages had other flags than the index knew (true)", func(t *testing.T, m *Mailbox, f []string) { move(t, f[0], f[0]+"S") }, 4},
		{"INBOX: 1 messages in the index have no file (true)", func(t *testing.T, m *Mailbox, f []string) { os.Remove(f[0]) }, 3},
		{"1 files bear the UID of a message that is gone", func(t *testing.T, m *Mailbox, f []string) {
			move(t, f[0], strings.Replace(f[0], ".M", ".M9", 1))
		}, 4},
		{"1 files are second copies of a message (true)", func(t *testing.T, m *Mailbox, f []string) {
			if err := os.Link(f[0], f[0]+"S"); err != nil {
				t.Fatal(err)
			}
		}, 4},
		{"1 files do not have the size that their name says; they became new messages (true)", func(t *testing.T, m *Mailbox, f []string) {
			if err := os.WriteFile(f[0], []byte("A: other\n\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 4},
		{"1 files in tmp/ were more than 36 hours old and were removed (true)", func(t *testing.T, m *Mailbox, f []string) {
			for name, age := range map[string]time.Duration{"old": 40 * time.Hour, "young": time.Hour} {
				p := m.path("tmp", name)
				at := time.Now().Add(-age)
				if err := os.WriteFile(p, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				os.Chtimes(p, at, at)
			}
		}, 4},
		{`messages bear the keyword letters "c"`, func(t *testing.T, m *Mailbox, f []string) {
			move(t, f[0], f[0]+"c")
			m.curDirty.Store(true)
		}, 4},
		{"INBOX: the counters did not agree with the messages (true)", func(t *testing.T, m *Mailbox, f []string) { m.count.unseen = 77 }, 4},
		{`account: the folder ".odd" has no cur/`, func(t *testing.T, m *Mailbox, f []string) { os.Mkdir(filepath.Join(m.a.dir, ".odd"), 0o700) }, 4},
		{`".a&b" is not named as this version names mailboxes`, func(t *testing.T, m *Mailbox, f []string) {
			os.MkdirAll(filepath.Join(m.a.dir, ".a&b", "cur"), 0o700)
		}, 4},
		{`account: "Gone" is subscribed and does not exist (false)`, func(t *testing.T, m *Mailbox, f []string) { m.a.Subscribe(t.Context(), "Gone") }, 4},
	} {
		t.Run(c.want, func(t *testing.T) {
			s, a := testAccount(t, nil)
			m := testBox(t, a, "INBOX")
			uids := testAppend(t, m, text+"1", text+"2", text+"3", text+"4")
			if _, err := m.Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			var files []string
			for _, u := range uids {
				files = append(files, fileOf(t, m, u))
			}
			// fsck looks for itself: it was nothing that a scan had told.
			c.do(t, m, files)
			if m.curTime = m.modTime("cur"); !strings.Contains(c.want, "letters") {
				m.curDirty.Store(false)
			}
			got, r := reports(t, s, FsckOptions{})
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if found, repaired := r.Problems(); c.want != "" && found == 0 || repaired > found {
				t.Error(found, repaired)
			}
			k := slices.IndexFunc(r.Mailboxes, func(f FsckMailbox) bool { return f.Name == "INBOX" })
			if v := testView(t, m); v.Count() != c.now || r.Mailboxes[k].Messages != c.now {
				t.Errorf("%d messages, the report says %d, want %d", v.Count(), r.Mailboxes[k].Messages, c.now)
			}
			again, _ := reports(t, s, FsckOptions{})
			for _, line := range strings.Split(again, "\n") {
				if strings.Contains(line, "(true)") {
					t.Errorf("found again: %s", line)
				}
			}
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// After a restore no UID may stand for what it stood for before.
func TestFsckRestored(t *testing.T) {
	s, a := testAccount(t, nil)
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n")
	if _, err := m.Remove(ctx, []UID{1}); err != nil {
		t.Fatal(err)
	}
	old, err := m.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	v := testView(t, m)
	got, _ := reports(t, s, FsckOptions{Restored: true})
	if n := strings.Count(got, "restored: the mailbox has a new UIDVALIDITY (true)"); n != 6 {
		t.Errorf("%d mailboxes: %s", n, got)
	}
	if _, err := v.Refresh(ctx, true); err == nil {
		t.Error("a session goes on")
	}
	n := testBox(t, a, "INBOX")
	st, err := n.Status(ctx)
	if err != nil || st.UIDValidity <= old.UIDValidity || st.Messages != 2 || st.ID != old.ID || n.tag == m.tag {
		t.Errorf("%+v %v, was %+v", st, err, old)
	}
	nv := testView(t, n)
	for i, uid := range nv.UIDs() {
		if text, err := readMessage(ctx, nv, uid); err != nil || text != fmt.Sprintf("A: %d\r\n\r\n", i+2) {
			t.Error(uid, text, err)
		}
		if f := maildir.ParseName(filepath.Base(fileOf(t, n, uid))); f.Tag != n.tag || UID(f.UID) != uid {
			t.Errorf("%+v", f)
		}
	}
}
