package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/confine"
)

// TestConfined: a server can read nothing but what it was configured with when it began, and
// says so to who gives it another folder. What lies where it may read is taken.
func TestConfined(t *testing.T) {
	if confine.Version() == 0 {
		t.Skip("this kernel has no Landlock, or keeps it from this process")
	}
	own, other := tempDir(t), tempDir(t)
	cert, far := certificateFor(t, own, "near.test"), certificateFor(t, other, "far.test")
	m := newMailer(t, setup{env: []string{"TMPDIR=" + own}})
	m.stop()
	m.change("[tls]\n", fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", cert, cert))
	m.start()
	m.says("confined to its folders")
	out, code := newClient(t).try("", binary, "reload", "-c", m.config)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, out)
	}
	m.change(cert, far)
	out, code = newClient(t).try("", binary, "reload", "-c", m.config)
	if code != 1 || !strings.Contains(out, "restart") || !strings.Contains(out, "permission denied") {
		t.Errorf("a certificate in another folder: exit %d: %s", code, out)
	}
	m.run.except = `level=ERROR msg="the configuration is not taken"`
	near := filepath.Join(own, "moved.pem")
	ok(t, "copy", os.Rename(far, near))
	m.change(far, near)
	m.kurir("", "reload")
	if got := commonName(t, m.at(imapsPort)); got != "far.test" {
		t.Errorf("the certificate of %s", got)
	}
}
