package maildir

import (
	"fmt"
	"strings"
)

// Names of the files that hold what the Maildir itself has no place for.
const (
	MailboxFileName = "kurir-mailbox"
	AccountFileName = "kurir-account"
)

// maxModSeq is the largest mod-sequence (RFC 7162 section 2).
const maxModSeq = 1<<63 - 1

// MailboxFile is the content of kurir-mailbox:
//
//	kurir-mailbox 1
//	id 5f0c3c1b2a
//	uidvalidity 1790000000
//	tag k3
//	special-use \Sent
//	uid-floor 257
//	modseq-floor 1048576
//	generation 4
//	clean
//	end
//
// Empty values have no line. Lines with keys that are not known are kept in Extra.
type MailboxFile struct {
	ID          string // MAILBOXID (RFC 8474); required
	UIDValidity uint32 // required
	Tag         string // what V= says in the names of this mailbox's messages; required
	SpecialUse  string // "\Sent" and so on (RFC 6154), several between spaces
	UIDFloor    uint32 // no UID at or above this has been used; if Clean, UIDNEXT
	ModSeqFloor uint64 // no mod-sequence at or above this has been used; if Clean, one above HIGHESTMODSEQ
	Generation  uint64 // the index is of this mailbox only if it says the same
	Clean       bool   // nothing has changed since the floors were written as exact values
	BootID      string // of the run of the machine that dirtied the mailbox; "" if Clean
	Extra       []string
}

// ParseMailboxFile reads kurir-mailbox. Errors: ErrNewer, ErrCorrupt.
func ParseMailboxFile(data []byte) (MailboxFile, error) {
	var m MailboxFile
	err := parseText(MailboxFileName, 1, data, func(key, value string) error {
		switch key {
		case "id":
			m.ID = value
		case "uidvalidity":
			return setNumber(&m.UIDValidity, value, 1<<32-1)
		case "tag":
			m.Tag = value
		case "special-use":
			m.SpecialUse = value
		case "uid-floor":
			return setNumber(&m.UIDFloor, value, 1<<32-1)
		case "modseq-floor":
			return setNumber(&m.ModSeqFloor, value, maxModSeq)
		case "generation":
			return setNumber(&m.Generation, value, maxModSeq)
		case "clean":
			m.Clean = true
		case "boot":
			m.BootID = value
		default:
			m.Extra = append(m.Extra, strings.TrimRight(key+" "+value, " "))
		}
		return nil
	})
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return MailboxFile{}, err
	}
	return m, nil
}

func (m *MailboxFile) check() error {
	switch {
	case m.ID == "", m.UIDValidity == 0:
		return fmt.Errorf("%s: %w: id or uidvalidity is missing", MailboxFileName, ErrCorrupt)
	case !ValidTag(m.Tag):
		return fmt.Errorf("%s: %w: tag %.40q", MailboxFileName, ErrCorrupt, m.Tag)
	case m.Clean && m.BootID != "":
		return fmt.Errorf("%s: %w: both clean and dirty", MailboxFileName, ErrCorrupt)
	}
	return nil
}

// Format gives the file's content. It fails if a required value is missing or a value has a
// line break.
func (m MailboxFile) Format() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	for _, s := range append([]string{m.ID, m.SpecialUse, m.BootID}, m.Extra...) {
		if !oneLine(s) {
			return nil, fmt.Errorf("%s: line break in %.40q", MailboxFileName, s)
		}
	}
	w := newText(MailboxFileName, 1)
	w.line("id", m.ID)
	w.number("uidvalidity", uint64(m.UIDValidity))
	w.line("tag", m.Tag)
	w.line("special-use", m.SpecialUse)
	w.number("uid-floor", uint64(m.UIDFloor))
	w.number("modseq-floor", m.ModSeqFloor)
	w.number("generation", m.Generation)
	if m.Clean {
		w.b = append(w.b, "clean\n"...)
	}
	w.line("boot", m.BootID)
	for _, x := range m.Extra {
		w.b = append(append(w.b, x...), '\n')
	}
	return w.end(), nil
}

// ValidTag reports whether s can be the tag of a mailbox: 1 to 16 letters or digits, so that
// it can stand in a file name.
func ValidTag(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

// AccountFile is the content of kurir-account:
//
//	kurir-account 1
//	last-uidvalidity 1790000000
//	end
type AccountFile struct {
	LastUIDValidity uint32 // the last one given in this account
	Extra           []string
}

// ParseAccountFile reads kurir-account. Errors: ErrNewer, ErrCorrupt.
func ParseAccountFile(data []byte) (AccountFile, error) {
	var a AccountFile
	err := parseText(AccountFileName, 1, data, func(key, value string) error {
		if key == "last-uidvalidity" {
			return setNumber(&a.LastUIDValidity, value, 1<<32-1)
		}
		a.Extra = append(a.Extra, strings.TrimRight(key+" "+value, " "))
		return nil
	})
	if err != nil {
		return AccountFile{}, err
	}
	return a, nil
}

// Format gives the file's content.
func (a AccountFile) Format() []byte {
	w := newText(AccountFileName, 1)
	w.number("last-uidvalidity", uint64(a.LastUIDValidity))
	for _, x := range a.Extra {
		w.b = append(append(w.b, x...), '\n')
	}
	return w.end()
}
