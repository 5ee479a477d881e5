package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
)

// keptCache is what has been learnt of messages and is not in the index yet, so that much
// is written in one transaction; and of which messages the index is to forget what it has.
type keptCache struct {
	mu     sync.Mutex
	blocks map[blockKey]*keptBlock
	count  int // messages in blocks
	size   int // bytes of their texts
}

type blockKey struct {
	mailbox int64
	block   UID
}

func keyOf(mailbox int64, uid UID) blockKey { return blockKey{mailbox, uid / blockSize} }

func placeOf(uid UID) int { return int(uid % blockSize) }

// keptBlock is what waits of one block.
type keptBlock struct {
	gone uint64 // by place: to be forgotten
	msgs [blockSize]*kept
}

// kept is what has been learnt of one message; nil is nothing.
type kept [keptKinds]*record

func (k *kept) size() (n int) {
	for _, r := range k {
		if r != nil {
			n += r.size()
		}
	}
	return n
}

// How many messages, bytes and blocks wait for one transaction at most: the structure of a
// hostile message has megabytes.
const (
	keptMessages = 256
	keptBytes    = 2 << 20
	keptBlocks   = 256
)

// hugeText is the size from which what is learnt of a message is not kept.
const hugeText = 4 << 20

// keep remembers what was learnt of a message. tidyIndex is to be called after it.
func (ix *index) keep(mailbox int64, uid UID, k *kept) {
	if mailbox == 0 { // the index does not hold it yet
		return
	}
	c := &ix.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.block(keyOf(mailbox, uid))
	m := b.msgs[placeOf(uid)]
	if m == nil {
		m = new(kept)
		b.msgs[placeOf(uid)] = m
		c.count++
	}
	for kind, r := range k {
		if r == nil || r.size() >= hugeText {
			continue
		}
		if m[kind] != nil {
			c.size -= m[kind].size()
		}
		m[kind] = r
		c.size += r.size()
	}
}

// forget remembers that messages are gone. tidyIndex is to be called after it.
func (ix *index) forget(mailbox int64, uids []UID) {
	c := &ix.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, uid := range uids {
		b := c.block(keyOf(mailbox, uid))
		b.gone |= 1 << placeOf(uid)
		if m := b.msgs[placeOf(uid)]; m != nil {
			c.count--
			c.size -= m.size()
			b.msgs[placeOf(uid)] = nil
		}
	}
}

// tidyKept writes what is remembered if it is much.
func (ix *index) tidyKept() error {
	c := &ix.kept
	c.mu.Lock()
	full := c.count >= keptMessages || c.size >= keptBytes || len(c.blocks) >= keptBlocks
	c.mu.Unlock()
	if !full {
		return nil
	}
	return ix.flushKept()
}

func (c *keptCache) block(key blockKey) *keptBlock {
	b := c.blocks[key]
	if b == nil {
		if c.blocks == nil {
			c.blocks = map[blockKey]*keptBlock{}
		}
		b = new(keptBlock)
		c.blocks[key] = b
	}
	return b
}

// waiting gives what is remembered of a kind of the messages uids, by their place there.
func (ix *index) waiting(mailbox int64, kind keptKind, uids []UID, f func(i int, r *record)) {
	c := &ix.kept
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.blocks) == 0 {
		return
	}
	var key blockKey
	var b *keptBlock
	for i, uid := range uids {
		if k := keyOf(mailbox, uid); k != key {
			key, b = k, c.blocks[k]
		}
		if b == nil {
			continue
		}
		if m := b.msgs[placeOf(uid)]; m != nil && m[kind] != nil {
			f(i, m[kind])
		}
	}
}

// flushKept writes what is remembered.
func (ix *index) flushKept() error {
	c := &ix.kept
	c.mu.Lock()
	todo := c.blocks
	c.blocks, c.count, c.size = nil, 0, 0
	c.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	keys := make([]blockKey, 0, len(todo))
	for k := range todo {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b blockKey) int { return int(int64(a.block) - int64(b.block)) })
	return ix.commit(func(tx *sql.Tx) error {
		w, err := newKeptWriter(tx)
		if err != nil {
			return err
		}
		defer w.close()
		there := map[int64]bool{} // not deleted meanwhile
		for _, key := range keys {
			ok, asked := there[key.mailbox]
			if !asked {
				if err := tx.QueryRow("SELECT count(*) FROM mailbox WHERE key=?", key.mailbox).Scan(&ok); err != nil {
					return err
				}
				there[key.mailbox] = ok
			}
			if !ok {
				continue
			}
			if err := w.block(key, todo[key]); err != nil {
				return err
			}
		}
		return nil
	})
}

// keptWriter writes rows of the table kept in one transaction.
type keptWriter struct {
	get, put, del, putLarge, delLarge *sql.Stmt

	row keptRow
	buf []byte
}

func newKeptWriter(tx *sql.Tx) (*keptWriter, error) {
	w := new(keptWriter)
	for _, s := range []struct {
		st    **sql.Stmt
		query string
	}{
		{&w.get, "SELECT data FROM kept WHERE mailbox=? AND kind=? AND block=?"},
		{&w.put, "INSERT OR REPLACE INTO kept (mailbox, kind, block, data) VALUES (?,?,?,?)"},
		{&w.del, "DELETE FROM kept WHERE mailbox=? AND kind=? AND block=?"},
		{&w.putLarge, "INSERT OR REPLACE INTO large (mailbox, kind, uid, data) VALUES (?,?,?,?)"},
		{&w.delLarge, "DELETE FROM large WHERE mailbox=? AND kind=? AND uid=?"},
	} {
		var err error
		if *s.st, err = tx.Prepare(s.query); err != nil {
			w.close()
			return nil, err
		}
	}
	return w, nil
}

