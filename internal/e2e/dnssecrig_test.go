package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// daemon runs a program until the end of the test, and waits until it answers at address.
func daemon(t *testing.T, address, name string, args ...string) {
	t.Helper()
	var out output
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, clip(out.String()))
		}
	})
	err := eventually(patience, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out.String())
	}
}

// zone is one of a world of their own, which Knot serves.
type zone struct {
	name   string // with the dot at the end
	text   string // without SOA and NS
	signed bool   // by DNSSEC, and the root knows its key
	forge  func(text string) string
}

// startKnot serves zones and the root above them, on a loopback address, host and port. The
// root is signed, and names the key of each signed zone. What forge makes of a zone is
// served in its place: nobody signs anew. anchor is the DS record of the root.
func startKnot(c *client, address string, zones ...zone) (anchor string) {
	c.t.Helper()
	all := append([]zone{{name: ".", signed: true, text: "ns.knot.net. A " + host(address) + "\n"}}, zones...)
	conf := fmt.Sprintf("server:\n  rundir: %[1]s\n  listen: %[2]s@%[3]s\ndatabase:\n  storage: %[1]s\n"+
		"policy:\n  - id: ours\n    manual: on\n    algorithm: ecdsap256sha256\nzone:\n", c.home, host(address), port(address))
	signing := conf
	for _, z := range all {
		conf += fmt.Sprintf("  - domain: %s\n    file: %s\n", z.name, filepath.Join(c.home, "zones", z.name+"zone"))
		signing += fmt.Sprintf("  - domain: %s\n    file: %s\n    dnssec-signing: on\n    dnssec-policy: ours\n", z.name, filepath.Join(c.home, z.name+"zone"))
	}
	serve, sign := c.file("knot.conf", conf), c.file("signing.conf", signing)
	for i := len(all) - 1; i >= 0; i-- { // the root last: it has the keys of the others
		z := all[i]
		text := fmt.Sprintf("%[1]s 60 SOA ns.knot.net. admin.knot.net. 1 3600 600 86400 60\n%[1]s NS ns.knot.net.\n%[2]s", z.name, z.text)
		if !z.signed {
			all[0].text += z.name + " NS ns.knot.net.\n"
			c.file(filepath.Join("zones", z.name+"zone"), text)
			continue
		}
		c.must("", "keymgr", "-c", sign, z.name, "generate", "ksk=yes", "zsk=yes")
		ds, _, _ := strings.Cut(c.must("", "keymgr", "-c", sign, z.name, "ds"), "\n")
		if anchor = ds; i > 0 {
			all[0].text += ds + "\n" + z.name + " NS ns.knot.net.\n"
		}
		c.file(z.name+"zone", text)
		ok(c.t, "zones", os.MkdirAll(filepath.Join(c.home, "zones"), 0o700))
		c.must("", "kzonesign", "-c", sign, "-o", filepath.Join(c.home, "zones"), z.name)
		if z.forge != nil {
			path := filepath.Join(c.home, "zones", z.name+"zone")
			b, err := os.ReadFile(path)
			ok(c.t, "signed zone", err)
			forged := z.forge(string(b))
			if forged == string(b) {
				c.t.Fatalf("nothing was forged in:\n%s", b)
			}
			ok(c.t, "forged zone", os.WriteFile(path, []byte(forged), 0o600))
		}
	}
	daemon(c.t, address, "knotd", "-c", serve)
	return anchor
}

// startValidator serves zones by Knot and, in front of it, unbound, which verifies with the
// root's key and nothing else. Unbound is at address, host and port.
func startValidator(t *testing.T, address string, zones ...zone) {
	t.Helper()
	c := newClient(t, "knotd", "keymgr", "kzonesign", "unbound")
	knot := "127.0.0.1:" + freePort(t)
	anchor := startKnot(c, knot, zones...)
	conf := fmt.Sprintf(`server:
  interface: %s
  port: %s
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  do-ip6: no
  username: ""
  chroot: ""
  directory: %q
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  module-config: "validator iterator"
  val-log-level: 2
  trust-anchor: %q
  local-zone: "test." nodefault
  local-zone: "100.51.198.in-addr.arpa." nodefault
  local-zone: "2.0.192.in-addr.arpa." nodefault
  local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@%s
`, host(address), port(address), c.home, anchor, port(knot))
	daemon(t, address, "unbound", "-d", "-c", c.file("unbound.conf", conf))
}
