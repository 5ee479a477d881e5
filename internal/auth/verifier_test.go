package auth

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestHashPassword(t *testing.T) {
	s, err := HashPassword("correct horse")
	if err != nil || !strings.HasPrefix(s, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("got %q, %v", s, err)
	}
	v, err := parseVerifier(s)
	if err != nil || v.String() != s {
		t.Fatalf("read again %q, %v", v, err)
	}
	if !v.matches("correct horse", argon2id) || v.matches("Correct horse", argon2id) || v.matches("", argon2id) {
		t.Error("the verifier doesn't tell right from wrong")
	}
	if again, _ := HashPassword("correct horse"); again == s {
		t.Error("the same salt twice")
	}
	for _, bad := range []string{"", "a\x00b", "a\nb", "\xff", strings.Repeat("x", MaxPassword+1)} {
		if _, err := HashPassword(bad); !errors.Is(err, ErrPassword) || len(bad) > 3 && strings.Contains(err.Error(), bad) {
			t.Errorf("%.10q: got %v", bad, err)
		}
	}
}

// The reference implementation's vector: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
func TestForeignVerifier(t *testing.T) {
	v, err := parseVerifier("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil || !v.matches("password", argon2id) {
		t.Errorf("the reference's own verifier doesn't match: %v", err)
	}
}

// RFC 8265 section 4.2: what looks the same and is typed on another system is the same.
func TestPrepared(t *testing.T) {
	for in, want := range map[string]string{
		"plain":          "plain",
		"u\u0308ber":     "über",
		"a\u00a0b":       "a b",
		"a\u3000b":       "a b",
		"Case":           "Case",
		"bad\x00":        "bad\x00",
		"\xff":           "\xff",
		"":               "",
		" sp aces kept ": " sp aces kept ",
	} {
		if got := prepared(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	long := strings.Repeat("x", 10*MaxPassword)
	if got := prepared(long); len(got) > MaxPassword+1 || got == prepared(long[:MaxPassword]) {
		t.Error("a long password must be cut, and not to another password")
	}
}

const goodSalt, goodKey = "c29tZXNhbHRzb21lc2FsdA", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

var badVerifiers = []string{
	"", "plain", "$", "$$$$$",
	"$argon2i$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=16$m=19456,t=2,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$m=19456,t=2,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=4194304,t=2,p=1$" + goodSalt + "$" + goodKey, // 4 GiB
	"$argon2id$v=19$m=19456,t=1000000,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=19456,t=2,p=255$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=16,t=2,p=4$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=0,t=2,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=19456,t=0,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=19456,t=2,p=0$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=-1,t=2,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=19456,t=2$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$t=2,m=19456,p=1$" + goodSalt + "$" + goodKey,
	"$argon2id$v=19$m=19456,t=2,p=1$YQ$" + goodKey,
	"$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$YQ",
	"$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "=$" + goodKey,
	"$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodKey + "$x",
	"$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + strings.Repeat("A", 1000),
}

func TestParseVerifierRefuses(t *testing.T) {
	for _, s := range badVerifiers {
		if _, err := parseVerifier(s); err == nil {
			t.Errorf("%.80q was taken", s)
		}
	}
}

func FuzzParseVerifier(f *testing.F) {
	for _, s := range badVerifiers {
		f.Add(s)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodKey)
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseVerifier(s)
		if err != nil {
			return
		}
		again, err := parseVerifier(v.String())
		if err != nil || again.String() != v.String() {
			t.Errorf("%q is %q, read again %q, %v", s, v, again, err)
		}
	})
}

func TestGeneratePassword(t *testing.T) {
	form := regexp.MustCompile(`^([a-km-np-z2-9]{5}-){3}[a-km-np-z2-9]{5}$`)
	seen := map[string]bool{}
	for range 1000 {
		p := GeneratePassword()
		if !form.MatchString(p) || seen[p] {
			t.Fatalf("got %q", p)
		}
		seen[p] = true
		if prepared(p) != p {
			t.Fatalf("%q changes on its way", p)
		}
	}
}
