package imapd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/auth"
	"kurir/internal/message"
	"kurir/store"
)

func TestReplies(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
		own  bool
	}{
		{badf("x %d", 1), "BAD [] x 1", false},
		{no("LIMIT", "y"), "NO [LIMIT] y", false},
		{fmt.Errorf("wrapped: %w", no("LIMIT", "y")), "NO [LIMIT] y", false},
		{store.ErrNoMailbox, "NO [NONEXISTENT] No such mailbox", false},
		{tryCreate(store.ErrNoMailbox), "NO [TRYCREATE] No such mailbox", false},
		{tryCreate(errors.Join(store.ErrNoMailbox, store.ErrInvalidName)), "NO [CANNOT] Not a possible mailbox name", false},
		{tryCreate(errors.Join(store.ErrNoMailbox, store.ErrNameTooLong)), "NO [LIMIT] Mailbox name too long", false},
		{store.ErrTooManyMailboxes, "NO [LIMIT] No room for another mailbox or subscription", false},
		{tryCreate(store.ErrOverQuota), "NO [OVERQUOTA] Over quota", false},
		{fmt.Errorf("x: %w", store.ErrTooManyKeywords), "NO [LIMIT] No more than 26 keywords in a mailbox", false},
		{store.ErrExpunged, "NO [EXPUNGEISSUED] Some messages are gone", false},
		{store.ErrDiskFull, "NO [UNAVAILABLE] The server's disk is full", true},
		{store.ErrUnavailable, "NO [UNAVAILABLE] Mail store unavailable, try again later", true},
		{context.Canceled, "NO [UNAVAILABLE] Server is stopping", false},
		{errors.New("secret path"), "NO [SERVERBUG] Internal error", true},
		{authReply(auth.ErrInvalid), "NO [AUTHENTICATIONFAILED] Wrong user name or password", false},
		{authReply(auth.ErrDisabled), "NO [CONTACTADMIN] Account is disabled", false},
		{authReply(&auth.DisabledError{Message: "back in März"}), "NO [CONTACTADMIN] Account is disabled: back in Marz", false},
	} {
		r := replyTo(tt.err)
		if got := fmt.Sprintf("%s [%s] %s", r.Type, r.Code, r.Text); got != tt.want {
			t.Errorf("%v: %s", tt.err, got)
		}
		if r.ownFault() != tt.own {
			t.Errorf("%v: our own fault: %v", tt.err, r.ownFault())
		}
	}
	if r := replyTo(store.ErrDiskFull); !errors.Is(r, store.ErrDiskFull) || !strings.Contains(r.Error(), "disk full") {
		t.Error("the cause is not for the log:", r)
	}
}

// countingWriter notes how it is written to.
type countingWriter struct {
	bytes.Buffer
	calls int
	err   error
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.calls++; w.err != nil {
		return 0, w.err
	}
	return w.Buffer.Write(p)
}

func TestWriter(t *testing.T) {
	dst := &countingWriter{}
	w := &writer{dst: dst}
	if w.flush() != nil || dst.calls != 0 {
		t.Error("nothing was sent as something")
	}
	for range 100 {
		w.line("* ", "OK")
	}
	if dst.calls != 0 {
		t.Error("lines were sent one by one")
	}
	if w.flush() != nil || dst.calls != 1 || dst.Len() != 600 || w.home != nil {
		t.Errorf("%d calls, %d bytes", dst.calls, dst.Len())
	}
	for range spillAt / 6 {
		w.line("abcd")
	}
	w.line("abcd")
	if dst.calls != 2 {
		t.Error("a full buffer was kept")
	}
	big := make([]byte, directAt)
	w.Write([]byte("x"))
	w.Write(big)
	if w.home == nil || dst.calls != 4 || dst.Bytes()[dst.Len()-directAt-1] != 'x' {
		t.Error("a large piece was not sent at once, in its order")
	}
	dst.err = io.ErrClosedPipe
	w.line("lost")
	if err := w.flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	dst.err = nil
	w.line("after an error")
	if n, err := w.Write(big); n != 0 || !errors.Is(err, io.ErrClosedPipe) || w.flush() == nil || dst.calls != 5 {
		t.Error("the first error was forgotten")
	}
}

