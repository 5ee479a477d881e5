package queue

import (
	"errors"
	"sync"

	"kurir/internal/sqldb"
)

// doubts are the files of rows of which it is not certain that they will not be there after
// a crash, as their commit failed at its very end. The next commit takes their place: then
// nothing needs the files any more. What is left of them goes at the next start.
type doubts struct {
	mu    sync.Mutex
	files []string
	past  int // that are certain by now
}

func (d *doubts) add(files []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, files...)
}

// count is how many there have been.
func (d *doubts) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past + len(d.files)
}

// certain takes out the first n of all.
func (d *doubts) certain(n int) (files []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n -= d.past; n <= 0 {
		return nil
	}
	files, d.files = d.files[:n:n], append([]string(nil), d.files[n:]...)
	d.past += n
	return files
}

// forsake removes the files of rows that could not be written, as soon as it is certain
// that these will never be there.
func (q *Queue) forsake(err error, files ...string) {
	if errors.Is(err, sqldb.ErrUncertain) {
		q.doubts.add(files)
		return
	}
	for _, f := range files {
		q.remove(f)
	}
}

// forsakeAll is forsake for the files of arrivals, any of which may be nil.
func (q *Queue) forsakeAll(err error, arrivals ...*arrival) {
	for _, a := range arrivals {
		if a != nil {
			q.forsake(err, a.mail.file)
		}
	}
}
