package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"
)

// Where a system has no files of certification authorities, the program's own are used:
// the test runs itself again, with the places where they are looked for empty. (Time zones
// are looked at in a container, by .ci/docker.)
func TestEmbeddedFiles(t *testing.T) {
	if os.Getenv("KURIR_TEST_BARE") == "" {
		dir := t.TempDir()
		c := exec.Command(os.Args[0], "-test.run=^TestEmbeddedFiles$", "-test.v")
		c.Env = []string{"KURIR_TEST_BARE=1", "SSL_CERT_FILE=" + dir + "/none", "SSL_CERT_DIR=" + dir}
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	roots, err := x509.SystemCertPool()
	if err != nil || roots.Equal(x509.NewCertPool()) {
		t.Errorf("no authorities: %v", err)
	}
}
