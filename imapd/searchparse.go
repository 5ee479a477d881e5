package imapd

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/encoding"

	"kurir/internal/message"
	"kurir/store"
)

// maxSearchDepth bounds parentheses, NOT and OR within each other.
const maxSearchDepth = 50

// searchParser turns the keys of SEARCH into a query of the store. imap.SearchCriteria is
// not used: it can't tell SMALLER 0 from no SMALLER, and knows no YOUNGER.
type searchParser struct {
	*parser
	s       *session
	c       *command
	charset encoding.Encoding // nil: UTF-8
	ascii   bool              // no more than US-ASCII
	r       searchRequest
	keys    int
}

// request reads the arguments of SEARCH.
func (p *searchParser) request() error {
	p.sp()
	if p.nextWord("RETURN ") {
		p.returnOptions()
		p.sp()
	}
	if p.nextWord("CHARSET ") {
		if p.s.utf8accept { // RFC 9755 section 3
			p.fail("CHARSET and UTF8=ACCEPT exclude each other")
		}
		p.setCharset(p.astring("charset"))
		p.sp()
	}
	return p.allKeys()
}

// charsetAndKeys reads the search-criteria of RFC 5256 section 5, in which the charset is
// no option.
func (p *searchParser) charsetAndKeys() error {
	charset := p.sp().astring("charset")
	if p.s.utf8accept && !strings.EqualFold(charset, "UTF-8") { // RFC 6855, erratum 4029
		p.fail("With UTF8=ACCEPT the charset is UTF-8")
	}
	p.setCharset(charset)
	p.sp()
	return p.allKeys()
}

// allKeys reads the search keys up to the end.
func (p *searchParser) allKeys() error {
	all := store.AllOf{p.key(0)}
	for p.err == nil && p.peek() == ' ' && len(p.rest()) > 1 {
		p.sp()
		all = append(all, p.key(0))
	}
	p.r.query = all
	return p.end()
}

// nextWord moves past word, in any case, if it is next.
func (p *searchParser) nextWord(word string) bool {
	if rest := p.rest(); len(rest) < len(word) || !strings.EqualFold(string(rest[:len(word)]), word) {
		return false
	}
	p.i += len(word)
	return true
}

// returnOptions reads RETURN's list; an empty one stands for ALL (RFC 4731 section 3.1).
func (p *searchParser) returnOptions() {
	o := &p.r
	o.extended = true
	p.list(func() {
		switch p.word("RETURN option") {
		case "MIN":
			o.ReturnMin = true
		case "MAX":
			o.ReturnMax = true
		case "ALL":
			o.ReturnAll = true
		case "COUNT":
			o.ReturnCount = true
		case "SAVE": // RFC 5182
			o.ReturnSave = true
		default:
			p.fail("Unknown RETURN option")
		}
	})
	if o.SearchOptions == (imap.SearchOptions{}) {
		o.ReturnAll = true
	}
}

// badCharset names charsets that SEARCH takes: those that clients may still use. All that
// golang.org/x/text has are taken.
const badCharset = "BADCHARSET (US-ASCII UTF-8 ISO-8859-1 ISO-8859-2 ISO-8859-5 ISO-8859-7 ISO-8859-9 ISO-8859-15" +
	" windows-1250 windows-1251 windows-1252 KOI8-R KOI8-U GBK GB18030 Big5 Shift_JIS EUC-JP ISO-2022-JP EUC-KR)"

// setCharset says what the strings to come are in.
func (p *searchParser) setCharset(name string) {
	switch strings.ToUpper(name) {
	case "UTF-8", "UTF8":
	case "US-ASCII", "ASCII":
		p.ascii = true
	default:
		p.charset = message.Charset(name)
		if p.err == nil && p.charset == nil {
			p.refuse(no(badCharset, "Charset not supported"))
		}
	}
}

// searchText reads a string to look for, as UTF-8. It must be in the charset given; without
// one it is UTF-8.
func (p *searchParser) searchText() string {
	s := p.sp().astring("search string")
	switch {
	case p.charset != nil:
		t, err := p.charset.NewDecoder().String(s)
		if err == nil && !strings.ContainsRune(t, utf8.RuneError) {
			return t
		}
	case p.ascii && strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0:
	case utf8.ValidString(s):
		return s
	}
	p.fail("A string is not in the charset given")
	return ""
}

// flagKeys are the keys for flags; those with UN in front are their opposites.
var flagKeys = map[string]store.Flags{
	"ANSWERED": store.Answered, "DELETED": store.Deleted, "DRAFT": store.Draft,
	"FLAGGED": store.Flagged, "SEEN": store.Seen,
}

// headerKeys are the keys for one header field.
var headerKeys = map[string]string{"BCC": "Bcc", "CC": "Cc", "FROM": "From", "SUBJECT": "Subject", "TO": "To"}

// nothing finds no message, as RECENT and NEW do here: no session is the first to see one.
var nothing = store.AnyOf{}

