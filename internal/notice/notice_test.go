package notice

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

// rig is a notice with a clock, and what it has posted.
type rig struct {
	*Notice
	db   *sqldb.DB
	now  time.Time
	fail error
	mu   sync.Mutex
	sent []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{db: db, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	r.open()
	return r
}

// open opens it as a new process would.
func (r *rig) open() {
	r.Notice = New(Options{DB: r.db, Now: func() time.Time { return r.now }, Post: func(_ context.Context, subject, text string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fail == nil {
			r.sent = append(r.sent, subject)
		}
		return r.fail
	}})
}

func (r *rig) tell(t *testing.T, key string) {
	t.Helper()
	if err := r.Tell(t.Context(), key, "about "+key, "text\n"); err != nil {
		t.Fatal(err)
	}
}

// want says which subjects have gone out since the last time.
func (r *rig) want(t *testing.T, subjects ...string) {
	t.Helper()
	if !slices.Equal(r.sent, subjects) {
		t.Errorf("%q, want %q", r.sent, subjects)
	}
	r.sent = nil
}

// TestOnceADay: each matter by itself, also over a restart.
func TestOnceADay(t *testing.T) {
	r := newRig(t)
	for range 3 {
		r.tell(t, "disk")
		r.tell(t, "certificate")
		r.open()
	}
	r.want(t, "about disk", "about certificate")
	r.now = r.now.Add(again - 1)
	r.tell(t, "disk")
	r.want(t)
	r.now = r.now.Add(1)
	r.tell(t, "disk")
	r.tell(t, "disk")
	r.want(t, "about disk")
	r.now = r.now.Add(-48 * time.Hour) // a clock that was set back silences nobody
	r.tell(t, "disk")
	r.want(t, "about disk")
}

// TestClear: what comes back is told of at once.
func TestClear(t *testing.T) {
	r := newRig(t)
	r.tell(t, "disk")
	r.tell(t, "other")
	for range 2 {
		if err := r.Clear(t.Context(), "disk"); err != nil {
			t.Fatal(err)
		}
	}
	r.tell(t, "disk")
	r.tell(t, "other")
	r.want(t, "about disk", "about other", "about disk")
}

// TestFailed: the next call tries again.
func TestFailed(t *testing.T) {
	r := newRig(t)
	r.fail = errors.New("no room")
	if err := r.Tell(t.Context(), "disk", "s", "t"); !errors.Is(err, r.fail) || !strings.Contains(err.Error(), `"disk"`) {
		t.Error(err)
	}
	r.fail = nil
	r.tell(t, "disk")
	r.want(t, "about disk")
}

// TestAtTheSameTime: one mail, whoever is first.
func TestAtTheSameTime(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { r.tell(t, "disk") })
	}
	wg.Wait()
	r.want(t, "about disk")
}

// TestForgotten: the table does not grow for ever.
func TestForgotten(t *testing.T) {
	r := newRig(t)
	r.tell(t, "old")
	r.now = r.now.Add(forget + time.Millisecond)
	r.tell(t, "new")
	var n int
	if err := r.db.QueryRow(`SELECT count(*) FROM notice`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

// TestNobody: without Post nothing is said and nothing fails.
func TestNobody(t *testing.T) {
	var none *Notice
	for _, n := range []*Notice{none, New(Options{})} {
		if err := errors.Join(n.Tell(t.Context(), "k", "s", "t"), n.Clear(t.Context(), "k")); err != nil {
			t.Error(err)
		}
	}
}

// TestBad: a subject is one line, and all is bounded.
func TestBad(t *testing.T) {
	r := newRig(t)
	for _, c := range [][3]string{{"", "s", "t"}, {"k", "a\nBcc: x", "t"}, {strings.Repeat("k", maxKey+1), "s", "t"},
		{"k", strings.Repeat("s", maxSubject+1), "t"}, {"k", "s", strings.Repeat("t", maxText+1)}} {
		if r.Tell(t.Context(), c[0], c[1], c[2]) == nil {
			t.Errorf("%.20q: told", c)
		}
	}
	r.want(t)
}
