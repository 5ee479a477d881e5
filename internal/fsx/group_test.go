package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// slowFSys is OS with syncs that take a second each of a synctest bubble's time, are
// counted, and fail as told.
type slowFSys struct {
	OS
	mu    sync.Mutex
	calls []string         // "file NAME", "dir NAME", "fs"
	fail  map[string]error // by call
	took  time.Duration    // of each SyncFS; zero means a second
}

func (s *slowFSys) call(name string) error {
	s.mu.Lock()
	s.calls = append(s.calls, name)
	err := s.fail[name]
	s.mu.Unlock()
	if s.took > 0 && name == "fs" {
		time.Sleep(s.took)
	} else {
		time.Sleep(time.Second)
	}
	return err
}

func (s *slowFSys) count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == name {
			n++
		}
	}
	return n
}

func (s *slowFSys) SyncDir(name string) error { return s.call("dir " + filepath.Base(name)) }
func (s *slowFSys) SyncFS(string) error       { return s.call("fs") }

// slowFile is a File of which nothing but Sync and Name is used.
type slowFile struct {
	File
	fs    *slowFSys
	name  string
	given error
}

func (f *slowFile) Name() string     { return f.name }
func (f *slowFile) GiveUp(err error) { f.given = err }
func (f *slowFile) Sync() error {
	if f.given != nil {
		return f.given
	}
	return f.fs.call("file " + f.name)
}

// inBubble runs test with a group whose FS counts; it checks that the group ends idle.
func inBubble(t *testing.T, opts GroupOptions, test func(t *testing.T, g *Group, s *slowFSys)) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowFSys{fail: map[string]error{}}
		g := NewGroup(s, t.TempDir(), opts)
		test(t, g, s)
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if g.leading || len(g.waiting) > 0 {
			t.Error("the group was left busy")
		}
	})
}

// together calls fns at the same time and returns their errors.
func together(fns ...func() error) []error {
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { errs[i] = fn() })
	}
	wg.Wait()
	return errs
}

func TestGroupAloneIsOnePlainSync(t *testing.T) {
	inBubble(t, GroupOptions{}, func(t *testing.T, g *Group, s *slowFSys) {
		begin := time.Now()
		if err := g.SyncFile(&slowFile{fs: s, name: "a"}); err != nil {
			t.Error(err)
		}
		if err := g.SyncDir("x"); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("took %v, want the time of two syncs", d)
		}
	})
}

func TestGroupSharesTheNextBatch(t *testing.T) {
	inBubble(t, GroupOptions{Threshold: 4}, func(t *testing.T, g *Group, s *slowFSys) {
		begin := time.Now()
		go g.SyncDir("first") // under way while the others come
		synctest.Wait()
		fns := []func() error{}
		for i := range 20 {
			fns = append(fns, func() error { return g.SyncFile(&slowFile{fs: s, name: fmt.Sprint(i)}) })
			fns = append(fns, func() error { return g.SyncDir("new") })
		}
		for _, err := range together(fns...) {
			if err != nil {
				t.Error(err)
			}
		}
		if s.count("fs") != 1 || s.count("dir new") != 1 || len(s.calls) != 3 {
			t.Errorf("calls %v, want the first dir, one syncfs and one dir", s.calls)
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
	})
}

func TestGroupSmallBatchSyncsEachFile(t *testing.T) {
	inBubble(t, GroupOptions{Threshold: 16, Parallel: 2}, func(t *testing.T, g *Group, s *slowFSys) {
		go g.SyncDir("first")
		synctest.Wait()
		begin := time.Now()
		shared := &slowFile{fs: s, name: "shared"}
		errs := together(
			func() error { return g.SyncFile(shared) },
			func() error { return g.SyncFile(shared) },
			func() error { return g.SyncFile(&slowFile{fs: s, name: "b"}) },
			func() error { return g.SyncFile(&slowFile{fs: s, name: "c"}) },
			func() error { return g.SyncFile(&slowFile{fs: s, name: "d"}) },
		)
		if errors.Join(errs...) != nil {
			t.Error(errs)
		}
		if s.count("file shared") != 1 || s.count("fs") != 0 || len(s.calls) != 5 {
			t.Errorf("calls %v, want each file once", s.calls)
		}
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("took %v, want 1s for the first and 2s for four files two at a time", d)
		}
	})
}

// A sync that begins before a call came may not answer it: the names or bytes of that
// call may be younger.
func TestGroupNeverJoinsASyncUnderWay(t *testing.T) {
	inBubble(t, GroupOptions{}, func(t *testing.T, g *Group, s *slowFSys) {
		go g.SyncDir("new")
		synctest.Wait()
		if err := g.SyncDir("new"); err != nil {
			t.Error(err)
		}
		if n := s.count("dir new"); n != 2 {
			t.Errorf("%d syncs, want 2", n)
		}
	})
}

