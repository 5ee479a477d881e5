package main

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/logins"
	"kurir/internal/sqldb"
)

// TestAppPasswordCommands: what is printed, for people and for scripts, and what is refused.
func TestAppPasswordCommands(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("alice-secret\n", "account", "add", "alice@example.test", "--password-stdin")
	_, _, errs := s.do("", "account", "app", "list", "alice@example.test")
	contains(t, errs, "kurir account app add alice@example.test phone")
	if got := s.must("", "account", "app", "list", "alice@example.test", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("no app password in JSON: %q", got)
	}
	var added admin.AddedAppPassword
	if err := json.Unmarshal([]byte(s.must("", "account", "app", "add", "Alice@example.test", "her phone", "--protocols", "submission,imap", "--json")), &added); err != nil {
		t.Fatal(err)
	}
	if added.Address != "alice@example.test" || added.Name != "her phone" || strings.Join(added.Protocols, " ") != "imap submission" || len(added.Password) != 23 {
		t.Errorf("got %+v", added)
	}
	contains(t, s.must("", "account", "app", "list", "alice@example.test"), "her phone", "imap,submission", "never")
	if _, out, errs := s.do("another-secret\n", "account", "passwd", "alice@example.test", "--password-stdin"); !strings.Contains(out+errs, "App passwords of alice@example.test that go on working: 1; ") {
		t.Errorf("what outlives a new password is not told: %s%s", out, errs)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"add", "alice@example.test"}, exitUsage, "NAME is missing"},
		{[]string{"add", "alice@example.test", "her phone"}, exitFailed, "already exists"},
		{[]string{"add", "alice@example.test", " "}, exitFailed, "needs a name"},
		{[]string{"add", "alice@example.test", "x", "--protocols", "smtp"}, exitFailed, `"smtp" is no protocol`},
		{[]string{"add", "nobody@example.test", "x"}, exitFailed, "no such account"},
		{[]string{"revoke", "alice@example.test", "tablet"}, exitFailed, "kurir account app list alice@example.test"},
	} {
		code, out, errs := s.do("", append([]string{"account", "app"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%q: code %d, %q, %q", c.args, code, out, errs)
		}
	}
	contains(t, s.must("", "account", "app", "revoke", "alice@example.test", "her phone"), "is revoked")
	if code, _, errs := s.do("", "account", "app", "revoke", "alice@example.test", "her phone"); code != exitFailed {
		t.Errorf("revoked twice: %d, %s", code, errs)
	}
}

// TestLoginsCommand: the history as people see it, without control characters of strangers.
func TestLoginsCommand(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("alice-secret\n", "account", "add", "alice@example.test", "--password-stdin")
	_, _, errs := s.do("", "account", "logins", "alice@example.test")
	contains(t, errs, "There are none.")
	db, err := sqldb.Open(t.Context(), filepath.Join(s.dir, "kurir.db"), migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	h := logins.New(logins.Options{DB: db})
	e := auth.Event{Time: time.Now(), Account: "alice@example.test", Remote: netip.MustParseAddr("192.0.2.7"), Protocol: "imap", Mechanism: "PLAIN",
		TLS: "TLS 1.3", Credential: "her phone", Result: auth.ResultOK, Reason: "logged in"}
	h.Observe(e)
	h.Observe(e)
	e.Result, e.Reason, e.TLS, e.Credential = auth.ResultInvalid, "the password is wrong", "", ""
	h.Observe(e)
	if err := h.Rename(t.Context(), "nobody@example.test", "none@example.test"); err != nil { // writes what is pending
		t.Fatal(err)
	}
	db.Close()
	all := s.must("", "account", "logins", "alice@example.test")
	contains(t, all, "192.0.2.7", `PLAIN (app "her phone")`, "TLS 1.3", "logged in", "the password is wrong", "none")
	if failed := s.must("", "account", "logins", "alice@example.test", "--failed"); strings.Contains(failed, "logged in") {
		t.Error(failed)
	}
	var rows []admin.LoginRecord
	if err := json.Unmarshal([]byte(s.must("", "account", "logins", "alice@example.test", "--json", "--limit", "2")), &rows); err != nil || len(rows) != 2 || rows[0].Count+rows[1].Count != 3 {
		t.Errorf("%+v, %v", rows, err)
	}
	if code, _, errs := s.do("", "account", "logins", "alice@example.test", "--limit", "-1"); code != exitUsage {
		t.Errorf("%d, %s", code, errs)
	}
}
