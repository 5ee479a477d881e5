package queue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx/fsxtest"
	"kurir/internal/relay"
	"kurir/internal/sqldb"
)

// A disk that fails in the middle of a commit: the client tries again, so the message must
// not go out twice; but what could come back after a crash must not be without its file.
func TestDiskFailsInTheCommit(t *testing.T) {
	if !fsxtest.Alone(t) {
		return
	}
	r := newRig(t)
	if _, err := r.db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
		t.Fatal(err)
	}
	r.submit("alice@local.test", "dan@example.net")
	st, err := os.Stat(filepath.Join(r.dir, "kurir.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	again := fsxtest.NoLonger(t, st.Size()+1000)
	e := Envelope{Sender: "alice@local.test", Client: strings.Repeat("x", 20_000), Recipients: []Recipient{{Address: "bob@example.net"}},
		Delivered: []Recipient{{Address: "a@local.test", Notify: relay.NotifySuccess}}}
	for range 2 {
		if _, err := r.accept(e); !errors.Is(err, sqldb.ErrUncertain) {
			t.Fatal(err)
		}
	}
	again()
	if n := len(r.files()); n != 5 { // two messages and their reports
		t.Errorf("%d files", n)
	}
	r.mustAccept(e)
	if n := len(r.files()); n != 3 {
		t.Errorf("%d files after the next commit", n)
	}
	if r.run(); len(r.got()) != 2 || len(r.box("alice@local.test")) != 1 || len(r.files()) != 0 {
		t.Error(r.got(), r.files())
	}
}

// Doubts end with a commit that began after them, not with one that was under way.
func TestDoubts(t *testing.T) {
	var d doubts
	d.add([]string{"a", "b"})
	n := d.count()
	d.add([]string{"c"})
	if got := strings.Join(d.certain(n), " "); got != "a b" {
		t.Error(got)
	}
	if got := d.certain(n); len(got) != 0 {
		t.Error(got)
	}
	d.add([]string{"d"})
	if got := strings.Join(d.certain(d.count()), " "); got != "c d" || d.count() != 4 {
		t.Error(got, d.count())
	}
}
