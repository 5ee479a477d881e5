package directory

import (
	"errors"
	"strings"
	"testing"
)

// What is said of an account and of its domain, and what becomes of mail and senders.
func TestClosing(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	want(t, "keep", d.CloseAccount(ctx, "bob@example.com", Closure{Disabled: true, Message: "ask\r\n the  help desk"}), nil)
	acc, _, err := d.Login(ctx, "bob@example.com")
	if err != nil || !acc.Disabled || acc.Deferred || acc.Message != "ask the help desk" {
		t.Errorf("closed to logins: %+v, %v", acc, err)
	}
	want(t, "mail is kept", d.Deferred(ctx, "bob@example.com"), nil)
	want(t, "defer", d.CloseAccount(ctx, "bob@example.com", Closure{Disabled: true, Defer: true, Message: "away"}), nil)
	err = d.Deferred(ctx, "bob@example.com")
	if want(t, "mail waits", err, ErrDeferred); err != nil && !strings.Contains(err.Error(), "bob@example.com takes no mail at the moment: away") {
		t.Error(err)
	}
	want(t, "domain", d.CloseDomain(ctx, "example.com", Closure{Disabled: true, Message: "unpaid"}), nil)
	for address, message := range map[string]string{"alice@example.com": "unpaid", "bob@example.com": "away"} {
		acc, err := d.GetAccount(ctx, address)
		if err != nil || !acc.Disabled || !acc.Deferred || acc.Message != message {
			t.Errorf("%s in a closed domain: %+v, %v", address, acc, err)
		}
	}
	if ok, err := d.MaySendAs(ctx, "alice@example.com", "alice@example.org"); ok || err != nil {
		t.Errorf("alice sends from the closed domain, by its alias: %v, %v", ok, err)
	}
	if got := resolved(t, d, "postmaster"); got != "carol@other.test" {
		t.Errorf("postmaster is the open domain's: %s", got)
	}
	want(t, "open", d.CloseDomain(ctx, "example.com", Closure{Message: "forgotten"}), nil)
	if acc, _ := d.GetAccount(ctx, "alice@example.com"); acc.Disabled || acc.Message != "" {
		t.Errorf("open again: %+v", acc)
	}
	want(t, "opened", d.DisableAccount(ctx, "bob@example.com", false), nil)
	if acc, _ := d.GetAccount(ctx, "bob@example.com"); acc.Own != (Closure{}) || acc.Deferred {
		t.Errorf("open again: %+v", acc)
	}
	want(t, "nobody", d.CloseAccount(ctx, "nobody@example.com", Closure{Disabled: true}), ErrNoAccount)
	want(t, "gone", d.Deferred(ctx, "nobody@example.com"), nil)
	want(t, "a domain alias", d.CloseDomain(ctx, "example.org", Closure{Disabled: true}), ErrNoDomain)
	for _, text := range []string{strings.Repeat("é", 101), "a\u202eb", "\xff", "\x00"} {
		want(t, text, d.CloseAccount(ctx, "bob@example.com", Closure{Disabled: true, Message: text}), ErrMessage)
		want(t, text, d.CloseDomain(ctx, "example.com", Closure{Disabled: true, Message: text}), ErrMessage)
		if _, err := d.AddAccount(ctx, "new@example.com", AccountOptions{Closure: Closure{Disabled: true, Message: text}}); !errors.Is(err, ErrMessage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What stands behind the + for an account, by way of aliases too.
func TestDetail(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, err := d.AddAlias(ctx, "sales@example.com", []string{"bob+Sales@example.com", "alice@example.com"}, false)
	want(t, "alias", err, nil)
	for _, c := range []struct{ address, account, want string }{
		{"alice+News@example.org", "alice@example.com", "News"},
		{"alice@example.com", "alice@example.com", ""},
		{"sales@example.com", "bob@example.com", "Sales"},
		{"sales+x@example.com", "alice@example.com", "x"},
		{"alice+x@example.com", "bob@example.com", ""},
		{"nobody+x@example.com", "bob@example.com", ""},
		{"x", "bob@example.com", ""},
	} {
		if got := d.Detail(ctx, c.address, c.account); got != c.want {
			t.Errorf("%s for %s: %q, want %q", c.address, c.account, got, c.want)
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "back in März – call “us”", "Größe €5", "日本\r\n250 ok", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if i := strings.IndexFunc(Plain(s), func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Errorf("%q is not plain: %q", s, Plain(s))
		}
	})
}

func TestPlain(t *testing.T) {
	if got := Plain("Zurück im März – „Straße 5“, 日本 50 €"); got != `Zuruck im Marz - "Strasse 5", ?? 50 EUR` {
		t.Error(got)
	}
}