// key reads one search key (RFC 9051 section 6.4.4).
func (p *searchParser) key(depth int) store.Query {
	if p.keys++; p.keys > orDefault(p.s.srv.MaxSearchKeys, DefaultMaxSearchKeys) || depth > maxSearchDepth {
		p.refuse(no(imap.ResponseCodeLimit, "Too many search keys"))
		return nil
	}
	switch c := p.peek(); {
	case c == '(':
		var all store.AllOf
		p.list(func() { all = append(all, p.key(depth+1)) })
		if len(all) == 0 {
			p.fail("Empty parentheses")
		}
		return all
	case c >= '0' && c <= '9', c == '*', c == '$':
		if c != '$' && p.c.spec.tell == tellAll { // UID SEARCH by numbers: they stay as they are until its end
			p.c.spec.tell = tellFlags // RFC 9051 section 7.5.1, RFC 7162 section 3.2.10.2
		}
		return p.messages(p.set(), p.c.uid && c == '$')
	}
	name := p.word("search key")
	if f, ok := flagKeys[name]; ok {
		return store.HasFlags(f)
	}
	if f, ok := flagKeys[strings.TrimPrefix(name, "UN")]; ok {
		return store.Not{Query: store.HasFlags(f)}
	}
	if field, ok := headerKeys[name]; ok {
		return store.HeaderHas{Name: field, Text: p.searchText()}
	}
	return p.otherKey(name, depth)
}

// otherKey reads the arguments of the keys that are in no table.
func (p *searchParser) otherKey(name string, depth int) store.Query {
	switch name {
	case "ALL", "OLD":
		return store.AllOf{}
	case "NEW", "RECENT":
		return nothing
	case "NOT":
		return store.Not{Query: p.keyOf(depth)}
	case "OR":
		a := p.keyOf(depth)
		return store.AnyOf{a, p.keyOf(depth)}
	case "KEYWORD":
		return p.keyword()
	case "UNKEYWORD":
		return store.Not{Query: p.keyword()}
	case "HEADER":
		field := p.sp().astring("field name")
		return store.HeaderHas{Name: field, Text: p.searchText()}
	case "BODY":
		return store.BodyHas(p.searchText())
	case "TEXT":
		return store.TextHas(p.searchText())
	case "LARGER":
		return store.LargerThan(p.sp().number64("size"))
	case "SMALLER":
		return store.SmallerThan(p.sp().number64("size"))
	case "UID":
		return p.messages(p.sp().set(), true)
	case "MODSEQ":
		return p.modSeq()
	}
	return p.dateKey(name)
}

// keyOf reads the key that another one is about.
func (p *searchParser) keyOf(depth int) store.Query {
	p.sp()
	return p.key(depth + 1)
}

// keyword reads the argument of KEYWORD.
func (p *searchParser) keyword() store.Query {
	set, err := flagSet([]imap.Flag{p.sp().flag()})
	switch {
	case p.err != nil:
	case err != nil || set.Flags != 0 && set.Flags != store.Forwarded:
		p.fail("Not a keyword")
	case set.Flags != 0:
		return store.HasFlags(set.Flags)
	default:
		return store.HasKeyword(set.Keywords[0])
	}
	return nil
}

// messages makes a set of messages a query.
func (p *searchParser) messages(m messageSet, uid bool) store.Query {
	if p.err != nil {
		return nil
	}
	spans, err := p.s.resolve(&command{uid: uid}, m)
	if err != nil {
		p.err = err
	}
	out := make(store.SeqRanges, len(spans))
	for i, sp := range spans {
		out[i] = store.SeqRange{First: sp.from, Last: sp.to}
	}
	return out
}

// modSeq reads the arguments of MODSEQ: perhaps an entry and its type, which are of no
// consequence here (RFC 7162 section 3.1.5), and a mod-sequence.
func (p *searchParser) modSeq() store.Query {
	p.r.modseq = true
	if p.sp().peek() == '"' {
		p.str("entry")
		switch p.sp().word("entry type") {
		case "PRIV", "SHARED", "ALL":
		default:
			p.fail("Unknown entry type")
		}
		p.sp()
	}
	return store.ChangedAt(p.number64("mod-sequence"))
}

// dateKey reads the keys about dates. Days are those of the server's time zone.
func (p *searchParser) dateKey(name string) store.Query {
	switch name {
	case "YOUNGER", "OLDER": // RFC 5032
		n := p.sp().number("interval")
		if n == 0 && p.err == nil {
			p.fail("An interval of 0 seconds")
		}
		at := time.Now().Truncate(time.Second).Add(-time.Duration(n) * time.Second)
		if name == "OLDER" { // the second itself is both older and younger
			return store.Received{Before: at.Add(time.Second)}
		}
		return store.Received{Since: at}
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
	default:
		p.fail("Unknown search key")
		return nil
	}
	y, m, d := p.sp().date().Date()
	zone := orDefault(p.s.srv.Location, time.UTC)
	var period store.Period
	if !strings.HasSuffix(name, "BEFORE") {
		period.Since = time.Date(y, m, d, 0, 0, 0, 0, zone)
	}
	if strings.HasSuffix(name, "ON") {
		d++
	}
	if !strings.HasSuffix(name, "SINCE") {
		period.Before = time.Date(y, m, d, 0, 0, 0, 0, zone)
	}
	if strings.HasPrefix(name, "SENT") {
		return store.Sent(period)
	}
	return store.Received(period)
}
