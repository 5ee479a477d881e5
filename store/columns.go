package store

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strconv"

	"kurir/internal/maildir"
)

// entry is what the columns hold of a message: all that its file's name says, packed.
type entry struct {
	modseq ModSeq
	uid    UID
	flags  Flags
	stored uint32         // bytes of the file
	wire   uint32         // bytes on the wire
	date   uint32         // the file's mtime in seconds; 0 is not looked up yet
	base   maildir.Packed // Host is foreignBase for one that is in columns.foreign
}

const foreignBase = 1<<16 - 1

// columns are the messages of a mailbox in use, once for all its sessions.
type columns struct {
	loaded  bool
	ents    []entry // by UID
	uids    []UID   // the same UIDs: views share it, so it is appended to or replaced, never changed
	foreign map[UID]string
}

// blockSize is how many UIDs share a row of the index.
const blockSize = 64

func find(ents []entry, uid UID) (int, bool) {
	return sort.Find(len(ents), func(i int) int { return int(int64(uid) - int64(ents[i].uid)) })
}

// get gives the entry of uid.
func (c *columns) get(uid UID) (*entry, bool) {
	i, ok := find(c.ents, uid)
	if !ok {
		return nil, false
	}
	return &c.ents[i], true
}

// counters are what a mailbox says of itself without looking at its messages.
type counters struct {
	uidNext        UID
	modseq         ModSeq
	messages       uint32
	unseen         uint32
	deleted        uint32
	firstUnseen    uint32 // sequence number
	firstUnseenUID UID
	size           int64
}

func (n *counters) add(e *entry, sign int) {
	n.messages += uint32(sign)
	n.size += int64(sign) * int64(e.wire)
	if e.flags&Seen == 0 {
		n.unseen += uint32(sign)
	}
	if e.flags&Deleted != 0 {
		n.deleted += uint32(sign)
	}
}

// changeSet is one change of a mailbox, complete on disk, to be committed to the index
// and then to memory.
type changeSet struct {
	modseq  ModSeq
	put     []entry // new or changed messages, by UID
	foreign map[UID]string
	del     []UID // expunged messages, ascending
	graves  map[UID]string
	uidNext UID  // 0: as it was
	fresh   bool // all messages are in put: what the columns and the index held is void
}

func (cs *changeSet) empty() bool { return len(cs.put) == 0 && len(cs.del) == 0 && !cs.fresh }

// blocks lists the blocks that the change touches, ascending.
func (cs *changeSet) blocks() []UID {
	var bs []UID
	for i := range cs.put {
		if b := cs.put[i].uid / blockSize; len(bs) == 0 || bs[len(bs)-1] != b {
			bs = append(bs, b)
		}
	}
	n := len(bs)
	for _, u := range cs.del {
		if b := u / blockSize; len(bs) == n || bs[len(bs)-1] != b {
			bs = append(bs, b)
		}
	}
	if n > 0 && n < len(bs) {
		slices.Sort(bs)
		bs = slices.Compact(bs)
	}
	return bs
}

// merged calls f with the entries of one block as they will be after cs, by UID.
func (c *columns) merged(cs *changeSet, block UID, f func(e *entry, base string)) {
	within := func(ents []entry) []entry {
		i, _ := find(ents, block*blockSize)
		j, last := find(ents, block*blockSize+blockSize-1) // the next block may have no number
		if last {
			j++
		}
		return ents[i:j]
	}
	var old []entry
	if !cs.fresh {
		old = within(c.ents)
	}
	put := within(cs.put)
	for len(old) > 0 || len(put) > 0 {
		switch {
		case len(old) == 0 || len(put) > 0 && put[0].uid <= old[0].uid:
			if len(old) > 0 && old[0].uid == put[0].uid {
				old = old[1:]
			}
			f(&put[0], foreignOf(cs.foreign, c.foreign, put[0].uid))
			put = put[1:]
		default:
			if _, gone := slices.BinarySearch(cs.del, old[0].uid); !gone {
				f(&old[0], c.foreign[old[0].uid])
			}
			old = old[1:]
		}
	}
}

func foreignOf(first, second map[UID]string, uid UID) string {
	if s, ok := first[uid]; ok {
		return s
	}
	return second[uid]
}

// encodeBlock packs the entries of a block as they will be after cs into b, which is
// empty, behind the block's number; nothing if there are none. It returns the highest mod-sequence among them too.
func (c *columns) encodeBlock(b []byte, cs *changeSet, block UID, hosts *maildir.HostTable) ([]byte, ModSeq) {
	var top ModSeq
	last := block * blockSize
	var name []byte
	c.merged(cs, block, func(e *entry, foreign string) {
		if len(b) == 0 {
			b = binary.AppendUvarint(b, uint64(block))
		}
		top = max(top, e.modseq)
		b = binary.AppendUvarint(b, uint64(e.uid-last))
		last = e.uid
		b = binary.AppendUvarint(b, uint64(e.modseq))
		b = binary.AppendUvarint(b, uint64(e.flags))
		b = binary.AppendUvarint(b, uint64(e.stored))
		b = binary.AppendUvarint(b, uint64(e.wire-e.stored))
		b = binary.AppendUvarint(b, uint64(e.date))
		if e.base.Host == foreignBase {
			name = append(name[:0], foreign...)
		} else {
			name = e.base.AppendTo(name[:0], hosts)
		}
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	})
	return b, top
}

var errBlock = errors.New("damaged block")

