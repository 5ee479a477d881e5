package imapd

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// searchRequest is a SEARCH command as it was read.
type searchRequest struct {
	imap.SearchOptions
	extended bool // RETURN was given: the answer is ESEARCH (RFC 4731)
	modseq   bool // MODSEQ is among the keys (RFC 7162 section 3.1.5)
	query    store.Query
}

// search is SEARCH and UID SEARCH (RFC 9051 section 6.4.4).
func (s *session) search(c *command) error {
	p := &searchParser{parser: &c.args, s: s, c: c}
	found, err := s.find(p, p.request, nil)
	if err != nil {
		return err
	}
	if s.rev2 && !p.r.extended { // RFC 9051 section 6.4.4: the answer is ESEARCH in any case
		p.r.extended, p.r.ReturnAll = true, true
	}
	return s.answerSearch(c, &p.r, "SEARCH", found)
}

// find reads the keys of SEARCH and the commands based on it, which read does, and gives
// the messages found, ascending or as order, if there is one, puts them. After a NO the
// saved result is empty, if a new one was to be saved (RFC 9051 section 6.4.4.1).
func (s *session) find(p *searchParser, read func() error, order func(context.Context, []store.UID) ([]store.UID, error)) (found []store.UID, err error) {
	if err = read(); err == nil {
		if p.r.modseq {
			s.enableCondstore()
		}
		err = s.beside(p.c, func(ctx context.Context) (err error) {
			if found, err = s.view.Search(ctx, p.r.query); err == nil && order != nil {
				found, err = order(ctx, found)
			}
			return err
		})
	}
	if err != nil && p.r.ReturnSave && replyTo(err).Type == typeNo {
		s.saved = nil
	}
	return found, err
}

// answerSearch saves and sends the messages found, in the order in which they are to be
// sent. name is that of the response without RETURN.
func (s *session) answerSearch(c *command, r *searchRequest, name string, found []store.UID) error {
	about := r.reduced(found)
	if r.ReturnSave {
		s.saved = slices.Sorted(slices.Values(about))
	}
	var highest store.ModSeq
	if r.modseq {
		highest = s.highestOf(about)
	}
	nums := found
	if !c.uid {
		nums = seqsOf(s.view.UIDs(), found)
	}
	if r.extended {
		s.sendESearch(c, r, nums, highest)
	} else {
		s.sendSearch(name, nums, highest)
	}
	return nil
}

// reduced gives the messages that the answer is about: if only MIN or MAX are wanted,
// those (RFC 4731 section 3.2, RFC 5182 section 2.4).
func (r *searchRequest) reduced(found []store.UID) []store.UID {
	if !r.extended || r.ReturnAll || r.ReturnCount || !r.ReturnMin && !r.ReturnMax || len(found) < 2 {
		return found
	}
	first, last := found[0], found[len(found)-1]
	switch {
	case !r.ReturnMax:
		return []store.UID{first}
	case !r.ReturnMin:
		return []store.UID{last}
	}
	return []store.UID{first, last}
}

// highestOf is the highest mod-sequence of messages, 0 if there are none.
func (s *session) highestOf(uids []store.UID) (highest store.ModSeq) {
	uids = slices.Sorted(slices.Values(uids))
	s.eachInfo(listSpans(s.view.UIDs(), uids), func(m store.Info) error {
		highest = max(highest, m.ModSeq)
		return nil
	})
	return highest
}

// seqsOf gives the sequence numbers of messages among uids, which ascend, in the order of
// found. They have the type of UIDs so that both are sent by the same code.
func seqsOf(uids, found []store.UID) []store.UID {
	out := make([]store.UID, 0, len(found))
	last := -1
	for _, uid := range found {
		if last+1 < len(uids) && uids[last+1] == uid { // the usual case
			last++
		} else if i, ok := slices.BinarySearch(uids, uid); ok {
			last = i
		} else {
			continue
		}
		out = append(out, store.UID(last+1))
	}
	return out
}

// sendSearch sends the SEARCH response of RFC 3501 section 7.2.5, or the SORT response of
// RFC 5256, with the mod-sequence of RFC 7162 sections 3.1.5 and 3.1.6.
func (s *session) sendSearch(name string, nums []store.UID, highest store.ModSeq) {
	b := append(append(s.out.buf(), "* "...), name...)
	for _, n := range nums {
		b = appendNumber(append(b, ' '), uint32(n))
		if len(b) >= spillAt {
			s.out.set(b)
			b = s.out.buf()
		}
	}
	if highest > 0 {
		b = append(appendNumber(append(b, " (MODSEQ "...), highest), ')')
	}
	s.out.set(append(b, "\r\n"...))
}

// sendESearch sends the ESEARCH response (RFC 9051 section 7.3.4), unless the result is
// only to be saved.
func (s *session) sendESearch(c *command, r *searchRequest, nums []store.UID, highest store.ModSeq) {
	if r.ReturnSave && !r.ReturnMin && !r.ReturnMax && !r.ReturnAll && !r.ReturnCount {
		return
	}
	b := append(s.out.buf(), "* ESEARCH (TAG "...)
	b = append(appendString(b, c.tag, false), ')')
	if c.uid {
		b = append(b, " UID"...)
	}
	if len(nums) > 0 && r.ReturnMin {
		b = appendNumber(append(b, " MIN "...), uint32(nums[0]))
	}
	if len(nums) > 0 && r.ReturnMax {
		b = appendNumber(append(b, " MAX "...), uint32(nums[len(nums)-1]))
	}
	if r.ReturnCount {
		b = appendNumber(append(b, " COUNT "...), len(nums))
	}
	if len(nums) > 0 && r.ReturnAll {
		b = appendUIDList(append(b, " ALL "...), nums)
	}
	if highest > 0 {
		b = appendNumber(append(b, " MODSEQ "...), highest)
	}
	s.out.set(append(b, "\r\n"...))
}
