package maildir

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
)

// Names of the files in which other servers keep UIDs, and of kurir's own list of adopted UIDLs.
const (
	DovecotUIDListFile = "dovecot-uidlist"
	CourierUIDFile     = "courierimapuiddb"
	UIDLFile           = "kurir-uidl"
)

// UIDList is what the header of a dovecot-uidlist or courierimapuiddb says.
type UIDList struct {
	Version     int // 1 (Courier's too) or 3
	UIDValidity uint32
	NextUID     uint32
	GUID        string // 32 hexadecimal digits; "" if there is none
	entries     []byte
}

// UIDEntry is one message of such a list.
type UIDEntry struct {
	UID   uint32
	File  string // the name without flags: up to, not including, the colon
	Size  int64  // S: bytes of the file; -1 if not given
	Wire  int64  // W: bytes with CRLF; -1 if not given
	GUID  string // G
	UIDL  string // P: its POP3 unique-id, if not made from the name
	Order uint32 // O: its place among POP3's messages; 0 if not given
}

// ParseUIDList reads the header of a dovecot-uidlist (version 3 or 1) or courierimapuiddb.
// Errors: ErrCorrupt, and ErrNewer for versions that are not known.
func ParseUIDList(data []byte) (*UIDList, error) {
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	f := strings.Fields(string(head))
	l := &UIDList{entries: rest}
	corrupt := fmt.Errorf("list of UIDs: %w: first line %.60q", ErrCorrupt, head)
	if len(f) < 3 {
		return nil, corrupt
	}
	var ok bool
	switch f[0] {
	case "1":
		l.Version = 1
		ok = len(f) == 3 && setUID(&l.UIDValidity, f[1]) && setUID(&l.NextUID, f[2])
	case "3":
		l.Version = 3
		ok = l.header(f[1:])
	default:
		return nil, fmt.Errorf("list of UIDs: %w: version %.20q", ErrNewer, f[0])
	}
	if !ok {
		return nil, corrupt
	}
	return l, nil
}

func (l *UIDList) header(fields []string) bool {
	ok := true
	for _, f := range fields {
		switch f[0] {
		case 'V':
			ok = ok && setUID(&l.UIDValidity, f[1:])
		case 'N':
			ok = ok && setUID(&l.NextUID, f[1:])
		case 'G':
			l.GUID = f[1:]
		}
	}
	return ok && l.UIDValidity != 0 && l.NextUID != 0
}

func setUID(dst *uint32, s string) bool {
	v, ok := parseDecimal(s, 1<<32-1)
	*dst = uint32(v)
	return ok && v != 0
}

// Entries gives the messages in the order of the file. Lines that make no sense, a last line
// cut short among them, are passed over; their number can be had from Broken.
func (l *UIDList) Entries() iter.Seq[UIDEntry] {
	return func(yield func(UIDEntry) bool) {
		for line := range bytes.Lines(l.entries) {
			if e, ok := l.entry(string(line)); ok && !yield(e) {
				return
			}
		}
	}
}

// Broken counts the lines that Entries passes over.
func (l *UIDList) Broken() int {
	n := 0
	for line := range bytes.Lines(l.entries) {
		if _, ok := l.entry(string(line)); !ok {
			n++
		}
	}
	return n
}

func (l *UIDList) entry(line string) (UIDEntry, bool) {
	e := UIDEntry{Size: -1, Wire: -1}
	line, ok := strings.CutSuffix(line, "\n")
	num, rest, ok2 := strings.Cut(line, " ")
	if !ok || !ok2 || !setUID(&e.UID, num) {
		return e, false
	}
	if l.Version == 3 {
		for !strings.HasPrefix(rest, ":") {
			var f string
			if f, rest, ok = strings.Cut(rest, " "); !ok {
				return e, false
			}
			e.attribute(f)
		}
		rest = rest[1:]
	}
	e.File, _, _ = strings.Cut(rest, ":")
	return e, e.File != "" && !strings.ContainsAny(e.File, "/\x00")
}

// attribute reads one field of a version 3 line; unknown and malformed ones are passed over.
func (e *UIDEntry) attribute(f string) {
	if len(f) < 2 {
		return
	}
	switch value := f[1:]; f[0] {
	case 'S':
		setSize(&e.Size, value)
	case 'W':
		setSize(&e.Wire, value)
	case 'G':
		e.GUID = value
	case 'P':
		e.UIDL = value
	case 'O':
		setUID(&e.Order, value)
	}
}

// ParseUIDLs reads kurir-uidl: a line "<base><TAB><unique-id>" for each message whose POP3
// unique-id was given by the server that the mailbox came from. Lines that make no sense are
// passed over; of two for one base the last counts.
func ParseUIDLs(data []byte) map[string]string {
	m := make(map[string]string)
	for line := range bytes.Lines(data) {
		base, id, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), "\t")
		if ok && base != "" && ValidUIDL(id) {
			m[base] = id
		}
	}
	return m
}

// AppendUIDL appends a line of kurir-uidl. The base must have no tab or line break.
func AppendUIDL(b []byte, base, id string) []byte {
	return append(append(append(append(b, base...), '\t'), id...), '\n')
}

// ValidUIDL reports whether id can be a unique-id: 1 to 70 characters from 0x21 to 0x7E
// (RFC 1939 section 7).
func ValidUIDL(id string) bool {
	if id == "" || len(id) > 70 {
		return false
	}
	for i := 0; i < len(id); i++ {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