// decodeBlock appends the entries of a block, whose first number is the block's own.
func (c *columns) decodeBlock(data []byte, hosts *maildir.HostTable) error {
	block, n := binary.Uvarint(data)
	if n <= 0 {
		return errBlock
	}
	data = data[n:]
	last := UID(block) * blockSize
	for len(data) > 0 {
		var v [7]uint64
		for i := range v {
			x, n := binary.Uvarint(data)
			if n <= 0 {
				return errBlock
			}
			v[i], data = x, data[n:]
		}
		if v[6] > uint64(len(data)) {
			return errBlock
		}
		last += UID(v[0])
		if k := len(c.ents); k > 0 && c.ents[k-1].uid >= last {
			return errBlock
		}
		e := entry{uid: last, modseq: ModSeq(v[1]), flags: Flags(v[2]), stored: uint32(v[3]), wire: uint32(v[3] + v[4]), date: uint32(v[5])}
		c.setBase(&e, string(data[:v[6]]), hosts)
		data = data[v[6]:]
		c.ents = append(c.ents, e)
	}
	return nil
}

// setBase packs a base into e, or keeps it as text beside.
func (c *columns) setBase(e *entry, base string, hosts *maildir.HostTable) {
	e.base = packBase(base, hosts)
	if e.base.Host == foreignBase {
		if c.foreign == nil {
			c.foreign = map[UID]string{}
		}
		c.foreign[e.uid] = base
	}
}

func packBase(base string, hosts *maildir.HostTable) maildir.Packed {
	if p, ok := maildir.Pack(base, hosts); ok && p.Host != foreignBase {
		return p
	}
	return maildir.Packed{Host: foreignBase}
}

// after gives the counters as they will be after cs.
func (c *columns) after(n counters, cs *changeSet) counters {
	if cs.fresh {
		n = counters{uidNext: n.uidNext, modseq: n.modseq}
	} else {
		i := 0
		for j := range cs.put {
			uid := cs.put[j].uid
			if i < len(c.ents) && c.ents[i].uid < uid {
				k, _ := find(c.ents[i:], uid)
				i += k
			}
			if i < len(c.ents) && c.ents[i].uid == uid {
				n.add(&c.ents[i], -1)
			}
		}
		for _, uid := range cs.del {
			if e, ok := c.get(uid); ok {
				n.add(e, -1)
			}
		}
	}
	for j := range cs.put {
		n.add(&cs.put[j], +1)
	}
	n.modseq = max(n.modseq, cs.modseq)
	n.uidNext = max(n.uidNext, cs.uidNext)
	return n
}

// apply makes the columns what they are after cs.
func (c *columns) apply(cs *changeSet) {
	if cs.fresh {
		c.ents, c.uids, c.foreign = cs.put, uidsOf(cs.put), cs.foreign
		return
	}
	i := 0
	for j := range cs.put {
		p := &cs.put[j]
		if i < len(c.ents) && c.ents[i].uid < p.uid {
			k, _ := find(c.ents[i:], p.uid)
			i += k
		}
		if i < len(c.ents) && c.ents[i].uid == p.uid {
			if c.ents[i].base.Host == foreignBase && p.base.Host != foreignBase {
				delete(c.foreign, p.uid)
			}
			c.ents[i] = *p
		} else {
			c.ents = append(c.ents, *p)
			c.uids = append(c.uids, p.uid)
		}
	}
	for uid, base := range cs.foreign {
		if c.foreign == nil {
			c.foreign = map[UID]string{}
		}
		c.foreign[uid] = base
	}
	if len(cs.del) > 0 {
		c.remove(cs.del)
	}
}

func (c *columns) remove(del []UID) {
	for _, uid := range del {
		delete(c.foreign, uid)
	}
	if len(del) == 1 {
		if i, ok := find(c.ents, del[0]); ok {
			c.ents = slices.Delete(c.ents, i, i+1)
		}
	} else {
		j := 0
		c.ents = slices.DeleteFunc(c.ents, func(e entry) bool {
			for j < len(del) && del[j] < e.uid {
				j++
			}
			return j < len(del) && del[j] == e.uid
		})
	}
	c.uids = uidsOf(c.ents)
}

func uidsOf(ents []entry) []UID {
	uids := make([]UID, len(ents), len(ents)+len(ents)/8+4)
	for i := range ents {
		uids[i] = ents[i].uid
	}
	return uids
}

// firstUnseen looks for the first message without Seen, from the one with UID from on;
// it gives its sequence number and UID, or zeros.
func (c *columns) firstUnseen(from UID) (uint32, UID) {
	i, _ := find(c.ents, from)
	for ; i < len(c.ents); i++ {
		if c.ents[i].flags&Seen == 0 {
			return uint32(i + 1), c.ents[i].uid
		}
	}
	return 0, 0
}

// name gives the file name of e in cur/.
func (c *columns) name(e *entry, tag string, hosts *maildir.HostTable) string {
	return entryName(e, c.foreign[e.uid], tag, hosts)
}

func entryName(e *entry, foreign, tag string, hosts *maildir.HostTable) string {
	b := make([]byte, 0, 96)
	if e.base.Host == foreignBase {
		b = append(b, foreign...)
	} else {
		b = e.base.AppendTo(b, hosts)
	}
	b = append(b, ",S="...)
	b = appendUint(b, uint64(e.stored))
	b = append(b, ",W="...)
	b = appendUint(b, uint64(e.wire))
	b = append(b, ",U="...)
	b = appendUint(b, uint64(e.uid))
	b = append(b, ",V="...)
	b = append(b, tag...)
	b = append(b, ":2,"...)
	return string(maildir.Flags(e.flags).AppendLetters(b))
}

func appendUint(b []byte, v uint64) []byte { return strconv.AppendUint(b, v, 10) }

// mergeBlocks gives the union of two ascending lists.
func mergeBlocks(a, b []UID) []UID {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
