package fsx

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a File may offer beyond the interface; those of OS do, on Linux.
type (
	starter interface{ StartSync() error }
	giver   interface{ GiveUp(err error) }
	erring  interface{ WriteError() error }
)

// syncFiles makes the content of all files durable and sets each waiter's outcome.
func (g *Group) syncFiles(ws []*waiter) {
	shared := make(map[File][]*waiter, len(ws))
	files := make([]File, 0, len(ws))
	for _, w := range ws {
		if _, ok := shared[w.file]; !ok {
			files = append(files, w.file)
		}
		shared[w.file] = append(shared[w.file], w)
	}
	var errs []error
	if g.atOnce(len(files)) {
		errs = g.syncFilesAtOnce(files)
	} else {
		errs = g.syncFilesEach(files)
	}
	for i, f := range files {
		for _, w := range shared[f] {
			w.err = errs[i]
		}
	}
}

// syncFilesEach begins the write-back of all before it waits for the first: the file
// system then commits them together, and the later fsyncs find their work done.
func (g *Group) syncFilesEach(files []File) []error {
	if len(files) == 0 {
		return nil
	}
	begin := time.Now()
	if len(files) > 1 {
		for _, f := range files {
			if s, ok := f.(starter); ok {
				_ = s.StartSync() // advice; what fails shows in Sync
			}
		}
	}
	errs := make([]error, len(files))
	g.each(len(files), func(i int) { errs[i] = files[i].Sync() })
	for _, err := range errs {
		g.failed(err)
	}
	g.observe("file", len(files), begin)
	return errs
}

// syncFilesAtOnce has one SyncFS stand for all. Its error is everyone's. Its success
// is checked file by file where the system can tell: the kernel may have reported an
// earlier write's error to another caller of syncfs.
func (g *Group) syncFilesAtOnce(files []File) []error {
	errs := make([]error, len(files))
	err := g.syncFS(len(files))
	for i, f := range files {
		if err != nil {
			if f, ok := f.(giver); ok {
				f.GiveUp(err)
			}
			errs[i] = err
			continue
		}
		if f, ok := f.(erring); ok {
			errs[i] = f.WriteError()
			g.failed(errs[i])
		}
	}
	return errs
}

// syncDirs makes the names in all directories durable, each directory once.
func (g *Group) syncDirs(ws []*waiter) {
	if len(ws) == 0 {
		return
	}
	outcome := make(map[string]error, len(ws))
	for _, w := range ws {
		outcome[w.dir] = nil
	}
	if g.atOnce(len(outcome)) {
		err := g.syncFS(len(outcome))
		for _, w := range ws {
			w.err = err
		}
		return
	}
	begin := time.Now()
	dirs := slices.Collect(maps.Keys(outcome))
	errs := make([]error, len(dirs))
	g.each(len(dirs), func(i int) { errs[i] = g.fs.SyncDir(dirs[i]) })
	for i, dir := range dirs {
		outcome[dir] = errs[i]
		g.failed(errs[i])
	}
	g.observe("dir", len(outcome), begin)
	for _, w := range ws {
		w.err = outcome[w.dir]
	}
}

func (g *Group) syncFS(n int) error {
	begin := time.Now()
	err := g.fs.SyncFS(g.root)
	if d := time.Since(begin); d > slowFS {
		g.slowUntil = time.Now().Add(slowPause * d)
	}
	g.failed(err)
	g.observe("fs", n, begin)
	return err
}

// atOnce says whether one SyncFS should stand for n syncs.
func (g *Group) atOnce(n int) bool {
	return g.opts.Threshold > 0 && n >= g.opts.Threshold && !time.Now().Before(g.slowUntil)
}

func (g *Group) observe(kind string, n int, begin time.Time) {
	if g.opts.Observe != nil {
		g.opts.Observe(kind, n, time.Since(begin))
	}
}

func (g *Group) failed(err error) {
	if err != nil && g.opts.Failed != nil {
		g.opts.Failed(err)
	}
}

// each calls syncOne with 0 to n-1, a few at a time: a journal commits together what
// waits together. It returns when all have.
func (g *Group) each(n int, syncOne func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			syncOne(i)
		}
	}
	var wg sync.WaitGroup
	for range min(n, g.opts.Parallel) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