func (w *keptWriter) close() {
	for _, st := range []*sql.Stmt{w.get, w.put, w.del, w.putLarge, w.delLarge} {
		if st != nil {
			st.Close() // the transaction's end says whether all went well
		}
	}
}

// block brings the rows of one block to what b says.
func (w *keptWriter) block(key blockKey, b *keptBlock) error {
	for kind := range keptKinds {
		var news uint64
		for place, m := range b.msgs {
			if m != nil && m[kind] != nil {
				news |= 1 << place
			}
		}
		if news|b.gone == 0 {
			continue
		}
		if err := w.kind(key, kind, b, news); err != nil {
			return err
		}
	}
	return nil
}

func (w *keptWriter) kind(key blockKey, kind keptKind, b *keptBlock, news uint64) error {
	old, err := w.read(key, kind)
	if err != nil {
		return err
	}
	if !w.row.decode(old, kind.columns()) && news == 0 {
		return nil
	}
	if w.row.has&b.gone == 0 && news == 0 {
		return nil
	}
	var all [blockSize]record
	var records [blockSize]*record
	large := w.row.large &^ (news | b.gone)
	for place := range blockSize {
		bit := uint64(1) << place
		switch {
		case news&bit != 0:
			records[place] = b.msgs[place][kind]
			if records[place].size() >= largeText {
				large |= bit
				err = w.apart(key, kind, place, records[place])
			} else if w.row.large&bit != 0 {
				_, err = w.delLarge.Exec(key.mailbox, kind, key.uid(place))
			}
		case b.gone&bit == 0:
			if rec, ok := w.row.get(place, kind.columns()); ok {
				all[place] = rec
				records[place] = &all[place]
			}
		case w.row.large&bit != 0:
			_, err = w.delLarge.Exec(key.mailbox, kind, key.uid(place))
		}
		if err != nil {
			return err
		}
	}
	w.buf = encodeRow(w.buf[:0], &records, large, kind.columns())
	if len(w.buf) == 0 {
		_, err = w.del.Exec(key.mailbox, kind, key.block)
	} else {
		w.buf = seal(w.buf, key.mailbox, int64(kind), int64(key.block))
		_, err = w.put.Exec(key.mailbox, kind, key.block, w.buf)
	}
	return err
}

func (k blockKey) uid(place int) UID { return k.block*blockSize + UID(place) }

func (w *keptWriter) read(key blockKey, kind keptKind) (string, error) {
	var data []byte
	err := w.get.QueryRow(key.mailbox, kind, key.block).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	data, _ = unseal(data, key.mailbox, int64(kind), int64(key.block))
	return string(data), err
}

// apart writes what is too large for a row. Folds are not: the heading has it all.
func (w *keptWriter) apart(key blockKey, kind keptKind, place int, r *record) error {
	if kind == keptFolds {
		return nil
	}
	data := append(make([]byte, 0, len(r[0])+sealSize), r[0]...)
	_, err := w.putLarge.Exec(key.mailbox, kind, key.uid(place), seal(data, key.mailbox, int64(kind), int64(key.uid(place))))
	return err
}

// dropKept forgets what is kept of a block.
func dropKept(tx *sql.Tx, mailbox int64, block UID) error {
	for kind := range keptKinds {
		if _, err := tx.Exec("DELETE FROM kept WHERE mailbox=? AND kind=? AND block=?", mailbox, kind, block); err != nil {
			return err
		}
	}
	_, err := tx.Exec("DELETE FROM large WHERE mailbox=? AND kind IN (?,?) AND uid BETWEEN ? AND ?",
		mailbox, keptStructure, keptHeading, int64(block)*blockSize, int64(block+1)*blockSize-1)
	return err
}

// keptRows calls f with the rows of a kind from one block to another, both included; not
// with those that are damaged.
func (ix *index) keptRows(ctx context.Context, mailbox int64, kind keptKind, from, to UID, f func(block UID, data string)) error {
	if mailbox == 0 {
		return nil
	}
	rows, err := ix.db.QueryContext(ctx, "SELECT block, data FROM kept WHERE mailbox=? AND kind=? AND block BETWEEN ? AND ? ORDER BY block", mailbox, kind, from, to)
	if err != nil {
		return ix.note(err)
	}
	defer rows.Close()
	var block UID
	var data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&block, &data); err != nil {
			return err
		}
		if whole, ok := unseal(data, mailbox, int64(kind), int64(block)); ok {
			f(block, string(whole))
		}
	}
	return ix.note(rows.Err())
}

// largeText reads what is kept of a message apart; "" if nothing is, or it is damaged.
func (ix *index) largeText(ctx context.Context, mailbox int64, kind keptKind, uid UID) (string, error) {
	var data []byte
	err := ix.db.QueryRowContext(ctx, "SELECT data FROM large WHERE mailbox=? AND kind=? AND uid=?", mailbox, kind, uid).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	data, _ = unseal(data, mailbox, int64(kind), int64(uid))
	return string(data), ix.note(err)
}
