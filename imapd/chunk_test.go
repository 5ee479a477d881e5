package imapd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/store"
)

// Spans of any shape come in chunks of the size wanted, all but the last, in order.
func TestEachChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := newServer(t).start()
		defer srv.stop()
		for range 40 {
			srv.deliver("alice@example.org", "", "A: b\r\n\r\n")
		}
		ctx := t.Context()
		a, err := srv.store.Account(ctx, "alice@example.org")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		m, err := a.Mailbox(ctx, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		s := &session{}
		if s.view, err = m.View(ctx); err != nil {
			t.Fatal(err)
		}
		defer s.view.Close()
		for _, spans := range [][]span{nil, {{1, 40}}, {{1, 1}, {3, 3}, {5, 9}, {12, 40}}, {{7, 7}}, {{2, 5}, {7, 10}}, {{1, 20}, {40, 40}}} {
			var want, got []int
			for _, sp := range spans {
				for n := sp.from; n <= sp.to; n++ {
					want = append(want, n)
				}
			}
			for _, size := range []int{1, 4, 7, 100} {
				got = got[:0]
				short := false
				if err := s.eachChunk(spans, size, func(infos []store.Info) error {
					if short || len(infos) == 0 || len(infos) > size {
						t.Errorf("%v by %d: a chunk of %d", spans, size, len(infos))
					}
					short = len(infos) < size
					for i := range infos {
						got = append(got, infos[i].Seq)
					}
					return nil
				}); err != nil || !slices.Equal(got, want) {
					t.Errorf("%v by %d: %v %v", spans, size, got, err)
				}
			}
		}
	})
}

// A message whose file another program has changed in place is served by the parts that it
// has now, not by those that the index knows.
func TestFetchOfAChangedFile(t *testing.T) {
	const mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst%s\r\n--b\r\n\r\nsecond\r\n--b--\r\n"
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		s.deliver("alice@example.org", "", fmt.Sprintf(mail, ""))
		c := s.login("alice@example.org")
		c.do("s", "SELECT INBOX")
		if got := strings.Join(c.do("f", "FETCH 1 BODY.PEEK[2]"), "\n"); !strings.Contains(got, "BODY[2] {6}\nsecond)") {
			t.Fatal(got)
		}
		names, err := filepath.Glob(filepath.Join(s.dir, "mail", "*", "*", "cur", "*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		if err := os.WriteFile(names[0], fmt.Appendf(nil, mail, " and some more"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := strings.Join(c.do("f", "FETCH 1 BODY.PEEK[2]"), "\n"); !strings.Contains(got, "BODY[2] {6}\nsecond)") {
				t.Error(got)
			}
		}
	})
}
