package setup

import "golang.org/x/sys/unix"

// timeError and staUnsync are what adjtimex says of a clock that nothing keeps right,
// <linux/timex.h>.
const (
	timeError = 5
	staUnsync = 0x40
)

// ClockSynced tells whether something keeps the kernel's clock right, as far as the kernel
// was told.
func ClockSynced() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != timeError && t.Status&staUnsync == 0
}

// ReadDisk asks the file system that path is on. path has to be there.
func ReadDisk(path string) (DiskUse, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return DiskUse{}, err
	}
	return DiskUse{
		Free:   s.Bavail * uint64(s.Bsize),
		Inodes: s.Files, Left: s.Ffree, Type: int64(uint32(s.Type)),
	}, nil
}
