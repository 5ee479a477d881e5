package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/config"
	"kurir/internal/fsx"
)

// TestCheckClean: before the first start and beside a running server nothing is wrong.
func TestCheckClean(t *testing.T) {
	s := newTestSite(t)
	out := s.must("", "check")
	contains(t, out, "ok       configuration "+s.config, "does not exist yet: it will be made", "warning  tls.cert is not set", "127.0.0.1:40001 (SMTP) is free")
	if _, err := os.Stat(s.dir); err == nil {
		t.Error("check has made the data directory")
	}
	s.must("", "domain", "add", "example.test")
	contains(t, s.must("", "check"), "ok       data directory "+s.dir, "free on the disk", "clock says")

	s.serve()
	con := newConsole(t)
	con.listen = func(context.Context, string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	if code := run(t.Context(), con.env, []string{"check", "-c", s.config}); code != exitOK {
		t.Errorf("beside the server: exit %d: %s", code, con.out.String())
	}
	contains(t, con.out.String(), "127.0.0.1:40001 (SMTP) is open")

	code, out, _ := s.do("", "check") // its ports can be opened: so the server does not serve them
	if code != exitFailed {
		t.Errorf("beside a server with other ports: exit %d", code)
	}
	contains(t, out, "is not served by the server that runs")
}

// Beside a server that may open ports below 1024, a user who may not sees who answers there.
func TestCheckLowPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newTestSite(t)
	s.serve()
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, strings.Replace(string(text), "127.0.0.1:40001", l.Addr().String(), 1))
	con := newConsole(t)
	con.listen = func(context.Context, string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	if code := run(t.Context(), con.env, []string{"check", "-c", s.config}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.out.String(), l.Addr().String()+" (SMTP) is open", "127.0.0.1:40002 (submission) is not served by the server that runs")
}

// TestCheckConfig: all mistakes at once, with their lines.
func TestCheckConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.toml")
	write(t, path, "hostnam = \"mail.example.test\"\n[smtp]\naddress = [\"nonsense\"]\n[limits]\nmessage_size = \"big\"\n")
	for _, json := range []bool{false, true} {
		con := newConsole(t)
		args := []string{"check", "-c", path}
		if json {
			args = append(args, "--json")
		}
		if code := run(t.Context(), con.env, args); code != exitFailed {
			t.Errorf("exit %d", code)
		}
		contains(t, con.out.String(), path+":1:1", "hostname", path+":3:", "nonsense", path+":5:", "message_size")
	}
}

