package admin

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/sqldb"
	"kurir/internal/suppression"
)

func TestSuppressionService(t *testing.T) {
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), suppression.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	l, err := suppression.Open(t.Context(), suppression.Options{DB: db, Keep: 48 * time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, a := range []string{"b@b.test", "a@b.test", "c@b.test"} {
			l.Returned(t.Context(), suppression.Returned{Address: a, Host: "mx.b.test", Code: 550, Status: "5.1.1", Text: "no", Message: "m-1"})
		}
		now = now.Add(24 * time.Hour)
	}
	now = now.Add(-24 * time.Hour)
	s := &Service{Suppression: l}
	all, err := s.ListSuppressed(t.Context())
	want := Suppressed{"a@b.test", true, 2, now.Add(-24 * time.Hour), now, now.Add(48 * time.Hour), "mx.b.test", "550 5.1.1 no", "m-1"}
	if err != nil || len(all) != 3 || !reflect.DeepEqual(all[0], want) {
		t.Errorf("%v, %+v", err, all)
	}
	done, err := s.Unsuppress(t.Context(), Unsuppress{Addresses: []string{"A@b.test", "x@b.test"}})
	if !errors.Is(err, directory.ErrNoAccount) || !strings.Contains(err.Error(), "not on the list: x@b.test") || !reflect.DeepEqual(done.Removed, []string{"a@b.test"}) {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := s.Unsuppress(t.Context(), Unsuppress{All: true}); err != nil || len(done.Removed) != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	for _, bad := range []Unsuppress{{}, {Addresses: []string{"x@b.test"}, All: true}} {
		if _, err := s.Unsuppress(t.Context(), bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	none := &Service{}
	if all, err := none.ListSuppressed(t.Context()); err != nil || all == nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
