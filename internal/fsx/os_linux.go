package fsx

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rename implements FS. Unlike os.Rename it makes no call but the one.
func (OS) Rename(oldname, newname string) error {
	err := retry(func() error { return unix.Rename(oldname, newname) })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

// BootID names the run of the kernel: it changes with each boot. Where the system
// does not say, each call gives another name, so that no file can be taken for one
// of the same boot.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		return id
	}
	return "unknown-" + rand.Text()
}

// FreeBytes says how many bytes an unprivileged process may still write to the file
// system that holds path.
func FreeBytes(path string) (uint64, error) {
	free, _, err := Space(path)
	return free, err
}

// Space says how many bytes an unprivileged process may still write to the file system that
// holds path, and how many it has in all.
func Space(path string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	size := st.Frsize
	if size == 0 {
		size = st.Bsize
	}
	return st.Bavail * uint64(size), st.Blocks * uint64(size), nil
}

func renameExclusive(oldname, newname string) error {
	err := retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, oldname, unix.AT_FDCWD, newname, unix.RENAME_NOREPLACE)
	})
	if err == unix.ENOSYS {
		return errors.ErrUnsupported
	}
	return err
}

func syncfs(d *os.File) error {
	return retry(func() error { return unix.Syncfs(int(d.Fd())) })
}

// setModTime leaves the time of last access alone. It works on the descriptor:
// the name may be gone, and /proc may not be mounted.
func setModTime(f *os.File, t time.Time) error {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(t.UnixNano())}
	return control(f, func(fd uintptr) error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, fd, 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}

// StartSync asks the kernel to begin writing the content out, and does not wait.
// It promises nothing.
func (f *osFile) StartSync() error {
	return control(f.File, func(fd uintptr) error {
		return unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	})
}

// WriteError says whether writing the content out has failed since the file was
// opened. The kernel keeps that by descriptor, so that no other reader of the
// error can hide it, as it can from syncfs.
func (f *osFile) WriteError() error {
	if err := f.given(); err != nil {
		return err
	}
	err := control(f.File, func(fd uintptr) error {
		return unix.SyncFileRange(int(fd), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
	})
	if err != nil {
		err = &fs.PathError{Op: "sync_file_range", Path: f.Name(), Err: err}
		f.GiveUp(err)
	}
	return err
}

// syncFSSuits says whether syncfs is worth its while and to be trusted on the file
// system that holds path: local ones that commit one journal.
func syncFSSuits(path string) bool {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return false
	}
	switch uint64(st.Type) & 0xffffffff {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// control runs fn on f's descriptor, again if a signal interrupted it.
func control(f *os.File, fn func(fd uintptr) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = c.Control(func(fd uintptr) { inner = retry(func() error { return fn(fd) }) })
	if err != nil {
		return err
	}
	return inner
}

func retry(fn func() error) error {
	for {
		if err := fn(); err != syscall.EINTR {
			return err
		}
	}
}

// OpenDir opens a directory for renaming in it: see the function OpenDir.
func (OS) OpenDir(dir string) (Dir, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return &openDir{f, int(f.Fd())}, nil
}

type openDir struct {
	f  *os.File
	fd int
}

func (d *openDir) Rename(oldname, newname string) error {
	err := retry(func() error { return unix.Renameat(d.fd, oldname, d.fd, newname) })
	if err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(d.f.Name(), oldname), New: filepath.Join(d.f.Name(), newname), Err: err}
	}
	return nil
}

func (d *openDir) RenameNoReplace(oldname, newname string) error {
	err := retry(func() error { return unix.Renameat2(d.fd, oldname, d.fd, newname, unix.RENAME_NOREPLACE) })
	if err == unix.ENOSYS || err == unix.EINVAL {
		return OS{}.RenameNoReplace(filepath.Join(d.f.Name(), oldname), filepath.Join(d.f.Name(), newname))
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(d.f.Name(), oldname), New: filepath.Join(d.f.Name(), newname), Err: err}
	}
	return nil
}

func (d *openDir) Close() error { return d.f.Close() }
