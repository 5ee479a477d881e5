package tlsconf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFilesFollowChanges(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	synctest.Test(t, func(t *testing.T) {
		put := func() {
			c, k := pair(t, "mail.example.com", time.Now(), 90*24*time.Hour)
			write(t, cert, c)
			write(t, key, k)
		}
		put()
		var reports []string
		conf, err := Files(cert, key, func(err error) {
			if err == nil {
				reports = append(reports, "")
			} else {
				reports = append(reports, err.Error())
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		first := serial(t, conf)
		put()
		if serial(t, conf) != first {
			t.Error("looked within a second")
		}
		time.Sleep(time.Second)
		second := serial(t, conf)
		if second == first {
			t.Error("the new certificate is not served")
		}
		if err := handshake(t, conf, "", "mail.example.com"); err != nil {
			t.Error(err)
		}

		// A renewal that is only half there leaves the old one in service.
		c, k := pair(t, "mail.example.com", time.Now(), 90*24*time.Hour)
		write(t, cert, c)
		for range 3 {
			time.Sleep(time.Second)
			if serial(t, conf) != second {
				t.Error("half a renewal is served")
			}
		}
		if len(reports) != 1 || !strings.Contains(reports[0], "the old one is still served") {
			t.Errorf("reports: %q", reports)
		}
		write(t, key, k)
		time.Sleep(time.Second)
		if serial(t, conf) == second || len(reports) != 2 || reports[1] != "" {
			t.Errorf("the whole renewal; reports: %q", reports)
		}

		os.Remove(cert)
		time.Sleep(time.Second)
		serial(t, conf)
		if len(reports) != 3 || !strings.Contains(reports[2], "no such file") {
			t.Errorf("a missing file; reports: %q", reports)
		}
		write(t, cert, c)
		time.Sleep(time.Second)
		serial(t, conf)
		time.Sleep(100 * 24 * time.Hour)
		serial(t, conf)
		serial(t, conf)
		if len(reports) != 5 || !strings.Contains(reports[4], "ended on") {
			t.Errorf("out of date; reports: %q", reports)
		}
	})
}

func TestFilesBehindALink(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []string{"1", "2"} {
			c, k := pair(t, "mail.example.com", time.Now(), 90*24*time.Hour)
			write(t, filepath.Join(dir, n), append(c, k...))
		}
		link := filepath.Join(dir, "live.pem")
		os.Symlink("1", link)
		conf, err := Files(link, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		first := serial(t, conf)
		os.Remove(link)
		os.Symlink("2", link)
		time.Sleep(time.Second)
		if serial(t, conf) == first {
			t.Error("a moved link is not followed")
		}
	})
}

func TestFilesServesAnExpiredCertificate(t *testing.T) {
	dir := t.TempDir()
	c, k := pair(t, "mail.example.com", time.Now().Add(-48*time.Hour), time.Hour)
	path := filepath.Join(dir, "x.pem")
	write(t, path, append(c, k...))
	var told error
	conf, err := Files(path, path, func(err error) { told = err })
	if err != nil || conf == nil || told == nil || !strings.Contains(told.Error(), "ended on") {
		t.Errorf("%v, told %v", err, told)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t, "mail.example.com", time.Now(), time.Hour)
	_, otherKey := pair(t, "mail.example.com", time.Now(), time.Hour)
	for name, text := range map[string][]byte{
		"cert": cert, "key": key, "other": otherKey, "both": append(bytes.Clone(key), cert...),
		"junk": []byte("junk\n"), "large": make([]byte, maxFile+1),
		"secret": []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
		"oldsecret": []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" +
			"AAAA\n-----END RSA PRIVATE KEY-----\n"),
		"broken": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		write(t, filepath.Join(dir, name), text)
	}
	for _, tt := range []struct{ cert, key, want string }{
		{"cert", "key", ""},
		{"both", "both", ""},
		{"none", "key", "none: no such file"},
		{"cert", "none", "none: no such file"},
		{"large", "key", "large: file too large"},
		{"junk", "key", "junk holds nothing in PEM format"},
		{"key", "cert", "key holds something else (PRIVATE KEY): are the two files swapped?"},
		{"cert", "cert", "cert holds something else (CERTIFICATE)"},
		{"cert", "secret", "secret holds an encrypted key"},
		{"cert", "oldsecret", "oldsecret holds an encrypted key"},
		{"cert", "other", "private key does not match"},
		{"broken", "key", "broken"},
	} {
		_, err := Load(filepath.Join(dir, tt.cert), filepath.Join(dir, tt.key))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %s: %v; want %q", tt.cert, tt.key, err, tt.want)
		}
		if _, ferr := Files(filepath.Join(dir, tt.cert), filepath.Join(dir, tt.key), nil); (ferr == nil) != (err == nil) {
			t.Errorf("%s, %s: Files: %v", tt.cert, tt.key, ferr)
		}
	}
}

func TestProblems(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	c, k := pair(t, "mail.example.com", now, 30*24*time.Hour)
	path := filepath.Join(dir, "x.pem")
	write(t, path, append(c, k...))
	loaded, err := Load(path, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host  string
		after time.Duration
		want  []string
	}{
		{"mail.example.com", 0, nil},
		{"", 0, nil},
		{"mail.example.org", 0, []string{"not for mail.example.org but for mail.example.com"}},
		{"mail.example.com", 28 * 24 * time.Hour, []string{"ends in 48 hours"}},
		{"192.0.2.1", 40 * 24 * time.Hour, []string{"ended on", "not for 192.0.2.1"}},
		{"", -2 * time.Hour, []string{"only begins on"}},
	} {
		got := Problems(loaded.Leaf, tt.host, now.Add(tt.after))
		if len(got) != len(tt.want) {
			t.Errorf("%q after %v: %v", tt.host, tt.after, got)
			continue
		}
		for i, err := range got {
			if !strings.Contains(err.Error(), tt.want[i]) {
				t.Errorf("%q after %v: %v", tt.host, tt.after, err)
			}
		}
	}
}
