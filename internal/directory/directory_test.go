package directory

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/sqldb"
)

// newDirectory is a directory of example.com, with its alias example.org, and other.test.
func newDirectory(t testing.TB) *Directory {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := New(db)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.AddDomain(ctx, "Example.COM"))
	must(d.AddDomain(ctx, "other.test"))
	must(d.AddDomainAlias(ctx, "example.org", "example.com"))
	for _, a := range []string{"alice@example.com", "bob@example.com", "carol@other.test"} {
		must(d.AddAccount(ctx, a, AccountOptions{}))
	}
	return d
}

// want checks an error: its kind, and that the message has more to say than the kind.
func want(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	} else if kind != nil && len(err.Error()) < len(kind.Error())+5 {
		t.Errorf("%s: %q doesn't say what to do", what, err)
	}
}

func TestDomains(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, err := d.AddDomain(ctx, "example.com.")
	want(t, "again", err, ErrExists)
	_, err = d.AddDomain(ctx, "example.org")
	want(t, "an alias's name", err, ErrExists)
	_, err = d.AddDomain(ctx, "no domain")
	want(t, "nonsense", err, ErrInvalidAddress)
	_, err = d.AddDomainAlias(ctx, "new.test", "nowhere.test")
	want(t, "alias of a stranger", err, ErrNoDomain)
	_, err = d.AddDomainAlias(ctx, "new.test", "")
	want(t, "alias of nothing", err, ErrInvalidAddress)
	_, err = d.AddDomainAlias(ctx, "other.test", "example.com")
	want(t, "a domain as alias", err, ErrExists)
	// An alias of an alias means what that means.
	dom, err := d.AddDomainAlias(ctx, "BÜCHER.test", "example.org")
	if err != nil || dom.AliasOf != "example.com" || dom.Name != "xn--bcher-kva.test" {
		t.Errorf("got %+v, %v", dom, err)
	}
	all, err := d.ListDomains(ctx)
	var got []string
	for _, dom := range all {
		got = append(got, fmt.Sprintf("%s>%s %d", dom.Name, dom.AliasOf, dom.Accounts))
		if time.Since(dom.Created).Abs() > time.Minute {
			t.Errorf("%s made %v", dom.Name, dom.Created)
		}
	}
	if !slices.Equal(got, []string{"example.com> 2", "example.org>example.com 0", "other.test> 1", "xn--bcher-kva.test>example.com 0"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for name, want := range map[string]bool{"Example.com": true, "EXAMPLE.org.": true, "bücher.test": true, "stranger.test": false, "[::1]": false, "": false} {
		if got, err := d.IsLocalDomain(ctx, name); got != want || err != nil {
			t.Errorf("%q local: %v, %v", name, got, err)
		}
	}
}

func TestRemoveDomainIsSafe(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	want(t, "unknown", d.RemoveDomain(ctx, "nowhere.test"), ErrNoDomain)
	err := d.RemoveDomain(ctx, "example.com")
	want(t, "with accounts", err, ErrInUse)
	if !strings.Contains(err.Error(), "2 accounts") {
		t.Error(err)
	}
	want(t, "the last account", d.RemoveAccount(ctx, "carol@other.test"), nil)
	_, err = d.AddAlias(ctx, "@other.test", []string{"bob@example.com"}, false)
	want(t, "alias", err, nil)
	want(t, "with aliases", d.RemoveDomain(ctx, "other.test"), ErrInUse)
	want(t, "alias away", d.RemoveAlias(ctx, "@other.test"), nil)
	want(t, "empty", d.RemoveDomain(ctx, "other.test"), nil)
	want(t, "bob", d.RemoveAccount(ctx, "bob@example.com"), nil)
	want(t, "alice", d.RemoveAccount(ctx, "alice@example.com"), nil)
	want(t, "with a domain alias", d.RemoveDomain(ctx, "example.com"), ErrInUse)
	want(t, "domain alias", d.RemoveDomain(ctx, "example.org"), nil)
	want(t, "the last", d.RemoveDomain(ctx, "example.com"), nil)
	if _, err := d.Resolve(ctx, "postmaster"); !errors.Is(err, ErrNoDomain) {
		t.Errorf("postmaster of nothing: %v", err)
	}
}

func TestAccounts(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	for address, kind := range map[string]error{
		"ALICE@example.com":   ErrExists,
		`"alice"@example.com`: ErrExists,
		"dave@nowhere.test":   ErrNoDomain,
		"dave@example.org":    ErrNoDomain, // a domain alias holds nothing itself
		"dave":                ErrInvalidAddress,
		"@example.com":        ErrInvalidAddress,
	} {
		_, err := d.AddAccount(ctx, address, AccountOptions{})
		want(t, "add "+address, err, kind)
	}
	acc, err := d.AddAccount(ctx, "Dave@other.test", AccountOptions{Quota: 5 << 30, Closure: Closure{Disabled: true}})
	want(t, "add", err, nil)
	for _, spelling := range []string{"dave@other.test", "DAVE@OTHER.TEST", `"dave"@other.test`} {
		got, err := d.GetAccount(ctx, spelling)
		if err != nil || got != acc {
			t.Errorf("%s: got %+v, %v; want %+v", spelling, got, err, acc)
		}
	}
	if got, err := d.GetAccount(ctx, "alice@example.org"); err != nil || got.Address != "alice@example.com" {
		t.Errorf("by the domain alias: %+v, %v", got, err)
	}
	want(t, "quota", d.SetQuota(ctx, "dave@other.test", 7), nil)
	want(t, "enable", d.DisableAccount(ctx, "dave@other.test", false), nil)
	acc.Quota, acc.Disabled, acc.Own = 7, false, Closure{}
	if got, _ := d.GetAccount(ctx, "dave@other.test"); got != acc {
		t.Errorf("got %+v, want %+v", got, acc)
	}
	all, err := d.ListAccounts(ctx)
	var names []string
	for _, a := range all {
		names = append(names, a.Address)
	}
	if !slices.Equal(names, []string{"alice@example.com", "bob@example.com", "carol@other.test", "dave@other.test"}) {
		t.Errorf("got %q, %v", names, err)
	}
	_, err = d.GetAccount(ctx, "nobody@example.com")
	want(t, "unknown", err, ErrNoAccount)
	want(t, "unknown", d.SetQuota(ctx, "nobody@example.com", 1), ErrNoAccount)
	want(t, "unknown", d.SetPassword(ctx, "nobody@nowhere.test", "v"), ErrNoDomain)
}

func TestRemovedIDsDoNotComeBack(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	want(t, "password", d.SetPassword(ctx, "bob@example.com", "v1"), nil)
	old, creds, _ := d.Login(ctx, "bob@example.com")
	want(t, "remove", d.RemoveAccount(ctx, "bob@example.com"), nil)
	_, err := d.GetAccount(ctx, "bob@example.com")
	want(t, "removed", err, ErrNoAccount)
	again, err := d.AddAccount(ctx, "bob@example.com", AccountOptions{Verifier: "v1"})
	_, creds2, _ := d.Login(ctx, "bob@example.com")
	if err != nil || again.ID <= old.ID || len(creds2) != 1 || creds2[0].ID <= creds[0].ID {
		t.Errorf("%+v %+v, then %+v %+v, %v", old, creds, again, creds2, err)
	}
}

func TestRenameAccount(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, err := d.AddAlias(ctx, "sales@example.com", []string{"bob+sales@example.com"}, false)
	want(t, "alias", err, nil)
	want(t, "password", d.SetPassword(ctx, "bob@example.com", "v"), nil)
	before, _ := d.GetAccount(ctx, "bob@example.com")
	want(t, "taken", d.RenameAccount(ctx, "bob@example.com", "alice@example.com"), ErrExists)
	want(t, "an alias's", d.RenameAccount(ctx, "bob@example.com", "sales@example.com"), ErrExists)
	want(t, "elsewhere", d.RenameAccount(ctx, "bob@example.com", "bob@nowhere.test"), ErrNoDomain)
	want(t, "nobody", d.RenameAccount(ctx, "nobody@example.com", "x@example.com"), ErrNoAccount)
	want(t, "nonsense", d.RenameAccount(ctx, "bob@example.com", "x"), ErrInvalidAddress)
	want(t, "rename", d.RenameAccount(ctx, "bob@example.org", "robert@other.test"), nil)
	after, creds, err := d.Login(ctx, "robert@other.test")
	if err != nil || after.ID != before.ID || len(creds) != 1 {
		t.Errorf("got %+v %v, %v", after, creds, err)
	}
	if got := resolved(t, d, "sales@example.com"); got != "robert@other.test(sales)" {
		t.Errorf("the alias leads to %s", got)
	}
	_, err = d.GetAccount(ctx, "bob@example.com")
	want(t, "old name", err, ErrNoAccount)
}

func TestCredentials(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	const alice = "alice@example.com"
	want(t, "set", d.SetPassword(ctx, alice, "v1"), nil)
	_, before, _ := d.Login(ctx, alice)
	gen := d.Generation()
	want(t, "set again", d.SetPassword(ctx, "Alice@Example.Org", "v2"), nil)
	if d.Generation() == gen {
		t.Error("a change didn't raise the generation")
	}
	app, err := d.AddCredential(ctx, alice, Credential{Kind: KindApp, Name: "phone", Protocols: "imap,submission", Verifier: "v3"})
	want(t, "app", err, nil)
	_, err = d.AddCredential(ctx, alice, Credential{Kind: KindApp, Name: "phone", Verifier: "v4"})
	want(t, "app again", err, ErrExists)
	_, err = d.AddCredential(ctx, "nobody@example.com", Credential{Kind: KindApp})
	want(t, "nobody's", err, ErrNoAccount)
	acc, creds, err := d.Login(ctx, "ALICE@example.org")
	if err != nil || acc.Address != alice || len(creds) != 2 || creds[0].Verifier != "v2" || creds[0].ID != before[0].ID || creds[1] != app {
		t.Errorf("got %+v %+v, %v", acc, creds, err)
	}
	if c := creds[1]; !c.Allows("imap") || !c.Allows("submission") || c.Allows("pop3") || !creds[0].Allows("pop3") {
		t.Error("protocols are not what was set")
	}
	gen = d.Generation()
	used := time.Unix(2e9, 0).UTC()
	want(t, "touch", d.Touch(ctx, map[int64]Use{app.ID: {used, "192.0.2.1"}, 4711: {used, ""}}), nil)
	want(t, "an older touch", d.Touch(ctx, map[int64]Use{app.ID: {At: used.Add(-time.Hour)}}), nil)
	want(t, "no touch", d.Touch(ctx, nil), nil)
	if d.Generation() != gen {
		t.Error("a touch counted as a change")
	}
	stored, err := d.Credentials(ctx, alice)
	if err != nil || !stored[1].LastUsed.Equal(used) || stored[1].LastFrom != "192.0.2.1" || !stored[0].LastUsed.IsZero() || stored[0].LastFrom != "" {
		t.Errorf("got %+v, %v", stored, err)
	}
	_, err = d.Credentials(ctx, "nobody@example.com")
	want(t, "nobody's credentials", err, ErrNoAccount)
	want(t, "remove", d.RemoveCredential(ctx, alice, KindApp, "phone"), nil)
	want(t, "remove again", d.RemoveCredential(ctx, alice, KindApp, "phone"), ErrNoCredential)
	if _, creds, _ := d.Login(ctx, alice); len(creds) != 1 {
		t.Errorf("still %+v", creds)
	}
	for i := 1; i < MaxCredentials; i++ {
		_, err := d.AddCredential(ctx, alice, Credential{Kind: KindApp, Name: fmt.Sprint("device", i)})
		want(t, "device", err, nil)
	}
	_, err = d.AddCredential(ctx, alice, Credential{Kind: KindApp, Name: "one more"})
	want(t, "one too many", err, ErrInUse)
}

func TestLoginNames(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, err := d.AddAlias(ctx, "sales@example.com", []string{"bob@example.com"}, false)
	want(t, "alias", err, nil)
	for name, kind := range map[string]error{
		"alice":                 ErrInvalidAddress,
		"":                      ErrInvalidAddress,
		"alice@nowhere.test":    ErrNoDomain,
		"alice+tag@example.com": ErrNoAccount,
		"sales@example.com":     ErrNoAccount,
		"Nobody@example.org":    ErrNoAccount,
	} {
		acc, creds, err := d.Login(ctx, name)
		want(t, name, err, kind)
		if creds != nil || acc.ID != 0 {
			t.Errorf("%s: got %+v %+v", name, acc, creds)
		}
		// The same for a name in the domain and in its alias: what counts failed
		// logins must not tell a stranger which names are real.
		if kind == ErrNoAccount && !strings.HasSuffix(acc.Address, "@example.com") {
			t.Errorf("%s: looked for %q", name, acc.Address)
		}
	}
}

// Each method must give an error that isn't one of the answers when the database fails.
func TestOwnFault(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, _, err := d.Login(ctx, "alice@example.com")
	want(t, "cached", err, nil)
	d.db.Close()
	if _, _, err := d.Login(ctx, "alice@example.com"); err != nil {
		t.Errorf("the cache should have answered: %v", err)
	}
	d.cache.Store(newCache())
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	for _, ctx := range []context.Context{ctx, stopped} {
		_, e1 := d.Resolve(ctx, "alice@example.com")
		_, e2 := d.Resolve(ctx, "postmaster")
		_, e3 := d.IsLocalDomain(ctx, "example.com")
		_, e4 := d.MaySendAs(ctx, "alice@example.com", "alice@example.com")
		_, _, e5 := d.Login(ctx, "alice@example.com")
		_, e6 := d.GetAccount(ctx, "alice@example.com")
		_, e7 := d.AddAccount(ctx, "new@example.com", AccountOptions{})
		_, e8 := d.ListAliases(ctx)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, d.RemoveDomain(ctx, "example.com"), d.Touch(ctx, map[int64]Use{1: {}})} {
			if err == nil || ownFault(err) == nil {
				t.Errorf("%d: got %v", i, err)
			}
		}
	}
}

func resolved(t testing.TB, d *Directory, address string) string {
	t.Helper()
	all, err := d.Resolve(t.Context(), address)
	for _, kind := range []error{ErrInvalidAddress, ErrNoDomain, ErrNoAccount, ErrLoop} {
		if errors.Is(err, kind) {
			return "! " + kind.Error()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range all {
		s := r.Account.Address
		if r.Detail != "" {
			s += "(" + r.Detail + ")"
		}
		if r.Deferred {
			s += "~"
		}
		names = append(names, s)
	}
	return strings.Join(names, " ")
}

func TestMigrationsHaveStableNames(t *testing.T) {
	var names []string
	for _, m := range Migrations {
		names = append(names, m.Name)
	}
	if !reflect.DeepEqual(names, []string{"directory/1", "directory/2 remote targets", "directory/3 closed for mail", "directory/4 where credentials were used", "directory/5 posting"}) {
		t.Errorf("names in databases out there may not change: %q", names)
	}
}
