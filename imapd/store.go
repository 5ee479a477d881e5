package imapd

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// storeRequest is a STORE command as it was read.
type storeRequest struct {
	imap.StoreFlags
	set       messageSet
	unchanged store.ModSeq // store.NoModSeq: no condition
}

// store is STORE and UID STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).
func (s *session) store(c *command) error {
	r, err := parseStore(&c.args)
	if err != nil {
		return err
	}
	flags, err := flagSet(r.Flags)
	if err != nil {
		return err
	}
	spans, err := s.resolve(c, r.set)
	if err != nil {
		return err
	}
	if s.readOnly {
		return errReadOnly
	}
	if r.unchanged != store.NoModSeq {
		s.enableCondstore()
	}
	if len(spans) == 0 {
		return nil
	}
	uids := spanUIDs(s.view.UIDs(), spans)
	done, err := s.view.Store(s.ctx, uids, storeOps[r.Op], flags, r.unchanged)
	if err != nil {
		return err
	}
	// Of a message that somebody else changed too, the client is told the flags even if the
	// change is silent: it could not work them out.
	s.own = ownChange{at: done.ModSeq, uids: done.Own}
	if !r.Silent {
		s.own.uids = uids // tellStored tells all
	}
	if r.Silent && !s.condstore {
		return nil
	}
	if err := s.update(false, c.uid); err != nil { // new keywords come before the flags that use them
		return err
	}
	lost := s.lostTo(r, uids)
	s.tellStored(spans, union(done.Modified, lost), r, c.uid)
	if c.uid { // UIDs that are gone are passed over
		lost = nil
	}
	if modified := union(done.Modified, lost); len(modified) > 0 {
		c.code = s.modifiedCode(modified, c.uid)
	}
	if len(lost) > 0 {
		return no(imap.ResponseCode(c.code), "Some of the messages are gone")
	}
	return nil
}

// lostTo lists the messages that a conditional STORE did not find, which its client has not
// been told of: by sequence numbers it fails for these (RFC 7162 section 3.1.3).
func (s *session) lostTo(r *storeRequest, uids []store.UID) (lost []store.UID) {
	if r.unchanged == store.NoModSeq {
		return nil
	}
	for _, u := range s.view.Pending() {
		if _, ok := slices.BinarySearch(uids, u); ok {
			lost = append(lost, u)
		}
	}
	return lost
}

// union gives what is in one of two ascending lists, or in both.
func union(a, b []store.UID) []store.UID {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

var storeOps = map[imap.StoreFlagsOp]store.FlagOp{
	imap.StoreFlagsAdd: store.AddFlags,
	imap.StoreFlagsDel: store.RemoveFlags,
	imap.StoreFlagsSet: store.SetFlags,
}

// parseStore reads the arguments of STORE.
func parseStore(p *parser) (*storeRequest, error) {
	r := &storeRequest{unchanged: store.NoModSeq}
	r.set = p.sp().set()
	if p.sp().peek() == '(' {
		p.modifiers(func() {
			if p.word("STORE modifier") != "UNCHANGEDSINCE" {
				p.fail("Unknown STORE modifier")
			}
			if r.unchanged != store.NoModSeq { // RFC 7162 section 7
				p.fail("UNCHANGEDSINCE given twice")
			}
			r.unchanged = p.sp().modSeq()
		})
		p.sp()
	}
	switch {
	case p.take('+'):
		r.Op = imap.StoreFlagsAdd
	case p.take('-'):
		r.Op = imap.StoreFlagsDel
	}
	item := p.word("STORE item")
	item, r.Silent = strings.CutSuffix(item, ".SILENT")
	if item != "FLAGS" {
		p.fail("Unknown STORE item")
	}
	if p.sp().peek() == '(' {
		p.list(func() { r.Flags = append(r.Flags, p.flag()) })
		return r, p.end()
	}
	for first := true; first || p.err == nil && p.peek() == ' ' && len(p.rest()) > 1; first = false {
		if !first {
			p.sp()
		}
		r.Flags = append(r.Flags, p.flag())
	}
	return r, p.end()
}

// modifiedCode is the response code MODIFIED: those whose flags were not changed
// because others had changed them (RFC 7162 section 3.1.3).
func (s *session) modifiedCode(uids []store.UID, withUID bool) string {
	b := []byte("MODIFIED ")
	if withUID {
		return string(appendUIDList(b, uids))
	}
	seqs := make([]uint32, 0, len(uids))
	for _, u := range uids {
		if n := s.view.Seq(u); n > 0 {
			seqs = append(seqs, uint32(n))
		}
	}
	return string(appendUIDList(b, seqs))
}

// tellStored sends the FETCH responses of a STORE: for every message whose flags were
// to be changed, also if that was no change. A silent STORE tells mod-sequences only: of all
// if it has a condition (RFC 7162 section 3.1.3), else of those that did change.
func (s *session) tellStored(spans []span, modified []store.UID, r *storeRequest, withUID bool) {
	keywords := s.view.Keywords()
	s.eachInfo(spans, func(m store.Info) error {
		if _, ok := slices.BinarySearch(modified, m.UID); ok || m.ModSeq == 0 { // or it is gone, and its flags with it
			return nil
		}
		if !r.Silent || r.unchanged != store.NoModSeq || s.own.has(m) {
			s.out.set(s.appendFlagFetch(s.out.buf(), m, keywords, !r.Silent, withUID))
		}
		return s.out.err
	})
}

// infoChunk is how many messages are looked up at once.
const infoChunk = 512

// eachInfo calls f for each message of spans, until it returns an error.
func (s *session) eachInfo(spans []span, f func(store.Info) error) error {
	return s.eachChunk(spans, infoChunk, func(chunk []store.Info) error {
		for _, m := range chunk {
			if err := f(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachChunk calls f for the messages of spans, size at once, until it returns an error. f
// may change the slice.
func (s *session) eachChunk(spans []span, size int, f func([]store.Info) error) error {
	var buf []store.Info
	for _, sp := range spans {
		for from := sp.from; from <= sp.to; {
			to := min(from+size-len(buf)-1, sp.to)
			buf = s.view.Infos(from, to, buf)
			from = to + 1
			if len(buf) < size {
				continue
			}
			if err := f(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	if len(buf) == 0 {
		return nil
	}
	return f(buf)
}
