package fsxtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk is a Recorder on a new directory, with calls that fail the test if they fail.
type disk struct {
	*Recorder
	t   *testing.T
	dir string
}

// newDisk has the directories a and b, durable.
func newDisk(t *testing.T) *disk {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r, err := NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &disk{r, t, dir}
}

func (d *disk) at(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) ok(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// put makes a file; synced says whether its bytes are synced.
func (d *disk) put(name, data string, synced bool) {
	d.t.Helper()
	f, err := d.Create(d.at(name), 0o600)
	d.ok(err)
	_, err = f.Write([]byte(data))
	d.ok(err)
	if synced {
		d.ok(f.Sync())
	}
	d.ok(f.Close())
}

func (d *disk) add(name, data string, synced bool) {
	d.t.Helper()
	f, err := d.OpenAppend(d.at(name), 0o600)
	d.ok(err)
	_, err = f.Write([]byte(data))
	d.ok(err)
	if synced {
		d.ok(f.Sync())
	}
	d.ok(f.Close())
}

func (d *disk) mv(o, n string)  { d.t.Helper(); d.ok(d.RenameNoReplace(d.at(o), d.at(n))) }
func (d *disk) sync(dir string) { d.t.Helper(); d.ok(d.SyncDir(d.at(dir))) }

// left is what a crash now leaves: names with contents, directories with "/".
func (d *disk) left(mode Mode, seed int64) map[string]string {
	d.t.Helper()
	return read(d.t, d.Crash(d.t, d.Len(), mode, seed))
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			m[rel] = "/"
			return nil
		}
		b, err := os.ReadFile(path)
		m[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// want compares what a strict crash leaves, a and b themselves aside.
func (d *disk) want(pairs ...string) {
	d.t.Helper()
	got := d.left(Strict, 0)
	delete(got, "a")
	delete(got, "b")
	want := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		want[pairs[i]] = pairs[i+1]
	}
	if !maps.Equal(got, want) {
		d.t.Errorf("a power cut leaves %q, want %q", got, want)
	}
}

func TestStrictFiles(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "one", true)
	d.want() // the sync of a new file does not make its name durable
	d.sync("a")
	d.want("a/f", "one")
	d.add("a/f", "two", false)
	d.want("a/f", "one") // bytes that were not synced are lost
	d.add("a/f", "three", true)
	d.want("a/f", "onetwothree")
	d.put("a/g", "lost", false)
	d.sync("a")
	d.want("a/f", "onetwothree", "a/g", "") // a name without its bytes
	d.put("b/h", "all", false)
	d.ok(d.SyncFS(d.dir))
	d.want("a/f", "onetwothree", "a/g", "lost", "b/h", "all")
	d.ok(d.Remove(d.at("a/f")))
	d.want("a/f", "onetwothree", "a/g", "lost", "b/h", "all")
	d.sync("a")
	d.want("a/g", "lost", "b/h", "all")
}

func TestStrictRename(t *testing.T) {
	begin := func(t *testing.T) *disk {
		d := newDisk(t)
		d.put("a/f", "x", true)
		d.sync("a")
		d.mv("a/f", "b/g")
		d.want("a/f", "x")
		return d
	}
	t.Run("both synced", func(t *testing.T) {
		d := begin(t)
		d.sync("b")
		d.sync("a")
		d.want("b/g", "x")
	})
	t.Run("destination only: twice", func(t *testing.T) {
		d := begin(t)
		d.sync("b")
		d.want("a/f", "x", "b/g", "x")
		dir := d.Crash(t, d.Len(), Strict, 0)
		f, _ := os.Stat(filepath.Join(dir, "a/f"))
		g, _ := os.Stat(filepath.Join(dir, "b/g"))
		if !os.SameFile(f, g) {
			t.Error("two files, want two names of one")
		}
	})
	t.Run("source only: lost", func(t *testing.T) {
		d := begin(t)
		d.sync("a")
		d.want()
	})
	t.Run("within one directory", func(t *testing.T) {
		d := newDisk(t)
		d.put("a/f", "x", true)
		d.sync("a")
		d.mv("a/f", "a/g")
		d.want("a/f", "x")
		d.sync("a")
		d.want("a/g", "x")
	})
	t.Run("over another", func(t *testing.T) {
		d := newDisk(t)
		d.put("a/f", "old", true)
		d.sync("a")
		d.put("a/t", "new", true)
		d.ok(d.Rename(d.at("a/t"), d.at("a/f")))
		d.want("a/f", "old")
		d.sync("a")
		d.want("a/f", "new")
	})
}

