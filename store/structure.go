package store

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"sync"

	"kurir/internal/message"
)

// structureCache holds parsed structures that are not in the index yet, so that many are
// written in one transaction.
type structureCache struct {
	mu   sync.Mutex
	todo map[structureKey][]byte
	size int // bytes in todo
}

type structureKey struct {
	mailbox int64
	uid     UID
}

// How many structures, and how many bytes of them, wait for one transaction: that of a
// hostile message has megabytes.
const (
	structureBatch = 256
	structureBytes = 2 << 20
)

// Structure is the message's MIME structure with its envelope: parsed once, kept in the
// index. Errors: ErrExpunged, or ErrUnavailable with its cause.
func (v *View) Structure(ctx context.Context, uid UID) (*message.Part, error) {
	v.load()
	v.m.state.RLock()
	ix, key := v.m.a.index(), structureKey{v.m.key, uid} // checkIndex takes the key away first
	v.m.state.RUnlock()
	if data, err := ix.structure(key); err == nil && data != nil {
		p := new(message.Part)
		if p.UnmarshalBinary(data) == nil {
			return p, nil
		}
	}
	b, err := v.Open(ctx, uid)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r, size := b.Stored()
	p, err := message.Parse(io.NewSectionReader(r, 0, size), message.Limits{})
	if err != nil {
		return nil, kindOf(err)
	}
	if data, err := p.AppendBinary(nil); err == nil {
		if err := ix.keepStructure(key, data); err != nil {
			v.m.s.log.Warn("the index takes no structures", "account", v.m.a.address, "error", err)
		}
	}
	return p, nil
}

func (ix *index) structure(key structureKey) ([]byte, error) {
	ix.structures.mu.Lock()
	data := ix.structures.todo[key]
	ix.structures.mu.Unlock()
	if data != nil || key.mailbox == 0 { // a mailbox that the index does not hold yet
		return data, nil
	}
	err := ix.db.QueryRow("SELECT data FROM structure WHERE mailbox=? AND uid=?", key.mailbox, key.uid).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return data, err
}

// keepStructure remembers a structure, and writes those remembered if there are many.
func (ix *index) keepStructure(key structureKey, data []byte) error {
	if key.mailbox == 0 {
		return nil
	}
	c := &ix.structures
	c.mu.Lock()
	if c.todo == nil {
		c.todo = map[structureKey][]byte{}
	}
	c.todo[key] = data
	c.size += len(data)
	if len(c.todo) < structureBatch && c.size < structureBytes {
		c.mu.Unlock()
		return nil
	}
	todo := c.todo
	c.todo, c.size = nil, 0
	c.mu.Unlock()
	return ix.putStructures(todo)
}

// flushStructures writes those that are remembered.
func (ix *index) flushStructures() error {
	c := &ix.structures
	c.mu.Lock()
	todo := c.todo
	c.todo, c.size = nil, 0
	c.mu.Unlock()
	if len(todo) == 0 {
		return nil
	}
	return ix.putStructures(todo)
}

func (ix *index) putStructures(todo map[structureKey][]byte) error {
	return ix.commit(func(tx *sql.Tx) error {
		st, err := tx.Prepare("INSERT OR REPLACE INTO structure (mailbox, uid, data) VALUES (?,?,?)")
		if err != nil {
			return err
		}
		defer st.Close()
		for k, data := range todo {
			if _, err := st.Exec(k.mailbox, k.uid, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropStructures forgets the structures of messages that are gone.
func (ix *index) dropStructures(tx *sql.Tx, mailbox int64, uids []UID) error {
	if len(uids) == 0 {
		return nil
	}
	ix.structures.mu.Lock()
	for _, uid := range uids {
		delete(ix.structures.todo, structureKey{mailbox, uid})
	}
	ix.structures.mu.Unlock()
	st, err := tx.Prepare("DELETE FROM structure WHERE mailbox=? AND uid=?")
	if err != nil {
		return err
	}
	defer st.Close()
	for _, uid := range uids {
		if _, err := st.Exec(mailbox, uid); err != nil {
			return err
		}
	}
	return nil
}
