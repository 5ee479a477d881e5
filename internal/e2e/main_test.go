package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// binary is the program under test. TestMain sets it.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if runtime.GOOS == "windows" {
		fmt.Println("skipped: these tests stop servers by signals, which this system has not")
		return 0
	}
	if binary = os.Getenv("KURIR_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "kurir-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "kurir")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "kurir/cmd/kurir")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build, err, out)
		return 1
	}
	return m.Run()
}
