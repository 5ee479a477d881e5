package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// confined is set for the copy of this test that confines itself: there is no way back.
const confined = "KURIR_TEST_CONFINED"

func TestFiles(t *testing.T) {
	if dir := os.Getenv(confined); dir != "" {
		inside(dir)
		return
	}
	if Version() == 0 {
		t.Skip("this kernel has no Landlock, or keeps it from this process")
	}
	dir := t.TempDir()
	for _, name := range []string{"data/a", "data/b", "etc", "secret"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"data/a/one", "etc/config", "secret/key", "hosts", "log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(os.Args[0], "-test.run=^TestFiles$")
	c.Env = append(os.Environ(), confined+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all as it should be") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "data/b/one")); err != nil {
		t.Errorf("what was to be renamed: %v", err)
	}
}

// inside confines this process and says what then works, on threads of before and after.
func inside(dir string) {
	at := func(name string) string { return filepath.Join(dir, name) }
	work, done := make(chan func()), make(chan struct{})
	go func() { // a thread that is there before
		runtime.LockOSThread()
		for f := range work {
			f()
			done <- struct{}{}
		}
	}()
	work <- func() {}
	<-done
	v, err := Files(Paths{Write: []string{at("data"), at("nowhere"), at("log"), "/dev/null"}, Read: []string{at("etc"), at("hosts"), at("missing")}})
	if err != nil || v == 0 {
		fmt.Println("Files:", v, err)
		return
	}
	wrong := 0
	expect := func(what string, err error, denied bool) {
		if errors.Is(err, fs.ErrPermission) != denied || !denied && err != nil {
			fmt.Printf("%s: %v\n", what, err)
			wrong++
		}
	}
	read := func(name string) error { _, err := os.ReadFile(at(name)); return err }
	work <- func() {
		expect("write", os.WriteFile(at("data/new"), []byte("y"), 0o600), false)
		expect("rename", os.Rename(at("data/a/one"), at("data/b/one")), false)
		expect("remove", os.Remove(at("data/new")), false)
		expect("read", read("etc/config"), false)
		expect("read a file", read("hosts"), false)
		expect("write a file", os.WriteFile(at("log"), []byte("y"), 0o600), false)
		expect("write to nowhere", os.WriteFile("/dev/null", []byte("y"), 0o600), false)
		expect("another one", read("secret/key"), true)
		expect("change what may be read", os.WriteFile(at("etc/config"), []byte("y"), 0o600), true)
		expect("write elsewhere", os.WriteFile(at("secret/new"), nil, 0o600), true)
		_, err := os.ReadDir(at("secret"))
		expect("list", err, true)
		expect("run a program", exec.Command("/bin/true").Run(), true)
	}
	<-done
	replaced := os.WriteFile(at("data/x"), nil, 0o600)
	expect("in another thread", errors.Join(replaced, read("secret/key")), true)
	if wrong == 0 {
		fmt.Println("all as it should be")
	}
}

func TestLinked(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{filepath.Join(dir, "mail/example.org/alice"), filepath.Join(other, "bob/x")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	deep := t.TempDir()
	for link, to := range map[string]string{
		"mail/example.org/bob": filepath.Join(other, "bob"), "mail/example.org/alice/deep": deep, "broken": "/nowhere", "file": "/etc/hostname",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := filepath.EvalSymlinks(filepath.Join(other, "bob"))
	if got := Linked(dir, 3); err != nil || !slices.Equal(got, []string{want}) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Linked(filepath.Join(dir, "nowhere"), 3); got != nil {
		t.Errorf("of no directory: %q", got)
	}
}

func TestAround(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	target := filepath.Join(other, "cert1.pem")
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, filepath.Join(dir, "cert.pem"))); err != nil {
		t.Fatal(err)
	}
	if got := Around(filepath.Join(dir, "cert.pem")); !slices.Equal(got, []string{dir, other}) {
		t.Errorf("a link: %q", got)
	}
	if got := Around(target); !slices.Equal(got, []string{other}) {
		t.Errorf("a file: %q", got)
	}
	if got := Around("/nowhere/x"); !slices.Equal(got, []string{"/nowhere"}) {
		t.Errorf("nothing: %q", got)
	}
}
