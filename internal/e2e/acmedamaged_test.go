package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kurir/dnsutil/dnstest"
)

// TestACMEDamaged begins with what a broken disk, or half a backup, has left of a
// certificate: a new one is fetched, without a person, whichever of its files is damaged.
func TestACMEDamaged(t *testing.T) {
	t.Parallel()
	web := aPort(t)
	dns := dnstest.Start(t, "mail.local.test. A 127.0.0.1\n")
	p := newPebble(t, pebbleOptions{dns: dns.Addr(), http: web, https: 9})
	m := newMailer(t, setup{dns: dns.Addr(), rest: fmt.Sprintf("[web]\nhttp = [\"127.0.0.1:%d\"]\n", web) + p.acme()})
	before := servesFrom(t, m.at(imapsPort), "mail.local.test", p.root())
	for what, damage := range map[string]func(path string) error{
		"empty": func(path string) error { return os.Truncate(path, 0) },
		"gone":  os.Remove,
		"zeros": func(path string) error { return os.WriteFile(path, make([]byte, 500), 0o600) },
	} {
		for _, ext := range []string{".crt", ".key", ".json"} {
			m.kill()
			ok(t, what, filepath.WalkDir(filepath.Join(m.dir, "acme"), func(path string, _ fs.DirEntry, err error) error {
				if err == nil && filepath.Ext(path) == ext {
					err = damage(path)
				}
				return err
			}))
			ok(t, "start", m.launch())
			after := servesFrom(t, m.at(imapsPort), "mail.local.test", p.root())
			if ext != ".json" && after.Equal(before) {
				t.Errorf("%s %s: the certificate is the same", what, ext)
			}
			before = after
			contains(t, m.kurir("", "certificate", "list"), "valid")
		}
	}
}
