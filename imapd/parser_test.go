package imapd

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

func TestStrings(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{`abc`, "abc", true},
		{`a]b`, "a]b", true},
		{`"a b"`, "a b", true},
		{`""`, "", true},
		{`"a\"b\\c"`, `a"b\c`, true},
		{"{3}\r\na\r\n", "a\r\n", true},
		{"{3+}\r\nabc", "abc", true},
		{"\"caf\xc3\xa9\"", "café", true},
		{`"a`, "", false},
		{`"a\b"`, "", false},
		{"\"a\rb\"", "", false},
		{"{3}\r\nab", "", false},
		{"{3}ab", "", false},
		{"{9999999999999999999}\r\n", "", false},
		{"{3}\r\na\x00b", "", false},
		{``, "", false},
		{`(`, "", false},
		{"caf\xc3\xa9", "", false},
	} {
		p := parser{b: []byte(tt.in)}
		got := p.astring("string")
		if err := p.end(); (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %q, %v", tt.in, got, err)
		}
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{
		"":          `""`,
		"a b":       `"a b"`,
		`a"b\`:      `"a\"b\\"`,
		"a\r\nb":    "{4}\r\na\r\nb",
		"é":         "{2}\r\né",
		"a\x00\xff": "{3}\r\na\x80\xff",
	} {
		if got := string(appendString(nil, in, false)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := string(appendString(nil, "\xe9", true)); got != "{1}\r\n\xe9" {
		t.Errorf("with UTF-8, and what is not: %q", got)
	}
	if got := string(appendString(nil, "é", true)); got != `"é"` {
		t.Errorf("with UTF-8: %q", got)
	}
}

func TestSets(t *testing.T) {
	uids := []store.UID{2, 4, 5, 6, 10}
	for _, tt := range []struct {
		in       string
		seq, uid []span // nil: an error for seq
	}{
		{"1", []span{{1, 1}}, []span{}},
		{"1:*", []span{{1, 5}}, []span{{1, 5}}},
		{"*", []span{{5, 5}}, []span{{5, 5}}},
		{"*:2", []span{{2, 5}}, []span{{1, 5}}},
		{"4:5,1,2", []span{{1, 2}, {4, 5}}, []span{{1, 3}}},
		{"3,2,1", []span{{1, 3}}, []span{{1, 1}}},
		{"5:3,4", []span{{3, 5}}, []span{{2, 3}}},
		{"10", nil, []span{{5, 5}}},
		{"7:9", nil, []span{}},
		{"9:*", []span{{5, 5}}, []span{{5, 5}}},
		{"20:*", []span{{5, 5}}, []span{{5, 5}}},
		{"1:9", nil, []span{{1, 4}}},
	} {
		p := parser{b: []byte(tt.in)}
		m := p.set()
		if err := p.end(); err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		seq, err := m.seqSpans(5)
		if (err != nil) != (tt.seq == nil) || err == nil && !same(seq, tt.seq) {
			t.Errorf("%s: sequence numbers %v, %v", tt.in, seq, err)
		}
		if uid := m.uidSpans(uids); !same(uid, tt.uid) {
			t.Errorf("%s: UIDs %v", tt.in, uid)
		}
	}
	for in, want := range map[string]messageSet{
		"$": {saved: true}, "7,$": {saved: true, ranges: []imap.SeqRange{{Start: 7, Stop: 7}}}, "2:*,3,$": {saved: true, ranges: []imap.SeqRange{{Start: 2}, {Start: 3, Stop: 3}}},
	} {
		p := parser{b: []byte(in)}
		if m := p.set(); p.end() != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %v, %v", in, m, p.err)
		}
	}
	for _, tt := range [][3][]span{
		{{}, {}, {}}, {{{1, 2}}, nil, {{1, 2}}}, {nil, {{1, 2}}, {{1, 2}}}, {{{1, 1}, {5, 6}}, {{2, 3}, {6, 9}}, {{1, 3}, {5, 9}}}, {{{4, 9}}, {{1, 1}, {5, 5}}, {{1, 1}, {4, 9}}},
	} {
		if got := unionSpans(tt[0], tt[1]); !same(got, tt[2]) {
			t.Errorf("%v and %v: %v", tt[0], tt[1], got)
		}
	}
	for _, bad := range []string{"$,1", "$:1", "1:$", "$$", "", "0", "a", "1,", "1:", "4294967296", "-1", "1:2:3", "**"} {
		p := parser{b: []byte(bad)}
		p.set()
		if p.end() == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	var m messageSet
	if spans, err := m.seqSpans(0); err != nil || len(spans) > 0 {
		t.Error("empty mailbox", spans, err)
	}
	if got := listSpans(uids, []store.UID{1, 4, 5, 10}); !same(got, []span{{2, 3}, {5, 5}}) {
		t.Errorf("a list: %v", got)
	}
	if got := fmt.Sprint(spanUIDs(uids, []span{{1, 2}, {5, 5}})); got != "[2 4 10]" {
		t.Errorf("UIDs of spans: %v", got)
	}
	if got := string(appendUIDList(nil, []store.UID{7, 1, 2, 3, 9, 8})); got != "7,1:3,9,8" {
		t.Errorf("a list in its own order: %v", got)
	}
}

func same(a, b []span) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"%/%", "a/b", true}, {"a/%", "a/b/c", false},
		{"a*c", "a/b/c", true}, {"", "", true}, {"", "a", false}, {"*", "", true}, {"a", "A", false},
		{"INBOX", "INBOX", true}, {"*a*a*a*a*a*a*b", strings.Repeat("a", 200), false}, {"%%", "ab", true}, {"a%b*", "axxb/y", true},
		{"in%", "INBOX", true}, {"%Box/x", "INBOX/x", true}, {"%box/X", "INBOX/x", false}, {"in%", "INBOXES", false}, {"*[*", "INBOX/{", false},
	} {
		if got := matchPattern(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q %q: %v", tt.pattern, tt.name, got)
		}
	}
}

func TestLiteralAt(t *testing.T) {
	for in, want := range map[string]*literal{
		"a {3}": {size: 3, sync: true}, "a {3+}": {size: 3}, "a ~{3}": {size: 3, sync: true, binary: true},
		"{0}": {size: 0, sync: true}, "a {3} ": nil, "a {}": nil, "a {+}": nil, "a {-1}": nil, "}": nil, "": nil,
		"{99999999999999999999}": {size: math.MaxInt64, sync: true}, "{9223372036854775807+}": {size: math.MaxInt64}, "{3++}": nil, "{ 3}": nil, "{0x3}": nil, "~{0+}": {binary: true},
	} {
		if got := literalAt([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestFlags(t *testing.T) {
	b := appendFlags(nil, store.Seen|store.Draft|store.KeywordFlag(1)|store.KeywordFlag(9), []string{"a", "b"})
	if string(b) != `(\Seen \Draft b)` {
		t.Errorf("%s", b)
	}
	set, err := flagSet([]imap.Flag{`\SEEN`, "$forwarded", "x"})
	if err != nil || set.Flags != store.Seen|store.Forwarded || len(set.Keywords) != 1 {
		t.Error(set, err)
	}
	if _, err := flagSet([]imap.Flag{`\Foo`}); err == nil {
		t.Error("an unknown system flag was taken")
	}
}

// FuzzCommand: no command line makes a parser fail in another way than by an error, and
// what a parsed item says of itself is what was asked for.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		"a NOOP", "a LOGIN alice {6}\r\nsecret", `a LIST (SUBSCRIBED) "" ("a" %) RETURN (STATUS (MESSAGES))`,
		"a UID FETCH 1:*,$ (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (a \"b\")]<0.10> BINARY.SIZE[1]) (CHANGEDSINCE 5)",
		"a STORE 1:2 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\\Seen $x)", `a APPEND INBOX (\Seen) "17-Jul-1996 02:44:25 -0700" ~{3}`,
		`a SEARCH RETURN (MIN) CHARSET UTF-8 OR (SUBJECT "x" NOT 1:3) SINCE 1-Feb-1994 MODSEQ "/flags/x" all 3`,
		"a SELECT INBOX (CONDSTORE QRESYNC (67890007 9223372036854775807 41,43:211,214:541 (1,3:4 41,43:44)))", "a EXAMINE x (QRESYNC (1 2 (1 1)))",
		"a UID FETCH 1:* (FLAGS) (VANISHED CHANGEDSINCE 0)",
		`a APPEND "x & y" (\Seen) UTF8 (~{3+}`, "a APPEND {4+}\r\nSent () {3}", `a LIST () "r/" ("&APw-*" "%") RETURN ()`, "a ENABLE IMAP4rev2 UTF8=ACCEPT", "a FETCH 2:1,$ BODY[]",
		`a ID ("a" NIL)`, "a CREATE x (USE (\\Sent))", "a STATUS {1}\r\nx (UIDNEXT)",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		cmd, at := parseCommand(line)
		if cmd.err != nil {
			return
		}
		args := func() *parser { return &parser{b: bytes.Clone(line[at:])} }
		if r, err := parseFetch(args()); err == nil && len(r.items) == 0 {
			t.Errorf("FETCH of nothing: %q", line)
		}
		if r, err := parseStore(args()); err == nil && r.unchanged > store.NoModSeq {
			t.Errorf("STORE: %q", line)
		}
		if l, err := parseList(args()); err == nil && len(l.patterns) > maxPatterns {
			t.Errorf("LIST: %q", line)
		}
		if lit := literalAt(line); lit != nil && lit.size < 0 {
			t.Errorf("literal: %q", line)
		} else if lit != nil {
			for _, mode := range []bool{false, true} {
				if messageNext(line[at:], lit, mode) {
					(&session{}).parseAppend(&command{lit: lit, args: parser{b: line[at:], utf8: mode}})
				}
			}
		}
		p := args()
		p.sp().mailbox()
		o := (&session{qresync: true}).selectParams(p.sp())
		if r := o.resync; p.err == nil && r != nil && (r.validity == 0 || r.since >= 1<<63 || slices.ContainsFunc(r.known, func(k store.UIDRange) bool { return k.First == 0 || k.Last < k.First })) {
			t.Errorf("QRESYNC: %q", line)
		}
		p = args()
		p.sp().statusItems()
		args().sp().dateTime()
		args().sp().mailbox()
		sp := &searchParser{parser: args(), s: &session{srv: &Server{}}, c: &command{uid: true}}
		if !bytes.ContainsAny(line, "0123456789$*") { // sets need a mailbox
			sp.request()
		}
	})
}

// FuzzString: what appendString writes, astring reads, NULs aside.
func FuzzString(f *testing.F) {
	f.Add("a", true)
	f.Add("a\"\\\r\nü", false)
	f.Fuzz(func(t *testing.T, s string, utf8ok bool) {
		if strings.Contains(s, "\x00") {
			return
		}
		p := parser{b: appendString(nil, s, utf8ok)}
		if got := p.str("string"); got != s || p.end() != nil {
			t.Errorf("%q: %q, %v", s, got, p.err)
		}
	})
}
