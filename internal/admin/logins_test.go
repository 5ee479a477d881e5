package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/logins"
	"kurir/internal/sqldb"
)

func TestListLogins(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	if all, err := w.ListLogins(ctx, LoginQuery{Address: "alice@example.test"}); err != nil || all == nil || len(all) != 0 {
		t.Errorf("without a history: %v, %v", all, err)
	}
	db, err := sqldb.Open(ctx, t.TempDir()+"/kurir.db", logins.Migrations)
	w.ok(err)
	defer db.Close()
	w.Logins = logins.New(logins.Options{DB: db})
	at := time.Unix(time.Now().Unix(), 0).UTC()
	e := auth.Event{Time: at, Account: "alice@example.test", Remote: netip.MustParseAddr("192.0.2.1"), Protocol: "imap", Mechanism: "PLAIN",
		TLS: "TLS 1.3", Credential: "phone", Result: "ok", Reason: "logged in"}
	w.Logins.Observe(e)
	w.Logins.Observe(e)
	e.Result, e.Reason = "invalid", "the password is wrong"
	w.Logins.Observe(e)
	all, err := w.ListLogins(ctx, LoginQuery{Address: "ALICE@example.test"})
	want := LoginRecord{"ok", "logged in", "192.0.2.1", "imap", "PLAIN", "TLS 1.3", "phone", 2, at, at}
	if err != nil || len(all) != 2 || all[0] != want && all[1] != want {
		t.Errorf("got %+v, %v", all, err)
	}
	for _, q := range []LoginQuery{{Address: "alice@example.test", Failed: true}, {Address: "alice@example.test", Limit: 1}} {
		if all, err := w.ListLogins(ctx, q); err != nil || len(all) != 1 || q.Failed && all[0].Result != "invalid" {
			t.Errorf("%+v: got %+v, %v", q, all, err)
		}
	}
	_, err = w.ListLogins(ctx, LoginQuery{Address: "nobody@example.test"})
	w.fails(err, directory.ErrNoAccount)

	// It follows its account, and ends with it.
	w.ok(w.RenameAccount(ctx, Rename{"alice@example.test", "ann@example.test"}))
	if all, err := w.ListLogins(ctx, LoginQuery{Address: "ann@example.test"}); err != nil || len(all) != 2 {
		t.Errorf("renamed: %+v, %v", all, err)
	}
	_, err = w.RemoveAccount(ctx, Remove{Address: "ann@example.test"})
	w.ok(err)
	w.add("ann@example.test")
	if all, err := w.ListLogins(ctx, LoginQuery{Address: "ann@example.test"}); err != nil || len(all) != 0 {
		t.Errorf("of an account that is gone: %+v, %v", all, err)
	}
	w.ok(db.Close())
	for what, err := range map[string]error{
		"rename": w.RenameAccount(ctx, Rename{"ann@example.test", "alice@example.test"}),
		"remove": func() error { _, err := w.RemoveAccount(ctx, Remove{Address: "alice@example.test"}); return err }(),
	} {
		if err == nil || errors.Is(err, directory.ErrNoAccount) {
			t.Errorf("%s: what is wrong with the history is not told: %s", what, fmt.Sprint(err))
		}
	}
}