func TestStructureText(t *testing.T) {
	text := func() *message.Part {
		return &message.Part{Type: "text", Subtype: "plain", Encoding: "7bit", EndOff: 5, Lines: 1}
	}
	full := text()
	full.Params = []message.Param{{Name: "charset", Value: "utf-8"}, {Name: "name*", Value: "utf-8''x%20y"}}
	full.ID, full.Description, full.MD5, full.Location = "<id>", "a \"b\"", "md5==", "http://x"
	full.Disposition, full.DispositionParams = "inline", []message.Param{{Name: "filename", Value: "x"}}
	full.Language = []string{"de", "en"}
	one := text()
	one.Language, one.Disposition = []string{"de"}, "attachment"
	inner := text()
	inner.Envelope = &message.Envelope{Subject: "grün", HasSubject: true, HasDate: true, From: []message.Address{{Name: "a", Route: "@r", Mailbox: "m", Host: "h"}}}
	rfc822 := &message.Part{Type: "Message", Subtype: "RFC822", Encoding: "7bit", Children: []*message.Part{inner}, BodyNL: 2, EndOff: 10, Lines: 3}
	global := &message.Part{Type: "message", Subtype: "global", Encoding: "8bit", Children: []*message.Part{inner}}
	for _, tt := range []struct {
		p          *message.Part
		ext, plain string
	}{
		{text(), `("text" "plain" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL)`, `("text" "plain" NIL NIL NIL "7bit" 5 1)`},
		{full, `("text" "plain" ("charset" "utf-8" "name*" "utf-8''x%20y") "<id>" "a \"b\"" "7bit" 5 1 "md5==" ("inline" ("filename" "x")) ("de" "en") "http://x")`,
			`("text" "plain" ("charset" "utf-8" "name*" "utf-8''x%20y") "<id>" "a \"b\"" "7bit" 5 1)`},
		{one, `("text" "plain" NIL NIL NIL "7bit" 5 1 NIL ("attachment" NIL) ("de") NIL)`, `("text" "plain" NIL NIL NIL "7bit" 5 1)`},
		{&message.Part{Type: "multipart", Subtype: "mixed", Children: []*message.Part{text(), text()}},
			`(("text" "plain" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL)("text" "plain" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL) "mixed" NIL NIL NIL NIL)`,
			`(("text" "plain" NIL NIL NIL "7bit" 5 1)("text" "plain" NIL NIL NIL "7bit" 5 1) "mixed")`},
		{&message.Part{Type: "multipart", Subtype: "x"}, `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "x" NIL NIL NIL NIL)`,
			`(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "x")`},
		{rfc822, `("Message" "RFC822" NIL NIL NIL "7bit" 12 ("" {5}` + "\r\n" + `grün (("a" "@r" "m" "h")) NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)`,
			`("Message" "RFC822" NIL NIL NIL "7bit" 12 ("" {5}` + "\r\n" + `grün (("a" "@r" "m" "h")) NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 5 1) 3)`},
		{global, `("message" "global" NIL NIL NIL "8bit" 0 NIL NIL NIL NIL)`, `("message" "global" NIL NIL NIL "8bit" 0)`},
	} {
		if got := string(appendStructure(nil, tt.p, structureForm{ext: true})); got != tt.ext {
			t.Errorf("BODYSTRUCTURE\n got  %s\n want %s", got, tt.ext)
		}
		if got := string(appendStructure(nil, tt.p, structureForm{})); got != tt.plain {
			t.Errorf("BODY\n got  %s\n want %s", got, tt.plain)
		}
	}
	want := `("message" "global" NIL NIL NIL "8bit" 0 ("" {5}` + "\r\n" + `grün (("a" "@r" "m" "h")) NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 5 1) 0)`
	if got := string(appendStructure(nil, global, structureForm{rev2: true})); got != want {
		t.Errorf("RFC 9051's message/global\n got  %s\n want %s", got, want)
	}
	groups := message.ParseAddressList(`:;, g: ""@x;, ""@y`)
	if got, want := string(appendAddresses(nil, groups, false)), `((NIL NIL "" NIL)(NIL NIL NIL NIL)(NIL NIL "g" NIL)(NIL NIL "" "x")(NIL NIL NIL NIL)(NIL NIL "" "y"))`; got != want {
		t.Errorf("empty names\n got  %s\n want %s", got, want)
	}
	if got := string(appendEnvelope(nil, nil, false)); strings.Count(got, "NIL") != 10 {
		t.Error("no envelope:", got)
	}
}