func TestStrictLinks(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "x", true)
	d.ok(d.Link(d.at("a/f"), d.at("b/g")))
	d.sync("b")
	d.want("b/g", "x")
	d.ok(d.Link(d.at("b/g"), d.at("b/h")))
	d.sync("b")
	d.add("b/h", "y", true) // one file, whatever name it is opened by
	d.want("b/g", "xy", "b/h", "xy")
}

func TestStrictDirectories(t *testing.T) {
	d := newDisk(t)
	d.ok(d.Mkdir(d.at("a/sub"), 0o700))
	d.put("a/sub/f", "x", true)
	d.sync("a/sub")
	d.want() // the directory's own name is not durable
	d.sync("a")
	d.want("a/sub", "/", "a/sub/f", "x")
	d.ok(d.Rename(d.at("a/sub"), d.at("b/sub")))
	d.put("b/sub/g", "y", true)
	d.sync("b/sub")
	d.want("a/sub", "/", "a/sub/f", "x", "a/sub/g", "y") // one directory, by its old name
	d.sync("b")
	d.sync("a")
	d.want("b/sub", "/", "b/sub/f", "x", "b/sub/g", "y")
	d.ok(d.Remove(d.at("b/sub/f")))
	d.ok(d.Remove(d.at("b/sub/g")))
	d.ok(d.Remove(d.at("b/sub")))
	d.sync("b")
	d.want()
}

// Renames of directories of which half were synced may leave a directory in itself.
func TestStrictDirectoryLoop(t *testing.T) {
	d := newDisk(t)
	d.ok(d.Rename(d.at("a"), d.at("b/a")))
	d.sync("b") // b has a, and so has the root
	d.ok(d.Rename(d.at("b/a"), d.at("c")))
	d.ok(d.Rename(d.at("b"), d.at("c/b")))
	d.sync("c")                                                                                            // c, once a, has b
	if got := d.left(Strict, 0); got["a"] != "/" || got["b"] != "/" || got["a/b"] != "/" || len(got) > 5 { // and the crash ends
		t.Error(got)
	}
}

func TestSyncCoversWhatCameBeforeIt(t *testing.T) {
	d := newDisk(t)
	d.SyncTime = 30 * time.Millisecond
	f, err := d.Create(d.at("a/f"), 0o600)
	d.ok(err)
	_, err = f.Write([]byte("before"))
	d.ok(err)
	d.sync("a")
	done := make(chan error)
	go func() { done <- errors.Join(f.Sync(), d.SyncDir(d.at("a"))) }()
	time.Sleep(d.SyncTime / 3)
	_, err = f.Write([]byte(" during"))
	d.ok(err)
	d.want("a/f", "") // not yet
	d.ok(<-done)
	d.want("a/f", "before")
	d.ok(f.Close())
}

func TestTimes(t *testing.T) {
	d := newDisk(t)
	then := time.Unix(1000000000, 0)
	f, err := d.Create(d.at("a/f"), 0o600)
	d.ok(err)
	_, err = f.Write([]byte("x"))
	d.ok(errors.Join(err, f.SetModTime(then), f.Sync(), f.SetModTime(then.Add(time.Hour)), f.Close()))
	d.sync("a")
	for _, c := range []struct {
		mode Mode
		want time.Time
	}{{Strict, then}, {All, then.Add(time.Hour)}} {
		dir := d.Crash(t, d.Len(), c.mode, 0)
		if fi, err := os.Stat(filepath.Join(dir, "a/f")); err != nil || !fi.ModTime().Equal(c.want) {
			t.Errorf("%v: time %v, %v, want %v", c.mode, fi.ModTime(), err, c.want)
		}
		real, _ := os.Stat(d.at("a"))
		if fi, err := os.Stat(filepath.Join(dir, "a")); err != nil || !fi.ModTime().Equal(real.ModTime()) {
			t.Errorf("%v: the directory's time %v, %v, want %v", c.mode, fi.ModTime(), err, real.ModTime())
		}
	}
}

