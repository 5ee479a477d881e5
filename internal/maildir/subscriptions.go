package maildir

import (
	"strings"
	"unicode/utf8"
)

// Names of the files that list subscribed folders.
const (
	SubscriptionsFile        = "subscriptions"
	CourierSubscriptionsFile = "courierimapsubscribed"
)

const subscriptionsV2 = "V\t2\n\n"

// FormatSubscriptions gives the content of a subscriptions file in Dovecot's version 2: a
// line "V<TAB>2", an empty one, then for each folder its levels between tabs, in modified
// UTF-7, with control characters escaped. Names are IMAP names (UTF-8, slashes); those that
// FolderDir refuses are left out.
func FormatSubscriptions(names []string) []byte {
	b := []byte(subscriptionsV2)
	for _, name := range names {
		dir, err := FolderDir(name)
		if err != nil {
			continue
		}
		if dir == "" {
			dir = ".INBOX"
		}
		for i, level := range strings.Split(dir[1:], ".") {
			if i > 0 {
				b = append(b, '\t')
			}
			b = append(b, tabEscaper.Replace(level)...)
		}
		b = append(b, '\n')
	}
	return b
}

var (
	tabEscaper   = strings.NewReplacer("\x01", "\x011", "\x00", "\x010", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")
	tabUnescaper = strings.NewReplacer("\x011", "\x01", "\x010", "\x00", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")
)

// ParseSubscriptions reads Dovecot's subscriptions file, version 2 or 1 (a folder a line, its
// levels between dots), and gives IMAP names, each once, in order. A line that names an invalid
// directory gives the name that ParseFolderDir shows for it; lines that can't be a directory at all
// are passed over.
func ParseSubscriptions(data []byte) []string {
	var list nameList
	text, v2 := strings.CutPrefix(string(data), "V\t2\n")
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
		case v2:
			var dir strings.Builder
			for level := range strings.SplitSeq(line, "\t") {
				dir.WriteByte('.')
				dir.WriteString(tabUnescaper.Replace(level))
			}
			list.addDir(dir.String())
		default:
			list.addDir("." + line)
		}
	}
	return list.names
}

// ParseCourierSubscriptions reads Courier's courierimapsubscribed: a line "INBOX.<folder>" each,
// levels between dots, in modified UTF-7 (releases from 2018 on: UTF-8). It gives IMAP names, each
// once, in order; shared folders and what is no folder's name are passed over.
func ParseCourierSubscriptions(data []byte) []string {
	var list nameList
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\r\n")
		dir, ok := cutInbox(line)
		if !ok {
			continue
		}
		if _, valid := ParseFolderDir(dir); valid {
			list.addDir(dir)
		} else if name, ok := plainDir(dir); ok {
			list.add(name)
		}
	}
	return list.names
}

// cutInbox turns "INBOX.Sent" into ".Sent" and "INBOX" into "".
func cutInbox(s string) (string, bool) {
	const inbox = "INBOX"
	if len(s) < len(inbox) || !strings.EqualFold(s[:len(inbox)], inbox) {
		return "", false
	}
	rest := s[len(inbox):]
	return rest, rest == "" || rest[0] == '.'
}

// nameList collects names, each once.
type nameList struct {
	names []string
	seen  map[string]bool
}

func (l *nameList) addDir(dir string) {
	if strings.EqualFold(dir, ".INBOX") {
		dir = ""
	}
	name, _ := ParseFolderDir(dir)
	if _, err := FolderDir(name); err == nil {
		l.add(name)
	}
}

func (l *nameList) add(name string) {
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	if !l.seen[name] {
		l.seen[name] = true
		l.names = append(l.names, name)
	}
}

// plainDir reads a name whose levels are in UTF-8, or in modified UTF-7 that isn't canonical.
func plainDir(dir string) (string, bool) {
	if !strings.HasPrefix(dir, ".") || !utf8.ValidString(dir) {
		return "", false
	}
	levels := strings.Split(dir[1:], ".")
	for i, level := range levels {
		if strings.Contains(level, "/") {
			return "", false
		}
		if text, ok := decodeUTF7(level); ok {
			levels[i] = text
		}
	}
	name, err := CanonicalFolder(strings.Join(levels, "/"))
	return name, err == nil
}
