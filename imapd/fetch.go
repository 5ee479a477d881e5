package imapd

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/message"
	"kurir/store"
)

// fetcher runs one FETCH.
type fetcher struct {
	*session
	r        *fetchRequest
	keywords []string
	zone     *time.Location
	parsed   bool // an item wants the MIME structure
	opened   bool // an item wants the file
	dated    bool // an item wants the internal date
	hasUID   bool // the UID is among the items
	flags    bool // FLAGS are among the items
	modseq   bool // MODSEQ is among the items
	lost     bool // a message was gone

	header, fields []byte                     // room for a header, and for fields of it
	listedOf       *imap.FetchItemBodySection // whose names are in listed
	listed         map[string]bool            // by name in lower case

	undecoded bool // a part of BINARY was not to be decoded

	uids  []store.UID // of the chunk at work
	dates []time.Time // of the chunk at work, if dated
}

// parsedChunk is how many messages are looked up at once when their structures are wanted,
// which the store reads ahead.
const parsedChunk = 8192

// fetched is one message of a FETCH.
type fetched struct {
	store.Info
	date time.Time     // zero unless dated
	part *message.Part // nil unless parsed
	body *store.Body   // nil unless opened
}

// fetch is FETCH and UID FETCH (RFC 9051 section 6.4.5).
func (s *session) fetch(c *command) error {
	r, err := parseFetch(&c.args)
	if err != nil {
		return err
	}
	spans, err := s.resolve(c, r.set)
	if err != nil {
		return err
	}
	if err := s.checkVanished(r, c.uid); err != nil {
		return err
	}
	f := s.newFetcher(r, c.uid)
	if f.modseq {
		s.enableCondstore()
	}
	if r.vanished { // before any FETCH response
		if err := s.tellVanished(r); err != nil {
			return err
		}
	}
	if f.flags && s.view.KeywordsChanged() { // they come before the flags that use them
		if err := s.update(false, c.uid); err != nil {
			return err
		}
	}
	if err := f.markSeen(spans, c.uid); err != nil {
		return err
	}
	f.keywords = s.view.Keywords()
	size := infoChunk
	if f.parsed {
		size = parsedChunk
	}
	err = s.eachChunk(spans, size, f.chunk)
	if err != nil {
		s.own = ownChange{} // \Seen was set where no response has said so
		return err
	}
	if f.undecoded {
		return errUnknownCTE
	}
	if f.lost {
		return no(codeExpungeIssued, "Some messages are gone")
	}
	return nil
}

// newFetcher looks at what the items need. UID commands add an item (RFC 9051 section
// 6.4.9), CHANGEDSINCE another, and so do flags for a client that knows CONDSTORE (RFC 7162
// sections 3.1.4 and 3.1).
func (s *session) newFetcher(r *fetchRequest, uid bool) *fetcher {
	f := &fetcher{session: s, r: r, zone: orDefault(s.srv.Location, time.UTC)}
	for _, it := range r.items {
		switch it.kind {
		case itemUID:
			f.hasUID = true
		case itemInternalDate:
			f.dated = true
		case itemFlags:
			f.flags = true
		case itemModSeq:
			f.modseq = true
		case itemEnvelope, itemBody, itemBodyStructure:
			f.parsed = true
		case itemSection:
			f.opened = true
			f.parsed = f.parsed || needsStructure(&it.section)
		case itemBinary, itemBinarySize:
			f.opened, f.parsed = true, true
		}
	}
	if uid && !f.hasUID {
		f.hasUID = true
		r.items = append([]fetchItem{{kind: itemUID}}, r.items...)
	}
	if (r.conditional || s.condstore && f.flags) && !f.modseq {
		f.modseq = true
		r.items = append(r.items, fetchItem{kind: itemModSeq})
	}
	return f
}

