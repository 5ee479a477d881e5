package setup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestDisk(t *testing.T) {
	good := DiskUse{Free: 40 << 30, Inodes: 1 << 20, Left: 1 << 19, Type: 0xef53}
	for _, c := range []struct {
		name   string
		change func(*DiskUse)
		want   Outcome
		text   string
	}{
		{"roomy", func(*DiskUse) {}, OK, "40 GiB are free on the disk of /data."},
		{"btrfs has no number of inodes", func(d *DiskUse) { d.Inodes, d.Left = 0, 0 }, OK, "40 GiB"},
		{"full", func(d *DiskUse) { d.Free = 90 << 20 }, Problem, "Only 90 MiB are free"},
		{"small", func(d *DiskUse) { d.Free = 3 << 29 }, Todo, "1.5 GiB are free"},
		{"out of inodes", func(d *DiskUse) { d.Left = 12 }, Problem, "Only 12 more files"},
		{"in memory", func(d *DiskUse) { d.Type = 0x01021994 }, Problem, "tmpfs"},
		{"NFS", func(d *DiskUse) { d.Type = 0x6969 }, Todo, "NFS"},
		{"NFS and full", func(d *DiskUse) { d.Type, d.Free = 0x6969, 0 }, Problem, "Only 0 MiB"},
		{"a container's layer", func(d *DiskUse) { d.Type = 0x794c7630 }, Todo, "overlayfs"},
	} {
		d := good
		c.change(&d)
		s := Disk("/data", d)
		if s.Outcome != c.want || !strings.Contains(s.Text, c.text) || (s.Outcome != OK) != (s.Why != "" && s.Do != "") {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
	if _, err := ReadDisk(t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	off := func(d time.Duration) func(context.Context) (time.Time, error) {
		return func(context.Context) (time.Time, error) { return now.Add(-d), nil }
	}
	silent := func(context.Context) (time.Time, error) { return time.Time{}, errors.New("no answer") }
	for _, c := range []struct {
		name   string
		now    func() time.Time
		synced bool
		date   func(context.Context) (time.Time, error)
		want   Outcome
		text   string
	}{
		{"kept", clock, true, nil, OK, "keeps the clock right"},
		{"not kept", clock, false, nil, Todo, "No time service"},
		{"kept and compared", clock, true, off(2 * time.Second), OK, "The clock is right, and"},
		{"right by chance", clock, false, off(-2 * time.Second), Todo, "The clock is right, but"},
		{"fast", clock, true, off(3 * time.Minute), Problem, "wrong by 3m0s"},
		{"slow", clock, false, off(-time.Hour), Problem, "wrong by 1h0m0s"},
		{"nobody to ask", clock, true, silent, OK, "keeps the clock right"},
		{"nobody to ask, not kept", clock, false, silent, Todo, "No time service"},
		{"no battery", func() time.Time { return time.Unix(0, 0) }, true, nil, Problem, "the year 1970"},
	} {
		if s := Clock(t.Context(), c.now, c.synced, c.date); s.Outcome != c.want || !strings.Contains(s.Text, c.text) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestMemory(t *testing.T) {
	with := func(text string) fstest.MapFS { return fstest.MapFS{"meminfo": {Data: []byte(text)}} }
	const whole = "MemTotal:        2031616 kB\nMemFree:  100 kB\nMemAvailable:    1331616 kB\nodd\nHugePages_Total: x\n"
	for _, c := range []struct {
		text  string
		limit int64
		want  Outcome
		says  string
	}{
		{whole, 0, OK, "1.3 GiB of 1.9 GiB"},
		{whole, 128 << 20, Todo, "has 128 MiB"},
		{whole, 512 << 20, OK, "512 MiB of 512 MiB"},
		{"MemTotal: 2031616 kB\nMemAvailable: 50000 kB\n", 0, Todo, "Only 48 MiB of 1.9 GiB"},
		{"MemTotal: 120000 kB\nMemAvailable: 110000 kB\n", 0, Todo, "has 117 MiB"},
	} {
		if s, err := Memory(with(c.text), c.limit); err != nil || s.Outcome != c.want || !strings.Contains(s.Text, c.says) {
			t.Errorf("%+v, %v", s, err)
		}
	}
	if _, err := Memory(with("nothing here\n"), 0); err == nil {
		t.Error("no error")
	}
	if _, err := Memory(fstest.MapFS{}, 0); err == nil {
		t.Error("no error without /proc")
	}
}
