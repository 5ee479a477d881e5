package detour

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

func TestDetours(t *testing.T) {
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	open := func() *Detours {
		d, err := Open(t.Context(), Options{DB: db, Max: 3, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	if until, _ := d.Detour("example.net"); !until.IsZero() {
		t.Error("known before")
	}
	want := now.Add(24 * time.Hour)
	if until := d.Refused(t.Context(), "Example.net", "mx.example.net: 550 listed "+strings.Repeat("ö", maxWhy)); !until.Equal(want) {
		t.Errorf("until %v", until)
	}
	for _, d := range []*Detours{d, open()} {
		if until, why := d.Detour("EXAMPLE.net"); !until.Equal(want) || !strings.HasPrefix(why, "mx.example.net: 550 listed") || len(why) > maxWhy {
			t.Errorf("%v, %q", until, why)
		}
	}
	// Refused once more, it holds longer.
	now = now.Add(12 * time.Hour)
	d.Refused(t.Context(), "example.net", "again")
	now = now.Add(24*time.Hour - 1)
	if until, why := open().Detour("example.net"); until.IsZero() || why != "again" {
		t.Errorf("%v, %q", until, why)
	}
	now = now.Add(1)
	for _, d := range []*Detours{d, open()} {
		if until, _ := d.Detour("example.net"); !until.IsZero() {
			t.Error("not over")
		}
	}
	// What was written when the clock was ahead holds no longer than it may.
	d.Refused(t.Context(), "ahead.example", "x")
	now = now.Add(-48 * time.Hour)
	if until, _ := d.Detour("ahead.example"); !until.IsZero() {
		t.Errorf("until %v", until)
	}
}

// TestBound: there is no end to domains, but one to what is remembered; what is over makes
// room.
func TestBound(t *testing.T) {
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now()
	d, err := Open(t.Context(), Options{DB: db, Max: 3, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		d.Refused(t.Context(), fmt.Sprintf("%d.example", i), "x")
	}
	if until, _ := d.Detour("2.example"); until.IsZero() {
		t.Error("the third is not there")
	}
	if until, _ := d.Detour("3.example"); !until.IsZero() {
		t.Error("the fourth is there")
	}
	now = now.Add(25 * time.Hour)
	d.Refused(t.Context(), "5.example", "x") // finds it full, and makes room
	d.Refused(t.Context(), "6.example", "x")
	if until, _ := d.Detour("6.example"); until.IsZero() {
		t.Error("there is no room")
	}
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM detour`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}
