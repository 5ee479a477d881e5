package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/fsx"
)

func local(t *testing.T, dir string, hosts ...string) (*tls.Config, string) {
	t.Helper()
	conf, ca, err := LocalCA(fsx.OS{}, dir, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return conf, ca
}

func TestLocalCA(t *testing.T) {
	for name, hosts := range map[string][]string{
		"all":   {"Local.Test", "localhost", "127.0.0.1", "::1"},
		"names": {"mail.example.com"},
		"ips":   {"192.0.2.1"},
		"long":  {strings.Repeat("x", 60) + "." + strings.Repeat("y", 60) + ".example.com"},
	} {
		dir := filepath.Join(t.TempDir(), "a", "b")
		conf, ca := local(t, dir, hosts...)
		if conf.MinVersion != tls.VersionTLS12 || ca != filepath.Join(dir, "ca.pem") {
			t.Errorf("%s: %#x, %s", name, conf.MinVersion, ca)
		}
		if c, err := conf.GetCertificate(&tls.ClientHelloInfo{}); err != nil || !IsLocal(c.Leaf) || IsLocal(&x509.Certificate{}) {
			t.Errorf("%s: IsLocal, %v", name, err)
		}
		for _, h := range hosts {
			if err := handshake(t, conf, ca, h); err != nil {
				t.Errorf("%s: %v", h, err)
			}
		}
		if err := handshake(t, conf, ca, "example.net"); err == nil {
			t.Errorf("%s: good for another name", name)
		}
		again, _ := local(t, dir, hosts...)
		if serial(t, again) != serial(t, conf) {
			t.Errorf("%s: made anew", name)
		}
		for _, f := range []string{"ca-key.pem", "server.pem"} {
			if st, err := os.Stat(filepath.Join(dir, f)); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, st.Mode(), err)
			}
		}
		if strings.Contains(string(read(t, ca)), "KEY") {
			t.Error("the key is in the file for the clients")
		}
	}
}

// Whoever steals the CA's key cannot use it for other names.
func TestLocalCAIsConstrained(t *testing.T) {
	for _, tt := range []struct{ host, other string }{
		{"mail.example.com", "example.net"},
		{"mail.example.com", "192.0.2.1"},
		{"192.0.2.1", "192.0.2.2"},
		{"192.0.2.1", "example.net"},
		{"2001:db8::1", "192.0.2.2"},
	} {
		dir := t.TempDir()
		_, caPath := local(t, dir, tt.host)
		ca, err := Load(filepath.Join(dir, caKeyFile), filepath.Join(dir, caKeyFile))
		if err != nil {
			t.Fatal(err)
		}
		thief := &localCA{fsys: fsx.OS{}, dir: t.TempDir(), hosts: []string{tt.other}}
		forged, err := thief.issue(serverFile, thief.serverTemplate(time.Now(), ca.Leaf), ca)
		if err != nil {
			t.Fatal(err)
		}
		err = handshake(t, &tls.Config{Certificates: []tls.Certificate{*forged}}, caPath, tt.other)
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("a CA for %s signed for %s: %v", tt.host, tt.other, err)
		}
	}
}