// markSeen sets \Seen on the messages whose content is fetched without PEEK, in one go
// before the first is sent; their responses will have FLAGS.
func (f *fetcher) markSeen(spans []span, uid bool) error {
	peek := true
	for _, it := range f.r.items {
		if it.kind == itemSection || it.kind == itemBinary {
			peek = peek && it.section.Peek
		}
	}
	if peek || f.readOnly {
		return nil
	}
	var uids []store.UID
	f.eachInfo(spans, func(m store.Info) error {
		if m.Flags&store.Seen == 0 && f.wants(m) {
			uids = append(uids, m.UID)
		}
		return nil
	})
	if len(uids) == 0 {
		return nil
	}
	if err := f.update(false, uid); err != nil {
		return err
	}
	done, err := f.view.Store(f.ctx, uids, store.AddFlags, store.FlagSet{Flags: store.Seen}, store.NoModSeq)
	if errors.Is(err, store.ErrDiskFull) || errors.Is(err, store.ErrUnavailable) { // mail can be read all the same
		f.log.Error("messages not marked as seen", "mailbox", f.mailbox.Name(), "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	f.own = ownChange{at: done.ModSeq, uids: done.Own}
	return nil
}

// wants reports whether CHANGEDSINCE lets a message through. A message that is fetched
// for its content changes on the way, which does not count.
func (f *fetcher) wants(m store.Info) bool {
	return !f.r.conditional || m.ModSeq > f.r.changedSince
}

// chunk sends the responses for a chunk of messages. An error ends the command; that a
// message is gone does not.
func (f *fetcher) chunk(infos []store.Info) (err error) {
	infos = slices.DeleteFunc(infos, func(m store.Info) bool {
		gone := m.ModSeq == 0
		f.lost = f.lost || gone
		return gone || !f.wants(m)
	})
	if f.dated || f.parsed {
		f.uids = f.uids[:0]
		for i := range infos {
			f.uids = append(f.uids, infos[i].UID)
		}
	}
	if f.dated {
		if f.dates, err = f.view.InternalDates(f.ctx, f.uids, f.dates[:0]); err != nil {
			return err
		}
	}
	if f.parsed {
		return f.view.Structures(f.ctx, f.uids, func(i int, p *message.Part) error {
			if p == nil {
				f.missed(infos[i].UID)
				return nil
			}
			return f.one(i, &fetched{Info: infos[i], part: p})
		})
	}
	m := new(fetched)
	for i := range infos {
		*m = fetched{Info: infos[i]}
		if err := f.one(i, m); err != nil {
			return err
		}
	}
	return nil
}

// one sends the response for the i-th message of the chunk, unless it is gone.
func (f *fetcher) one(i int, m *fetched) error {
	if f.over() { // the rest may be a whole mailbox
		return connError{os.ErrDeadlineExceeded}
	}
	if f.dated {
		m.date = f.dates[i]
	}
	err := f.load(m)
	if errors.Is(err, store.ErrExpunged) {
		f.missed(m.UID)
		return nil
	}
	if err != nil {
		return err
	}
	return f.message(m)
}

// missed notes that no response tells of a message, not that \Seen was set either.
func (f *fetcher) missed(uid store.UID) {
	f.lost = true
	if i, ok := slices.BinarySearch(f.own.uids, uid); ok {
		f.own.uids = slices.Delete(f.own.uids, i, i+1)
	}
}

// message sends the response for one message.
func (f *fetcher) message(m *fetched) error {
	if m.body != nil {
		defer m.body.Close()
	}
	b := append(f.out.buf(), "* "...)
	b = appendNumber(b, m.Seq)
	b = append(b, " FETCH ("...)
	f.out.set(b)
	for i := range f.r.items {
		if err := f.item(m, &f.r.items[i], i > 0); err != nil {
			return err
		}
	}
	b = f.out.buf()
	if f.own.has(m.Info) { // \Seen was set just now
		if f.qresync && !f.hasUID { // RFC 7162 section 3.2.4
			b = appendNumber(append(b, " UID "...), uint32(m.UID))
		}
		if !f.flags {
			b = appendFlags(append(b, " FLAGS "...), m.Flags, f.keywords)
		}
		if f.condstore && !f.modseq {
			b = appendModSeq(append(b, ' '), m.ModSeq)
		}
	}
	f.out.set(append(b, ")\r\n"...))
	return f.out.err
}

// load gets all that can be missing before a byte of the response is written.
func (f *fetcher) load(m *fetched) (err error) {
	if f.dated && m.date.IsZero() {
		return store.ErrExpunged
	}
	if !f.opened {
		return nil
	}
	if m.body, err = f.view.Open(f.ctx, m.UID); err != nil {
		return err
	}
	m.Size = m.body.Whole().Size() // if the file was changed in place, the old size would belie the literal
	if _, size := m.body.Stored(); m.part != nil && m.part.EndOff != size {
		if m.part, err = f.view.Reparse(f.ctx, m.UID); err != nil {
			return errors.Join(err, m.body.Close())
		}
	}
	return nil
}

// item sends one data item. An error here is one of the connection, or leaves it unusable.
func (f *fetcher) item(m *fetched, it *fetchItem, space bool) error {
	b := f.out.buf()
	if space {
		b = append(b, ' ')
	}
	switch it.kind {
	case itemUID:
		b = append(b, "UID "...)
		b = appendNumber(b, uint32(m.UID))
	case itemFlags:
		b = append(b, "FLAGS "...)
		b = appendFlags(b, m.Flags, f.keywords)
	case itemInternalDate:
		b = m.date.In(f.zone).AppendFormat(append(b, "INTERNALDATE "...), internalDate)
	case itemSize:
		b = append(b, "RFC822.SIZE "...)
		b = appendNumber(b, m.Size)
	case itemModSeq:
		b = appendModSeq(b, m.ModSeq)
	case itemEnvelope:
		b = appendEnvelope(append(b, "ENVELOPE "...), m.part.Envelope, f.utf8)
	case itemBody:
		b = appendStructure(append(b, "BODY "...), m.part, structureForm{utf8: f.utf8, rev2: f.rev2})
	case itemBodyStructure:
		b = appendStructure(append(b, "BODYSTRUCTURE "...), m.part, structureForm{ext: true, utf8: f.utf8, rev2: f.rev2})
	default:
		f.out.set(append(append(b, it.label...), ' '))
		return f.content(m, it)
	}
	f.out.set(b)
	return nil
}

func appendModSeq(b []byte, n store.ModSeq) []byte {
	b = append(b, "MODSEQ ("...)
	return append(appendNumber(b, n), ')')
}

// internalDate is the form of INTERNALDATE.
const internalDate = `"02-Jan-2006 15:04:05 -0700"`
