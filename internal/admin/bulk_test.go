package admin

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

func (r *recorder) AddAccounts(_ context.Context, q []BulkAccount) ([]Added, error) {
	return []Added{{Address: "x@a.test"}}, r.note("AddAccounts", q)
}
func (r *recorder) SetVerifier(_ context.Context, q Verifier) error {
	return r.note("SetVerifier", q)
}
func (r *recorder) ListVerifiers(context.Context) (map[string]string, error) {
	return map[string]string{"x@a.test": "$2y$"}, r.note("ListVerifiers", nil)
}

// All accounts of a call come to be, with their folders, or none.
func TestAddAccounts(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	hash, err := auth.HashPassword("right horse")
	w.ok(err)
	const bcrypt = "$2y$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	added, err := w.AddAccounts(ctx, []BulkAccount{
		{Address: "Ann@example.test", Verifier: hash, Quota: 1 << 20},
		{Address: "bob@example.test", Verifier: "{BLF-CRYPT}" + bcrypt, Disabled: true, Defer: true, Message: "later"},
		{Address: "cy@example.test"},
	})
	w.ok(err)
	if len(added) != 3 || added[0].Address != "ann@example.test" || added[2].MailKept {
		t.Errorf("added: %+v", added)
	}
	all, err := w.ListVerifiers(ctx)
	if err != nil || len(all) != 2 || all["ann@example.test"] != hash || all["bob@example.test"] != bcrypt {
		t.Errorf("verifiers: %v, %v", all, err)
	}
	list, err := w.ListAccounts(ctx)
	if err != nil || len(list) != 3 || list[0].Quota != 1<<20 || !list[1].Deferred || list[1].Message != "later" {
		t.Errorf("accounts: %+v, %v", list, err)
	}
	w.deliver("cy@example.test")
	for _, c := range []struct {
		bad  BulkAccount
		want string
	}{
		{BulkAccount{Address: "ann@example.test"}, "already exists"},
		{BulkAccount{Address: "x@nowhere.test"}, "no such domain"},
		{BulkAccount{Address: "no address"}, "invalid address"},
		{BulkAccount{Address: "x@example.test", Quota: -1}, "a quota is"},
		{BulkAccount{Address: "x@example.test", Verifier: "{MD5}x"}, "{MD5}"},
		{BulkAccount{Address: "x@example.test", Disabled: true, Message: "\xff"}, "no UTF-8"},
		{BulkAccount{Address: "dee@example.test"}, "already exists"}, // twice in the call
	} {
		_, err := w.AddAccounts(ctx, []BulkAccount{{Address: "dee@example.test"}, c.bad})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.bad, err)
		}
		if _, err := w.Directory.GetAccount(ctx, "dee@example.test"); err == nil {
			t.Errorf("%+v: the account before it is there", c.bad)
		}
	}
	if added, err := w.AddAccounts(ctx, []BulkAccount{{Address: "dee@example.test"}}); err != nil || added[0].MailKept {
		t.Errorf("folders of a failed call were left: %+v, %v", added, err)
	}
	if _, err := w.AddAccounts(ctx, make([]BulkAccount, MaxBulk+1)); err == nil {
		t.Error("too many at once")
	}
	w.ok(w.SetVerifier(ctx, Verifier{"cy@example.test", bcrypt}))
	w.fails(w.SetVerifier(ctx, Verifier{"nobody@example.test", bcrypt}), directory.ErrNoAccount)
	w.fails(w.SetVerifier(ctx, Verifier{"cy@example.test", "secret"}), auth.ErrPassword)
	if all, _ := w.ListVerifiers(ctx); all["cy@example.test"] != bcrypt {
		t.Errorf("after SetVerifier: %v", all)
	}
}

// As many as may be at once fit through the socket.
func TestBulkFits(t *testing.T) {
	r := &recorder{}
	path, stop := start(t, r)
	defer stop()
	c := NewClient(path)
	defer c.Close()
	all := make([]BulkAccount, MaxBulk)
	for i := range all {
		all[i] = BulkAccount{Address: fmt.Sprintf("%s%d@%s.test", strings.Repeat("ü", 28), i, strings.Repeat("x", 60)), Verifier: strings.Repeat("v", 200),
			Quota: 1 << 50, Disabled: true, Defer: true, Message: strings.Repeat("ü", directory.MaxMessage/2)}
	}
	if _, err := c.AddAccounts(t.Context(), all); err != nil {
		t.Error(err)
	}
}
