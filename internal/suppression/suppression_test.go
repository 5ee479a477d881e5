package suppression

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

const day = 24 * time.Hour

// clock is a time that a test sets.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func testList(t *testing.T, c *clock, o Options) (*List, func() *List) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kurir.db")
	db, err := sqldb.Open(t.Context(), path, Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	o.DB, o.Now = db, c.Now
	open := func() *List {
		l, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	return open(), open
}

// gone is mail returned for want of the address.
func gone(address string) Returned {
	return Returned{Address: address, Host: "mx.example.net", Code: 550, Status: "5.1.1", Text: "no such\nuser", Message: "m-1"}
}

func newClock() *clock { return &clock{time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }

// TestTwoDays: an address is refused after two days, for Keep after the last one, and a
// restart changes nothing about it.
func TestTwoDays(t *testing.T) {
	c := newClock()
	l, open := testList(t, c, Options{Keep: 30 * day})
	for range 3 { // once, however often within a day
		l.Returned(t.Context(), gone("Bob@example.net"))
		c.now = c.now.Add(6 * time.Hour)
	}
	if e, is := l.Refuses("bob@EXAMPLE.net"); is {
		t.Errorf("refused after a day: %+v", e)
	}
	c.now = c.now.Add(2 * time.Hour)
	l.Returned(t.Context(), gone("bob@example.net"))
	for range 2 {
		e, is := l.Refuses("BOB@example.net")
		if !is || e.Days != 2 || e.Reply != "550 5.1.1 no such user" || e.Host != "mx.example.net" || e.Message != "m-1" ||
			!e.Last.Equal(c.now) || !e.First.Equal(c.now.Add(-20*time.Hour)) || !e.Expires.Equal(c.now.Add(30*day)) {
			t.Errorf("%v, %+v", is, e)
		}
		l = open()
	}
	c.now = c.now.Add(30*day - 1)
	if _, is := l.Refuses("bob@example.net"); !is {
		t.Error("forgotten too early")
	}
	c.now = c.now.Add(1)
	if _, is := l.Refuses("bob@example.net"); is || len(l.Entries()) != 0 {
		t.Error("not forgotten")
	}
	l.Returned(t.Context(), gone("bob@example.net")) // begins anew
	if all := l.Entries(); len(all) != 1 || all[0].Days != 1 {
		t.Errorf("%+v", all)
	}
}

// TestSent: what arrives ends it, and so does the administrator.
func TestSent(t *testing.T) {
	c := newClock()
	l, open := testList(t, c, Options{Keep: 30 * day})
	twice := func(address string) {
		for range 2 {
			l.Returned(t.Context(), gone(address))
			c.now = c.now.Add(day)
		}
	}
	twice("a@example.net")
	twice("b@example.net")
	twice("c@example.net")
	l.Sent(t.Context(), "A@example.net")
	l.Sent(t.Context(), "unknown@example.net")
	if was, err := l.Remove(t.Context(), "B@example.net"); !was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if was, err := l.Remove(t.Context(), "b@example.net"); was || err != nil {
		t.Errorf("again: %v, %v", was, err)
	}
	for _, l := range []*List{l, open()} {
		if all := l.Entries(); len(all) != 1 || all[0].Address != "c@example.net" {
			t.Errorf("%+v", all)
		}
	}
	// Once, then delivered, then once more: that is not twice.
	l.Returned(t.Context(), gone("d@example.net"))
	l.Sent(t.Context(), "d@example.net")
	c.now = c.now.Add(day)
	l.Returned(t.Context(), gone("d@example.net"))
	if _, is := l.Refuses("d@example.net"); is {
		t.Error("refused after one day")
	}
}

// TestNotRemembered: what says nothing about the address, and all where it is off.
func TestNotRemembered(t *testing.T) {
	c := newClock()
	l, _ := testList(t, c, Options{Keep: 30 * day})
	spam := gone("a@example.net")
	spam.Text = "this is spam"
	l.Returned(t.Context(), spam)
	off, _ := testList(t, c, Options{})
	off.Returned(t.Context(), gone("a@example.net"))
	if len(l.Entries())+len(off.Entries()) != 0 {
		t.Error("remembered")
	}
}

// TestBound: of too many the oldest go; long replies are cut.
func TestBound(t *testing.T) {
	c := newClock()
	l, open := testList(t, c, Options{Keep: 30 * day, Max: 3})
	for i := range 5 {
		r := gone(fmt.Sprintf("%d@example.net", i))
		r.Text = "no such user " + strings.Repeat("ö", 1000)
		l.Returned(t.Context(), r)
		c.now = c.now.Add(time.Minute)
	}
	for _, l := range []*List{l, open()} {
		all := l.Entries()
		if len(all) != 3 || all[0].Address != "2@example.net" || len(all[0].Reply) > maxText+len("…") {
			t.Errorf("%+v", all)
		}
	}
}

// A clock that is set back does not keep an address from being counted.
func TestClockSetBack(t *testing.T) {
	c := newClock()
	l, _ := testList(t, c, Options{Keep: 30 * day})
	l.Returned(t.Context(), gone("a@example.net"))
	c.now = c.now.Add(-10 * day)
	l.Returned(t.Context(), gone("a@example.net"))
	if _, is := l.Refuses("a@example.net"); !is {
		t.Error("not counted")
	}
}
