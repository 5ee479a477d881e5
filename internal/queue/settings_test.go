package queue

import (
	"errors"
	"testing"
	"time"
)

// Settings hold at once for what comes, and zero values are the defaults.
func TestChange(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessages, o.First, o.HoldRemote = 1, time.Hour, "not today" })
	r.submit("a@local.test", "x@b.example")
	if _, err := r.q.Keep(received{r.fsys(), r.dir, testMessage}); !errors.Is(err, ErrFull) {
		t.Fatalf("a full queue: %v", err)
	}
	s := r.q.o().Settings()
	if s.MaxMessages != 1 || s.First != time.Hour {
		t.Errorf("settings %+v", s)
	}
	s.MaxMessages, s.First = 2, 0
	r.q.Change(s)
	r.submit("a@local.test", "y@b.example")
	if o := r.q.o(); o.First != 5*time.Minute || o.HoldRemote != "not today" || r.q.index.options != o {
		t.Errorf("after the change: first %v, held %q", o.First, o.HoldRemote)
	}
	s.Limits = Limits{MessagesHour: 1}
	r.q.Change(s)
	if r.q.o().Limits.MessagesHour != 1 {
		t.Error("the limits are not in force")
	}
}
