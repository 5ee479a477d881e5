package queue

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

// oldRig is the folder of a queue that knew mailboxes here alone, with the given rows of
// local_retry: id, file, sender, recipient, account, attempts, held.
func oldRig(t *testing.T, rows ...string) *rig {
	t.Helper()
	r := &rig{t: t, ctx: t.Context(), dir: t.TempDir(), fail: map[string]error{}, now: time.Unix(1_800_000_000, 0)}
	db, err := sqldb.Open(r.ctx, filepath.Join(r.dir, "kurir.db"), Migrations()[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		_, err := db.Exec(fmt.Sprintf(`INSERT INTO local_retry (id, file, sender, recipient, account, attempts, held, created, next, error)
			VALUES (%s, %d, %d, 'disk trouble')`, row, r.now.Add(-time.Hour).Unix(), r.now.Add(time.Minute).Unix()))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "queue"), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) oldFile(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "queue", name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// What waited in a queue of before goes on: one has it already and only could not say so,
// one gets it, one is gone and its sender elsewhere is told, as is the one whose notice was
// held for want of a relay.
func TestOldQueueMovesOver(t *testing.T) {
	r := oldRig(t, `3, 'local-abc', 'who@remote.example', 'list@local.test', 'a@local.test', 2, 0`,
		`4, 'local-abc', 'who@remote.example', 'list@local.test', 'b@local.test', 1, 0`,
		`7, 'local-abc', 'who@remote.example', 'gone@local.test', 'gone@local.test', 1, 0`,
		`8, 'local-def', '', 'sender@remote.example', '', 0, 1`)
	text := "Return-Path: <who@remote.example>\n" + testMessage
	r.oldFile("local-abc", text)
	r.oldFile("local-abc.3", text)
	r.oldFile("local-abc.4", "half-wri")
	r.oldFile("local-def", "From: Mail Delivery System\n\nnotice\n")
	r.oldFile("local-left-over", "")
	if err := os.MkdirAll(filepath.Join(r.dir, "mail", "a@local.test"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(r.dir, "queue", "local-abc.3"), filepath.Join(r.dir, "mail", "a@local.test", "delivered")); err != nil {
		t.Fatal(err)
	}
	r.fail["gone@local.test"] = ErrNoRecipient
	r.open()
	if got := r.waiting(); got != "3 local, 1 remote, 0 held" || len(r.files()) != 4 {
		t.Errorf("%s, %v", got, r.files())
	}
	entries, err := r.q.List(r.ctx, Filter{Domain: "(local)"})
	if err != nil || len(entries) != 3 || entries[0].ID != "local-abc" || entries[0].Attempts != 2 || entries[0].Reply != "disk trouble" ||
		!entries[0].Due.Equal(r.now.Add(time.Minute)) || !entries[0].Created.Equal(r.now.Add(-time.Hour)) || !entries[0].Deadline.Equal(r.now.Add(119*time.Hour)) {
		t.Errorf("%+v, %v", entries, err)
	}
	r.now = r.now.Add(time.Minute)
	if next := r.run(); !next.IsZero() {
		t.Errorf("next %v", next)
	}
	if a, b := r.box("a@local.test"), r.box("b@local.test"); len(a) != 1 || len(b) != 1 || b[0] != text {
		t.Errorf("a %q, b %q", a, b)
	}
	if got := fmt.Sprint(r.got()); got != "[sender@remote.example who@remote.example]" || r.waiting() != nothing || len(r.files()) != 0 {
		t.Errorf("%s, %s, %v", got, r.waiting(), r.files())
	}
	r.reopen()
	r.submit("a@local.test", "bob@example.net")
	if r.run(); len(r.got()) != 3 {
		t.Error(r.got())
	}
}

// An empty queue of before is no trouble, and neither is one opened without a way out.
func TestOldQueueWithoutRelay(t *testing.T) {
	oldRig(t).open()
	r := oldRig(t, `8, 'local-def', '', 'sender@remote.example', '', 0, 1`)
	r.oldFile("local-def", "notice\n")
	r.options = func(o *Options) { o.HoldRemote = "kurir local" }
	r.open()
	if got := r.waiting(); got != "0 local, 0 remote, 1 held" {
		t.Error(got)
	}
}

// No statement of a message searches a table.
func TestNoScans(t *testing.T) {
	r := newRig(t)
	for _, query := range []string{
		`UPDATE queue_recipient SET marked = 1 WHERE id = 1`,
		`DELETE FROM queue_recipient WHERE id = 1`,
		`SELECT code FROM queue_recipient WHERE id = 1`,
		`SELECT MAX(at) FROM queue_event WHERE message = 'x' AND kind = 'deferred'`,
		`SELECT id FROM queue_event WHERE at < 1 ORDER BY at LIMIT 500`,
		`DELETE FROM queue_message WHERE id = 'x' AND NOT EXISTS (SELECT 1 FROM queue_recipient r WHERE r.message = 'x')
			AND NOT EXISTS (SELECT 1 FROM queue_event e WHERE e.message = 'x')`,
		`SELECT id FROM queue_recipient WHERE due < 1`,
	} {
		rows, err := r.db.Query(`EXPLAIN QUERY PLAN ` + query)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var a, b, c int
			var plan string
			if err := rows.Scan(&a, &b, &c, &plan); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(plan, "SCAN queue") {
				t.Errorf("%s: %s", query, plan)
			}
		}
		rows.Close()
	}
}
