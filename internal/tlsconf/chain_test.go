package tlsconf

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file may hold a key as well, which is passed over.
func TestChain(t *testing.T) {
	dir := t.TempDir()
	first, key := pair(t, "mail.example.com", time.Now(), time.Hour)
	second, _ := pair(t, "ca.example.com", time.Now(), time.Hour)
	for name, c := range map[string]struct {
		text []byte
		want string // names of the certificates, or words of the error
		ok   bool
	}{
		"both":   {append(bytes.Clone(first), second...), "mail.example.com ca.example.com", true},
		"key":    {append(bytes.Clone(key), first...), "mail.example.com", true},
		"none":   {key, "holds none", false},
		"empty":  {nil, "holds none", false},
		"broken": {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "broken", false},
	} {
		path := filepath.Join(dir, name)
		write(t, path, c.text)
		chain, err := Chain(path)
		var names []string
		for _, one := range chain {
			names = append(names, one.DNSNames...)
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = err.Error()
		}
		if (err == nil) != c.ok || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := Chain(filepath.Join(dir, "missing")); err == nil {
		t.Error("no error")
	}
}
