package fsxtest

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
)

const aloneVar = "KURIR_TEST_ALONE"

// Alone reports whether this process runs nothing but the test that calls it. If it doesn't,
// Alone runs the test in such a process, fails with what it printed, and the caller returns.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneVar) == t.Name() {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneVar+"="+t.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// NoLonger lets no file of this process grow past size octets, as a disk that fails in the
// middle of a write, until the test ends or the returned function is called. All files are
// meant, those of go test too: use it under [Alone].
func NoLonger(t *testing.T, size int64) (again func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(size), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	again = func() { syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }
	t.Cleanup(again)
	return again
}
