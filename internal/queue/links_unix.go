//go:build unix

package queue

import (
	"io/fs"
	"syscall"
)

// linkCount is how many names a file has.
func linkCount(st fs.FileInfo) int {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(s.Nlink)
	}
	return 1
}
