package certs

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kurir/internal/fsx"
)

// TestMend: what is whole stays, what is damaged goes, so that a new certificate is ordered,
// and what cannot be read now is left alone.
func TestMend(t *testing.T) {
	_, cert, key := made(t, time.Hour, "mail.a.test")
	_, _, other := made(t, time.Hour, "mail.a.test")
	local, _, _ := made(t, time.Hour, "mail.a.test")
	const at, user = "certificates/ca.test-dir/mail.a.test/mail.a.test", "acme/ca.test-dir/users/admin@a.test/admin"
	whole := map[string]string{at + ".crt": string(cert), at + ".key": string(key), at + ".json": `{"sans":["mail.a.test"]}`, user + ".json": "{}", user + ".key": string(key)}
	for _, c := range []struct {
		what, file, text string
		left             []string // of the files
	}{
		{"whole", at + ".json", whole[at+".json"], []string{at + ".crt", at + ".json", at + ".key", user + ".json", user + ".key"}},
		{"certificate", at + ".crt", "x", []string{at + ".key", user + ".json", user + ".key"}},
		{"key", at + ".key", "", []string{user + ".json", user + ".key"}},
		{"key of another", at + ".key", string(other), []string{at + ".key", user + ".json", user + ".key"}},
		{"what belongs to it", at + ".json", "\x00", []string{at + ".crt", at + ".json", at + ".key", user + ".json", user + ".key"}},
		{"account", user + ".json", "", []string{at + ".crt", at + ".json", at + ".key"}},
		{"account's key", user + ".key", "x", []string{at + ".crt", at + ".json", at + ".key"}},
	} {
		ca := fakeCA(t)
		s, err := newStorage(ca.Files, ca.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range whole {
			if name == c.file {
				text = c.text
			}
			if err := s.Store(t.Context(), name, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), CA: ca}); err != nil {
			t.Fatal(err)
		}
		all, err := s.List(t.Context(), "", true)
		all = slices.DeleteFunc(all, func(k string) bool {
			return filepath.Ext(k) == ".test" || filepath.Ext(k) == "" || filepath.Base(k) == "ca.test-dir"
		})
		slices.Sort(all)
		slices.Sort(c.left)
		if err != nil || !slices.Equal(all, c.left) {
			t.Errorf("%s: %q is left, %v", c.what, all, err)
		}
		if text, err := s.Load(t.Context(), at+".json"); err == nil && len(text) < len(whole[at+".json"]) {
			t.Errorf("%s: %q", c.what, text)
		}
	}
	ca := fakeCA(t)
	keep(t, ca, "mail.a.test", cert, []byte("x"))
	blind := filepath.Join(ca.Dir, filepath.FromSlash(at)+".json")
	if err := (fsx.OS{}).Remove(blind); err != nil {
		t.Fatal(err)
	}
	if err := fsx.MkdirAll(ca.Files, blind, 0o700); err != nil { // it cannot be read
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Host: "mail.a.test", Fallback: fallback(local), CA: ca}); err != nil {
		t.Fatal(err)
	}
	if s, err := newStorage(ca.Files, ca.Dir); err != nil || !s.Exists(t.Context(), at+".crt") {
		t.Errorf("removed what it could not look at: %v", err)
	}
}
