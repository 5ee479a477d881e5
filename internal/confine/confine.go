// Package confine has the kernel bound what this process may do with files, from a moment
// on and for good: Landlock, of Linux 5.13 and later. It owns no path: it is told which.
//
// Files that are open, and sockets of all kinds, are not touched by it. Where the kernel has
// no Landlock, nothing is bound and nothing fails.
package confine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Paths are what the process may go on to use, with all that lies below. What does not
// exist is passed over.
type Paths struct {
	Write []string // to read, make, change, rename and remove files; a file: to read and change it
	Read  []string // to read
}

// Files confines the process, all its threads, to p. It returns the version of Landlock
// (its ABI) that the kernel has; zero: it has none, and nothing was done. After an error
// nothing was done either.
func Files(p Paths) (version int, err error) {
	if version = Version(); version == 0 {
		return 0, nil
	}
	const read = landlock.AccessFSSet(ll.AccessFSReadFile | ll.AccessFSReadDir)
	const readFile = landlock.AccessFSSet(ll.AccessFSReadFile)
	var rules []landlock.Rule
	dirs, files := existing(p.Write)
	rules = append(rules, landlock.RWDirs(dirs...).WithRefer().IgnoreIfMissing(), landlock.RWFiles(files...).IgnoreIfMissing())
	dirs, files = existing(p.Read)
	rules = append(rules, landlock.PathAccess(read, dirs...).IgnoreIfMissing(), landlock.PathAccess(readFile, files...).IgnoreIfMissing())
	// Version 5 is the last one that binds files alone.
	if err := landlock.V5.BestEffort().RestrictPaths(rules...); err != nil {
		return version, fmt.Errorf("landlock: %w", err)
	}
	return version, nil
}

// Version is the version of Landlock (its ABI) that the kernel has, zero if it has none or
// keeps it from this process.
func Version() int {
	v, err := ll.LandlockGetABIVersion()
	if err != nil || v < 0 {
		return 0
	}
	return v
}

// existing are the paths that are there, each once.
func existing(paths []string) (dirs, files []string) {
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil || slices.Contains(dirs, p) || slices.Contains(files, p):
		case info.IsDir():
			dirs = append(dirs, p)
		default:
			files = append(files, p)
		}
	}
	return dirs, files
}

// Linked are the directories, outside of dir, that symbolic links in it lead to, as deep as
// depth levels below it: with them an administrator may have put a part elsewhere.
func Linked(dir string, depth int) (targets []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0:
			to, err := filepath.EvalSymlinks(path)
			if info, statErr := os.Stat(path); err == nil && statErr == nil && info.IsDir() {
				targets = append(targets, to)
				targets = append(targets, Linked(to, depth-1)...)
			}
		case e.IsDir() && depth > 1:
			targets = append(targets, Linked(path, depth-1)...)
		}
	}
	return targets
}

// Around is what has to be readable for a file that may be replaced by another of its name:
// its directory and, where it is a link, that of what it leads to.
func Around(file string) []string {
	dirs := []string{filepath.Dir(file)}
	if to, err := filepath.EvalSymlinks(file); err == nil && filepath.Dir(to) != dirs[0] {
		dirs = append(dirs, filepath.Dir(to))
	}
	return dirs
}