func TestFetchItems(t *testing.T) {
	for in, want := range map[string]string{
		"FLAGS": "FLAGS", "BODY": "BODY", "body.peek[]": "BODY[] peek", "BODY[1.2.mime]": "BODY[1.2.MIME]",
		"BODY[HEADER]<1.2>": "BODY[HEADER]<1>", "BINARY.PEEK[1]<0.5>": "BINARY[1]<0> peek", "binary.size[3.1]": "BINARY.SIZE[3.1] peek",
		"BODY[1.header.fields.not (a {3+}\r\nx y \"c\")]": `BODY[1.HEADER.FIELDS.NOT (a "x y" c)]`,
		"RFC822": "RFC822", "RFC822.HEADER": "RFC822.HEADER peek", "rfc822.text": "RFC822.TEXT",
		"BODY[1.]": "", "BODY[.1]": "", "BODY[0]": "", "BODY[1": "", "BODY[HEADER.FIELDS ()]": "", "BODY[MIME]": "", "BINARY[TEXT]": "",
		"BODY[]<1>": "", "BODY[]<.1>": "", "BODY[]<1.0>": "", "FLAGS[]": "", "X": "", "": "", "BINARY.SIZE[1]<0.1>": "", "RFC822[]": "",
		"BODY[1.2.3.TEXT.4]": "", "BODY[4294967296]": "", "()": "", "(FLAGS": "", "FLAGS UID": "",
	} {
		p := parser{b: []byte(" 1 " + in)}
		r, err := parseFetch(&p)
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken: %+v", in, r.items)
			}
			continue
		}
		if err != nil || len(r.items) != 1 {
			t.Errorf("%q: %v", in, err)
			continue
		}
		it := r.items[0]
		got := it.label
		for name, kind := range simpleItems {
			if got == "" && kind == it.kind {
				got = name
			}
		}
		if it.section.Peek {
			got += " peek"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestStoreArguments(t *testing.T) {
	for in, want := range map[string]string{
		`1 FLAGS (\Seen)`: `0 false [\Seen] true`, `1 +flags.silent \Seen x`: `1 true [\Seen x] true`, `1 -FLAGS ()`: `2 false [] true`,
		`1 (UNCHANGEDSINCE 7) FLAGS x`: `0 false [x] false`,
		`1 FLAGS`:                      "", `1 *FLAGS x`: "", `1 FLAGSX x`: "", `1 (FOO 1) FLAGS x`: "", `1 FLAGS (x) y`: "", `FLAGS x`: "", `1 FLAGS (x`: "", `1 FLAGS \`: "",
	} {
		p := parser{b: []byte(" " + in)}
		r, err := parseStore(&p)
		got := ""
		if err == nil {
			got = fmt.Sprint(r.Op, r.Silent, r.Flags, r.unchanged == store.NoModSeq)
		}
		if want = strings.Replace(want, "0 f", fmt.Sprint(imap.StoreFlagsSet)+" f", 1); got != want {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestSearchKeys(t *testing.T) {
	day := func(m time.Month, d int) time.Time { return time.Date(2020, m, d, 0, 0, 0, 0, time.UTC) }
	for in, want := range map[string]store.Query{
		"ALL": store.AllOf{}, "UNSEEN": store.Not{Query: store.HasFlags(store.Seen)}, "NEW": nothing, "undraft": store.Not{Query: store.HasFlags(store.Draft)},
		"ON 29-Feb-2020":         store.Received{Since: day(2, 29), Before: day(3, 1)},
		`SENTSINCE "1-Mar-2020"`: store.Sent{Since: day(3, 1)}, "BEFORE 1-Mar-2020": store.Received{Before: day(3, 1)},
		"OR SEEN NOT (DRAFT TEXT x)": store.AnyOf{store.HasFlags(store.Seen), store.Not{Query: store.AllOf{store.HasFlags(store.Draft), store.TextHas("x")}}},
		"HEADER X-Y {1}\r\nz":        store.HeaderHas{Name: "X-Y", Text: "z"}, "CC a": store.HeaderHas{Name: "Cc", Text: "a"},
		"SMALLER 0": store.SmallerThan(0), "KEYWORD $Forwarded": store.HasFlags(store.Forwarded), "UNKEYWORD a": store.Not{Query: store.HasKeyword("a")},
		"MODSEQ 5": store.ChangedAt(5), "CHARSET utf-8 BODY ü": nil, `CHARSET iso-8859-1 BODY "` + "\xfc" + `"`: store.BodyHas("ü"),
		`BODY "` + "\xfc" + `"`: nil, "KEYWORD \\Seen": nil, "KEYWORD": nil, "ON 31-Feb-2020": nil, "ON x": nil, "NOT": nil, "OR ALL": nil, "()": nil,
		"UNFLAG": nil, "LARGER x": nil, "UN": nil, "MODSEQ \"a\" foo 1": nil, "RETURN (FOO) ALL": nil, "CHARSET foo ALL": nil, "ALL,": nil, "YOUNGER": nil,
	} {
		p := &searchParser{parser: &parser{b: []byte(" " + in)}, s: &session{srv: &Server{}}, c: &command{}}
		err := p.request()
		if (err == nil) != (want != nil) || err == nil && !reflect.DeepEqual(p.r.query, store.AllOf{want}) {
			t.Errorf("%q: %#v, %v", in, p.r.query, err)
		}
	}
	p := &searchParser{parser: &parser{b: []byte(" " + strings.Repeat("ALL ", 20) + "ALL")}, s: &session{srv: &Server{MaxSearchKeys: 20}}, c: &command{}}
	if err := p.request(); err == nil || replyTo(err).Code != imap.ResponseCodeLimit {
		t.Error("too many keys:", err)
	}
}

func TestListArguments(t *testing.T) {
	for in, want := range map[string]string{
		`"" *`: "[*]", `a/ %`: "[a/%]", `"" ""`: "[]", `"" (a b)`: "[a b]", `(SUBSCRIBED REMOTE) "" "*"`: "[*]", `"" inbox`: "[INBOX]",
		`"" "x" RETURN (CHILDREN SPECIAL-USE SUBSCRIBED)`: "[x]", `"" "&AOQ-"`: "[ä]", `"" "&bad"`: "[]", `"" {1}` + "\r\n%": "[%]",
		`""`: "error", `"" *  `: "error", `(FOO) "" *`: "error", `"" * RETURN`: "error", `"" * RETURN (STATUS)`: "error", `"" * FOO (CHILDREN)`: "error",
		`"" (`: "error", `"" ` + strings.Repeat("x", maxPattern+1): "[]", `"" (a "" b)`: "[a b]", `foo "" RETURN (CHILDREN)`: "[]",
		strings.Repeat("r", maxPattern) + ` x`: "[]", `"" (` + strings.Repeat(strings.Repeat("x", 1000)+" ", 9) + `x)`: "error",
	} {
		p := parser{b: []byte(" " + in)}
		l, err := parseList(&p)
		got := "error"
		if err == nil {
			got = fmt.Sprint(l.patterns)
		}
		if got != want {
			t.Errorf("%q: %s, %v, want %s", in, got, err, want)
		}
	}
}

// A bug in one session costs that session alone, and is logged.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.Auth = panicking{}
		s.start()
		defer s.stop()
		c := dial(t, s.l.dial())
		defer c.conn.Close()
		c.expect("* OK …")
		c.send("a LOGIN alice secret\r\n")
		c.expect(closedLine)
		d := dial(t, s.l.dial())
		defer d.conn.Close()
		d.expect("* OK …")
		d.send("a NOOP\r\n")
		d.expect("a OK Done")
	})
}

// The same in the goroutine of IDLE.
func TestPanicInIdle(t *testing.T) {
	s := &session{srv: &Server{}, log: slog.New(slog.DiscardHandler)} // without a view
	if err := s.guardedWatch(context.Background()); !errors.Is(err, errGoodbye) {
		t.Error(err)
	}
}

type panicking struct{ auth.Passwords }

func (panicking) Authenticate(context.Context, auth.Attempt) (auth.Login, error) { panic("a bug") }

// Every command of the table is known in every case of letters, and none runs where it is
// not legal.
func TestTable(t *testing.T) {
	for name, sp := range commands {
		cmd, _ := parseCommand([]byte("a " + strings.ToLower(name)))
		if cmd.err != nil || cmd.name != name || cmd.uid != strings.HasPrefix(name, "UID ") {
			t.Errorf("%s: %+v", name, cmd)
		}
		for _, st := range []state{notAuthenticated, authenticated, selected} {
			cmd, _ := parseCommand([]byte("a " + name))
			(&session{state: st}).admit(cmd)
			if legal := sp.in&st != 0; (cmd.err == nil) != legal {
				t.Errorf("%s in state %d: %v", name, st, cmd.err)
			}
		}
		if sp.run == nil || sp.in == 0 {
			t.Errorf("%s is not whole", name)
		}
	}
	for _, line := range []string{"", " NOOP", "a", "a  NOOP", "a UID", "a UID ", "a (", "+a NOOP", "a\tNOOP", strings.Repeat("t", maxTag+1) + " NOOP"} {
		if cmd, _ := parseCommand([]byte(line)); cmd.err == nil {
			t.Errorf("%q was taken", line)
		}
	}
}
