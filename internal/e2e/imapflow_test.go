package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// nodeModules finds the folder that NODE_PATH names, if the module is in it.
func nodeModules(t *testing.T, module string) string {
	t.Helper()
	need(t, "node")
	dir := os.Getenv("NODE_PATH")
	cmd := exec.Command("node", "-e", "require("+`"`+module+`"`+")")
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("KURIR_REAL_CLIENTS") == "require" {
			t.Fatalf("node has no module %s: install it and let NODE_PATH name its folder\n%s", module, out)
		}
		t.Skipf("node has no module %s", module)
	}
	return dir
}

// TestImapflow lets a program made with imapflow (Node) use all that it knows: IMAP4rev2,
// UTF8=ACCEPT, QRESYNC and COMPRESS together.
func TestImapflow(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t, "imapflow")
	script, err := filepath.Abs(filepath.Join("testdata", "imapflow.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t)
	newClient(t).must("", "env", "NODE_PATH="+modules, "node", script, "127.0.0.1", s.port(imapsPort), s.ca(), alice, password)
}
