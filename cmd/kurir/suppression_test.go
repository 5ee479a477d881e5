package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/sqldb"
	"kurir/internal/suppression"
)

// TestSuppression: what was returned on two days is refused to who sends, until the
// administrator says otherwise.
func TestSuppression(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("alice-secret\n", "account", "add", "alice@example.test", "--password-stdin")
	db, err := sqldb.Open(t.Context(), filepath.Join(s.dir, "kurir.db"), migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-24 * time.Hour)
	l, err := suppression.Open(t.Context(), suppression.Options{DB: db, Keep: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	gone := suppression.Returned{Address: "bob@example.net", Host: "mx.example.net", Code: 550, Status: "5.1.1", Text: "no such user", Message: "m-1"}
	l.Returned(t.Context(), gone)
	gone.Address = "once@example.net"
	l.Returned(t.Context(), gone)
	now, gone.Address = time.Now(), "bob@example.net"
	// The first is forgotten by a list that keeps an hour, so this one keeps more.
	l, err = suppression.Open(t.Context(), suppression.Options{DB: db, Keep: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	l.Returned(t.Context(), gone)
	db.Close()

	s.serve()
	contains(t, s.must("", "suppression", "list"), "bob@example.net", "refused until", "once@example.net", "returned once", "550 5.1.1 no such user")
	code, _, errs := s.do("Hello\n", "send", "--from", "alice@example.test", "--subject", "x", "bob@example.net")
	if contains(t, errs, "bob@example.net does not exist: so its server has said on 2 days", "kurir suppression remove bob@example.net"); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	code, _, errs = s.do("", "suppression", "remove", "carol@example.net")
	if contains(t, errs, "not on the list: carol@example.net"); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if code, _, _ := s.do("", "suppression", "remove"); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	contains(t, s.must("", "suppression", "remove", "Bob@example.net"), "1 address may be written to again")
	s.must("Hello\n", "send", "--from", "alice@example.test", "--subject", "x", "bob@example.net")
	var all []admin.Suppressed
	if err := json.Unmarshal([]byte(s.must("", "suppression", "list", "--json")), &all); err != nil || len(all) != 1 || all[0].Refused || all[0].Days != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	contains(t, s.must("", "suppression", "remove", "--all", "--json"), `"once@example.net"`)
}
