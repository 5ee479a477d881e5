package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// systemFlags gives the flags that every mailbox has their names on the wire, by bit.
var systemFlags = []struct {
	bit  store.Flags
	name imap.Flag
}{
	{store.Answered, imap.FlagAnswered},
	{store.Flagged, imap.FlagFlagged},
	{store.Deleted, imap.FlagDeleted},
	{store.Seen, imap.FlagSeen},
	{store.Draft, imap.FlagDraft},
	{store.Forwarded, imap.FlagForwarded},
}

// appendFlags appends the flags of a message as a list. Keywords that the client has
// not been told of yet are left out.
func appendFlags(b []byte, f store.Flags, keywords []string) []byte {
	b = append(b, '(')
	start := len(b)
	for _, sys := range systemFlags {
		if f&sys.bit != 0 {
			b = append(append(b, sys.name...), ' ')
		}
	}
	if f >>= 6; f != 0 {
		for i, k := range keywords {
			if f&(1<<i) != 0 && k != "" {
				b = append(append(b, k...), ' ')
			}
		}
	}
	if len(b) > start {
		b = b[:len(b)-1]
	}
	return append(b, ')')
}

// appendAllFlags appends the list of all flags of a mailbox, and `\*` if more can be made.
func appendAllFlags(b []byte, keywords []string, more bool) []byte {
	b = append(b, '(')
	for i, sys := range systemFlags {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, sys.name...)
	}
	for _, k := range keywords {
		if k != "" {
			b = append(append(b, ' '), k...)
		}
	}
	if more {
		b = append(b, ` \*`...)
	}
	return append(b, ')')
}

// flagSet gives flags of the wire in the store's terms.
func flagSet(flags []imap.Flag) (store.FlagSet, error) {
	var set store.FlagSet
next:
	for _, f := range flags {
		for _, sys := range systemFlags {
			if strings.EqualFold(string(f), string(sys.name)) {
				set.Flags |= sys.bit
				continue next
			}
		}
		if strings.HasPrefix(string(f), `\`) {
			return set, badf("%s is not a flag that can be changed", f)
		}
		set.Keywords = append(set.Keywords, string(f))
	}
	return set, nil
}
