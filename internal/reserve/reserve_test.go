package reserve

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

const mib = 1 << 20

// disk is a Disk whose room and time a test sets.
type disk struct {
	Disk
	free, total uint64
	err         error
	looks       int
	now         time.Time
}

func newDisk(size, free, total int64) *disk {
	d := &disk{free: uint64(free), total: uint64(total), now: time.Unix(1_800_000_000, 0)}
	d.Disk = Disk{Size: size, Now: func() time.Time { return d.now }, Space: func(string) (uint64, uint64, error) {
		d.looks++
		return d.free, d.total, d.err
	}}
	return d
}

// set changes the room, a second later.
func (d *disk) set(free int64) { d.free, d.now = uint64(free), d.now.Add(fresh) }

// TestChosen: a right size for each disk.
func TestChosen(t *testing.T) {
	for _, c := range []struct{ total, want int64 }{
		{100 * mib, 25 * mib},
		{1024 * mib, 100 * mib},
		{10 * 1024 * mib, 512 * mib},
		{1 << 40, 1024 * mib},
	} {
		if s := newDisk(-1, c.total, c.total).Look(); s.Reserve != c.want || s.Short {
			t.Errorf("%d MiB: %+v", c.total/mib, s)
		}
	}
}

// TestRoom: what fits above the reserve, and nothing while it is touched.
func TestRoom(t *testing.T) {
	d := newDisk(100*mib, 150*mib, 1000*mib)
	if err := d.Room(50 * mib); err != nil {
		t.Error(err)
	}
	var full *Full
	if err := d.Room(50*mib + 1); !errors.As(err, &full) || full.Free != 150*mib || full.Reserve != 100*mib {
		t.Error(err)
	}
	for _, c := range []struct {
		free  int64
		short bool
	}{{100 * mib, false}, {100*mib - 1, true}, {109 * mib, true}, {110 * mib, false}, {109 * mib, false}} {
		d.set(c.free)
		if s := d.Look(); s.Short != c.short || (d.Room(0) != nil) != c.short {
			t.Errorf("%d MiB: %+v", c.free/mib, s)
		}
	}
}

// TestCheap: the disk is asked once a second, however often somebody wants to know.
func TestCheap(t *testing.T) {
	d := newDisk(-1, 1<<40, 1<<40)
	for range 1000 {
		d.Room(1)
	}
	if d.looks != 1 {
		t.Errorf("%d looks", d.looks)
	}
	d.now = d.now.Add(-time.Hour) // a clock that was set back
	if d.Room(1); d.looks != 2 {
		t.Errorf("%d looks", d.looks)
	}
}

// TestUnknown: what is not known refuses nothing; nor does a reserve of nothing.
func TestUnknown(t *testing.T) {
	d := newDisk(-1, 0, 0)
	d.err = fs.ErrPermission
	if s := d.Look(); d.Room(1<<40) != nil || !errors.Is(s.Err, fs.ErrPermission) {
		t.Errorf("%+v", s)
	}
	if newDisk(0, 0, 1<<40).Room(1) != nil {
		t.Error("refused without a reserve")
	}
	real := &Disk{Dir: t.TempDir(), Size: 1}
	if s := real.Look(); s.Err == nil && (s.Free <= 0 || s.Total < s.Free || s.Reserve != 1) {
		t.Errorf("%+v", s)
	}
}
