package admin

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/queue"
)

// fakeQueue has rows that wait, and messages that have left.
type fakeQueue struct {
	rows  []QueueEntry
	left  []string
	calls []string
	err   error
}

func (q *fakeQueue) List(_ context.Context, f QueueFilter) ([]QueueEntry, error) {
	var all []QueueEntry
	for _, r := range q.rows {
		if len(f.IDs) == 0 || slices.Contains(f.IDs, r.ID) {
			all = append(all, r)
		}
	}
	return all, q.err
}

func (q *fakeQueue) Show(_ context.Context, id string) (QueueDetail, error) {
	if slices.Contains(q.left, id) {
		return QueueDetail{ID: id}, nil
	}
	return QueueDetail{}, fmt.Errorf("show: %w", queue.ErrNoMessage)
}

func (q *fakeQueue) Change(_ context.Context, action string, f QueueFilter) (int, error) {
	q.calls = append(q.calls, action+" "+strings.Join(f.IDs, " "))
	return len(q.rows), q.err
}

func TestQueueService(t *testing.T) {
	q := &fakeQueue{}
	s := &Service{Queue: q}
	ctx := t.Context()
	if rows, err := s.ListQueue(ctx, QueueFilter{}); err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("an empty queue: %#v, %v", rows, err)
	}
	q.rows = []QueueEntry{{ID: "a", Recipient: "x@a.test"}, {ID: "a", Recipient: "y@a.test"}, {ID: "b"}}
	q.left = []string{"c"}
	if rows, err := s.ListQueue(ctx, QueueFilter{}); err != nil || !reflect.DeepEqual(rows, q.rows) {
		t.Errorf("list: %+v, %v", rows, err)
	}
	if d, err := s.ShowQueue(ctx, "c"); err != nil || d.Recipients == nil || d.Events == nil {
		t.Errorf("show: %#v, %v", d, err)
	}
	if _, err := s.ShowQueue(ctx, "d"); !errors.Is(err, queue.ErrNoMessage) || !strings.Contains(err.Error(), "kurir queue list") {
		t.Errorf("show of nothing: %v", err)
	}
	for _, c := range []QueueChange{
		{Action: "retry", All: true},
		{Action: "hold", Filter: QueueFilter{IDs: []string{"a", "b"}}},
		{Action: "release", Filter: QueueFilter{Held: true}},
		{Action: "drop", Filter: QueueFilter{MinAge: time.Hour}},
		{Action: "bounce", Filter: QueueFilter{Sender: "x@a.test"}},
	} {
		if done, err := s.ChangeQueue(ctx, c); err != nil || done.Recipients != 3 {
			t.Errorf("%v: %+v, %v", c, done, err)
		}
	}
	if want := []string{"retry ", "hold a b", "release ", "drop ", "bounce "}; !slices.Equal(q.calls, want) {
		t.Errorf("calls %q", q.calls)
	}
}

// What is refused changes nothing.
func TestQueueRefusals(t *testing.T) {
	q := &fakeQueue{rows: []QueueEntry{{ID: "a"}}, left: []string{"c"}}
	s := &Service{Queue: q}
	for _, tt := range []struct {
		change QueueChange
		is     error
		want   string
	}{
		{QueueChange{Action: "retry"}, nil, "say which messages"},
		{QueueChange{Action: "retry", All: true, Filter: QueueFilter{Domain: "x"}}, nil, "say which messages"},
		{QueueChange{Action: "rename", All: true}, nil, `no action "rename"`},
		{QueueChange{Action: "drop", Filter: QueueFilter{Domain: "a@b"}}, nil, "is an address"},
		{QueueChange{Action: "drop", Filter: QueueFilter{MinAge: -1}}, nil, "below zero"},
		{QueueChange{Action: "drop", Filter: QueueFilter{IDs: []string{"a", "b"}}}, queue.ErrNoMessage, `no message "b" waits`},
		{QueueChange{Action: "drop", Filter: QueueFilter{IDs: []string{"a", "c"}}}, queue.ErrNoMessage, "message c has left the queue; what became of it: kurir queue show c"},
	} {
		_, err := s.ChangeQueue(t.Context(), tt.change)
		if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%v: %v", tt.change, err)
		}
		if status, _ := toWire(err); status >= 500 {
			t.Errorf("%v is our own fault on the wire: %d", tt.change, status)
		}
	}
	if len(q.calls) > 0 {
		t.Errorf("changed: %q", q.calls)
	}
	s.Queue = nil
	_, err1 := s.ListQueue(t.Context(), QueueFilter{})
	_, err2 := s.ShowQueue(t.Context(), "a")
	_, err3 := s.ChangeQueue(t.Context(), QueueChange{Action: "retry", All: true})
	for _, err := range []error{err1, err2, err3} {
		if err == nil {
			t.Error("no queue, and no error")
		}
	}
}

// What was done before a problem is told with it.
func TestQueueChangedInPart(t *testing.T) {
	q := &fakeQueue{rows: []QueueEntry{{ID: "a"}}, err: errors.New("1 was left alone")}
	s := &Service{Queue: q}
	done, err := s.ChangeQueue(t.Context(), QueueChange{Action: QueueDrop, All: true})
	if err != nil || done != (Changed{1, "1 was left alone"}) {
		t.Errorf("%+v, %v", done, err)
	}
	q.rows = nil
	if done, err = s.ChangeQueue(t.Context(), QueueChange{Action: QueueDrop, All: true}); err == nil || done != (Changed{}) {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestQueueChangeString(t *testing.T) {
	c := QueueChange{Action: "drop", Filter: QueueFilter{IDs: []string{"a", "b"}, Domain: "x.test", Held: true, MinAge: time.Hour}}
	if got := c.String(); got != "drop a b domain=x.test held older=1h0m0s" {
		t.Errorf("%q", got)
	}
	if got := (QueueChange{Action: "retry", All: true}).String(); got != "retry all" {
		t.Errorf("%q", got)
	}
}
