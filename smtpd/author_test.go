package smtpd

import (
	"strings"
	"testing"
)

// RFC 5322 section 3.4: a field of senders that another program could read in another way
// is refused, though every address that we find in it is the user's.
func TestMayWriteAs(t *testing.T) {
	s, _ := testServer(t)
	ss := &session{wire: &wire{srv: s, ctx: t.Context()}, by: submitter{user, "alice@local.test"}}
	for value, want := range map[string]bool{
		"alice@local.test": true, "<alice@local.test>": true, "Alice <alice@local.test>": true,
		`"Bob, of x@y" <alice@local.test>`: true, "alice@local.test (Alice (of) \\) Bob)": true, "(a) alice (b) @ (c) local.test (d)": true,
		"alice@local.test, Alice <alice+x@local.test>,": true, "us: alice@local.test, <alice@local.test>;": true,
		"us: alice@local.test;, alice@local.test": true, `"alice"@local.test`: true, "alice@local.test;": true,
		"=?utf-8?q?J=C3=B6rg?= <alice@local.test>": true, "Jörg <alice@local.test>": true,

		"alice@local.test <bob>": false, "alice@local.test <=?utf-8?q?bob=40local.test?=>": false, "alice@local.test <>": false,
		`alice@local.test "bob@local.test"`: false, "alice@local.test bob": false, "alice@local.test (x) bob": false,
		"alice@local.test =?utf-8?q?bob=40local.test?=": false, "<alice@local.test> bob": false, `<alice@local.test> "<bob>"`: false,
		"<alice@local.test> <bob>": false, "Alice <alice@local.test>>": false, "alice@local.test>": false,
		"alice@local.test (": false, "alice@local.test \"": false, "\"bob@local.test\" alice@local.test": false,
		"alice@local.test: bob@local.test;": false, "us: alice@local.test; bob@local.test": false, "us: alice@local.test bob;": false,
		"<@local.test:alice@local.test>": false, "<alice@local.test, bob@local.test>": false, "<bob> alice@local.test": false,
		"alice@local.test\x00": false, "alice@[local.test]": false, "alice@local.test,bob": false, "us:;": false, "": false,
	} {
		if r := ss.mayWriteAs("from", value); (r == nil) != want {
			t.Errorf("%q: %v", value, r)
		}
	}
}

// Whatever is let through has each of its @ in a comment, in a quoted string or in an address.
func FuzzCountMailboxes(f *testing.F) {
	for _, s := range []string{"a@b", `"x@y" <a@b> (c@d)`, "g: a@b, <c@d>;", "a@b <c>", "(", `"\`, "<", "a@(b)c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := countMailboxes(s)
		if ok && n > strings.Count(s, "@") {
			t.Fatalf("%q: %d", s, n)
		}
		if again, fine := countMailboxes(s + ",x@y"); ok && (!fine || again != n+1) && !strings.Contains(s, "<") {
			t.Fatalf("%q: %d, with another %d, %v", s, n, again, fine)
		}
	})
}
