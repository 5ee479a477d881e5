package fsxtest

import (
	"os"
	"testing"
)

// memory is a file system in memory, where there is one: crash states are many, and
// the code under test syncs for real when it opens them.
const memory = "/dev/shm"

// Crash puts what a crash after the first prefix operations leaves into a new
// directory, which is removed when the test ends, and returns its name.
func (r *Recorder) Crash(t testing.TB, prefix int, mode Mode, seed int64) string {
	t.Helper()
	dir, err := newDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := r.After(prefix, mode, seed).Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every calls check for what a crash after each operation leaves: after 0 to Len of
// them, in each of the modes, with seeds seeds where the mode uses one (All: at most
// two, for the sake of databases). The same state
// after the same marks is checked once. The directory is removed when check returns.
// The first failure ends it, with a description of the crash. Every returns how many
// states were checked.
func (r *Recorder) Every(t *testing.T, modes []Mode, seeds int, check func(t testing.TB, c *Crash, dir string)) int {
	t.Helper()
	checked := map[string]bool{}
	for prefix := range r.Len() + 1 {
		for _, mode := range modes {
			n := seeds
			switch mode {
			case Strict:
				n = 1
			case All:
				n = min(seeds, 2)
			}
			for seed := range n {
				c := r.After(prefix, mode, int64(seed))
				if key := c.Key(); checked[key] {
					continue
				} else {
					checked[key] = true
				}
				if !c.check(t, check) {
					return len(checked)
				}
			}
		}
	}
	return len(checked)
}

// check runs check on one crash and says whether it passed.
func (c *Crash) check(t *testing.T, check func(t testing.TB, c *Crash, dir string)) bool {
	t.Helper()
	dir, err := newDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	defer func() { // after a Fatal as well
		if t.Failed() {
			t.Log(c)
		}
	}()
	if err := c.Write(dir); err != nil {
		t.Fatal(err)
	}
	check(t, c, dir)
	return !t.Failed()
}

func newDir() (string, error) {
	if dir, err := os.MkdirTemp(memory, "crash-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "crash-")
}
