//go:build unix

package listen

import "syscall"

// restrictSocket gives a socket that is not bound yet the mode of its file to be.
func restrictSocket(fd uintptr) error { return syscall.Fchmod(int(fd), 0o600) }
