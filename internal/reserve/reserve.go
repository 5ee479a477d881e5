// Package reserve watches the room on the disk of the mail. Some of it is kept free: with
// less, new mail is put off before anything breaks, while what is needed to get out of it
// goes on: reading, deleting, sending what waits, and mail to the administrator. It writes
// nothing, and knows no protocol.
package reserve

import (
	"fmt"
	"sync"
	"time"

	"kurir/internal/fsx"
)

const (
	// atLeast and atMost bound the reserve that is chosen by the size of the disk, of which it
	// is a twentieth; of a very small one it is a quarter.
	atLeast, atMost = 100 << 20, 1 << 30
	// fresh is how long a look at the disk is good for.
	fresh = time.Second
)

// Disk is the disk of the mail. Its fields must not change once it is in use; its methods
// may be called from any goroutine.
type Disk struct {
	Dir  string
	Size int64 // of the reserve in bytes; less than zero: chosen by the size of the disk
	// Space tells the free and all the bytes of the file system that holds a path; nil means
	// fsx.Space.
	Space func(path string) (free, total uint64, err error)
	Now   func() time.Time // nil means time.Now

	mu    sync.Mutex
	at    time.Time
	state State
}

// State is what a look has found.
type State struct {
	Free, Total int64 // bytes
	Reserve     int64 // bytes
	// Short: there is less than the reserve; it lasts until there is a tenth more than it.
	Short bool
	Err   error // the room is not known, and nothing is refused
}

// Full is the error of what there is no room for.
type Full struct{ Free, Reserve, Wanted int64 }

// Error says how much there is.
func (f *Full) Error() string {
	return fmt.Sprintf("%d bytes are free on the disk, of which %d are kept free, and %d are wanted", f.Free, f.Reserve, f.Wanted)
}

// Look gives the state, which is a second old at most.
func (d *Disk) Look() State {
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now().Sub(d.at); age >= 0 && age < fresh && !d.at.IsZero() {
		return d.state
	}
	d.at = now()
	space := fsx.Space
	if d.Space != nil {
		space = d.Space
	}
	free, total, err := space(d.Dir)
	if err != nil {
		d.state = State{Err: err}
		return d.state
	}
	s := State{Free: int64(min(free, 1<<62)), Total: int64(min(total, 1<<62)), Reserve: d.Size}
	if d.Size < 0 {
		s.Reserve = chosen(s.Total)
	}
	s.Short = s.Free < s.Reserve || d.state.Short && s.Free < s.Reserve+s.Reserve/10
	d.state = s
	return s
}

// chosen is the reserve for a disk of so many bytes.
func chosen(total int64) int64 {
	return min(max(total/20, atLeast), atMost, total/4)
}

// Room tells whether so many bytes may be added: nil, or a *Full.
func (d *Disk) Room(add int64) error {
	s := d.Look()
	if s.Err != nil || s.Reserve == 0 || !s.Short && s.Free-add >= s.Reserve {
		return nil
	}
	return &Full{s.Free, s.Reserve, add}
}
