package dsn

import (
	"strconv"
	"strings"
)

// reply is a known reply of other servers and what it means. Conditions that are empty
// always hold; the first reply in the table whose conditions all hold is the one.
type reply struct {
	at     string // domains, one of which the host's name is in or below, separated by spaces
	code   string // how the reply code begins: "4", "550"
	status string // statuses, one of which it is, separated by spaces; "x" for any class
	text   string // patterns, one of which the text has, separated by "|"; in lower case
	words  string
}

// Explain says in plain words what the reply of another mail server means, and what
// its reader can do: whoever sent the message first; what concerns an administrator is
// a paragraph of its own behind a "\n". Whether we go on trying is not said. code and
// status are the reply's, text is its text (lines joined by "\n"), host the name of the
// server. The result is "" if nothing is known beyond the class of status (RFC 3463
// section 3).
func Explain(code int, status, text, host string) (words string) {
	if i := find(code, status, text, host); i >= 0 {
		return replies[i].words
	}
	return ""
}

// find is the index of the reply in the table, -1 if it is not known.
func find(code int, status, text, host string) int {
	digits := strconv.Itoa(code)
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	text = simplify(text)
	for i := range replies {
		r := &replies[i]
		if strings.HasPrefix(digits, r.code) && r.isAt(host) && r.hasStatus(status) && r.hasText(text) {
			return i
		}
	}
	return -1
}

func (r *reply) isAt(host string) bool {
	for domain := range strings.FieldsSeq(r.at) {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return r.at == ""
}

func (r *reply) hasStatus(status string) bool {
	class, detail, _ := strings.Cut(status, ".")
	for s := range strings.FieldsSeq(r.status) {
		c, d, _ := strings.Cut(s, ".")
		if (c == "x" || c == class) && d == detail {
			return true
		}
	}
	return r.status == ""
}

func (r *reply) hasText(text string) bool {
	if r.text == "" {
		return true
	}
	for pattern := range strings.SplitSeq(r.text, "|") {
		if contains(text, pattern) {
			return true
		}
	}
	return false
}

// contains tells whether text has the pieces of pattern between its "*", in their order.
func contains(text, pattern string) bool {
	for piece := range strings.SplitSeq(pattern, "*") {
		i := strings.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// simplify is the text of a reply in lower case on one line, without the codes that some
// servers repeat at each line, and without addresses, whose words mean nothing here.
func simplify(text string) string {
	var words []string
	for line := range strings.SplitSeq(strings.ToLower(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 0 && len(fields[0]) >= 3 && upTo999(fields[0][:3]) && (len(fields[0]) == 3 || fields[0][3] == '-') {
			code, rest, _ := strings.Cut(fields[0], "-")
			switch {
			case rest == "" && upTo999(code):
				fields = fields[1:]
			case upTo999(code):
				fields[0] = rest
			}
		}
		if len(fields) > 0 && validStatus(fields[0]) {
			fields = fields[1:]
		}
		for _, f := range fields {
			if !strings.Contains(f, "@") {
				words = append(words, f)
			}
		}
	}
	return strings.Join(words, " ")
}