// outcomes collects what the seeds of a mode leave.
func (d *disk) outcomes(mode Mode) map[string]bool {
	got := map[string]bool{}
	for seed := range int64(200) {
		var s []string
		files := d.left(mode, seed)
		for _, k := range slices.Sorted(maps.Keys(files)) {
			if files[k] != "/" {
				s = append(s, k+"="+files[k])
			}
		}
		got[strings.Join(s, " ")] = true
	}
	return got
}

func (d *disk) wantOutcomes(mode Mode, want ...string) {
	d.t.Helper()
	got := slices.Sorted(maps.Keys(d.outcomes(mode)))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		d.t.Errorf("%v leaves one of %q, want %q", mode, got, want)
	}
}

func TestOrderedAndJournal(t *testing.T) {
	d := newDisk(t)
	d.put("a/1", "", false)
	d.put("a/2", "", false)
	d.wantOutcomes(Ordered, "", "a/1=", "a/1= a/2=")
	d.sync("b") // one journal for all directories
	d.wantOutcomes(Ordered, "a/1= a/2=")
	d.mv("a/1", "b/1")
	d.mv("a/2", "b/2")
	want := []string{"a/1= a/2=", "a/2= b/1=", "b/1= b/2="} // never twice, never lost, in order
	d.wantOutcomes(Ordered, want...)
	d.wantOutcomes(Journal, want...)
	d.put("b/3", "x", true)
	d.wantOutcomes(Ordered, append(want, "b/1= b/2= b/3=x")...)
	d.wantOutcomes(Journal, "b/1= b/2= b/3=x") // the sync of a file takes the names along
	d.wantOutcomes(All, "b/1= b/2= b/3=x")
	d.wantOutcomes(Strict, "") // a was never synced
}

func TestTornBytes(t *testing.T) {
	d := newDisk(t)
	old, young := strings.Repeat("o", block), strings.Repeat("n", 2*block)
	d.put("a/f", old, true)
	d.sync("a")
	d.add("a/f", young, false)
	zero := strings.Repeat("\x00", block)
	d.wantOutcomes(Torn,
		"a/f="+old,                    // lost
		"a/f="+old+young,              // kept
		"a/f="+old+young[:block],      // cut short
		"a/f="+old+zero+zero,          // zeros
		"a/f="+old+zero+young[:block], // in any order
		"a/f="+old+young[:block]+zero)
	d.wantOutcomes(Strict, "a/f="+old)
	d.wantOutcomes(All, "a/f="+old+young)
}

func TestPrefixes(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "x", true) // create, write, sync
	d.sync("a")
	d.Mark("f is safe")
	d.ok(d.Remove(d.at("a/f")))
	want := []string{"", "", "", "", "a/f", "a/f", "a/f"}
	for _, prefix := range []int{6, 0, 3, 1, 2, 5, 4, 6} { // in any order
		got := read(t, d.Crash(t, prefix, Strict, 0))
		delete(got, "a")
		delete(got, "b")
		if name := strings.Join(slices.Collect(maps.Keys(got)), " "); name != want[prefix] {
			t.Errorf("after %d: %q, want %q", prefix, name, want[prefix])
		}
		if marks := d.After(prefix, Strict, 0).Marks(); len(marks) > 0 != (prefix > 4) {
			t.Errorf("after %d: marks %q", prefix, marks)
		}
	}
	var lines []string
	for _, op := range d.Ops() {
		lines = append(lines, op.String())
	}
	if got := strings.Join(lines, "; "); got != "create a/f; write a/f, 1 bytes; sync a/f; syncdir a; mark f is safe; remove a/f" {
		t.Error(got)
	}
}

