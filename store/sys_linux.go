package store

import (
	"io/fs"
	"syscall"
	"time"
)

// changeTime is when the file's inode last changed: a rename counts.
func changeTime(st fs.FileInfo) time.Time {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return st.ModTime()
}
