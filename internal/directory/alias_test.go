package directory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

type aliasSpec struct {
	address string
	targets string // separated by spaces
	maySend bool
}

func addAliases(t testing.TB, d *Directory, all ...aliasSpec) {
	t.Helper()
	for _, a := range all {
		if _, err := d.AddAlias(t.Context(), a.address, strings.Fields(a.targets), a.maySend); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResolve(t *testing.T) {
	d := newDirectory(t)
	if _, err := d.AddAccount(t.Context(), "bob+work@example.com", AccountOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddAccount(t.Context(), `"john smith"@other.test`, AccountOptions{}); err != nil {
		t.Fatal(err)
	}
	addAliases(t, d,
		aliasSpec{"sales@example.com", "bob+sales@example.com", false},
		aliasSpec{"team@example.com", "alice@example.org sales@example.com bob@example.com Alice@example.com", false},
		aliasSpec{"all@example.com", "team+all@example.com carol@other.test", false},
		aliasSpec{"abuse@example.com", "bob@example.com", false},
		aliasSpec{"@other.test", "carol@other.test", false})
	for address, want := range map[string]string{
		"alice@example.com":                        "alice@example.com",
		"ALICE@Example.ORG":                        "alice@example.com", // domain alias
		"alice+Lists@example.com":                  "alice@example.com(Lists)",
		"alice+a+b@example.org":                    "alice@example.com(a+b)",
		"alice+@example.com":                       "alice@example.com",
		"bob+work@example.com":                     "bob+work@example.com", // an account of exactly this name
		"bob+play@example.com":                     "bob@example.com(play)",
		"sales@example.com":                        "bob@example.com(sales)",
		"sales+x@example.com":                      "bob@example.com(sales)", // the alias's own detail stays
		"team@example.com":                         "alice@example.com bob@example.com(sales)",
		"team+x@example.com":                       "alice@example.com(x) bob@example.com(sales)",
		"all@example.org":                          "alice@example.com(all) bob@example.com(sales) carol@other.test",
		"whoever@other.test":                       "carol@other.test", // catch-all
		"whoever+x@other.test":                     "carol@other.test",
		"postmaster@other.test":                    "carol@other.test", // the catch-all is somebody's choice
		"postmaster@example.com":                   "alice@example.com",
		"PostMaster+x@example.org":                 "alice@example.com(x)",
		"abuse@example.com":                        "bob@example.com",
		"Postmaster":                               "alice@example.com", // RFC 5321 section 4.5.1
		`"john smith"@other.test`:                  `"john smith"@other.test`,
		"john smith@other.test":                    `"john smith"@other.test`, // as the SMTP library hands it over
		"nobody@example.com":                       "! no such account",
		"+x@example.com":                           "! no such account",
		"x@stranger.test":                          "! no such domain here",
		strings.Repeat("v", 80) + "@stranger.test": "! no such domain here",
		strings.Repeat("v", 80) + "@example.com":   "! invalid address",
		"@example.com":                             "! invalid address",
		"":                                         "! invalid address",
		"alice":                                    "! invalid address",
		"a@[127.0.0.1]":                            "! invalid address",
		"\x00first@example.com":                    "! invalid address",
	} {
		for _, run := range []string{"cold", "warm"} {
			if got := resolved(t, d, address); got != want {
				t.Errorf("%q, %s: got %s, want %s", address, run, got, want)
			}
		}
	}
}

// A caller may do as it likes with the answer.
func TestResolveAnswersAreApart(t *testing.T) {
	d := newDirectory(t)
	all, err := d.Resolve(t.Context(), "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	all[0].Detail = "x"
	if got := resolved(t, d, "alice@example.com"); got != "alice@example.com" {
		t.Error(got)
	}
}

func TestPostmasterFallsToSomebody(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	if _, err := d.AddDomain(ctx, "empty.test"); err != nil {
		t.Fatal(err)
	}
	for _, local := range []string{"postmaster", "abuse"} {
		if got := resolved(t, d, local+"@empty.test"); got != "alice@example.com" {
			t.Errorf("%s of a domain without accounts: %s", local, got)
		}
	}
	if err := d.DisableAccount(ctx, "alice@example.com", true); err != nil {
		t.Fatal(err)
	}
	if got := resolved(t, d, "postmaster@example.com"); got != "bob@example.com" {
		t.Errorf("the oldest is disabled: %s", got)
	}
	if got := resolved(t, d, "webmaster@example.com"); got != "! no such account" {
		t.Errorf("webmaster: %s", got)
	}
	for _, a := range []string{"alice@example.com", "bob@example.com", "carol@other.test"} {
		if err := d.RemoveAccount(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	if got := resolved(t, d, "postmaster"); got != "! no such account" {
		t.Errorf("nobody at all: %s", got)
	}
}

func TestAliasRules(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	addAliases(t, d, aliasSpec{"sales@example.com", "bob@example.com", false})
	for _, c := range []struct {
		address, targets string
		kind             error
	}{
		{"sales@example.com", "alice@example.com", ErrExists},
		{"Alice@example.com", "bob@example.com", ErrExists},
		{"x@nowhere.test", "bob@example.com", ErrNoDomain},
		{"x@example.org", "bob@example.com", ErrNoDomain}, // a domain alias holds nothing
		{"@example.org", "bob@example.com", ErrNoDomain},
		{"x", "bob@example.com", ErrInvalidAddress},
		{"@", "bob@example.com", ErrInvalidAddress},
		{"x@example.com", "", ErrInvalidAddress},
		{"x@example.com", "bob", ErrInvalidAddress},
		{"x@example.com", "@example.com", ErrInvalidAddress},
		{"x@example.com", "bob@remote.test", ErrNoDomain},
		{"x@example.com", "bob@example.com nobody@example.com", ErrNoAccount},
		{"x@example.com", "x@example.com", nil}, // below
		{"x@example.com", "postmaster@example.com", ErrNoAccount},
		{"x@example.com", strings.Repeat("bob@example.com ", MaxRecipients+1), ErrLoop},
	} {
		if c.kind == nil {
			c.kind = ErrLoop
		}
		_, err := d.AddAlias(ctx, c.address, strings.Fields(c.targets), false)
		want(t, c.address+" to "+bounded(c.targets), err, c.kind)
	}
	if got := resolved(t, d, "x@example.com"); got != "! no such account" {
		t.Errorf("a refused alias is there: %s", got)
	}
	_, err := d.AddAccount(ctx, "sales@example.com", AccountOptions{})
	want(t, "an account of the alias's name", err, ErrExists)
	// What others lead to stays.
	addAliases(t, d, aliasSpec{"shop@example.com", "sales@example.org", false})
	err = d.RemoveAlias(ctx, "sales@example.com")
	want(t, "remove", err, ErrInUse)
	if !strings.Contains(err.Error(), "shop@example.com") {
		t.Error(err)
	}
	err = d.RemoveAccount(ctx, "bob@example.com")
	want(t, "remove", err, ErrInUse)
	if !strings.Contains(err.Error(), "sales@example.com") {
		t.Error(err)
	}
	want(t, "remove", d.RemoveAlias(ctx, "shop@example.org"), nil)
	want(t, "remove", d.RemoveAlias(ctx, "sales@example.com"), nil)
	want(t, "remove again", d.RemoveAlias(ctx, "sales@example.com"), ErrNoAlias)
	want(t, "remove", d.RemoveAlias(ctx, "x@nowhere.test"), ErrNoDomain)
	want(t, "remove", d.RemoveAccount(ctx, "bob@example.com"), nil)
}

func TestListAliases(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	addAliases(t, d,
		aliasSpec{"team@example.com", "carol@other.test Bob+Team@example.org", true},
		aliasSpec{"@other.test", "team@example.com", false})
	all, err := d.ListAliases(ctx)
	var got []string
	for _, a := range all {
		got = append(got, fmt.Sprint(a.Address, a.Targets, a.MaySend))
	}
	if err != nil || !slices.Equal(got, []string{
		"team@example.com[carol@other.test bob+Team@example.com] true",
		"@other.test[team@example.com] false",
	}) {
		t.Errorf("got %q, %v", got, err)
	}
	set, err := d.SetAlias(ctx, "TEAM@example.org", []string{"alice@example.com"}, false)
	if err != nil || fmt.Sprint(set.Address, set.Targets, set.MaySend) != "team@example.com[alice@example.com] false" || set.Created.IsZero() {
		t.Errorf("got %+v, %v", set, err)
	}
	if got := resolved(t, d, "any@other.test"); got != "alice@example.com" {
		t.Error(got)
	}
	_, err = d.SetAlias(ctx, "none@example.com", []string{"alice@example.com"}, false)
	want(t, "set", err, ErrNoAlias)
}

func TestAliasLoopsAndDepth(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	addAliases(t, d, aliasSpec{"a1@example.com", "alice@example.com", false})
	for i := 2; i <= MaxDepth; i++ {
		addAliases(t, d, aliasSpec{fmt.Sprintf("a%d@example.com", i), fmt.Sprintf("a%d@example.com", i-1), false})
	}
	top := fmt.Sprintf("a%d@example.com", MaxDepth)
	if got := resolved(t, d, top); got != "alice@example.com" {
		t.Error(got)
	}
	_, err := d.AddAlias(ctx, "deeper@example.com", []string{top}, false)
	want(t, "one too deep", err, ErrLoop)
	// Below, where nothing looks deep from the alias that is changed.
	addAliases(t, d, aliasSpec{"b1@example.com", "bob@example.com", false})
	_, err = d.SetAlias(ctx, "a1@example.com", []string{"b1@example.com"}, false)
	want(t, "one too deep above", err, ErrLoop)
	for _, target := range []string{"a1@example.com", "a1+x@example.org", "a3@example.com", top} {
		_, err = d.SetAlias(ctx, "a1@example.com", []string{"bob@example.com", target}, false)
		want(t, "circle by "+target, err, ErrLoop)
	}
	if got := resolved(t, d, top); got != "alice@example.com" {
		t.Errorf("refused changes left a mark: %s", got)
	}
	// A circle that came into the tables by another hand is refused, not followed.
	if _, err := d.db.Exec(`UPDATE alias_targets SET target_account = NULL, target_alias = (SELECT id FROM aliases WHERE local = 'a3') WHERE alias = (SELECT id FROM aliases WHERE local = 'a1')`); err != nil {
		t.Fatal(err)
	}
	d.cache.Store(newCache())
	if got := resolved(t, d, top); got != "! "+ErrLoop.Error() {
		t.Error(got)
	}
	if ok, err := d.MaySendAs(ctx, "alice@example.com", top); ok || err != nil {
		t.Errorf("may send as a circle: %v, %v", ok, err)
	}
}

func TestMaySendAs(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	if _, err := d.AddAccount(ctx, "alice+private@example.com", AccountOptions{}); err != nil {
		t.Fatal(err)
	}
	addAliases(t, d,
		aliasSpec{"sales@example.com", "bob+sales@example.com", false},
		aliasSpec{"shop@example.com", "sales@example.com", false},
		aliasSpec{"team@example.com", "alice@example.com bob@example.com", false},
		aliasSpec{"info@example.com", "team@example.com carol@other.test", true},
		aliasSpec{"@other.test", "carol@other.test", false},
		aliasSpec{"@example.com", "alice@example.com", true})
	for _, c := range []struct {
		account, address string
		want             bool
	}{
		{"alice@example.com", "alice@example.com", true},
		{"ALICE@example.org", "Alice@example.com", true},
		{"alice@example.com", "alice+shop@example.com", true},
		{"alice@example.com", "alice@example.org", true},
		{"alice@example.com", "alice+x@example.org", true},
		{"alice@example.com", "alice+private@example.com", false}, // somebody else's account
		{"alice+private@example.com", "alice+private@example.com", true},
		{"alice+private@example.com", "alice@example.com", false},
		{"alice@example.com", "bob@example.com", false},
		{"alice@example.com", "bob+alice@example.com", false},
		{"bob@example.com", "sales@example.com", true}, // leads to bob alone
		{"bob@example.com", "sales+x@example.org", true},
		{"bob@example.com", "shop@example.com", true}, // by way of another
		{"alice@example.com", "sales@example.com", false},
		{"bob@example.com", "team@example.com", false}, // to two
		{"bob@example.com", "info@example.com", true},  // may-send
		{"carol@other.test", "info@example.org", true},
		{"alice@example.com", "anything@example.com", true}, // a catch-all with may-send
		{"bob@example.com", "anything@example.com", false},
		{"carol@other.test", "anything@other.test", false}, // and one without
		{"carol@other.test", "carol@other.test", true},
		{"alice@example.com", "alice@stranger.test", false},
		{"alice@example.com", "", false},
		{"alice@example.com", "nonsense", false},
		{"nobody@example.com", "alice@example.com", false},
		{"sales@example.com", "sales@example.com", false}, // no account
		{"", "alice@example.com", false},
	} {
		if got, err := d.MaySendAs(ctx, c.account, c.address); got != c.want || err != nil {
			t.Errorf("%s as %q: got %v, %v", c.account, c.address, got, err)
		}
	}
}
