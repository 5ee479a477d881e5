package auth

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Hashes as other servers keep them, and what is said of those that are of no use here.
func TestReadVerifier(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("right horse"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	two := string(b)
	y := strings.Replace(two, "$2a$", "$2y$", 1)
	const argon = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, c := range []struct{ hash, want string }{
		{two, two}, {y, y}, {" {BLF-CRYPT}" + y + "\n", y}, {"{blf-crypt}" + y, y}, {"{CRYPT}" + y, y}, {argon, argon}, {"{ARGON2ID}" + argon, argon},
		{"", "!no hash of argon2id"}, {"secret", "!no hash of argon2id"}, {"$2y$", "!malformed"}, {y[:59], "!malformed"}, {y + "x", "!malformed"},
		{strings.Replace(y, "$04$", "$31$", 1), "!within 4 and 14"}, {strings.Replace(y, "$04$", "$03$", 1), "!within 4 and 14"},
		{"$6$salt$hash", "!SHA512-crypt"}, {"{SHA512-CRYPT}$6$salt$hash", "!{SHA512-CRYPT}"}, {"{PLAIN}secret", "!{PLAIN}"}, {"{" + strings.Repeat("x", 99) + "}", "!{XXXXXXXXXXXXXXXXXXXX}"},
		{"$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "!argon2i"}, {"$argon2id$v=19", "!not of argon2id"},
	} {
		got, err := ReadVerifier(c.hash)
		if wrong, is := strings.CutPrefix(c.want, "!"); is {
			if !errors.Is(err, ErrPassword) || !strings.Contains(err.Error(), wrong) || len(c.hash) > 30 && strings.Contains(err.Error(), c.hash[10:]) {
				t.Errorf("%q: %q, %v", c.hash, got, err)
			}
			continue
		}
		if got != c.want || err != nil {
			t.Errorf("%q: %q, %v", c.hash, got, err)
		}
	}
	if !Matches(y, "right horse") || Matches(y, "wrong horse") || Matches("$6$", "right horse") {
		t.Error("Matches")
	}
	for _, hash := range []string{two, y} {
		v, err := parseVerifier(hash)
		if err != nil || !v.matches("right horse", argon2id) || v.matches("wrong horse", argon2id) || v.matches("", argon2id) {
			t.Errorf("%s: %v", hash, err)
		}
	}
}

func FuzzReadVerifier(f *testing.F) {
	for _, s := range []string{"", "{BLF-CRYPT}$2y$04$", "$6$x$y", "{", "{}", "$2a$04$" + strings.Repeat(".", 53)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ReadVerifier(s)
		if err != nil {
			return
		}
		if again, err := ReadVerifier(v); again != v || err != nil {
			t.Errorf("%q is read as %q and then as %q, %v", s, v, again, err)
		}
	})
}