func TestEvery(t *testing.T) {
	d := newDisk(t)
	for i := range 10 {
		name := fmt.Sprint(i)
		d.put("a/"+name, name, true)
		d.mv("a/"+name, "b/"+name)
		d.sync("b")
		d.Mark(name)
	}
	modes := []Mode{Strict, Torn, Ordered, Journal, All}
	seen := map[Mode]int{}
	n := d.Every(t, modes, 3, func(t testing.TB, c *Crash, dir string) {
		seen[c.Mode]++
		for _, name := range c.Marks() {
			if b, err := os.ReadFile(filepath.Join(dir, "b", name)); string(b) != name || err != nil {
				t.Errorf("%s: %q, %v", name, b, err)
			}
		}
		if c.Mode == All {
			os.WriteFile(filepath.Join(dir, "scribble"), nil, 0o600) // hurts nobody else
		}
	})
	if seen[Strict] != 2*10+1 || n < 60 || n > (d.Len()+1)*(2+3*3) {
		t.Errorf("checked %d states, %v", n, seen)
	}
}

func TestEveryReportsTheCrash(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "x", false)
	s := d.After(d.Len(), Torn, 7).String()
	for _, part := range []string{"after 2 operations", "Torn", "seed 7", "create a/f"} {
		if !strings.Contains(s, part) {
			t.Errorf("%q lacks %q", s, part)
		}
	}
}

