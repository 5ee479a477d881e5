package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exposed is what "systemd-analyze security" may say of the unit, of 10, and what
// docs/systemd.md promises.
const exposed = 1.5

// TestSystemdUnit: systemd takes the unit without a complaint, and sees how little it may do.
func TestSystemdUnit(t *testing.T) {
	c := newClient(t, "systemd-analyze")
	text, err := os.ReadFile("../../deploy/kurir.service")
	ok(t, "unit", err)
	// The program lies elsewhere here, and its manual nowhere.
	here := strings.ReplaceAll(string(text), "/usr/bin/kurir", binary)
	here = strings.ReplaceAll(here, "Documentation=man:kurir(1)\n", "")
	path := filepath.Join(c.home, "kurir.service")
	ok(t, "unit", os.WriteFile(path, []byte(here), 0o644))
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", path).CombinedOutput()
	ok(t, "systemd-analyze security", err)
	found := regexp.MustCompile(`Overall exposure level for kurir\.service: ([0-9.]+)`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("no exposure level:\n%s", out)
	}
	if got, err := strconv.ParseFloat(string(found[1]), 64); err != nil || got > exposed {
		t.Errorf("the exposure is %s, and should be %v at most:\n%s", found[1], exposed, out)
	}
}
