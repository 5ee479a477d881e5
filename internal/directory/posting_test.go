package directory

import "testing"

// Who may write to whom; members elsewhere are known by their sender address, in any case.
func TestMayPost(t *testing.T) {
	d, ctx := newDirectory(t), t.Context()
	group := func(address string, o AliasOptions) {
		_, err := d.CreateAlias(ctx, address, o)
		want(t, address, err, nil)
	}
	group("core@example.com", AliasOptions{Targets: []string{"alice@example.com"}, To: []string{"Dave@Elsewhere.test"}, Post: PostMembers})
	group("all@example.com", AliasOptions{Targets: []string{"core@example.com"}, Post: PostDomain})
	group("open@example.com", AliasOptions{Targets: []string{"core@example.com"}})
	const no, yes, proven = PostingRefused, PostingAllowed, PostingIfProven
	for _, c := range []struct {
		account, sender, to string
		want                Posting
	}{
		{"alice@example.com", "x@y.test", "core@example.com", yes},
		{"alice@example.com", "", "Core+tag@example.org", yes},
		{"bob@example.com", "", "core@example.com", no},
		{"bob@example.com", "", "all@example.com", yes},
		{"carol@other.test", "", "all@example.com", no},
		{"carol@other.test", "", "open@example.com", yes},
		{"gone@example.com", "", "all@example.com", no},
		{"", "alice@example.com", "core@example.com", no},
		{"", "dave@elsewhere.test", "core@example.com", proven},
		{"", "DAVE@ELSEWHERE.TEST", "all@example.com", proven},
		{"", "dave+x@elsewhere.test", "core@example.com", no},
		{"", "", "core@example.com", no},
		{"", "", "open@example.com", yes},
		{"", "", "alice@example.com", yes},
		{"", "", "nobody@example.com", yes}, // which is refused for another reason
		{"", "", "x@nowhere.test", yes},
		{"", "", "postmaster", yes},
	} {
		got, err := d.MayPost(ctx, c.account, c.sender, c.to)
		if got != c.want || err != nil {
			t.Errorf("%s <%s> to %s: got %v, %v, want %v", c.account, c.sender, c.to, got, err, c.want)
		}
	}
	_, err := d.ReplaceAlias(ctx, "core@example.com", AliasOptions{Targets: []string{"alice@example.com"}})
	want(t, "for anyone", err, nil)
	if got, _ := d.MayPost(ctx, "", "", "core@example.com"); got != yes {
		t.Errorf("after it was opened: %v", got)
	}
	all, err := d.ListAliases(ctx)
	if err != nil || all[0].Post != PostDomain || all[1].Post != PostAnyone {
		t.Errorf("list: %+v, %v", all, err)
	}
	_, err = d.CreateAlias(ctx, "@example.com", AliasOptions{Targets: []string{"alice@example.com"}, Post: PostMembers})
	want(t, "catch-all", err, ErrInvalidAddress)
	for _, s := range []string{"members", "domain", "anyone"} {
		if p, err := ParsePost(s); err != nil || p.String() != s {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	if _, err := ParsePost("everybody"); err == nil {
		t.Error("everybody is no rule")
	}
}
