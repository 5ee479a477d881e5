package admin

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/queue"
	"kurir/internal/sqldb"
	"kurir/internal/trace"
)

// tracedQueue knows some messages.
type tracedQueue struct {
	Queue
	known map[string]QueueDetail
}

func (q tracedQueue) Show(_ context.Context, id string) (QueueDetail, error) {
	d, ok := q.known[id]
	if !ok {
		return d, fmt.Errorf("%s: %w", id, queue.ErrNoMessage)
	}
	return d, nil
}

// tracing is a service with a trace, and a queue that knows some messages.
func tracing(t *testing.T, known map[string]QueueDetail) (*Service, *trace.Trace) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), trace.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	tr := trace.New(trace.Options{DB: db, Keep: time.Hour})
	return &Service{Tracer: tr, Queue: tracedQueue{known: known}}, tr
}

// told is a message's outcome and sentences.
func told(m TracedMessage) string {
	all := []string{m.Outcome}
	for _, s := range m.Steps {
		all = append(all, s.Text)
	}
	return strings.Join(all, "\n")
}

// TestTraceWithQueue: what the session noted and what the queue knows make one story, copies
// of aliases included, with nothing twice.
func TestTraceWithQueue(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes-60) * time.Minute) }
	s, tr := tracing(t, map[string]QueueDetail{
		"m-1": {ID: "m-1", Events: []QueueEvent{
			{At: at(0), Kind: queue.EventAccepted, Reply: "submission from [192.0.2.1]"},
			{At: at(0), Kind: queue.EventDelivered, Recipient: "anna@example.org"},
			{At: at(1), Kind: queue.EventDeferred, Recipient: "bob@example.net", Host: "mx.example.net", Code: 451, Status: "4.7.1", Reply: "greylisted\ncome back"},
		}, Recipients: []QueueEntry{{Recipient: "bob@example.net", State: "waiting", Due: now.Add(time.Hour)}, {Recipient: "carl@example.net", State: "held (limit)"}}},
		"m-1-f1": {ID: "m-1-f1", Events: []QueueEvent{{At: at(2), Kind: queue.EventSent, Recipient: "friend@example.com", Host: "mx.example.com", TLS: "TLS 1.3", Code: 250, Status: "2.0.0", Reply: "ok"}}},
		"old-1": {ID: "old-1", Sender: "anna@example.org", Created: at(0), Events: []QueueEvent{
			{At: at(0), Kind: queue.EventAccepted, Reply: "submission"},
			{At: at(1), Kind: queue.EventExpired, Recipient: "x@example.net"},
			{At: at(1), Kind: queue.EventNotice, Reply: "message n1 to anna@example.org"}}},
	})
	tr.Note(trace.Record{ID: "m-1", At: at(0), Sender: "anna@example.org", To: []string{"anna@example.org", "bob@example.net"}, Size: 7, MessageID: "<x@y>",
		Steps: []trace.Step{{Kind: trace.Received, Text: "submitted from phone"}, {Kind: trace.Delivered, Account: "anna@example.org", Mailbox: "INBOX"}, {Kind: trace.Queued, Recipient: "bob@example.net"}}})
	tr.Note(trace.Record{ID: "r", Sender: "eve@example.net", Steps: []trace.Step{{Kind: trace.Refused, Text: "552 5.3.4 too big"}}})
	tr.Note(trace.Record{ID: "c", Client: "192.0.2.7", Steps: []trace.Step{{Kind: trace.Deferred, Text: "421 4.7.0 later"}}})
	ask := func(what string) TracedMessage {
		t.Helper()
		all, err := s.Trace(t.Context(), TraceQuery{What: what})
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %+v, %v", what, all, err)
		}
		return all[0]
	}
	for what, want := range map[string]string{
		"<X@y>": "delivered, sent, waits\ncame submitted from phone\ndelivered to anna@example.org, INBOX\nhanded to the queue for bob@example.net\n" +
			"not taken for bob@example.net, will be tried again; put off by mx.example.net: 451 4.7.1 greylisted come back\n" +
			"taken for friend@example.com by mx.example.com (TLS 1.3): 250 2.0.0 ok\n" +
			"waits for bob@example.net, next try " + now.Add(time.Hour).Local().Format(time.DateTime) + "\n" +
			"waits for carl@example.net: held (limit); see: kurir queue show m-1",
		"old-1":           "returned\ntaken by the queue, submission\ngiven up for x@example.net after days; last put off\na report was written: message n1 to anna@example.org",
		"eve@example.net": "refused\nthe sender eve@example.net was refused: 552 5.3.4 too big",
		"192.0.2.7":       "put off\nthe client was put off, the sender's server shall try again: 421 4.7.0 later",
	} {
		if got := told(ask(what)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	if m := ask("m-1"); len(m.To) != 4 || m.Size != 7 || m.Sender != "anna@example.org" {
		t.Errorf("%+v", m)
	}
	if all, err := s.Trace(t.Context(), TraceQuery{What: "nobody@example.org"}); err != nil || all == nil || len(all) != 0 {
		t.Error(all, err)
	}
	if _, err := s.Trace(t.Context(), TraceQuery{What: " "}); err == nil {
		t.Error("nothing was asked")
	}
}
