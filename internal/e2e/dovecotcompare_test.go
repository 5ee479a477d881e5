package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDovecotMIME compares what kurir and a Dovecot say of the same messages: structure,
// envelope, sizes, and every section of every part byte by byte.
func TestDovecotMIME(t *testing.T) {
	t.Parallel()
	samples := allSamples(t)
	var texts []string
	for _, s := range samples {
		texts = append(texts, s.text)
	}
	c := &comparison{beside: besideDovecot(t, texts), reasons: make(map[string]int)}
	for i, s := range samples {
		c.message(strconv.Itoa(i+1), s)
	}
	t.Logf("%d messages, %d values compared", len(samples), c.values)
	for why, n := range c.reasons {
		t.Logf("%6d values differ: %s", n, why)
	}
}

// comparison counts what was compared.
type comparison struct {
	*beside
	values     int
	complaints int
	reasons    map[string]int // how often each knowing difference was met
}

// mostComplaints is after how many differences there is nothing new in more.
const mostComplaints = 30

// wholeSections are fetched of each message.
var wholeSections = []string{
	"RFC822.SIZE", "INTERNALDATE", "ENVELOPE", "BODY", "BODYSTRUCTURE", "RFC822.HEADER",
	"BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]",
	"BODY.PEEK[]<0.10>", "BODY.PEEK[]<7.30>", "BODY.PEEK[TEXT]<3.9>", "BODY.PEEK[]<99999999.10>", "BODY.PEEK[HEADER]<2.70000>",
	`BODY.PEEK[HEADER.FIELDS (subject From "X-Odd Name" content-type)]`, "BODY.PEEK[HEADER.FIELDS (x)]<0.1>",
	"BODY.PEEK[HEADER.FIELDS.NOT (Subject received DATE)]", "BODY.PEEK[HEADER.FIELDS.NOT (Subject)]<5.20>",
}

// partSections are fetched of each part; # is its number.
var partSections = []string{
	"BODY.PEEK[#]", "BODY.PEEK[#.MIME]", "BODY.PEEK[#.HEADER]", "BODY.PEEK[#.TEXT]", "BODY.PEEK[#]<2.11>", "BODY.PEEK[#.MIME]<5.6>",
	"BODY.PEEK[#.HEADER.FIELDS (Subject content-type)]", "BODY.PEEK[#.HEADER.FIELDS.NOT (Subject)]",
}

// leafSections are fetched one by one of each part that has no parts: others have no
// BINARY (RFC 9051 section 6.4.5).
var leafSections = []string{"BINARY.PEEK[#]", "BINARY.SIZE[#]", "BINARY.PEEK[#]<3.8>"}

// message compares all that there is to fetch of one message.
func (c *comparison) message(seq string, s sample) {
	c.items(seq, s, part{}, wholeSections...)
	for _, p := range c.parts(seq) {
		c.items(seq, s, p, numbered(partSections, p.number)...)
		if !p.leaf {
			continue
		}
		for _, name := range numbered(leafSections, p.number) {
			c.items(seq, s, p, name)
		}
	}
}

func numbered(sections []string, number string) (all []string) {
	for _, s := range sections {
		all = append(all, strings.Replace(s, "#", number, 1))
	}
	return all
}

// partialSize is what a response leaves out of the name that was asked for.
var partialSize = regexp.MustCompile(`(<\d+)\.\d+>$`)

// items compares items of one message that are fetched together.
func (c *comparison) items(seq string, s sample, p part, names ...string) {
	command := fmt.Sprintf("FETCH %s (%s)", seq, strings.Join(names, " "))
	kurir, kurirSays := c.ask(c.kurir, command)
	dovecot, dovecotSays := c.ask(c.dovecot, command)
	for _, name := range names {
		label := strings.Replace(name, ".PEEK[", "[", 1)
		label = partialSize.ReplaceAllString(label, "$1>")
		label = strings.ToUpper(strings.ReplaceAll(label, `"`, ""))
		c.compare(difference{s, p, name, valueOr(kurir[seq], label, kurirSays), valueOr(dovecot[seq], label, dovecotSays)})
	}
}

