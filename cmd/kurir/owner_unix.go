//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner refuses work as root on the data of another user: the files it made would
// be out of that user's, and so of the server's, reach.
func checkOwner(dir string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return fmt.Errorf("%s belongs to the user with id %d: run this as that user, for example with: sudo -u '#%d' kurir …", dir, st.Uid, st.Uid)
}
