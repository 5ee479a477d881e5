package forward

import (
	"fmt"
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := meter{hourly: 10, now: func() time.Time { return now }}
	want := func(what string, n int, room bool) {
		t.Helper()
		if got := m.room("a@x.test", n); got != room {
			t.Errorf("%s: room for %d is %v", what, n, got)
		}
	}
	want("at first", 10, true)
	want("one message for many", 100, true)
	m.add("a@x.test", 4)
	now = now.Add(30 * time.Minute)
	m.add("a@x.test", 6)
	want("full", 1, false)
	if !m.room("b@x.test", 10) {
		t.Error("another alias is full")
	}
	now = now.Add(29 * time.Minute)
	want("within the hour", 1, false)
	now = now.Add(2 * time.Minute)
	want("after the first's hour", 4, true)
	want("after the first's hour", 5, false)
	now = now.Add(time.Hour)
	want("after all", 100, true)
	m.add("a@x.test", 100)
	want("after many", 1, false)
	now = now.Add(-30 * time.Minute)
	want("set back a little", 1, false)
	now = now.Add(-24 * time.Hour)
	want("set back a day", 1, true)
	now = now.Add(1000 * time.Hour)
	want("a month later", 10, true)
}

// TestMeterBounded: aliases that are quiet are forgotten.
func TestMeterBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := meter{hourly: 10, now: func() time.Time { return now }}
	for i := range 10 * sweepAbove {
		if i%sweepAbove == 0 {
			now = now.Add(2 * time.Hour)
		}
		m.add(fmt.Sprint(i), 1)
	}
	if len(m.aliases) > sweepAbove {
		t.Errorf("%d aliases are remembered", len(m.aliases))
	}
	none := meter{now: m.now}
	none.add("a@x.test", 1<<30)
	if !none.room("a@x.test", 1) || none.aliases != nil {
		t.Error("no bound, and yet it counts")
	}
}

// TestMeterChanges: another bound holds at once, for what was counted before as well.
func TestMeterChanges(t *testing.T) {
	m := meter{hourly: 10, now: time.Now}
	m.add("a@x.test", 10)
	f := &Forwarder{}
	for _, c := range []struct {
		hourly int
		room   bool
	}{{10, false}, {12, true}, {5, false}, {0, true}} {
		if m.bound(c.hourly); m.room("a@x.test", 1) != c.room {
			t.Errorf("with %d an hour: room is %v", c.hourly, !c.room)
		}
	}
	if f.SetHourly(7); f.meter.hourly != 7 {
		t.Error("the bound is not set")
	}
}
