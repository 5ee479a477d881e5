package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kurir/internal/fsx"
)

// Bounds of the checks of the data directory.
const (
	lowSpace  = 1 << 30   // bytes free: a warning
	noSpace   = 100 << 20 // bytes free: an error
	clockSlip = 5 * time.Minute
	// storeFormat is the newest format of the mail store that this program knows.
	storeFormat = 1
)

// checkDataDir looks at the data directory without changing anything in it but for a
// probe file that it removes again.
func checkDataDir(r *report, files fsx.FS, dir string) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		checkMissing(r, dir)
		return
	case err != nil:
		r.fail("data", "data directory: %v", err)
		return
	case !info.IsDir():
		r.fail("data", "the data directory %s is a file", dir)
		return
	}
	before := r.Errors + r.Warnings
	if err := checkOwner(dir, info); err != nil {
		r.fail("data", "%v", err)
	}
	if err := mayWrite(dir); err != nil {
		r.fail("data", "%v", denied(dir, info, err))
		return
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		r.warn("data", "other users may enter %s (mode %#o): chmod 700 %s", dir, perm, dir)
	}
	for _, name := range []string{"kurir.db", "tls", "mail"} {
		checkPrivate(r, filepath.Join(dir, name))
	}
	checkWritable(r, files, dir)
	checkSpace(r, dir)
	checkStamps(r, dir)
	if r.Errors+r.Warnings == before {
		r.pass("data", "data directory %s", dir)
	}
}

// checkMissing says whether a data directory that is not there can be made.
func checkMissing(r *report, dir string) {
	parent := filepath.Dir(filepath.Clean(dir))
	above := parent
	for {
		up, err := os.Stat(above)
		if err == nil && up.IsDir() {
			break
		}
		if next := filepath.Dir(above); next != above {
			above = next
			continue
		}
		break
	}
	switch err := mayWrite(above); {
	case err != nil:
		r.fail("data", "the data directory %s does not exist, and this user may not make it (%s: %v): sudo install -d -m 700 -o USER %s, with the user that runs kurir", dir, above, err, dir)
	case above != parent:
		r.warn("data", "the data directory %s does not exist, and neither does %s: both will be made", dir, parent)
	default:
		r.warn("data", "the data directory %s does not exist yet: it will be made", dir)
	}
}

// checkPrivate warns of a file or folder that other users may read.
func checkPrivate(r *report, path string) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.fail("data", "%v", err)
		return
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		r.warn("data", "other users may read %s (mode %#o): chmod go= %s", path, perm, path)
	}
}

// checkWritable makes, syncs and removes a file.
func checkWritable(r *report, files fsx.FS, dir string) {
	path := filepath.Join(dir, fmt.Sprintf("check.%d", os.Getpid()))
	err := fsx.WriteFile(files, path, []byte("kurir check\n"), 0o600)
	if removed := files.Remove(path); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	if err != nil {
		r.fail("data", "the data directory cannot be written by this user (id %d): %v", os.Geteuid(), err)
	}
}

// checkSpace looks at the room on the data directory's file system.
func checkSpace(r *report, dir string) {
	free, err := fsx.FreeBytes(dir)
	switch {
	case err != nil:
		r.warn("disk", "free space of %s is unknown: %v", dir, err)
	case free < noSpace:
		r.fail("disk", "only %s are free on the disk of %s: mail will soon be refused", showSize(int64(free)), dir)
	case free < lowSpace:
		r.warn("disk", "only %s are free on the disk of %s", showSize(int64(free)), dir)
	default:
		r.pass("disk", "%s free on the disk of %s", showSize(int64(free)), dir)
	}
}

// checkStamps refuses data of a newer version, by the stamps of kurir.db and the store.
func checkStamps(r *report, dir string) {
	db := filepath.Join(dir, "kurir.db")
	known := 0
	for _, set := range migrations() {
		known += len(set)
	}
	switch version, err := databaseVersion(db); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.fail("data", "%s: %v", db, err)
	case version > known:
		r.fail("data", "%s was written by a newer kurir (version stamp %d, this program knows %d): install the newer program again", db, version, known)
	}
	stamp := filepath.Join(dir, "mail", "kurir-store")
	switch version, err := storeVersion(stamp); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.fail("data", "%s: %v", stamp, err)
	case version > storeFormat:
		r.fail("data", "%s: the mail was written by a newer kurir (format %d, this program knows %d): install the newer program again", stamp, version, storeFormat)
	}
}

// databaseVersion reads the user version out of a SQLite file's header (bytes 60 to 63,
// https://www.sqlite.org/fileformat.html section 1.3), so that a check never changes the database.
func databaseVersion(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var header [100]byte
	n, err := f.ReadAt(header[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if n == 0 {
		return 0, nil // made, but not written yet
	}
	if n < len(header) || string(header[:16]) != "SQLite format 3\x00" {
		return 0, errors.New("this is no SQLite database; restore it from a backup, or move it away if it is not kurir's")
	}
	return int(binary.BigEndian.Uint32(header[60:64])), nil
}

// storeVersion reads the mail store's version stamp.
func storeVersion(path string) (version int, err error) {
	b, err := fsx.ReadFile(fsx.OS{}, path, 4096)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(b), "kurir-store %d", &version); err != nil {
		return 0, errors.New("this is no version stamp; restore it from a backup")
	}
	return version, nil
}

// checkClock compares the clock with times that must lie in the past: the program's and
// the data's. A clock that went back makes certificates invalid and mail misdated.
func checkClock(r *report, dir string, now time.Time) {
	for _, name := range []string{"kurir.db", "lock", "mail"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.ModTime().After(now.Add(clockSlip)) {
			r.fail("clock", "this machine's clock says %s, but %s was changed at %s: set the clock (is a time service running?)",
				now.Format(time.DateTime), filepath.Join(dir, name), info.ModTime().Format(time.DateTime))
			return
		}
	}
	if now.Year() < 2025 {
		r.fail("clock", "this machine's clock says %s: set it (is a time service running?)", now.Format(time.DateTime))
		return
	}
	r.pass("clock", "clock says %s", now.Format(time.DateTime))
}
