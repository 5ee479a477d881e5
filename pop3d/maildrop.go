package pop3d

import (
	"context"
	"fmt"
	"math/bits"

	"kurir/store"
)

// maildrop is what a session sees of INBOX: the messages that were there at login, numbered
// from 1, and which of them it has marked for deletion.
type maildrop struct {
	account *store.Account
	mailbox *store.Mailbox
	view    *store.View

	count   int      // messages, deleted ones included
	octets  int64    // size of all messages, deleted ones included
	gone    []uint64 // a bit for each message: deleted in this session; nil: none
	goneN   int
	goneLen int64 // their octets
	removed int   // messages removed by QUIT

	infos []store.Info // for each to reuse
}

// openMaildrop takes the snapshot. Errors are the store's.
func openMaildrop(ctx context.Context, st *store.Store, address string) (*maildrop, error) {
	a, err := st.Account(ctx, address)
	if err != nil {
		return nil, err
	}
	m, err := a.Mailbox(ctx, "INBOX")
	if err != nil {
		a.Close()
		return nil, err
	}
	v, err := m.View(ctx)
	if err != nil {
		m.Close()
		a.Close()
		return nil, err
	}
	d := &maildrop{account: a, mailbox: m, view: v, count: v.Count()}
	if d.octets, err = d.size(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// size is how many octets the messages have. Nothing else that happens at login needs more
// than the mailbox's counters, so they are asked first: they are right if nothing has
// changed since the snapshot.
func (d *maildrop) size(ctx context.Context) (octets int64, err error) {
	st, err := d.mailbox.Status(ctx)
	if err != nil {
		return 0, err
	}
	if st.HighestModSeq == d.view.ModSeq() && int(st.Messages) == d.count {
		return st.Size, nil
	}
	d.each(func(i store.Info) { octets += i.Size })
	return octets, nil
}

func (d *maildrop) close() {
	d.view.Close()
	d.mailbox.Close()
	d.account.Close()
}

// whole fails if the store cannot say which messages there are.
func (d *maildrop) whole() error {
	return d.view.Load()
}

// chunk is how many messages are looked at under one lock.
const chunk = 1024

// each calls f for every message that is not deleted, in order.
func (d *maildrop) each(f func(store.Info)) {
	for from := 1; from <= d.count; from += chunk {
		d.infos = d.view.Infos(from, min(from+chunk-1, d.count), d.infos[:0])
		for _, i := range d.infos {
			if !d.deleted(i.Seq) {
				f(i)
			}
		}
	}
	d.infos = nil
}

// info gives message n, 1 to count.
func (d *maildrop) info(n int) store.Info {
	if infos := d.view.Infos(n, n, nil); len(infos) == 1 {
		return infos[0]
	}
	return store.Info{Seq: n}
}

// uidl is the unique-id of a message. One that others removed so long ago that the store
// has forgotten it gets an id that no other message ever has.
func (d *maildrop) uidl(uid store.UID) string {
	if id := d.view.UIDL(uid); id != "" {
		return id
	}
	return fmt.Sprintf("gone-%d-%d", d.mailbox.UIDValidity(), uid)
}

func (d *maildrop) deleted(n int) bool {
	n--
	return d.gone != nil && d.gone[n/64]&(1<<(n%64)) != 0
}

// del marks message n, which is not deleted yet.
func (d *maildrop) del(n int) {
	if d.gone == nil {
		d.gone = make([]uint64, (d.count+63)/64)
	}
	d.gone[(n-1)/64] |= 1 << ((n - 1) % 64)
	d.goneN++
	d.goneLen += d.info(n).Size
}

// reset unmarks all.
func (d *maildrop) reset() { d.gone, d.goneN, d.goneLen = nil, 0, 0 }

// left is how many messages and octets are not deleted.
func (d *maildrop) left() (int, int64) { return d.count - d.goneN, d.octets - d.goneLen }

// update removes what was marked. Messages that others have removed meanwhile are no error.
func (d *maildrop) update(ctx context.Context) error {
	if d.goneN == 0 {
		return nil
	}
	if err := d.whole(); err != nil {
		return err
	}
	all := d.view.UIDs()
	uids := make([]store.UID, 0, d.goneN)
	for i, word := range d.gone {
		for ; word != 0; word &= word - 1 {
			uids = append(uids, all[i*64+bits.TrailingZeros64(word)])
		}
	}
	removed, err := d.mailbox.Remove(ctx, uids)
	d.removed = len(removed)
	return err
}
