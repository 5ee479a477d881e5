package main

import (
	"context"
	"fmt"
	"time"

	"kurir/internal/reserve"
	"kurir/internal/telemetry"
)

// localReserve is what the server of the command local keeps free: on a disk of somebody's own
// machine, which may be nearly full for ever.
const localReserve = 16 << 20

// disk is the disk of the mail, with the reserve that the configuration asks for.
func (o dataOptions) disk() *reserve.Disk {
	d := &reserve.Disk{Dir: o.cfg.Data, Size: -1}
	if size, auto := o.cfg.StoreReserve(); !auto {
		d.Size = int64(size)
	} else if o.local || isLocal(o.files, o.cfg.Data) {
		d.Size = localReserve
	}
	return d
}

const (
	// diskEvery is how often a running server looks at the room on its disk, dropEvery how
	// often it makes room while that is short.
	diskEvery = time.Second
	dropEvery = 10 * time.Second
	// sayEvery is how often health tells another figure while room is short.
	sayEvery = 10 * time.Minute
	// tellEvery is how often the administrator is told, who hears of it once a day, and how
	// soon what could not be told or taken back is tried again.
	tellEvery = 5 * time.Minute
)

// diskKey names the matter for the administrator.
const diskKey = "disk"

// watchDisk follows the room on the disk until ctx is done: the health, the administrator,
// and what was expunged and is kept for a while, which goes first when room is short.
func (s *site) watchDisk(ctx context.Context) {
	tick := time.NewTicker(diskEvery)
	defer tick.Stop()
	var short, known, told bool
	var dropped, said, tried time.Time
	for {
		st := s.data.disk.Look()
		if problem := s.diskProblem(st); problem == nil || time.Since(said) >= sayEvery { // each change of the figure would be a line in the log
			s.metrics.Health.Set("disk", problem)
			said = time.Time{}
			if problem != nil {
				said = time.Now()
			}
		}
		if st.Short && time.Since(dropped) >= dropEvery {
			dropped = time.Now()
			s.data.store.DropExpunged()
		}
		if changed := st.Short != short || !known; st.Err == nil && (changed || (short || !told) && time.Since(tried) >= tellEvery) {
			if changed && st.Short {
				s.log.Error("the disk is nearly full: no new mail is taken until there is room", "free", st.Free, "reserve", st.Reserve, "dir", s.cfg.Data)
			}
			short, known, tried = st.Short, true, time.Now()
			told = s.tellDisk(ctx, st)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// diskProblem is what is wrong with the room; nil: nothing.
func (s *site) diskProblem(st reserve.State) error {
	switch {
	case st.Err != nil:
		return st.Err
	case st.Short:
		return fmt.Errorf("only %s are free on the disk of %s, %s are to be kept free (store.reserve): no new mail is taken", showSize(st.Free), s.cfg.Data, showSize(st.Reserve))
	case st.Free < noSpace && st.Reserve == 0:
		return fmt.Errorf("only %s are free on the disk of %s", showSize(st.Free), s.cfg.Data)
	}
	return nil
}

// tellDisk tells the administrator that room is short, or is there again; false: it failed.
func (s *site) tellDisk(ctx context.Context, st reserve.State) bool {
	var err error
	if st.Short {
		err = s.data.notice.Tell(ctx, diskKey, "the disk is nearly full, no new mail is taken", s.diskLetter(st))
	} else {
		err = s.data.notice.Clear(ctx, diskKey)
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("the administrator could not be told of the disk", "error", err)
	}
	return err == nil
}

// diskLetter is what the administrator reads.
func (s *site) diskLetter(st reserve.State) string {
	return fmt.Sprintf(`The disk of this mail server is nearly full:

    %s
    %s are free of %s, %s have to stay free

So new mail is put off. Other servers keep it and try again for some days;
your users' mail apps say that there is no space. Nothing is lost. Reading,
deleting and what waits to be sent go on.

See what takes the room, and make some:

    du -xh --max-depth=3 %s | sort -h | tail
    kurir account list

Old accounts that were removed lie in "removed" there. Messages that users
delete free their room within seconds as long as this lasts. Mail is taken
again by itself when there is a tenth more than has to stay free.

You get this message once a day. How much stays free is store.reserve in the
configuration.
`, s.cfg.Data, showSize(st.Free), showSize(st.Total), showSize(st.Reserve), s.cfg.Data)
}

// checkReserve says whether there is less room than mail has to leave free.
func checkReserve(r *report, o dataOptions) {
	if st := o.disk().Look(); st.Short {
		r.fail("disk", "only %s are free on the disk of %s, %s have to stay free (store.reserve): no new mail is taken", showSize(st.Free), o.cfg.Data, showSize(st.Reserve))
	}
}

// countDisk has the metrics look at the disk.
func (s *site) countDisk() {
	s.metrics.Disk(func() (telemetry.Disk, bool) {
		st := s.data.disk.Look()
		return telemetry.Disk{Free: st.Free, Total: st.Total, Reserve: st.Reserve, Short: st.Short}, st.Err == nil
	})
}
