package tlsconf

import (
	"bytes"
	"encoding/pem"
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

// Any text gives certificates or an error, and what is found is found again in its own form.
func FuzzParseChain(f *testing.F) {
	one, _ := pem.Decode([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add(pem.EncodeToMemory(one))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n-----BEGIN"))
	f.Add([]byte("text before\n-----BEGIN CERTIFICATE-----\nx: y\n\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add(certificateForFuzz)
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := ParseChain(text)
		if err != nil {
			return
		}
		var again []byte
		for _, c := range chain {
			again = append(again, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		same, err := ParseChain(again)
		if err != nil || len(same) != len(chain) {
			t.Errorf("%d certificates, then %d, %v", len(chain), len(same), err)
		}
	})
}

// certificateForFuzz is a real one, of a test that is over.
var certificateForFuzz = []byte(`-----BEGIN CERTIFICATE-----
MIIBfDCCASOgAwIBAgIUZ3NG5xmHQi48nB9I+mnOhuXNuRUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJZnV6ei50ZXN0MB4XDTI2MTEyMjEzNDkyNVoXDTI2MTIyMjEz
NDkyNVowFDESMBAGA1UEAwwJZnV6ei50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
AQcDQgAEPn2XijJbqR56wlPixakTVQCkjum1y/vnCfaR83JAUJ2ispLEKpTz5Iav
/PKULGPZMN4fSfU4G9SqWdhLS70SHqNTMFEwHQYDVR0OBBYEFHlbApc0bJIzmS00
i3bAdsnvg4yHMB8GA1UdIwQYMBaAFHlbApc0bJIzmS00i3bAdsnvg4yHMA8GA1Ud
EwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgQh0hVjZ5L/oRi8HyvbAXsnA6
Z7gipL5cXeItgQZfZjQCIDJrYSH0H4f9x2pEs//LAomPhWHUSXLkS2ScNmaDpkGc
-----END CERTIFICATE-----
`)