func TestCheckJSON(t *testing.T) {
	s := newTestSite(t)
	var r report
	if err := json.Unmarshal([]byte(s.must("", "check", "--json")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Errors != 0 || r.Warnings == 0 || len(r.Findings) < 8 {
		t.Errorf("report: %+v", r)
	}
}

func TestCheckPortsTaken(t *testing.T) {
	s := newTestSite(t)
	con := newConsole(t)
	con.listen = func(context.Context, string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	if code := run(t.Context(), con.env, []string{"check", "-c", s.config}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.out.String(), "port 40001 (SMTP) on 127.0.0.1 is taken", "port 40008 (HTTP)")
	contains(t, con.err.String(), "8 errors")
}

func TestCheckControl(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for control, want := range map[string]string{
		"/nowhere/kurir/control.sock":          levelError,
		filepath.Join(open, "control.sock"):    levelWarning,
		filepath.Join("/d", controlName):       "",
		filepath.Join(t.TempDir(), "own.sock"): "",
	} {
		r := &report{}
		checkControl(r, &config.Config{Data: "/d/", Control: control})
		if want == "" && len(r.Findings) > 0 || want != "" && levels(r, want) == "" {
			t.Errorf("%s: %+v, want %q", control, r.Findings, want)
		}
	}
}

// levels returns the texts of a report's findings of one level.
func levels(r *report, level string) string {
	var all []string
	for _, f := range r.Findings {
		if f.Level == level {
			all = append(all, f.Text)
		}
	}
	return strings.Join(all, "\n")
}

func TestCheckDataDir(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	look := func() *report {
		r := &report{}
		checkDataDir(r, fsx.OS{}, s.dir)
		return r
	}
	if r := look(); r.Errors+r.Warnings > 0 {
		t.Errorf("a good directory: %+v", r.Findings)
	}
	if names, err := os.ReadDir(s.dir); err != nil || strings.Contains(names[0].Name(), "check") {
		t.Errorf("a probe is left: %v, %v", names, err)
	}
	for _, name := range []string{"", "kurir.db"} {
		path := filepath.Join(s.dir, name)
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, levels(look(), levelWarning), "chmod 700 "+s.dir, "chmod go= "+filepath.Join(s.dir, "kurir.db"))

	write(t, filepath.Join(s.dir, "mail", "kurir-store"), "kurir-store 99\n")
	contains(t, levels(look(), levelError), "newer kurir (format 99")
	write(t, filepath.Join(s.dir, "mail", "kurir-store"), "what?\n")
	contains(t, levels(look(), levelError), "no version stamp")

	db := filepath.Join(s.dir, "kurir.db")
	header, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	header[60], header[63] = 1, 0
	write(t, db, string(header))
	contains(t, levels(look(), levelError), "newer kurir (version stamp 16777216")
	write(t, db, "text")
	contains(t, levels(look(), levelError), "no SQLite database")
	write(t, db, "")
	if text := levels(look(), levelError); strings.Contains(text, "kurir.db") {
		t.Errorf("an empty database: %s", text)
	}

	r := &report{}
	checkDataDir(r, fsx.OS{}, db)
	contains(t, levels(r, levelError), "is a file")
	full := &failingSync{broken: make(chan struct{})}
	close(full.broken)
	r = &report{}
	checkDataDir(r, full, s.dir)
	contains(t, levels(r, levelError), "cannot be written", "no space left")
	r = &report{}
	checkDataDir(r, fsx.OS{}, filepath.Join(s.dir, "a", "b"))
	contains(t, levels(r, levelWarning), "both will be made")
	r = &report{}
	checkDataDir(r, fsx.OS{}, "/proc/nowhere/data")
	if _, err := os.Stat("/proc/self"); err == nil && os.Geteuid() != 0 {
		contains(t, levels(r, levelError), "this user may not make it")
	}
}

func TestCheckClock(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kurir.db"), "")
	now := time.Now()
	for _, c := range []struct {
		now   time.Time
		level string
		want  string
	}{
		{now, levelOK, "clock says"},
		{now.Add(-time.Hour), levelError, "kurir.db was changed at"},
		{now.Add(-time.Minute), levelOK, "clock says"},
	} {
		r := &report{}
		checkClock(r, dir, c.now)
		contains(t, levels(r, c.level), c.want)
	}
	r := &report{}
	checkClock(r, t.TempDir(), time.Unix(0, 0))
	contains(t, levels(r, levelError), "1970", "time service")
}

// certificate writes a self-signed certificate for name into a file, with its key.
func certificate(t *testing.T, name string, from, to time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: from, NotAfter: to}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))+
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return path
}

func TestCheckCertificate(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Duration
		level    string
		want     string
	}{
		{"mail.example.test", -day, 90 * day, levelOK, "valid until"},
		{"mail.example.test", -day, 3 * day, levelWarning, "ends in 7"},
		{"mail.example.test", -9 * day, -day, levelError, "ended on"},
		{"mail.example.test", day, 9 * day, levelError, "only begins on"},
		{"other.example.test", -day, 90 * day, levelWarning, "not for mail.example.test but for other.example.test"},
	} {
		path := certificate(t, c.name, now.Add(c.from), now.Add(c.to))
		r := &report{}
		checkCertificate(r, &config.Config{Hostname: "mail.example.test", TLS: config.TLS{Cert: path, Key: path}}, now)
		contains(t, levels(r, c.level), path, c.want)
	}
	r := &report{}
	checkCertificate(r, &config.Config{TLS: config.TLS{Cert: "/nowhere/cert.pem", Key: "/nowhere/key.pem"}}, now)
	contains(t, levels(r, levelError), "/nowhere/cert.pem")
}

// TestServeOwnCertificate: the configured certificate is the one that clients get.
func TestServeOwnCertificate(t *testing.T) {
	path := certificate(t, "mail.example.test", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
	s := newTestSite(t, "[tls]", `cert = "`+path+`"`, `key = "`+path+`"`)
	srv := s.serve()
	conf := trusting(t, path)
	conf.ServerName = "mail.example.test"
	c, r := dial(t, srv.address("127.0.0.1:40005"), conf)
	talk(t, c, r, "", "* OK")

	s = newTestSite(t, "[tls]", `cert = "/nowhere/c.pem"`, `key = "/nowhere/k.pem"`)
	code, _, errs := s.do("", "serve")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "/nowhere/c.pem")
}
