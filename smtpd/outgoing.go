package smtpd

import (
	"context"
	"fmt"

	"kurir/internal/queue"
)

// outgoing is one message in the hands of the queue, once for each envelope.
type outgoing struct {
	q         Queue
	kept      []Kept
	committed int // of kept
}

// keep has the queue keep the message n times in all.
func (o *outgoing) keep(m Staged, n int) error {
	for len(o.kept) < n {
		k, err := o.q.Keep(m)
		if err != nil {
			return err
		}
		o.kept = append(o.kept, k)
	}
	return nil
}

// commit commits the envelopes, as many as were kept: the first with the message's own id,
// the others with ids made of that. The receipt is the first one that
// tells of a hold, else the first.
func (o *outgoing) commit(ctx context.Context, all []queue.Envelope) (first queue.Receipt, err error) {
	for i := range all {
		if i > 0 {
			all[i].ID = fmt.Sprintf("%s-f%d", all[0].ID, i)
		}
		r, err := o.kept[i].Commit(ctx, all[i])
		if err != nil {
			return first, err
		}
		o.committed++
		if i == 0 || first.Held == "" && r.Held != "" {
			first = r
		}
	}
	return first, nil
}

// drop gives up what was not committed.
func (o *outgoing) drop() {
	for _, k := range o.kept {
		k.Drop()
	}
}
