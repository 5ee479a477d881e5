package maildir

import (
	"strings"
	"testing"
)

func TestAccountDir(t *testing.T) {
	for addr, want := range map[string]string{
		"alice@example.org":        "example.org/alice",
		"a.b+c_d-e@example.org":    "example.org/a.b+c_d-e",
		".hidden@example.org":      "example.org/%2Ehidden",
		"..@example.org":           "example.org/%2E.",
		"a/b@example.org":          "example.org/a%2Fb",
		"a%2Fb@example.org":        "example.org/a%252%46b",
		"a\x00b\n@example.org":     "example.org/a%00b%0A",
		"a b@example.org":          "example.org/a%20b",
		"a@b@example.org":          "example.org/a@b",
		"Alice@example.org":        "example.org/%41lice",
		"jürgen@example.org":       "example.org/jürgen",
		"ju\u0308rgen@example.org": "example.org/ju%CC%88rgen",
		"Jürgen@example.org":       "example.org/%4A%C3%BCrgen",
		"ſ@example.org":            "example.org/%C5%BF",
		"\xff@example.org":         "example.org/%FF",
		"x@../..":                  "%2E.%2F../x",
	} {
		got, err := AccountDir(addr)
		if got != want || err != nil {
			t.Errorf("AccountDir(%q) = %q, %v; want %q", addr, got, err, want)
		}
		if back, ok := AccountOf(got); back != addr || !ok {
			t.Errorf("AccountOf(%q) = %q, %v", got, back, ok)
		}
	}
	for _, bad := range []string{"", "@", "a@", "@b", "nobody"} {
		if dir, err := AccountDir(bad); err == nil {
			t.Errorf("AccountDir(%q) = %q", bad, dir)
		}
	}
	for _, bad := range []string{"", "x", "example.org/", "/x", "example.org/Alice", "example.org/%2e", "example.org/%61", "example.org/.x", "a/b/c"} {
		if addr, ok := AccountOf(bad); ok {
			t.Errorf("AccountOf(%q) = %q", bad, addr)
		}
	}
}

// Parts over 255 bytes end in a hash, and still differ.
func TestAccountDirLong(t *testing.T) {
	seen := make(map[string]bool)
	for _, local := range []string{
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 257),
		strings.Repeat("/", 86), strings.Repeat("/", 86) + "a", strings.Repeat("ü", 200),
		"a" + strings.Repeat("ü", 200), "a" + strings.Repeat("/", 200), "aa" + strings.Repeat("/", 200),
	} {
		dir, err := AccountDir(local + "@example.org")
		if err != nil || seen[dir] {
			t.Errorf("%.10q…: %q, %v", local, dir, err)
		}
		seen[dir] = true
		part := strings.TrimPrefix(dir, "example.org/")
		if len(part) > 255 || strings.ToValidUTF8(part, "") != part {
			t.Errorf("%.10q…: %d bytes, %q", local, len(part), part)
		}
		if hash := strings.Contains(part, "%%"); hash != (len(part) != 255) {
			t.Errorf("%.10q…: %q", local, part)
		} else if _, ok := AccountOf(dir); ok == hash {
			t.Errorf("AccountOf(%q) ok = %v", dir, ok)
		}
	}
}

func FuzzAccountDir(f *testing.F) {
	f.Add("alice@example.org", "Alice@example.org")
	f.Add(".a/b%@x", "\u00e9@x")
	f.Fuzz(func(t *testing.T, a, b string) {
		da, err := AccountDir(a)
		if err != nil {
			return
		}
		domain, local, _ := strings.Cut(da, "/")
		for _, part := range []string{domain, local} {
			if part == "" || part[0] == '.' || len(part) > 255 || strings.ContainsAny(part, "/\x00\n") {
				t.Fatalf("%q: %q", a, da)
			}
		}
		if back, ok := AccountOf(da); ok && back != a {
			t.Fatalf("%q: %q is %q", a, da, back)
		} else if !ok && !strings.Contains(da, "%%") {
			t.Fatalf("%q: %q leads nowhere", a, da)
		}
		if db, err := AccountDir(b); err == nil && a != b && strings.EqualFold(da, db) {
			t.Fatalf("%q and %q are both %q", a, b, da)
		}
	})
}
