package admin

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/queue"
	"kurir/internal/relay"
	"kurir/internal/sqldb"
)

// noTransport reaches nobody.
type noTransport struct{}

func (noTransport) Destination(_, recipient string) string {
	_, domain, _ := strings.Cut(recipient, "@")
	return domain
}

func (noTransport) Send(context.Context, string, *relay.Message, []relay.Recipient, relay.BeforeDot) *relay.Result {
	return &relay.Result{Whole: true}
}

func (noTransport) DeliverFile(context.Context, string, string, string) error {
	return errors.New("no mailbox")
}

// text is a message.
type text string

func (t text) KeepAs(path string) error { return os.WriteFile(path, []byte(t), 0o600) }

// newQueue is a service with a real queue, and a function that puts a message into it.
func newQueue(t *testing.T) (*Service, func(id, from string, to ...string)) {
	t.Helper()
	dir := t.TempDir()
	db, err := sqldb.Open(t.Context(), filepath.Join(dir, "kurir.db"), directory.Migrations, Migrations, queue.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	q, err := queue.Open(t.Context(), queue.Options{DB: db, FS: fsx.OS{}, Dir: filepath.Join(dir, "queue"),
		Deliverer: noTransport{}, Directory: directory.New(db), Transport: noTransport{}, Hostname: "mail.example.test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	put := func(id, from string, to ...string) {
		t.Helper()
		k, err := q.Keep(text("Subject: x\r\n\r\nhi\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		e := queue.Envelope{ID: id, Sender: from, Account: "alice@example.test", Client: "submission from [192.0.2.1]"}
		for _, r := range to {
			e.Recipients = append(e.Recipients, queue.Recipient{Address: r})
		}
		if _, err := k.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return &Service{Queue: MailQueue{q}}, put
}

// TestMailQueue: the calls reach the queue of the server with all that they say.
func TestMailQueue(t *testing.T) {
	s, put := newQueue(t)
	ctx := t.Context()
	put("m1", "alice@example.test", "bob@example.net", "carol@example.net", "dave@example.org")
	put("m2", "bob@example.test", "Bob@Example.NET")
	listed := func(f QueueFilter) string {
		t.Helper()
		rows, err := s.ListQueue(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range rows {
			all = append(all, r.ID+":"+r.Recipient)
		}
		return strings.Join(all, " ")
	}
	for _, tt := range []struct {
		f    QueueFilter
		want string
	}{
		{QueueFilter{}, "m1:bob@example.net m1:carol@example.net m1:dave@example.org m2:Bob@Example.NET"},
		{QueueFilter{Limit: 2}, "m1:bob@example.net m1:carol@example.net"},
		{QueueFilter{Domain: "Example.org"}, "m1:dave@example.org"},
		{QueueFilter{Recipient: "bob@example.net"}, "m1:bob@example.net m2:Bob@Example.NET"},
		{QueueFilter{Recipient: "bob@example.net", Limit: 1}, "m1:bob@example.net"},
		{QueueFilter{Sender: "bob@example.test"}, "m2:Bob@Example.NET"},
		{QueueFilter{Sender: "@example.test", IDs: []string{"m2"}}, "m2:Bob@Example.NET"},
		{QueueFilter{Account: "bob@example.test"}, ""},
		{QueueFilter{MinAge: time.Hour}, ""},
		{QueueFilter{Held: true}, ""},
	} {
		if got := listed(tt.f); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.f, got, tt.want)
		}
	}
	change := func(action string, f QueueFilter, want int) {
		t.Helper()
		if done, err := s.ChangeQueue(ctx, QueueChange{Action: action, Filter: f}); err != nil || done.Recipients != want {
			t.Errorf("%s %+v: %+v, %v", action, f, done, err)
		}
	}
	change(QueueRetry, QueueFilter{IDs: []string{"m1", "m2"}}, 4)
	change(QueueHold, QueueFilter{Recipient: "BOB@example.net"}, 2)
	if got := listed(QueueFilter{Held: true}); got != "m1:bob@example.net m2:Bob@Example.NET" {
		t.Errorf("held: %q", got)
	}
	change(QueueRelease, QueueFilter{Held: true, Domain: "example.net"}, 2)
	change(QueueDrop, QueueFilter{Domain: "example.org"}, 1)
	change(QueueDrop, QueueFilter{IDs: []string{"m2"}}, 1)
	change(QueueBounce, QueueFilter{Sender: "alice@example.test"}, 2)
	if _, err := s.ChangeQueue(ctx, QueueChange{Action: QueueRetry, Filter: QueueFilter{IDs: []string{"m2"}}}); !errors.Is(err, queue.ErrNoMessage) || !strings.Contains(err.Error(), "has left") {
		t.Errorf("a message that has left: %v", err)
	}
	d, err := s.ShowQueue(ctx, "m1")
	if err != nil || d.Sender != "alice@example.test" || d.Client == "" || len(d.Recipients) != 0 {
		t.Errorf("show: %+v, %v", d, err)
	}
	var kinds []string
	for _, e := range d.Events {
		kinds = append(kinds, e.Kind)
	}
	for _, k := range []string{queue.EventAccepted, queue.EventHeld, queue.EventReleased, queue.EventDropped, queue.EventReturned} {
		if !slices.Contains(kinds, k) {
			t.Errorf("no event %q among %q", k, kinds)
		}
	}
	if _, err := s.ShowQueue(ctx, "m3"); !errors.Is(err, queue.ErrNoMessage) || !strings.Contains(err.Error(), `no message "m3"`) {
		t.Errorf("show of nothing: %v", err)
	}
}
