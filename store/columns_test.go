package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kurir/internal/maildir"
)

// naive is what columns should be.
type naive map[UID]entry

func (n naive) uids() []UID {
	var uids []UID
	for u := range n {
		uids = append(uids, u)
	}
	slices.Sort(uids)
	return uids
}

func TestColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var hosts maildir.HostTable
	c := columns{loaded: true}
	is := naive{}
	foreign := map[UID]string{}
	blocks := map[UID][]byte{}
	count := counters{uidNext: 1, modseq: 1}
	for step := range 800 {
		cs := &changeSet{modseq: count.modseq + 1, foreign: map[UID]string{}}
		for _, u := range is.uids() {
			switch rng.IntN(20) {
			case 0:
				cs.del = append(cs.del, u)
			case 1:
				e := is[u]
				e.flags, e.modseq = Flags(rng.Uint32()), cs.modseq
				cs.put = append(cs.put, e)
			}
		}
		next := count.uidNext
		for range rng.IntN(4) {
			next += UID(rng.IntN(3) * rng.IntN(70))
			e := entry{uid: next, modseq: cs.modseq, flags: Flags(rng.Uint32()), stored: rng.Uint32N(1e6), date: rng.Uint32()}
			e.wire = e.stored + rng.Uint32N(1000)
			base := fmt.Sprintf("%d.M%dP%dQ%d.host", rng.Uint32(), rng.Uint32N(1e6), 5, rng.Uint32())
			if rng.IntN(3) == 0 {
				base = fmt.Sprintf("foreign %d", rng.Uint32())
			}
			if e.base = packBase(base, &hosts); e.base.Host == foreignBase {
				cs.foreign[next] = base
				foreign[next] = base
			}
			cs.put = append(cs.put, e)
			next++
			cs.uidNext = next
		}
		for _, b := range cs.blocks() {
			data, _ := c.encodeBlock(nil, cs, b, &hosts)
			if blocks[b] = data; len(data) == 0 {
				delete(blocks, b)
			}
		}
		count = c.after(count, cs)
		c.apply(cs)
		for i := range cs.put {
			is[cs.put[i].uid] = cs.put[i]
		}
		for _, u := range cs.del {
			delete(is, u)
			delete(foreign, u)
		}
		compareColumns(t, step, &c, is, foreign, count)
		if step%20 == 0 {
			d := columns{loaded: true}
			var bs []UID
			for b := range blocks {
				bs = append(bs, b)
			}
			slices.Sort(bs)
			for _, b := range bs {
				if err := d.decodeBlock(blocks[b], &hosts); err != nil {
					t.Fatal(step, err)
				}
			}
			d.uids = uidsOf(d.ents)
			compareColumns(t, step, &d, is, foreign, count)
		}
	}
}

func compareColumns(t *testing.T, step int, c *columns, is naive, foreign map[UID]string, count counters) {
	t.Helper()
	uids := is.uids()
	if !slices.Equal(c.uids, uids) || len(c.ents) != len(uids) || len(c.foreign) != len(foreign) {
		t.Fatalf("step %d: %v, want %v", step, c.uids, uids)
	}
	var n counters
	for i, u := range uids {
		e, ok := c.get(u)
		if !ok || *e != is[u] || c.foreign[u] != foreign[u] || c.ents[i].uid != u {
			t.Fatalf("step %d: %d: %+v, want %+v", step, u, e, is[u])
		}
		n.add(e, 1)
	}
	n.uidNext, n.modseq = count.uidNext, count.modseq
	if n != count {
		t.Fatalf("step %d: counters %+v, counted %+v", step, count, n)
	}
	if _, ok := c.get(1 << 30); ok {
		t.Fatal("a message that is none")
	}
}

// FuzzDecodeBlock: whatever the index holds, decoding ends, and what it accepts is in order
// and comes out the same again.
func FuzzDecodeBlock(f *testing.F) {
	var hosts maildir.HostTable
	c := columns{foreign: map[UID]string{70: "a foreign base"}}
	cs := &changeSet{put: []entry{{uid: 65, modseq: 9, stored: 5, wire: 7, base: packBase("1.M2P3Q4.host", &hosts)}, {uid: 70, modseq: 3, base: maildir.Packed{Host: foreignBase}}}}
	seed, top := c.encodeBlock(nil, cs, 1, &hosts)
	if top != 9 {
		f.Fatal(top)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add([]byte{1})
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Add([]byte("\xff\xff\xff\x1f\x00\x00\x00\x00\x00\x00\x00")) // the last UIDs that there are
	f.Fuzz(func(t *testing.T, data []byte) {
		var hosts maildir.HostTable
		var c columns
		if c.decodeBlock(data, &hosts) != nil || len(c.ents) == 0 {
			return
		}
		for i := 1; i < len(c.ents); i++ {
			if c.ents[i].uid <= c.ents[i-1].uid {
				t.Fatal("not in order")
			}
		}
		block := c.ents[0].uid / blockSize
		if c.ents[len(c.ents)-1].uid/blockSize != block || c.ents[0].uid == 0 {
			return // not of one block
		}
		again, _ := (&columns{}).encodeBlock(nil, &changeSet{put: c.ents, foreign: c.foreign, fresh: true}, block, &hosts)
		var d columns
		if err := d.decodeBlock(again, &hosts); err != nil || !reflect.DeepEqual(d.ents, c.ents) {
			t.Fatalf("%v: %+v, want %+v", err, d.ents, c.ents)
		}
	})
}

func TestBlocksOfAChange(t *testing.T) {
	cs := &changeSet{put: []entry{{uid: 1}, {uid: 63}, {uid: 64}, {uid: 700}}, del: []UID{2, 65, 128, 700}}
	if got := fmt.Sprint(cs.blocks()); got != "[0 1 2 10]" {
		t.Error(got)
	}
	if got := fmt.Sprint(mergeBlocks([]UID{1, 3}, []UID{2, 3, 9})); got != "[1 2 3 9]" {
		t.Error(got)
	}
}
