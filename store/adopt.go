package store

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// syncBatch is how many new messages share their fsyncs and their commit.
const syncBatch = 4096

// youngForeign is how long a file whose size is not what its name says is taken to be
// still on its way.
const youngForeign = time.Minute

// newcomer is a file that has no UID in this mailbox yet.
type newcomer struct {
	sub     string // new or cur
	file    string
	name    maildir.Name
	rebas   bool   // it needs a base of its own
	of      string // the path of another file with its base
	ofKnown bool   // that one is in the columns

	// what probe finds out
	ok           bool
	young        bool // another program still seems to be writing it
	stored, wire int64
	date         time.Time
}

// adopt gives UIDs to files that have none, in the order of their names. It reports
// whether it left out any that another program still seems to be writing. It fails with
// errMoved as scan does.
func (m *Mailbox) adopt(ctx context.Context, fresh []newcomer, sure bool) (young bool, err error) {
	maildir.SortBy(fresh, func(n *newcomer) string { return n.file })
	m.markDoubles(fresh)
	if fresh, err = m.buryDoubles(fresh, sure); err != nil {
		return false, err
	}
	m.quietly(len(fresh), func() { young, err = m.adoptAll(ctx, fresh) })
	return young, err
}

// adoptAll adopts newcomers batch by batch; while one gets its names the next is read.
func (m *Mailbox) adoptAll(ctx context.Context, fresh []newcomer) (young bool, err error) {
	all, begun, said := len(fresh), time.Now(), time.Now()
	next := m.probing(fresh[:min(len(fresh), syncBatch)])
	for len(fresh) > 0 {
		batch := fresh[:min(len(fresh), syncBatch)]
		fresh = fresh[len(batch):]
		<-next
		next = m.probing(fresh[:min(len(fresh), syncBatch)])
		err := ctx.Err()
		if err == nil {
			var left bool
			left, err = m.adoptBatch(batch)
			young = young || left
		}
		if err != nil {
			<-next
			return young, err
		}
		if time.Since(said) > adoptNews {
			said = time.Now()
			m.s.log.Info("taking in messages", "account", m.a.address, "mailbox", m.Name(), "done", all-len(fresh), "of", all, "seconds", int(time.Since(begun).Seconds()))
		}
	}
	return young, nil
}

// adoptNews is how often it is logged how far a long adoption has come.
const adoptNews = 5 * time.Second

// markDoubles finds newcomers whose base is in use in this mailbox already. A base that
// this process made later than all that the mailbox has seen is new by its making.
func (m *Mailbox) markDoubles(fresh []newcomer) {
	var doubtful []*newcomer
	for i := range fresh {
		n := &fresh[i]
		switch seq, own := m.s.ownSeq(n.name.Base); {
		case n.rebas || n.name.NeedsNewBase():
			n.rebas = true
		case own && n.sub == "new" && seq > m.topSeq:
			m.topSeq = seq
		default:
			if own {
				m.topSeq = max(m.topSeq, seq)
			}
			doubtful = append(doubtful, n)
		}
	}
	if len(doubtful) > 8 {
		m.markByTable(doubtful)
		return
	}
	for i, n := range doubtful {
		p := packBase(n.name.Base, &m.s.hosts)
		k := slices.IndexFunc(m.cols.ents, func(e entry) bool {
			return e.base == p && (p.Host != foreignBase || m.cols.foreign[e.uid] == n.name.Base)
		})
		if k >= 0 {
			m.double(n, k, doubtful)
		} else if k = slices.IndexFunc(doubtful[:i], func(o *newcomer) bool { return o.name.Base == n.name.Base }); k >= 0 {
			m.double(n, len(m.cols.ents)+k, doubtful)
		}
	}
}

// ownSeq gives the sequence number of a base that this run made. An earlier one may have
// had the same process number, as in a container: its bases are not later than the start.
func (s *Store) ownSeq(base string) (uint64, bool) {
	seq, ok := s.bases.Seq(base)
	if !ok {
		return 0, false
	}
	sec, _, _ := strings.Cut(base, ".")
	t, err := strconv.ParseInt(sec, 10, 64)
	return seq, err == nil && t > s.started
}

// double notes that a newcomer has the base of message k, or past them all of a doubtful
// newcomer.
func (m *Mailbox) double(n *newcomer, k int, doubtful []*newcomer) {
	n.rebas = true
	if k -= len(m.cols.ents); k >= 0 {
		n.of = m.path(doubtful[k].sub, doubtful[k].file)
	} else {
		n.of = m.path("cur", m.cols.name(&m.cols.ents[len(m.cols.ents)+k], m.tag, &m.s.hosts))
		n.ofKnown = true
	}
}

