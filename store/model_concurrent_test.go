package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/maildir"
)

// TestConcurrent has sessions, deliveries and another program at work on two mailboxes at
// once. In the end every client knows exactly what there is.
func TestConcurrent(t *testing.T) {
	for _, watch := range []bool{false, true} {
		t.Run(fmt.Sprintf("watch %v", watch), func(t *testing.T) { concurrent(t, watch) })
	}
}

func concurrent(t *testing.T, watch bool) {
	s, a := testAccount(t, func(o *Options) { o.NoWatch = !watch })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	boxes := []*Mailbox{testBox(t, a, "INBOX"), testBox(t, a, "Archive")}
	stop := make(chan struct{})
	var work, clients sync.WaitGroup
	for i := range 3 {
		work.Go(func() { mutate(t, ctx, s, boxes, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
	work.Go(func() { intrude(t, boxes, rand.New(rand.NewPCG(9, 9))) })
	for i := range 4 {
		clients.Go(func() { follow(t, ctx, boxes[i%2], stop, i) })
	}
	work.Wait()
	for _, m := range boxes { // what is there now is what all must learn
		m.curDirty.Store(true)
		if _, err := m.Status(ctx); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	clients.Wait()
}

// mutate is a session that changes things, and a sender.
func mutate(t *testing.T, ctx context.Context, s *Store, boxes []*Mailbox, rng *rand.Rand) {
	for range 150 {
		k := rng.IntN(2)
		m, to := boxes[k], boxes[1-k]
		v, err := m.View(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		var uids []UID
		for _, u := range v.UIDs() {
			if rng.IntN(4) == 0 {
				uids = append(uids, u)
			}
		}
		v.Close()
		msg, err := s.Stage()
		if err == nil {
			_, err = fmt.Fprintf(msg, "Subject: %d\r\n\r\n", rng.Uint64())
		}
		if err != nil {
			t.Error(err)
			return
		}
		switch rng.IntN(8) {
		case 0, 1:
			_, err = s.Deliver(ctx, msg, []Target{{Address: testAddress}, {Address: testAddress, Mailbox: "Archive"}})
		case 2:
			_, err = m.Append(ctx, []Appending{{Message: msg}})
		case 3, 4:
			_, _, err = m.Store(ctx, uids, FlagOp(rng.IntN(3)), FlagSet{Flags: Flags(rng.IntN(64)), Keywords: []string{"work"}}, NoModSeq)
		case 5:
			_, err = m.Copy(ctx, uids[:min(2, len(uids))], to)
		case 6:
			_, err = m.Move(ctx, uids[:min(2, len(uids))], to)
		default:
			_, err = m.Expunge(ctx, nil)
		}
		if err = errors.Join(err, msg.Close()); err != nil {
			t.Error(err)
		}
	}
}

// intrude is another program: it drops messages and sets flags.
func intrude(t *testing.T, boxes []*Mailbox, rng *rand.Rand) {
	for i := range 150 {
		m := boxes[rng.IntN(2)]
		if i%3 == 0 {
			if err := os.WriteFile(m.path("new", fmt.Sprintf("%d.%d.intruder", i, i)), fmt.Appendf(nil, "Subject: %d\n\n", i), 0o600); err != nil {
				t.Error(err)
			}
		} else if names, err := m.s.fs.ReadNames(m.path("cur")); err == nil && len(names) > 0 {
			n := names[rng.IntN(len(names))]
			base, _, _ := strings.Cut(n, ":")
			// That it is gone by now is no matter.
			_ = os.Rename(m.path("cur", n), m.path("cur", base+":2,"+maildir.Flags(rng.IntN(64)).Letters()))
		}
		time.Sleep(time.Millisecond)
	}
}

// follow is a client that is told of changes and keeps a mirror.
func follow(t *testing.T, ctx context.Context, m *Mailbox, stop chan struct{}, i int) {
	v, err := m.View(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer v.Close()
	mirror := v.Infos(1, v.Count(), nil)
	for last := false; ; {
		d, err := v.Refresh(ctx, last || i < 2)
		if err != nil {
			t.Error(err)
			return
		}
		for _, seq := range d.Expunged {
			mirror = slices.Delete(mirror, seq-1, seq)
		}
		if d.Exists >= 0 {
			mirror = append(mirror, v.Infos(len(mirror)+1, d.Exists, nil)...)
		}
		for _, in := range d.Changed {
			mirror[in.Seq-1] = in
		}
		if last {
			break
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, _ = m.Wait(short, v.ModSeq())
		cancel()
		select {
		case <-stop:
			last = true
		default:
		}
	}
	w, err := m.View(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	defer w.Close()
	if w.Count() != len(mirror) {
		t.Errorf("client %d knows %d messages, there are %d", i, len(mirror), w.Count())
		return
	}
	for k, in := range w.Infos(1, w.Count(), nil) {
		if mirror[k].UID != in.UID || mirror[k].Flags != in.Flags {
			t.Errorf("client %d knows %+v, there is %+v", i, mirror[k], in)
		}
		if _, err := readMessage(ctx, w, in.UID); err != nil {
			t.Error(in.UID, err)
		}
	}
}