func TestGroupReportsFailureToAllWhoShared(t *testing.T) {
	var told []error
	opts := GroupOptions{Threshold: 3, Failed: func(err error) { told = append(told, err) }}
	inBubble(t, opts, func(t *testing.T, g *Group, s *slowFSys) {
		s.fail["fs"] = syscall.EIO
		s.fail["dir bad"] = syscall.ENOSPC
		go g.SyncDir("first")
		synctest.Wait()
		files := make([]*slowFile, 3)
		var fns []func() error
		for i := range files {
			files[i] = &slowFile{fs: s, name: fmt.Sprint(i)}
			fns = append(fns, func() error { return g.SyncFile(files[i]) })
		}
		bad := func() error { return g.SyncDir("bad") }
		errs := together(append(fns, bad, bad, func() error { return g.SyncDir("good/.") })...)
		for i, want := range []error{syscall.EIO, syscall.EIO, syscall.EIO, syscall.ENOSPC, syscall.ENOSPC, nil} {
			if !errors.Is(errs[i], want) {
				t.Errorf("call %d: %v, want %v", i, errs[i], want)
			}
		}
		if len(told) != 2 {
			t.Errorf("Failed was told %v, want one EIO and one ENOSPC", told)
		}
		delete(s.fail, "fs")
		for _, f := range files { // the same descriptor is never synced again
			if err := g.SyncFile(f); !errors.Is(err, syscall.EIO) {
				t.Errorf("second sync of %s: %v", f.name, err)
			}
			if s.count("file "+f.name) != 0 {
				t.Errorf("%s was fsynced after the syncfs it shared had failed", f.name)
			}
		}
	})
}

func TestGroupFailureIsItsOwnFilesOnly(t *testing.T) {
	inBubble(t, GroupOptions{Threshold: -1}, func(t *testing.T, g *Group, s *slowFSys) {
		s.fail["file bad"] = syscall.EIO
		go g.SyncDir("first")
		synctest.Wait()
		errs := together(
			func() error { return g.SyncFile(&slowFile{fs: s, name: "bad"}) },
			func() error { return g.SyncFile(&slowFile{fs: s, name: "good"}) },
		)
		if !errors.Is(errs[0], syscall.EIO) || errs[1] != nil {
			t.Error(errs)
		}
	})
}

func TestGroupLeavesASlowSyncFSAlone(t *testing.T) {
	inBubble(t, GroupOptions{Threshold: 2}, func(t *testing.T, g *Group, s *slowFSys) {
		s.took = 10 * time.Second
		pair := func() {
			go g.SyncDir("first")
			synctest.Wait()
			together(
				func() error { return g.SyncFile(&slowFile{fs: s, name: "a"}) },
				func() error { return g.SyncFile(&slowFile{fs: s, name: "b"}) },
			)
		}
		pair()
		pair()
		if s.count("fs") != 1 || s.count("file a") != 1 {
			t.Errorf("calls %v, want one syncfs and then single fsyncs", s.calls)
		}
		time.Sleep(5 * time.Minute)
		pair()
		if s.count("fs") != 2 {
			t.Errorf("calls %v, want syncfs tried again after a while", s.calls)
		}
	})
}

func TestGroupObserves(t *testing.T) {
	seen := map[string]int{}
	opts := GroupOptions{Threshold: -1, Observe: func(kind string, n int, d time.Duration) {
		seen[kind] += n
		if d < time.Second {
			t.Errorf("%s took %v", kind, d)
		}
	}}
	inBubble(t, opts, func(t *testing.T, g *Group, s *slowFSys) {
		g.SyncDir("d")
		g.SyncFile(&slowFile{fs: s, name: "a"})
	})
	if seen["dir"] != 1 || seen["file"] != 1 {
		t.Error(seen)
	}
}

func TestGroupClose(t *testing.T) {
	inBubble(t, GroupOptions{}, func(t *testing.T, g *Group, s *slowFSys) {
		var first, second error = errors.New("unset"), errors.New("unset")
		go func() { first = g.SyncDir("a") }()
		synctest.Wait()
		go func() { second = g.SyncDir("b") }()
		synctest.Wait()
		g.Close()
		synctest.Wait()
		if first != nil || second != nil {
			t.Errorf("those who waited got %v, %v", first, second)
		}
		if err := g.SyncDir("c"); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := g.SyncFile(&slowFile{fs: s, name: "f"}); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Real files, many at once: each call returns, and with success.
func TestGroupOnDisk(t *testing.T) {
	for _, threshold := range []int{-1, 2} {
		dir := t.TempDir()
		g := NewGroup(OS{}, dir, GroupOptions{Threshold: threshold})
		var fns []func() error
		for i := range 40 {
			fns = append(fns, func() error {
				f, err := OS{}.Create(filepath.Join(dir, fmt.Sprint(i)), 0o600)
				if err != nil {
					return err
				}
				_, err = f.Write([]byte("x"))
				return errors.Join(err, g.SyncFile(f), f.Close(), g.SyncDir(dir))
			})
		}
		if err := errors.Join(together(fns...)...); err != nil {
			t.Error(err)
		}
		if err := g.SyncDir(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a directory that is not there: %v", err)
		}
	}
}
