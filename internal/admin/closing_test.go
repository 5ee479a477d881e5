package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kurir/internal/directory"
)

// A closed domain: logins of its accounts are forgotten, lists show it, and what was said
// of an account itself is still there when the domain opens again.
func TestDisableDomain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.add("bob@example.test")
	var forgotten []string
	w.Forget = func(address string) { forgotten = append(forgotten, address) }
	w.ok(w.DisableAccount(ctx, Disable{Address: "bob@example.test", Disabled: true, Defer: true, Message: " gone\nfor good "}))
	forgotten = nil
	w.ok(w.DisableDomain(ctx, Disable{Address: "EXAMPLE.test", Disabled: true, Message: "contract ended"}))
	if !slices.Equal(forgotten, []string{"alice@example.test", "bob@example.test"}) {
		t.Errorf("forgotten: %q", forgotten)
	}
	domains, err := w.ListDomains(ctx)
	if err != nil || !domains[0].Disabled || domains[0].Message != "contract ended" {
		t.Errorf("domains: %+v, %v", domains, err)
	}
	show := func() (all []Account) {
		all, err := w.ListAccounts(ctx)
		w.ok(err)
		return all
	}
	if all := show(); all[0].Disabled || !all[0].Closed || !all[1].Disabled || !all[1].Deferred || all[1].Message != "gone for good" {
		t.Errorf("closed: %+v", all)
	}
	w.ok(w.DisableDomain(ctx, Disable{Address: "example.test"}))
	if all := show(); all[0].Disabled || all[0].Closed || !all[1].Disabled || !all[1].Deferred || all[1].Closed {
		t.Errorf("open again: %+v", all)
	}
	w.fails(w.DisableDomain(ctx, Disable{Address: "nowhere.test", Disabled: true}), directory.ErrNoDomain)
	w.fails(w.DisableDomain(ctx, Disable{Address: "no domain", Disabled: true}), directory.ErrInvalidAddress)
	long := Disable{Address: "bob@example.test", Disabled: true, Message: strings.Repeat("x", directory.MaxMessage+1)}
	if err := w.DisableAccount(ctx, long); !errors.Is(err, directory.ErrMessage) || !strings.Contains(err.Error(), "at most 200") {
		t.Errorf("a long text: %v", err)
	}
}
