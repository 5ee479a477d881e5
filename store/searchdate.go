package store

import (
	"context"
	"errors"
	"time"
)

// InternalDates appends to buf the internal dates of messages, see [View.InternalDate], in
// the order of uids, which must ascend. That of a message that is gone is the zero Time.
// Error: ErrUnavailable.
func (v *View) InternalDates(ctx context.Context, uids []UID, buf []time.Time) ([]time.Time, error) {
	first := len(buf)
	buf, unknown := v.knownDates(uids, buf)
	if !unknown {
		return buf, nil
	}
	for i, t := range buf[first:] {
		if !t.IsZero() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return buf, err
		}
		t, err := v.InternalDate(ctx, uids[i])
		if err != nil && !errors.Is(err, ErrExpunged) {
			return buf, err
		}
		buf[first+i] = t
	}
	return buf, nil
}

// knownDates appends the dates that the columns have, the zero Time for the others.
func (v *View) knownDates(uids []UID, buf []time.Time) (_ []time.Time, unknown bool) {
	v.load()
	m := v.m
	m.state.RLock()
	defer m.state.RUnlock()
	i := 0
	for _, uid := range uids {
		if e := m.seek(&i, uid); e != nil && e.date != 0 {
			buf = append(buf, time.Unix(int64(e.date), 0))
			continue
		}
		unknown = true
		buf = append(buf, time.Time{})
	}
	return buf, unknown
}

// knownDate is the internal date of a message, if the columns have it.
func (v *View) knownDate(uid UID) (time.Time, bool) {
	v.load()
	m := v.m
	m.state.RLock()
	defer m.state.RUnlock()
	if e, ok := m.cols.get(uid); ok && e.date != 0 {
		return time.Unix(int64(e.date), 0), true
	}
	return time.Time{}, false
}
