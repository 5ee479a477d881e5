package imapd

import (
	"slices"

	"kurir/store"
)

// update tells the client what changed in the selected mailbox since it was last told
// (RFC 9051 section 7.5). withUID says that the command at work is a UID command, after
// which FETCH responses must have the UID (section 6.4.9). In IMAP4rev2 all that were not
// asked for must (section 7.5.2).
func (s *session) update(expunge, withUID bool) error {
	withUID = withUID || s.rev2
	d, err := s.view.Refresh(s.ctx, expunge)
	if err != nil {
		return err
	}
	if s.qresync { // RFC 7162 section 3.2.10.2: VANISHED in place of EXPUNGE
		s.sendVanished("VANISHED ", uidRuns(d.ExpungedUIDs))
	} else {
		for _, n := range d.Expunged {
			b := appendNumber(append(s.out.buf(), "* "...), n)
			s.out.set(append(b, " EXPUNGE\r\n"...))
		}
	}
	s.saved = without(s.saved, d.ExpungedUIDs)
	b := s.out.buf()
	if d.Exists >= 0 {
		b = append(b, "* "...)
		b = appendNumber(b, d.Exists)
		b = append(b, " EXISTS\r\n"...)
	}
	if d.Keywords != nil {
		b = s.appendFlagLines(b, d.Keywords)
	}
	s.out.set(b)
	keywords := s.view.Keywords()
	for _, m := range d.Changed {
		if s.own.has(m) {
			continue
		}
		s.out.set(s.appendFlagFetch(s.out.buf(), m, keywords, true, withUID))
	}
	return nil
}

// appendFlagLines appends FLAGS and PERMANENTFLAGS (RFC 9051 sections 7.3.5 and 7.1).
func (s *session) appendFlagLines(b []byte, keywords []string) []byte {
	b = append(b, "* FLAGS "...)
	b = appendAllFlags(b, keywords, false)
	b = append(b, "\r\n* OK [PERMANENTFLAGS "...)
	if s.readOnly {
		return append(b, "()] No flags can be changed\r\n"...)
	}
	free := len(keywords) < store.MaxKeywords || slices.Contains(keywords, "")
	b = appendAllFlags(b, keywords, free)
	return append(b, "] Flags that can be changed\r\n"...)
}

// appendFlagFetch appends the FETCH response for a change of flags; without flags, as after
// a silent STORE, there is only the mod-sequence (RFC 7162 section 3.1.3). A client with
// QRESYNC always gets the UID (section 3.2.4).
func (s *session) appendFlagFetch(b []byte, m store.Info, keywords []string, flags, withUID bool) []byte {
	b = append(b, "* "...)
	b = appendNumber(b, m.Seq)
	b = append(b, " FETCH ("...)
	if withUID || s.qresync {
		b = append(b, "UID "...)
		b = appendNumber(b, uint32(m.UID))
		b = append(b, ' ')
	}
	if s.condstore {
		b = append(b, "MODSEQ ("...)
		b = appendNumber(b, m.ModSeq)
		b = append(b, ") "...)
	}
	if flags {
		b = append(b, "FLAGS "...)
		b = appendFlags(b, m.Flags, keywords)
	} else {
		b = b[:len(b)-1]
	}
	return append(b, ")\r\n"...)
}

// has reports whether m is no more than the session's own change.
func (o *ownChange) has(m store.Info) bool {
	if m.ModSeq != o.at || o.at == 0 {
		return false
	}
	_, ok := slices.BinarySearch(o.uids, m.UID)
	return ok
}

// without returns the ascending list without those in drop, which ascends as well.
func without(list, drop []store.UID) []store.UID {
	if len(list) == 0 || len(drop) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(u store.UID) bool {
		_, ok := slices.BinarySearch(drop, u)
		return ok
	})
}
