package maildir

import (
	"bytes"
	"strings"
)

// CourierKeywordsDir is where Courier keeps keywords, below a mailbox; CourierKeywordsList is the
// file in it that names them. Files beside that one, "<name>" or ".<n>.<name>", are changes not yet
// folded into it: for each message "<name>" counts, or else the one with the highest n.
const (
	CourierKeywordsDir  = "courierimapkeywords"
	CourierKeywordsList = ":list"
)

// ParseCourierKeywords reads courierimapkeywords/:list: keywords, one a line; an empty line;
// then "<name>:<index> <index> …" for each message that has some, where name is the file's
// without flags. Unknown indexes and lines that make no sense are passed over.
func ParseCourierKeywords(data []byte) map[string][]string {
	var words []string
	m := make(map[string][]string)
	head := true
	for line := range bytes.Lines(data) {
		s := strings.TrimRight(string(line), "\r\n")
		if head {
			head = s != ""
			if head {
				words = append(words, s)
			}
			continue
		}
		i := strings.LastIndexByte(s, ':')
		if i <= 0 {
			continue
		}
		for num := range strings.FieldsSeq(s[i+1:]) {
			if k, ok := parseDecimal(num, 1<<31); ok && k < uint64(len(words)) && ValidKeyword(words[k]) {
				m[s[:i]] = append(m[s[:i]], words[k])
			}
		}
	}
	return m
}

// ParseCourierChange reads a file beside :list, whose content is all keywords of one message,
// one a line.
func ParseCourierChange(data []byte) []string {
	var words []string
	for line := range bytes.Lines(data) {
		if s := strings.TrimRight(string(line), "\r\n"); ValidKeyword(s) {
			words = append(words, s)
		}
	}
	return words
}

// CourierChangeName takes the name of a file in courierimapkeywords apart: the message's name
// and the number of the change (final for "<name>" itself, which beats all numbers).
func CourierChangeName(file string) (name string, n uint64, final, ok bool) {
	if file == "" || file == CourierKeywordsList || strings.HasPrefix(file, ":") {
		return "", 0, false, false
	}
	if file[0] != '.' {
		return file, 0, true, true
	}
	num, name, found := strings.Cut(file[1:], ".")
	n, isNum := parseDecimal(num, 1<<62)
	return name, n, false, found && isNum && name != ""
}