// buryDoubles moves newcomers to expunged/ that are a second file of one message: a power
// cut may leave in new/ what had been taken into cur/. If the other one is not where it
// should be and it is not sure that cur/ has just been read, the error is errMoved.
func (m *Mailbox) buryDoubles(fresh []newcomer, sure bool) ([]newcomer, error) {
	kept := fresh[:0]
	buried := map[string]bool{}
	for _, n := range fresh {
		if n.of != "" {
			same, err := m.sameBytes(m.path(n.sub, n.file), n.of)
			if same {
				err = m.s.bury(m.path(n.sub, n.file), filepath.Join(m.a.expungedDir(), n.file))
				buried[m.path(n.sub)] = true
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			if same {
				continue
			}
			if _, serr := m.s.fs.Stat(n.of); n.ofKnown && !sure && errors.Is(serr, fs.ErrNotExist) {
				return nil, errMoved
			}
		}
		kept = append(kept, n)
	}
	for dir := range buried {
		if err := m.s.group.SyncDir(dir); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// markByTable does the same for many, by a table of all bases.
func (m *Mailbox) markByTable(doubtful []*newcomer) {
	bases := make(map[string]int, len(m.cols.ents)+len(doubtful))
	var buf []byte
	for k := range m.cols.ents {
		buf = m.baseOf(&m.cols.ents[k], buf[:0])
		bases[string(buf)] = k
	}
	for i, n := range doubtful {
		if k, ok := bases[n.name.Base]; ok {
			m.double(n, k, doubtful)
		} else {
			bases[n.name.Base] = len(m.cols.ents) + i
		}
	}
}

// probing begins to read a batch of newcomers; the channel is closed when all have been.
func (m *Mailbox) probing(batch []newcomer) <-chan struct{} {
	done := make(chan struct{})
	if len(batch) < fewNew {
		for i := range batch {
			m.probe(&batch[i])
		}
		close(done)
		return done
	}
	go func() { // ends with the batch
		defer close(done)
		m.probeAll(batch)
	}()
	return done
}

// fewNew is how few newcomers are not worth a goroutine.
const fewNew = 32

// probeAll reads the newcomers, on all cores.
func (m *Mailbox) probeAll(batch []newcomer) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for first := range workers {
		wg.Go(func() {
			for i := first; i < len(batch); i += workers {
				m.probe(&batch[i])
			}
		})
	}
	wg.Wait()
}

// probe finds out a newcomer's sizes and date. What its name says of them is not believed.
func (m *Mailbox) probe(n *newcomer) {
	buf := sectionPool.Get().(*[]byte)
	defer sectionPool.Put(buf)
	var c lineCounter
	changed, err := fsx.ReadRegular(m.s.fs, m.path(n.sub, n.file), *buf, c.add)
	if err != nil {
		return // maybe no message: a symbolic link to who knows what
	}
	n.date = changed
	if n.name.Size >= 0 && n.name.Size != c.stored && m.s.o.Now().Sub(n.date) < youngForeign {
		n.young = true
		return
	}
	n.stored, n.wire = c.sizes(n.name.Wire)
	n.ok = n.wire < 1<<32
}

// adoptBatch renames a batch of newcomers to their names in cur/ and makes them known.
func (m *Mailbox) adoptBatch(batch []newcomer) (young bool, err error) {
	if err := m.raise(len(batch), 1); err != nil {
		return false, err
	}
	cs := &changeSet{modseq: m.count.modseq + 1, uidNext: m.nextUID(), foreign: map[UID]string{}}
	fromNew := false
	defer func() { m.spend(cs, err) }()
	cur, err := fsx.OpenDir(m.s.fs, m.path("cur"))
	if err != nil {
		return false, err
	}
	defer cur.Close()
	for i := range batch {
		n := &batch[i]
		if !n.ok {
			young = true
			if n.young && n.sub == "cur" { // no event need tell of its end
				m.curDirty.Store(true)
			}
			continue
		}
		base := n.name.Base
		if n.rebas {
			base = m.s.bases.Next()
			m.topSeq, _ = m.s.bases.Seq(base)
		}
		e := entry{uid: cs.uidNext, modseq: cs.modseq, flags: m.flagsOf(&n.name), stored: uint32(n.stored), wire: uint32(n.wire), date: dateOf(n.date)}
		e.base = packBase(base, &m.s.hosts)
		to := entryName(&e, base, m.tag, &m.s.hosts)
		var rerr error
		if n.sub == "cur" {
			rerr = cur.RenameNoReplace(n.file, to)
		} else {
			rerr = m.s.fs.RenameNoReplace(m.path(n.sub, n.file), m.path("cur", to))
		}
		if rerr != nil {
			if errors.Is(rerr, fs.ErrNotExist) { // another program was quicker
				m.curDirty.Store(true)
				continue
			}
			err = rerr
			break
		}
		if e.base.Host == foreignBase {
			cs.foreign[e.uid] = base
		}
		fromNew = fromNew || n.sub == "new"
		cs.put = append(cs.put, e)
		cs.uidNext++
	}
	if len(cs.put) == 0 {
		return young, err
	}
	if serr := m.s.group.SyncDir(m.path("cur")); serr != nil {
		return young, errors.Join(err, serr)
	}
	if fromNew {
		if serr := m.s.group.SyncDir(m.path("new")); serr != nil {
			return young, errors.Join(err, serr)
		}
	}
	m.ownCurChange()
	return young, errors.Join(err, m.commit(cs))
}

// dateOf packs an internal date: seconds, 1 at least.
func dateOf(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 1), 1<<32-1))
}
