//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kurir/internal/admin"
	"kurir/internal/fsx"
)

// isRoot tells whether this process may do what it likes.
func isRoot() bool { return os.Geteuid() == 0 }

// idsOf are the numbers of a user; ok is false if there is none, or this process is not
// root and could give it nothing.
func idsOf(name string) (uid, gid int, ok bool) {
	u, err := user.Lookup(name)
	if err != nil || !isRoot() {
		return 0, 0, false
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	return uid, gid, uerr == nil && gerr == nil
}

// readableBy lets a user read root's configuration, which its modes and the umask may forbid.
// A link is left alone: with the rights of root, nothing is opened to others by a name that
// may lead elsewhere by now.
func readableBy(path, name string) error {
	_, gid, ok := idsOf(name)
	if !ok {
		return nil
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o004 != 0 {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return nil // somebody else's: it is as they want it
	}
	return errors.Join(f.Chown(0, gid), f.Chmod(info.Mode().Perm()|0o040))
}

// giveIfEmpty gives root's data directory that holds nothing yet to the user that the
// server will be, if there is one.
func giveIfEmpty(files fsx.FS, dir, name string) error {
	uid, gid, ok := idsOf(name)
	if !ok {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	names, err := files.ReadNames(dir)
	if st, is := info.Sys().(*syscall.Stat_t); err != nil || !is || st.Uid != 0 || len(names) > 0 {
		return err
	}
	return os.Lchown(dir, uid, gid)
}

// openAsOwner opens the data as the user that owns them, in a process of that user, if this
// one is root: the files that are made have to be the server's. That process answers on the
// control socket, as a server does, until r.stop. Where a server runs, or the data are this
// user's own, nothing is done.
func (r *setupRun) openAsOwner(ctx context.Context) error {
	info, err := os.Stat(r.cfg.Data)
	if err != nil || r.stop != nil {
		return err
	}
	var owner *ownerError
	if !errors.As(checkOwner(r.cfg.Data, info), &owner) {
		return nil
	}
	client := admin.NewClient(r.cfg.Control)
	defer client.Close()
	if _, err := client.Version(ctx); err == nil {
		return nil
	}
	st := info.Sys().(*syscall.Stat_t)
	return r.startHelper(ctx, client, st.Uid, groupOf(st))
}

// groupOf is the main group of a file's owner, or the file's.
func groupOf(st *syscall.Stat_t) uint32 {
	u, err := user.LookupId(strconv.FormatUint(uint64(st.Uid), 10))
	if err != nil {
		return st.Gid
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return st.Gid
	}
	return uint32(gid)
}

// helperTime is how long the helper may take to open the data, and to end.
const helperTime = 30 * time.Second

// ownProgram is where this program can be started from, also by a user who may not enter the
// folder that it lies in.
func ownProgram() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// startHelper starts this program once more as another user, and waits until it answers.
func (r *setupRun) startHelper(ctx context.Context, client *admin.Client, uid, gid uint32) error {
	self, err := ownProgram()
	if err != nil {
		return err
	}
	c := exec.CommandContext(context.WithoutCancel(ctx), self, "setup-data", "--config", r.config)
	if r.data != "" {
		c.Args = append(c.Args, "--data", r.cfg.Data)
	}
	c.Env, c.Dir, c.WaitDelay = slices.Clone(r.environ), r.cfg.Data, helperTime
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	said := &firstWords{}
	c.Stderr = said
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting kurir as the owner of %s: %w", r.cfg.Data, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }() // ends with the process
	r.stop = func() error {
		r.stop = nil
		in.Close()
		if err := <-ended; err != nil {
			return fmt.Errorf("kurir as the owner of %s: %w: %s", r.cfg.Data, err, said)
		}
		return nil
	}
	for deadline := time.Now().Add(helperTime); ; {
		select {
		case err := <-ended:
			r.stop = nil
			return fmt.Errorf("kurir as the owner of %s could not open it: %w: %s", r.cfg.Data, err, said)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if _, err := client.Version(ctx); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kurir as the owner of %s does not answer: %s", r.cfg.Data, said)
		}
	}
}

// firstWords keep the beginning of what a process says.
type firstWords struct{ text []byte }

func (f *firstWords) Write(p []byte) (int, error) {
	f.text = append(f.text, p[:min(len(p), max(0, 4096-len(f.text)))]...)
	return len(p), nil
}

func (f *firstWords) String() string { return oneLine(string(f.text)) }

var _ io.Writer = (*firstWords)(nil)