// ask fetches; says is how a command ended that did not succeed.
func (c *comparison) ask(server *rawIMAP, command string) (found map[string]items, says string) {
	r, err := server.try(command)
	if err == nil {
		found, err = r.fetched()
	}
	if err != nil && server == c.dovecot {
		c.reopen()
		return nil, "the connection's end"
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return found, r.status
}

func valueOr(m items, label, says string) string {
	if v, ok := m[label]; ok {
		return v
	}
	return "nothing, " + says
}

// difference is an item and its two values.
type difference struct {
	sample         sample
	part           part
	item           string
	kurir, dovecot string
}

// compare takes the values of one item.
func (c *comparison) compare(d difference) {
	c.values++
	if d.kurir == d.dovecot {
		return
	}
	for _, k := range knowing {
		if k.is(d) {
			c.reasons[k.why]++
			return
		}
	}
	if c.complaints++; c.complaints <= mostComplaints {
		c.t.Errorf("%s, %s\n  kurir %s\nDovecot %s\n   of %q", d.sample.name, d.item, clip(d.kurir), clip(d.dovecot), clip(d.sample.text))
	}
}

// knowing are the differences that are meant, each with its reason.
var knowing = []struct {
	why string
	is  func(d difference) bool
}{
	{"what is not there is NIL and not empty: RFC 9051 section 4.5", func(d difference) bool {
		inner := strings.Contains(d.item, ".HEADER") || strings.Contains(d.item, ".TEXT")
		return d.kurir == "NIL" && d.dovecot == `""` && (!d.part.exists || inner && !d.part.message)
	}},
	{"only data with NUL is a literal8: RFC 9051 section 6.4.5", func(d difference) bool {
		return strings.HasPrefix(d.item, "BINARY.PEEK[") && "~"+d.kurir == d.dovecot && !strings.Contains(d.kurir, `\x00`)
	}},
	{"data that can't be decoded is UNKNOWN-CTE, and not PARSE or the connection's end: RFC 9051 section 6.4.5", func(d difference) bool {
		return strings.HasPrefix(d.item, "BINARY") && strings.HasPrefix(d.dovecot, "nothing, ")
	}},
	{"BINARY goes by the encoding that BODYSTRUCTURE says, though there are two or no MIME-Version: RFC 2045 section 4", func(d difference) bool {
		return strings.HasPrefix(d.item, "BINARY") && d.part.identity
	}},
	{"types and parameters are as written, in capitals too: RFC 2045 section 5.1", func(d difference) bool {
		return d.structure() && strings.EqualFold(d.kurir, d.dovecot)
	}},
	{"an invalid Content-Type is text/plain: RFC 2045 section 5.2", func(d difference) bool {
		return d.structure() && noSubtype.MatchString(d.dovecot)
	}},
	{"the line end before a delimiter belongs to that: RFC 2046 section 5.1.1", func(d difference) bool {
		more, _ := strings.CutPrefix(d.dovecot, cutQuote(d.kurir))
		return more == `\r\n"` && (d.part.multipart || d.part.message) || d.structure() && strings.Contains(strings.ToLower(d.kurir), `"rfc822"`) && number.ReplaceAllString(d.kurir, "#") == number.ReplaceAllString(d.dovecot, "#")
	}},
	{"a header without a blank line has none in its subsets: RFC 9051 section 6.4.5.1", func(d difference) bool {
		_, ok := strings.CutPrefix(d.dovecot, cutQuote(d.kurir))
		return ok && strings.Contains(d.item, "HEADER.FIELDS")
	}},
	{"a parameter may be of RFC 2231, whatever its name: RFC 2231 section 4", func(d difference) bool {
		return strings.Contains(d.sample.text, "charset*") || strings.Contains(d.sample.text, "boundary*")
	}},
	{"CR CR LF is served as it is", func(d difference) bool {
		return strings.Contains(d.kurir, `\r\r\n`) && !strings.Contains(d.dovecot, `\r\r\n`)
	}},
	{"NUL ends no token, and is shown as U+FFFD", func(d difference) bool {
		return strings.Contains(d.sample.text, "\x00") && (d.structure() || d.item == "ENVELOPE")
	}},
	{"a Content- field, or a comment for a name, that is empty is like none", func(d difference) bool {
		return emptyValue.ReplaceAllString(d.dovecot, "${1}NIL") == d.kurir
	}},
	{"local parts may have quoted words and white space, and a list null members: RFC 5322 section 4.4", func(d difference) bool {
		return d.item == "ENVELOPE" && obsolete.MatchString(d.sample.text)
	}},
	{"a multipart without a boundary has only its placeholder, in BODY[1] too", func(d difference) bool {
		return d.part.number == "1" && d.kurir == `""` && strings.HasPrefix(d.sample.text, "Content-Type: multipart/mixed")
	}},
	{"a bare CR does not end a quoted-printable part", func(d difference) bool {
		return strings.HasPrefix(d.dovecot, "nothing, the connection's end") && strings.Contains(d.sample.text, "quoted-printable") && strings.Contains(d.sample.text, "\r")
	}},
}

var (
	noSubtype  = regexp.MustCompile(`\("[^"]*" "" `)
	emptyValue = regexp.MustCompile(`([ (])(?:\("" (?:NIL|\(.*?\))\)|"\s*")`)
	number     = regexp.MustCompile(`\b\d+\b`)
	obsolete   = regexp.MustCompile(`(?m)^From: (.*".*"\.|.*\."|.*[a-z] ?\. [a-z]|(?s:.*[:,])?(?:\s|\(\)|\(c\)|\(c \(d\)\))*,)`)
)

// structure reports whether the item is BODY or BODYSTRUCTURE.
func (d difference) structure() bool { return d.item == "BODY" || d.item == "BODYSTRUCTURE" }

// cutQuote is a quoted value without its last quote.
func cutQuote(s string) string { return strings.TrimSuffix(s, `"`) }

// part is what a BODYSTRUCTURE shows of a part.
type part struct {
	number    string
	exists    bool
	multipart bool
	message   bool // message/rfc822
	leaf      bool // neither of them
	identity  bool // a leaf that is not encoded
}

// parts are the parts of a message, and some that it has not, as Dovecot shows its
// structure.
func (c *comparison) parts(seq string) []part {
	structure := c.dovecot.must("FETCH %s BODYSTRUCTURE", seq).all("FETCH")[0][1].list[1]
	var found []part
	if isMultipart(structure) {
		found = inside(structure, "")
	} else {
		found = partsOf(structure, "1")
	}
	for _, n := range []string{"1", "1.1", "2", "1.2", "1.1.1"} {
		found = append(found, part{number: n})
	}
	seen := make(map[string]bool)
	found = slices.DeleteFunc(found, func(p part) bool { // those that exist come first
		dup := seen[p.number]
		seen[p.number] = true
		return dup
	})
	const most = 60
	if len(found) > most {
		found = append(found[:most/2:most/2], found[len(found)-most/2:]...)
	}
	return found
}

func isMultipart(structure value) bool { return structure.list[0].kind == list }

// partsOf are the parts of a BODYSTRUCTURE that has a number.
func partsOf(structure value, number string) []part {
	if isMultipart(structure) {
		return append([]part{{number: number, exists: true, multipart: true}}, inside(structure, number)...)
	}
	const nested = 8 // RFC 9051 section 9, body-type-msg: where the inner structure is
	if strings.EqualFold(structure.list[0].text+"/"+structure.list[1].text, "message/rfc822") {
		found := []part{{number: number, exists: true, message: true}}
		if inner := structure.list[nested]; isMultipart(inner) {
			return append(found, inside(inner, number)...)
		}
		return append(found, partsOf(structure.list[nested], dotted(number, 1))...)
	}
	const encoding = 5 // RFC 9051 section 9, body-fields
	identity := slices.Contains([]string{"7bit", "8bit", "binary"}, strings.ToLower(structure.list[encoding].text))
	return []part{{number: number, exists: true, leaf: true, identity: identity}, {number: dotted(number, 1)}, {number: dotted(number, 2)}}
}

// inside are the parts of a multipart, and the one behind the last.
func inside(multipart value, number string) (found []part) {
	n := 0
	for _, e := range multipart.list {
		if e.kind != list {
			break
		}
		n++
		found = append(found, partsOf(e, dotted(number, n))...)
	}
	return append(found, part{number: dotted(number, n+1)})
}

func dotted(number string, n int) string {
	return strings.TrimPrefix(number+"."+strconv.Itoa(n), ".")
}
