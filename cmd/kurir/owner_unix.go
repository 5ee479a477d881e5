//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkOwner refuses work as root on the data of another user: the files it made would
// be out of that user's, and so of the server's, reach. The error is an ownerError.
func checkOwner(dir string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return &ownerError{fmt.Sprintf("%s belongs to %s", dir, runAs(st.Uid))}
}

// ownedBy says whose a file is and how to work as that user; empty if it is this user's.
func ownedBy(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int64(st.Uid) == int64(os.Geteuid()) {
		return ""
	}
	return "it belongs to " + runAs(st.Uid)
}

// runAs names a user and how to be it, on the command line.
func runAs(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("the user %s: run this as that user, for example with: sudo -u %s kurir …", u.Username, u.Username)
	}
	return fmt.Sprintf("the user with id %s: run this as that user, for example with: sudo -u '#%s' kurir …", id, id)
}

// mayWrite is nil if this user may make files in dir.
func mayWrite(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