func TestLocalCAIsMadeAnew(t *testing.T) {
	hosts := []string{"local.test", "127.0.0.1"}
	for name, spoil := range map[string]func(dir string){
		"server file gone":    func(dir string) { os.Remove(filepath.Join(dir, serverFile)) },
		"server file damaged": func(dir string) { os.WriteFile(filepath.Join(dir, serverFile), []byte("x"), 0o600) },
		"server of another":   func(dir string) { os.Link(filepath.Join(other(t, hosts), serverFile), filepath.Join(dir, "x")) },
		"CA gone":             func(dir string) { os.Remove(filepath.Join(dir, caKeyFile)) },
		"CA damaged":          func(dir string) { os.Truncate(filepath.Join(dir, caKeyFile), 100) },
		"CA of other hosts": func(dir string) {
			write(t, filepath.Join(dir, caKeyFile), read(t, filepath.Join(other(t, []string{"x.test"}), caKeyFile)))
		},
		"CA of the same hosts": func(dir string) {
			write(t, filepath.Join(dir, caKeyFile), read(t, filepath.Join(other(t, hosts), caKeyFile)))
		},
		"public file gone": func(dir string) { os.Remove(filepath.Join(dir, caFile)) },
	} {
		dir := t.TempDir()
		local(t, dir, hosts...)
		spoil(dir)
		conf, ca := local(t, dir, hosts...)
		if err := handshake(t, conf, ca, "local.test"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	local(t, dir, hosts...)
	conf, ca := local(t, dir, append(hosts, "new.test")...)
	if err := handshake(t, conf, ca, "new.test"); err != nil {
		t.Error(err)
	}
}

func other(t *testing.T, hosts []string) string {
	dir := t.TempDir()
	local(t, dir, hosts...)
	return dir
}

func TestLocalCARenews(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		conf, ca := local(t, dir, "local.test")
		first, public := serial(t, conf), string(read(t, ca))
		time.Sleep(serverLife - renewBefore - time.Minute)
		if serial(t, conf) != first {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Minute)
		if err := handshake(t, conf, ca, "local.test"); err != nil {
			t.Error(err)
		}
		second := serial(t, conf)
		if second == first || string(read(t, ca)) != public {
			t.Error("not renewed, or the CA was renewed too")
		}
		// A renewal that fails leaves the old one, and is tried again in an hour.
		time.Sleep(serverLife - renewBefore)
		kept := dir + ".kept"
		if err := os.Rename(dir, kept); err != nil {
			t.Fatal(err)
		}
		if serial(t, conf) != second {
			t.Error("renewed without a directory")
		}
		if err := os.Rename(kept, dir); err != nil {
			t.Fatal(err)
		}
		if serial(t, conf) != second {
			t.Error("tried again at once")
		}
		time.Sleep(retryRenew)
		if serial(t, conf) == second {
			t.Error("not tried again")
		}
		// In its last month the CA itself is followed by a new one.
		time.Sleep(caLife)
		conf, ca = local(t, dir, "local.test")
		if string(read(t, ca)) == public {
			t.Error("an old CA is still there")
		}
		if err := handshake(t, conf, ca, "local.test"); err != nil {
			t.Error(err)
		}
	})
}

// broken is a file system on which a kind of call fails.
type broken struct {
	fsx.FS
	open, create, mkdir error
}

func (b broken) Open(name string) (fsx.File, error) {
	if b.open != nil {
		return nil, b.open
	}
	return b.FS.Open(name)
}

func (b broken) Create(name string, perm fs.FileMode) (fsx.File, error) {
	if b.create != nil {
		return nil, b.create
	}
	return b.FS.Create(name, perm)
}

func (b broken) Mkdir(name string, perm fs.FileMode) error {
	if b.mkdir != nil {
		return b.mkdir
	}
	return b.FS.Mkdir(name, perm)
}

func TestLocalCAErrors(t *testing.T) {
	for _, hosts := range [][]string{nil, {""}, {"a", ""}} {
		if _, _, err := LocalCA(fsx.OS{}, t.TempDir(), hosts...); err == nil {
			t.Errorf("hosts %q: no error", hosts)
		}
	}
	for name, fsys := range map[string]broken{
		"open":   {FS: fsx.OS{}, open: syscall.EACCES},
		"create": {FS: fsx.OS{}, create: syscall.ENOSPC},
		"mkdir":  {FS: fsx.OS{}, mkdir: syscall.EROFS},
	} {
		want := errors.Join(fsys.open, fsys.create, fsys.mkdir)
		_, _, err := LocalCA(fsys, filepath.Join(t.TempDir(), "tls"), "local.test")
		if err == nil || !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A full disk does not matter as long as all is there.
	dir := t.TempDir()
	local(t, dir, "local.test")
	if _, _, err := LocalCA(broken{FS: fsx.OS{}, create: syscall.ENOSPC}, dir, "local.test"); err != nil {
		t.Error(err)
	}
}
