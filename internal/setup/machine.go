package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// DiskUse is what a file system says of itself.
type DiskUse struct {
	Free         uint64 // bytes, for this user
	Inodes, Left uint64 // in all and left; both 0: it has no fixed number
	Type         int64  // the kernel's number of its kind (statfs)
}

// The kinds of file systems that a mail store is not simply put on, <linux/magic.h>.
var doubtfulKinds = map[int64]struct {
	name    string
	outcome Outcome
	why, do string
}{
	0x01021994: {"tmpfs", Problem, "It is in memory: a restart of the machine loses all mail.", "Name a directory on a disk: --data DIR."},
	0x858458f6: {"ramfs", Problem, "It is in memory: a restart of the machine loses all mail.", "Name a directory on a disk: --data DIR."},
	0x794c7630: {"overlayfs", Todo, "It is a container's own layer: removing the container loses all mail.", "Mount a volume at the data directory (docs/docker.md)."},
	0x6969:     {"NFS", Todo, "Another computer keeps the files: locks and what is said to be written depend on it.", "A disk of this machine is better; with NFS mount it \"hard\" and \"sync\", for this server alone."},
	0xff534d42: {"CIFS", Problem, "It keeps neither the names nor the locks that mail needs.", "Name a directory on a disk: --data DIR."},
	0xfe534d42: {"SMB2", Problem, "It keeps neither the names nor the locks that mail needs.", "Name a directory on a disk: --data DIR."},
	0x4d44:     {"FAT", Problem, "It keeps neither the names nor the modes that mail needs.", "Name a directory on another file system: --data DIR."},
	0x65735546: {"FUSE", Todo, "A program stands between kurir and the disk, and has to keep what it says is written.", "A disk of this machine is better."},
	0x01021997: {"9p", Todo, "Another system keeps the files: what is said to be written depends on it.", "A disk of this machine is better."},
}

// Room that a data directory should have, in bytes.
const (
	leastRoom  = 500 << 20
	enoughRoom = 2 << 30
	fewInodes  = 10_000
)

// Disk judges the file system that the data directory is on, or will be.
func Disk(dir string, d DiskUse) Step {
	kind, doubtful := doubtfulKinds[d.Type]
	switch {
	case doubtful && kind.outcome == Problem:
		return step("disk", Problem, "%s is on a file system of the kind %s.", dir, kind.name).because(kind.why, kind.do)
	case d.Free < leastRoom:
		return step("disk", Problem, "Only %s are free on the disk of %s.", bytesText(d.Free), dir).
			because("Mail would soon be refused.", "Make room, or name a directory on another disk: --data DIR.")
	case d.Inodes > 0 && d.Left < fewInodes:
		return step("disk", Problem, "Only %d more files can be made on the disk of %s.", d.Left, dir).
			because("Each message is a file.", "Remove files that are not needed (df -i shows the number), or name a directory on another disk: --data DIR.")
	case doubtful:
		return step("disk", kind.outcome, "%s is on a file system of the kind %s.", dir, kind.name).because(kind.why, kind.do)
	case d.Free < enoughRoom:
		return step("disk", Todo, "%s are free on the disk of %s.", bytesText(d.Free), dir).
			because("A few mailboxes with pictures fill that within weeks.", "See that there is more room soon.")
	}
	return step("disk", OK, "%s are free on the disk of %s.", bytesText(d.Free), dir)
}

// bytesText is a size for people.
func bytesText(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// clockSlip is how far the clock may be off.
const clockSlip = 30 * time.Second

// Clock judges this machine's clock. synced says whether the kernel knows of something that
// keeps it right; date asks a server outside for the time, and is nil where none is to be
// asked.
func Clock(ctx context.Context, now func() time.Time, synced bool, date func(context.Context) (time.Time, error)) Step {
	const do = "Set the clock, and let a time service keep it: sudo timedatectl set-ntp true"
	if year := now().Year(); year < 2025 {
		return step("clock", Problem, "This machine's clock says that it is the year %d.", year).because("Certificates and signatures do not hold then.", do)
	}
	if date != nil {
		began := now()
		there, err := date(ctx)
		if off := now().Sub(there); err == nil {
			off -= now().Sub(began) / 2
			if off > clockSlip || off < -clockSlip {
				return step("clock", Problem, "This machine's clock is wrong by %s.", off.Abs().Round(time.Second)).
					because("Certificates and signatures do not hold, and mail is dated wrongly.", do)
			}
			if synced {
				return step("clock", OK, "The clock is right, and a time service keeps it so.")
			}
			return step("clock", Todo, "The clock is right, but no time service keeps it so, as far as the kernel knows.").because("It will run away by seconds a day.", do)
		}
	}
	if !synced {
		return step("clock", Todo, "No time service keeps this machine's clock right, as far as the kernel knows.").because("It will run away by seconds a day.", do)
	}
	return step("clock", OK, "A time service keeps the clock right.")
}

// Memory judges how much memory there is, by /proc/meminfo. limit is how much of it the
// server may have, in bytes; 0: all.
func Memory(proc fs.FS, limit int64) (Step, error) {
	total, available, err := readMemory(proc)
	if err != nil {
		return Step{}, err
	}
	if limit > 0 && uint64(limit) < total {
		total, available = uint64(limit), min(available, uint64(limit))
	}
	switch {
	case total < 200<<20:
		return step("memory", Todo, "The server has %s of memory.", bytesText(total)).
			because("A login takes 19 MiB for a moment, and large mailboxes more.", "512 MiB are enough for a family or a small office."), nil
	case available < 100<<20:
		return step("memory", Todo, "Only %s of %s of memory are free.", bytesText(available), bytesText(total)).
			because("The system may end the server when it runs short.", "Stop what is not needed, or give the machine more."), nil
	}
	return step("memory", OK, "%s of %s of memory are free.", bytesText(available), bytesText(total)), nil
}

var errMemory = errors.New("/proc/meminfo does not say how much memory there is")

// readMemory reads lines such as "MemTotal:  2031616 kB".
func readMemory(proc fs.FS) (total, available uint64, err error) {
	f, err := proc.Open("meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; lines.Scan() && n < 200; n++ {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		value, err := strconv.ParseUint(words[1], 10, 44)
		if err != nil {
			continue
		}
		switch words[0] {
		case "MemTotal:":
			total = value << 10
		case "MemAvailable:":
			available = value << 10
		}
	}
	if total == 0 {
		return 0, 0, errMemory
	}
	return total, available, nil
}