func TestWhatOthersMadeIsAdopted(t *testing.T) {
	d := newDisk(t)
	d.ok(os.WriteFile(d.at("a/drop"), []byte("dropped"), 0o600))
	d.want()
	before := d.Len()
	d.mv("a/drop", "a/taken")
	d.want("a/drop", "dropped") // durable when met; the rename is not
	d.sync("a")
	d.want("a/taken", "dropped")
	if got := read(t, d.Crash(t, before, All, 0)); len(got) != 2 {
		t.Errorf("before it was met: %q", got)
	}
	d.ok(os.MkdirAll(d.at("c/new"), 0o700))
	d.ok(os.WriteFile(d.at("c/new/m"), []byte("m"), 0o600))
	d.ok(d.Adopt(d.at("c")))
	d.want("a/taken", "dropped", "c", "/", "c/new", "/", "c/new/m", "m")
	if err := d.Adopt(d.at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestRecorderIsAFileSystem(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "x", true)
	n := d.Len()
	for _, c := range []struct {
		err  error
		want error
	}{
		{d.Mkdir(d.at("a"), 0o700), fs.ErrExist},
		{d.Remove(d.at("none")), fs.ErrNotExist},
		{d.Rename(d.at("none"), d.at("b/x")), fs.ErrNotExist},
		{d.Link(d.at("a/f"), d.at("none/x")), fs.ErrNotExist},
		{d.RenameNoReplace(d.at("a/f"), d.at("a/f")), fs.ErrExist},
		{d.SyncDir(d.at("none")), fs.ErrNotExist},
		{d.SyncDir(d.at("a/f")), fs.ErrNotExist},
		{d.SyncFS(d.at("none")), fs.ErrNotExist},
		{d.Rename(d.at("a/f"), filepath.Dir(d.dir)), fs.ErrInvalid},
		{d.Remove(d.at("a")), syscall.ENOTEMPTY},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%v, want %v", c.err, c.want)
		}
	}
	if _, err := d.Create(d.at("a/f"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	if _, err := d.Open(d.at("none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if d.Len() != n {
		t.Errorf("calls that failed were noted: %v", d.Ops()[n:])
	}
	f, err := d.Open(d.at("a/f"))
	d.ok(err)
	d.ok(errors.Join(f.Sync(), f.Close()))
	if err := f.Sync(); err == nil {
		t.Error("sync of a closed file")
	}
	if names, err := d.ReadNames(d.at("a")); err != nil || !slices.Equal(names, []string{"f"}) {
		t.Error(names, err)
	}
	if fi, err := d.Stat(d.at("a/f")); err != nil || fi.Size() != 1 {
		t.Error(fi, err)
	}
}

func TestDatabases(t *testing.T) {
	d := newDisk(t)
	var err error
	d.ok(os.WriteFile(d.at("full.db"), []byte("F0"), 0o600))
	d.Recorder, err = NewRecorder(d.dir, Database{Name: "full.db"}, Database{Name: "a/lazy.db", Lazy: true})
	d.ok(err)
	step := func(mark string, files ...string) {
		for i := 0; i < len(files); i += 2 {
			d.ok(os.WriteFile(d.at(files[i]), []byte(files[i+1]), 0o600))
		}
		d.Mark(mark)
	}
	step("0")
	step("1", "full.db", "F1", "a/lazy.db", "L1", "a/lazy.db-shm", "-", "full.db-wal", "W1")
	step("2", "a/lazy.db-wal", "w2", "full.db-wal", "W2")
	step("3", "a/lazy.db-wal", "w3")
	d.wantOutcomes(Strict, "a/lazy.db=L1 full.db=F1 full.db-wal=W2")
	d.wantOutcomes(All, "a/lazy.db=L1 a/lazy.db-wal=w3 full.db=F1 full.db-wal=W2")
	d.wantOutcomes(Journal,
		"full.db=F1 full.db-wal=W2",
		"a/lazy.db=L1 full.db=F1 full.db-wal=W2",
		"a/lazy.db=L1 a/lazy.db-wal=w2 full.db=F1 full.db-wal=W2",
		"a/lazy.db=L1 a/lazy.db-wal=w3 full.db=F1 full.db-wal=W2")
	step("4", "a/lazy.db", "L4") // a checkpoint: nothing older comes back
	d.wantOutcomes(Journal,
		"full.db=F1 full.db-wal=W2",
		"a/lazy.db=L4 a/lazy.db-wal=w3 full.db=F1 full.db-wal=W2")
	past := map[string]bool{} // right after mark 2, and right before mark 3
	for seed := range int64(20) {
		past[read(t, d.Crash(t, 3, All, seed))["a/lazy.db-wal"]] = true
	}
	if len(past) != 2 || !past["w2"] || !past["w3"] {
		t.Errorf("in the past: %v", past)
	}
	if got := read(t, d.Crash(t, 0, Strict, 0)); len(got) != 3 || got["full.db"] != "F0" {
		t.Errorf("in the beginning: %q", got)
	}
	d.ok(d.Remove(d.at("a/lazy.db"))) // through the Recorder, as one that is broken
	d.Mark("5")
	d.wantOutcomes(All, "full.db=F1 full.db-wal=W2")
}

// The recovery from a crash can be recorded, and cut short, in turn.
func TestCrashDuringRecovery(t *testing.T) {
	d := newDisk(t)
	d.put("a/f", "x", true)
	d.sync("a")
	dir := d.Crash(t, d.Len(), Strict, 0)
	r, err := NewRecorder(dir)
	d.ok(err)
	again := &disk{r, t, dir}
	again.want("a/f", "x")
	again.mv("a/f", "b/f")
	again.want("a/f", "x")
}

func BenchmarkCrashStates(b *testing.B) {
	dir := b.TempDir()
	r, err := NewRecorder(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, sub := range []string{"new", "tmp"} {
		if err := r.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	data := []byte(strings.Repeat("x", 4000))
	for i := range 100 {
		o, n := filepath.Join(dir, "tmp", fmt.Sprint(i)), filepath.Join(dir, "new", fmt.Sprint(i))
		f, err := r.Create(o, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		_, err = f.Write(data)
		if err = errors.Join(err, f.Sync(), f.Close(), r.Rename(o, n), r.SyncDir(filepath.Join(dir, "new"))); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		c := r.After(i%(r.Len()+1), Journal, int64(i))
		c.Key()
		out, err := newDir()
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(c.Write(out), os.RemoveAll(out)); err != nil {
			b.Fatal(err)
		}
	}
}
