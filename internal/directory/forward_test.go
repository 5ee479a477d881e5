package directory

import (
	"slices"
	"strings"
	"testing"

	"kurir/internal/sqldb"
)

// forward adds an alias with targets here and elsewhere.
func forward(t testing.TB, d *Directory, address, targets, to string) Alias {
	t.Helper()
	a, err := d.AddForward(t.Context(), address, strings.Fields(targets), strings.Fields(to), false)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// remotes says where an address leads to.
func remotes(t testing.TB, d *Directory, address string) string {
	t.Helper()
	all, err := d.Resolve(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, r := range all {
		if r.Remote == "" {
			s = append(s, r.Account.Address)
			continue
		}
		if r.Account != (Account{}) || r.Detail != "" {
			t.Errorf("%s: %+v", address, r)
		}
		s = append(s, r.Remote+" by "+r.Alias)
	}
	return strings.Join(s, " ")
}

func TestForward(t *testing.T) {
	d := newDirectory(t)
	a := forward(t, d, "friend@example.com", "", "Some.Friend+x@Elsewhere.EXAMPLE")
	if a.Address != "friend@example.com" || !slices.Equal(a.Targets, []string{"Some.Friend+x@elsewhere.example"}) || !slices.Equal(a.Remote, a.Targets) {
		t.Errorf("%+v", a)
	}
	forward(t, d, "team@example.com", "alice@example.com", `friend@example.org "a;b"@elsewhere.example bob@example.com`)
	forward(t, d, "@other.test", "", "all@bücher.example")
	forward(t, d, "twice@example.com", "friend@example.com team@example.com", "Some.Friend+x@elsewhere.example")
	for address, want := range map[string]string{
		"friend@example.com":   "Some.Friend+x@elsewhere.example by friend@example.com",
		"friend+y@example.org": "Some.Friend+x@elsewhere.example by friend@example.com",
		"team@example.com": "alice@example.com Some.Friend+x@elsewhere.example by friend@example.com " +
			`"a;b"@elsewhere.example by team@example.com bob@example.com`,
		"anybody@other.test": "all@xn--bcher-kva.example by @other.test",
		"twice@example.com": "Some.Friend+x@elsewhere.example by friend@example.com alice@example.com " +
			`"a;b"@elsewhere.example by team@example.com bob@example.com`,
	} {
		for range 2 { // cold and warm
			if got := remotes(t, d, address); got != want {
				t.Errorf("%s: %s, want %s", address, got, want)
			}
		}
	}
	list, err := d.ListAliases(t.Context())
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	team := list[slices.IndexFunc(list, func(a Alias) bool { return a.Address == "team@example.com" })]
	if !slices.Equal(team.Remote, []string{`"a;b"@elsewhere.example`}) || len(team.Targets) != 4 {
		t.Errorf("%+v", team)
	}
}

// TestForwardErrors: an address of another server must be meant as one.
func TestForwardErrors(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	_, err := d.AddAlias(ctx, "x@example.com", []string{"alice@exmaple.com"}, false)
	want(t, "slip of the pen", err, ErrNoDomain)
	if !strings.Contains(err.Error(), "--to alice@exmaple.com") {
		t.Error(err)
	}
	for to, kind := range map[string]error{
		"nobody@example.com":                   ErrNoAccount, // a domain of ours
		"friend@localhost":                     ErrInvalidAddress,
		"friend@[192.0.2.1]":                   ErrInvalidAddress,
		"friend":                               ErrInvalidAddress,
		"@elsewhere.example":                   ErrInvalidAddress,
		"a\r\nb@elsewhere.example":             ErrInvalidAddress,
		strings.Repeat("v", 65) + "@else.test": ErrInvalidAddress,
	} {
		_, err := d.AddForward(ctx, "x@example.com", nil, []string{to}, false)
		want(t, to, err, kind)
	}
	_, err = d.AddForward(ctx, "x@example.com", make([]string, MaxRecipients/2), make([]string, MaxRecipients/2+1), false)
	want(t, "too many", err, ErrLoop)
	_, err = d.SetForward(ctx, "x@example.com", nil, []string{"a@else.test"}, false)
	want(t, "no such alias", err, ErrNoAlias)

	forward(t, d, "friend@example.com", "", "a@elsewhere.example")
	for _, name := range []string{"elsewhere.example", "Elsewhere.Example."} {
		_, err = d.AddDomain(ctx, name)
		want(t, "domain that mail is passed on to", err, ErrInUse)
		_, err = d.AddDomainAlias(ctx, name, "example.com")
		want(t, "the same as an alias", err, ErrInUse)
	}
	if err := d.RemoveAlias(ctx, "friend@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddDomain(ctx, "elsewhere.example"); err != nil {
		t.Error(err)
	}
}

// TestForwardMaySend: who gets a copy of somebody else's mail may not write as him.
func TestForwardMaySend(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	forward(t, d, "both@example.com", "alice@example.com", "a@elsewhere.example")
	if ok, err := d.MaySendAs(ctx, "alice@example.com", "both@example.com"); ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := d.SetForward(ctx, "both@example.com", []string{"alice@example.com"}, []string{"a@elsewhere.example"}, true); err != nil {
		t.Fatal(err)
	}
	if ok, err := d.MaySendAs(ctx, "alice@example.com", "both@example.com"); !ok || err != nil {
		t.Error(ok, err)
	}
	if got := remotes(t, d, "both@example.com"); got != "alice@example.com a@elsewhere.example by both@example.com" {
		t.Error(got)
	}
}

// TestForwardMigration: aliases of before keep their targets.
func TestForwardMigration(t *testing.T) {
	ctx, path := t.Context(), t.TempDir()+"/kurir.db"
	old, err := sqldb.Open(ctx, path, Migrations[:1])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		`INSERT INTO domains VALUES (1, 'example.com', NULL, 1)`,
		`INSERT INTO accounts VALUES (1, 1, 'alice', FALSE, 0, 1)`,
		`INSERT INTO aliases VALUES (1, 1, 'a', FALSE, 1), (2, 1, 'b', FALSE, 1)`,
		`INSERT INTO alias_targets VALUES (1, 0, 1, NULL, 'tag'), (2, 0, NULL, 1, '')`,
	} {
		if _, err := old.ExecContext(ctx, s); err != nil {
			t.Fatal(s, err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sqldb.Open(ctx, path, Migrations)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := New(db)
	if got := resolved(t, d, "b@example.com"); got != "alice@example.com(tag)" {
		t.Error(got)
	}
	want(t, "open for mail", d.Deferred(ctx, "alice@example.com"), nil)
	if p, err := d.MayPost(ctx, "", "x@elsewhere.example", "b@example.com"); p != PostingAllowed || err != nil {
		t.Errorf("to an alias of before: %v, %v", p, err)
	}
	want(t, "still a target", d.RemoveAccount(ctx, "alice@example.com"), ErrInUse)
	if err := d.RemoveAlias(ctx, "b@example.com"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM alias_targets`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d targets are left, want that of a: %v", n, err)
	}
}
