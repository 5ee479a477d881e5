package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
	"kurir/internal/admin"
)

// dkimSite is a site with a domain, an alias of it and a DNS that has nothing of them.
func dkimSite(t *testing.T, more ...string) (*testSite, *dnstest.Server) {
	dns := dnstest.Start(t, "")
	s := newTestSite(t, append([]string{"[dns]", fmt.Sprintf("servers = [%q]", dns.Addr())}, more...)...)
	s.must("", "domain", "add", "example.test")
	s.must("", "domain", "alias", "add", "bücher.test", "example.test")
	return s, dns
}

func (s *testSite) keys(args ...string) (keys []admin.DKIMKey) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.must("", append([]string{"dkim", "list", "--json"}, args...)...)), &keys); err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func TestDKIMCommands(t *testing.T) {
	s, dns := dkimSite(t)
	keys := s.keys()
	if len(keys) != 4 || keys[0].Domain != "example.test" || keys[3].Domain != "xn--bcher-kva.test" || keys[0].DNS != "missing" {
		t.Fatalf("%+v", keys)
	}
	out := s.must("", "dkim", "list", "example.test")
	contains(t, out, "DOMAIN", "NEXT", keys[0].Selector, "rsa", "ed25519", "active", "missing", "publish the record",
		"To be published:\n", "\n  name   "+keys[0].Name+"\n  type   TXT\n  value  v=DKIM1; k=rsa; p=", keys[1].Value)
	contains(t, s.must("", "dkim", "list"), "xn--bcher-kva.test (bücher.test)")
	var zone strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&zone, "%s. 0 TXT \"%s\" \"%s\"\n", k.Name, k.Value[:40], k.Value[40:])
	}
	if err := dns.SetZone(zone.String()); err != nil {
		t.Fatal(err)
	}
	if out = s.must("", "dkim", "list", "example.test"); !strings.Contains(out, "published") || strings.Contains(out, "To be published") {
		t.Error(out)
	}

	out = s.must("", "dkim", "rotate", "Example.TEST")
	fresh := s.keys("example.test")[2:]
	contains(t, out, "New keys were made. Publish these records:", fresh[0].Value, fresh[1].Name, "The old keys sign until", "kurir dkim list example.test")
	contains(t, s.must("", "dkim", "rotate", "example.test"), "were made before and wait", fresh[0].Value)
	var again admin.RotatedDKIM
	if err := json.Unmarshal([]byte(s.must("", "dkim", "rotate", "example.test", "--json")), &again); err != nil || again.Made || len(again.Keys) != 2 || again.Keys[0].Value != fresh[0].Value {
		t.Errorf("%+v %v", again, err)
	}
	contains(t, s.must("", "dkim", "rotate", "example.test", "--now"), "sign now. Their records:", fresh[1].Value, "They sign from now on")
	contains(t, s.must("", "dkim", "list"), "leave the record until 20")
	contains(t, s.must("", "dkim", "rotate", "bücher.test", "--now"), "New keys were made.", "They sign from now on")

	for line, want := range map[string]string{
		"dkim list elsewhere.test":   "no such domain here",
		"dkim rotate elsewhere.test": "no such domain here",
		"dkim rotate a/b":            "no domain name",
		"dkim rotate":                "DOMAIN is missing",
		"dkim list a b":              "one argument too many",
		"dkim lsit":                  "did you mean list",
	} {
		if code, _, errs := s.do("", strings.Fields(line)...); code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("kurir %s: exit %d, %s", line, code, errs)
		}
	}
}

// TestDKIMOfEarlierVersion: domains that have no keys get them at the start.
func TestDKIMOfEarlierVersion(t *testing.T) {
	s, _ := dkimSite(t)
	s.offline(func(d *data) error { return d.signing.Forget(t.Context(), "example.test") })
	before := s.keys()
	if len(before) != 2 {
		t.Fatalf("%+v", before)
	}
	srv := start(t, newConsole(t), "serve", "-c", s.config)
	all := s.keys() // they are made while it serves, which a thousand domains do not delay
	for deadline := time.Now().Add(time.Minute); len(all) < 4 && time.Now().Before(deadline); all = s.keys() {
		time.Sleep(20 * time.Millisecond)
	}
	if len(all) != 4 || all[2].Value != before[0].Value {
		t.Errorf("%+v", all)
	}
	srv.stop()
}

// offline works on the data of a server that is stopped.
func (s *testSite) offline(change func(*data) error) {
	s.t.Helper()
	con := newConsole(s.t)
	con.config = s.config
	settings, err := con.settings()
	if err != nil {
		s.t.Fatal(err)
	}
	d, err := openData(s.t.Context(), dataOptions{cfg: settings, files: con.files, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(change(d), d.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// TestDKIMDamaged: a key that cannot be read keeps its domain's mail back, which health says,
// with what mends it.
func TestDKIMDamaged(t *testing.T) {
	s, _ := dkimSite(t)
	s.offline(func(d *data) error {
		_, err := d.db.ExecContext(t.Context(), `UPDATE dkim_keys SET private = 'AAAA' WHERE domain = 'example.test'`)
		return err
	})
	srv := start(t, newConsole(t), "serve", "-c", s.config)
	health := func(want int) (out string) {
		for code := -1; code != want; time.Sleep(5 * time.Millisecond) {
			code, out, _ = s.do("", "health")
		}
		return out
	}
	contains(t, health(exitFailed), "dkim: ", "cannot be read", "kurir dkim rotate example.test --now")
	s.must("", "dkim", "rotate", "example.test", "--now")
	srv.hangups <- syscall.SIGHUP
	health(exitOK)
	srv.stop()
}

// TestSigned: what is submitted is signed unless the configuration says otherwise.
func TestSigned(t *testing.T) {
	for _, more := range [][]string{nil, {"[dkim]", "sign = false"}} {
		s, _ := dkimSite(t, more...)
		s.must("a fine password\n", "account", "add", "alice@example.test", "--password-stdin")
		s.must("Subject: x\n\nx\n", "send", "--from", "alice@example.test", "alice@example.test")
		text := ""
		err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(path)) == "new" {
				b, err := os.ReadFile(path)
				text += string(b)
				return err
			}
			return err
		})
		if err != nil || !strings.Contains(text, "Subject: x") {
			t.Fatalf("%q %v", text, err)
		}
		if signed := strings.Count(text, "d=example.test;"); signed != 2-len(more) {
			t.Errorf("%v: %d signatures", more, signed)
		}
	}
}

// TestLocalSignsNothing: there is nobody who could check it, and keys take time to make.
func TestLocalSignsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kurir")
	srv := start(t, newConsole(t), "local", "--dir", dir)
	ask := func() {
		t.Helper()
		c := newConsole(t)
		if code := run(t.Context(), c.env, []string{"dkim", "list", "--data", dir}); code != exitFailed || !strings.Contains(c.err.String(), "kurir local sends nothing") {
			t.Errorf("exit %d: %s", code, c.err.String())
		}
	}
	ask()
	srv.stop()
	ask()
}
