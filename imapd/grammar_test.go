package imapd

import (
	"strings"
	"testing"
	"testing/synctest"
)

// grammar goes through the productions of RFC 9051 section 9 and RFC 3501 section 9 that a
// client's command is made of: a command, and how it is answered, "…" being anything.
var grammar = []struct {
	production string
	lines      []string // "command => answer"
}{
	{"command, tag, SP, CRLF", []string{
		"NOOP => OK Done",
		"noOp => OK Done",
		"NOOP  => OK Done", // blanks at the end are forgiven
		"NOOP x => BAD Too many arguments",
		"NOOP\t => BAD Too many arguments",
		"NO\x00OP => BAD Unknown command", "NOOP\x00 => BAD Too many arguments",
		" NOOP => BAD Missing or invalid command",
		"\"NOOP\" => BAD Missing or invalid command",
		"XYZZY => BAD Unknown command",
		"UID => BAD Missing arguments",
		"UID  FETCH 1 FLAGS => BAD Missing or invalid command",
		"UID NOOP => BAD Unknown command",
		"UID EXPUNGE => BAD Select a mailbox first",
	}},
	{"command-any", []string{
		"CAPABILITY => OK Done", "CAPABILITY now => BAD Too many arguments", "LOGOUT now => BAD Too many arguments",
	}},
	{"command-nonauth in another state", []string{
		"LOGIN a b => BAD Already logged in", "AUTHENTICATE PLAIN => BAD Already logged in", "STARTTLS => BAD Already logged in",
	}},
	{"atom, resp-specials, astring", []string{
		"STATUS INBOX (MESSAGES) => OK Done",
		"STATUS a]b (MESSAGES) => NO [NONEXISTENT] …", // ASTRING-CHAR has "]"
		"STATUS a\\b (MESSAGES) => BAD Missing space …",
		"STATUS a*b (MESSAGES) => BAD Missing space …",
		"STATUS a{b (MESSAGES) => BAD Missing space …",
		"STATUS a\"b (MESSAGES) => BAD Missing space …",
		"STATUS a\x7fb (MESSAGES) => BAD Missing space …",
		"STATUS caf\xc3\xa9 (MESSAGES) => BAD Missing space …",
		"STATUS %s (MESSAGES) => BAD Missing or invalid mailbox name",
		"STATUS  INBOX (MESSAGES) => BAD Missing or invalid mailbox name",
		"STATUS INBOX  (MESSAGES) => BAD Missing '('",
		"STATUS INBOX(MESSAGES) => BAD Missing space between arguments",
		"STATUS => BAD Missing arguments",
		"STATUS INBOX => BAD Missing arguments",
	}},
	{"quoted, quoted-specials", []string{
		`STATUS "INBOX" (MESSAGES) => OK Done`,
		`STATUS "in\\box\"" (MESSAGES) => NO [NONEXISTENT] …`,
		`STATUS "a\b" (MESSAGES) => BAD Invalid escape in a quoted string`,
		`STATUS "a (MESSAGES) => BAD A quoted string has no end`,
		`STATUS "a\" (MESSAGES) => BAD A quoted string has no end`,
		`STATUS "" (MESSAGES) => NO [CANNOT] …`,
		"STATUS \"a\x00b\" (MESSAGES) => BAD mailbox name has a control character",
		"STATUS \"a\rb\" (MESSAGES) => BAD mailbox name has a control character",
	}},
	{"literal, literal8, number64", []string{
		"STATUS {5+}\r\nINBOX (MESSAGES) => OK Done",
		"STATUS {0+}\r\n (MESSAGES) => NO [CANNOT] …",
		"STATUS {3+}\r\na\r\n (MESSAGES) => NO [CANNOT] …", // a literal may hold CR and LF, a name not
		"STATUS {3+}\r\na\x00b (MESSAGES) => BAD mailbox name has a NUL",
		"STATUS ~{5+}\r\nINBOX (MESSAGES) => BAD …",
		"STATUS {5 +}\r\n => BAD …",
		"STATUS {+5}\r\n => BAD …",
		"STATUS {-5}\r\n => BAD …",
		"STATUS {5} x (MESSAGES) => BAD …", // an announcement ends its line
		"STATUS {99999999999999999999} => BAD Literal too large",
		"STATUS {9223372036854775807} => BAD Literal too large",
		"STATUS {1048577} => BAD Literal too large",
	}},
	{"status-att", []string{
		"STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE RECENT HIGHESTMODSEQ APPENDLIMIT) => OK Done",
		"status inbox (messages messages) => OK Done",
		"STATUS INBOX () => BAD No status items",
		"STATUS INBOX MESSAGES => BAD Missing '('",
		"STATUS INBOX (MESSAGES => BAD …",
		"STATUS INBOX (MESSAGES ) => BAD Missing or invalid status item",
		"STATUS INBOX ( MESSAGES) => BAD Missing or invalid status item",
		"STATUS INBOX (FOO) => BAD Unknown status item",
		"STATUS INBOX (MESSAGES) x => BAD Too many arguments",
	}},
	{"create, create-param", []string{
		"CREATE a (USE (\\Sent)) => OK Done", "CREATE b () => BAD Empty parentheses", "CREATE b  => OK Done", "CREATE c (USE () USE ()) => OK Done",
		"CREATE d USE => BAD Missing '('", "CREATE d (USE) => BAD …", "CREATE d (FOO x) => BAD Unknown CREATE parameter", "CREATE d e => BAD …", "CREATE => BAD Missing arguments",
		"CREATE d (USE (\\Seen)) => NO [USEATTR] …",
	}},
	{"delete, rename, subscribe, unsubscribe", []string{
		"RENAME a a2 => OK Done", "RENAME a2 => BAD Missing arguments", "RENAME a2 b2 c2 => BAD Too many arguments",
		"DELETE a2 => OK Done", "DELETE a2 b2 => BAD Too many arguments", "DELETE => BAD Missing arguments",
		"SUBSCRIBE x => OK Done", "SUBSCRIBE => BAD Missing arguments", "UNSUBSCRIBE x => OK Done", "UNSUBSCRIBE x y => BAD Too many arguments",
	}},
	{"list, list-mailbox, list-select-opts, list-return-opts", []string{
		`LIST "" "" => OK Done`, `LIST "" a]%* => OK Done`, `LIST () "" () => OK Done`, `LIST "" % RETURN () => OK Done`,
		`list (subscribed recursivematch) "" (a b) return (children status (messages)) => OK Done`,
		`LIST "" => BAD Missing arguments`, `LIST => BAD Missing arguments`, `LIST "" % x => BAD RETURN is wanted here`, `LIST "" % RETURN => BAD Missing arguments`,
		`LIST "" % RETURN (STATUS) => BAD …`, `LIST "" % RETURN (STATUS ()) => BAD No status items`, `LIST (FOO) "" % => BAD Unknown selection option`,
		`LIST "" % RETURN (FOO) => BAD Unknown return option`, `LIST (RECURSIVEMATCH) "" % => BAD …`, `LIST "" (a => BAD …`, `LIST "" a(b => BAD Too many arguments`,
		`LSUB "" * => OK Done`, `LSUB "" => BAD Missing arguments`, `LSUB (SUBSCRIBED) "" * => BAD Missing or invalid reference`,
	}},
	{"append, date-time", []string{
		"APPEND Sent {5+}\r\na: b\n => OK [APPENDUID … Appended",
		"APPEND Sent () {5+}\r\na: b\n => OK …",
		"APPEND Sent (\\Seen x) \" 7-Jul-1996 02:44:25 -0700\" {5+}\r\na: b\n => OK …",
		"APPEND Sent \"17-jul-1996 02:44:25 +0000\" ~{5+}\r\na: b\x00 => OK …",
		"APPEND {4+}\r\nSent {5+}\r\na: b\n => OK …",
		"APPEND Sent \"17-Jul-1996 02:44:25\" {5+}\r\na: b\n => BAD Invalid date-time",
		"APPEND Sent \"31-Feb-1996 02:44:25 +0000\" {5+}\r\na: b\n => BAD Invalid date-time",
		"APPEND Sent 17-Jul-1996 {5+}\r\na: b\n => BAD …",
		"APPEND Sent \"17-Jul-1996 02:44:25 +0000\" (\\Seen) {5+}\r\na: b\n => BAD …", // in this order only
		"APPEND Sent (\\Seen {5+}\r\na: b\n => BAD …",
		"APPEND Sent (\\Foo) {5+}\r\na: b\n => BAD \\Foo is not a flag that can be changed",
		"APPEND Sent(\\Seen) {5+}\r\na: b\n => BAD …",
		"APPEND Sent  {5+}\r\na: b\n => BAD …",
		"APPEND Sent{5+}\r\na: b\n => BAD …",
		"APPEND Sent {5+}\r\na: \x00\n => BAD A NUL may only be sent in a literal8",
		"APPEND Sent {5+}\r\na: b\n x => BAD One message in an APPEND, and nothing behind it",
		"APPEND Sent \"a: b\" => BAD APPEND wants a message as a literal",
		"APPEND Sent {0+}\r\n => NO A message may not be empty",
		"APPEND => BAD APPEND wants a message as a literal",
	}},
	{"select, select-param", []string{
		"EXAMINE INBOX (CONDSTORE) => OK [READ-ONLY] …", "SELECT INBOX () => BAD Empty parentheses", "SELECT => BAD Missing arguments", "SELECT INBOX x => BAD Missing '('",
		"SELECT INBOX (FOO) => BAD Unknown SELECT parameter", "SELECT (CONDSTORE) => BAD …", "SELECT INBOX => OK [READ-WRITE] …",
	}},
	{"sequence-set, seq-number, seq-range, nz-number", []string{
		"FETCH 1 UID => OK Done", "FETCH 1:1 UID => OK Done", "FETCH * UID => OK Done", "FETCH 1:* UID => OK Done", "FETCH *:1 UID => OK Done", "FETCH *:* UID => OK Done",
		"FETCH 2:1 UID => OK Done", "FETCH 1,1,2:1,* UID => OK Done", "FETCH $ UID => OK Done", "UID FETCH 4294967295 UID => OK Done", "UID FETCH 7:3 UID => OK Done",
		"FETCH 0 UID => BAD 0 is not the number of a message", "FETCH 01 UID => BAD 0 is not the number of a message", "FETCH 1:0 UID => BAD …", "FETCH 99 UID => BAD No message has that sequence number",
		"FETCH 4294967296 UID => BAD message set is too large", "FETCH , UID => BAD …", "FETCH 1, UID => BAD …", "FETCH ,1 UID => BAD …", "FETCH 1: UID => BAD …", "FETCH :1 UID => BAD …",
		"FETCH 1:2:3 UID => BAD …", "FETCH 1-2 UID => BAD …", "FETCH +1 UID => BAD …", "FETCH 1.0 UID => BAD …", "FETCH ** UID => BAD …", "FETCH (1) UID => BAD …", "FETCH \"1\" UID => BAD …", "FETCH a UID => BAD …",
		"FETCH 1 , 2 UID => BAD …", "FETCH => BAD Missing arguments", "FETCH 1 => BAD …",
	}},
	{"fetch, fetch-att, section", []string{
		"FETCH 1 ALL => OK Done", "FETCH 1 fast => OK Done", "FETCH 1 FULL => OK Done", "FETCH 1 (UID FLAGS) => OK Done", "FETCH 1 BODY[] => OK Done", "FETCH 1 BODY.PEEK[HEADER.FIELDS (To \"Cc\")]<0.5> => OK Done",
		"FETCH 1 (ALL) => BAD Unknown FETCH item", "FETCH 1 ALL FLAGS => BAD …", "FETCH 1 () => BAD …", "FETCH 1 (UID => BAD …", "FETCH 1 FOO => BAD Unknown FETCH item",
		"FETCH 1 BODY[FOO] => BAD …", "FETCH 1 BODY[1 => BAD …", "FETCH 1 BODY[HEADER.FIELDS ()] => BAD …", "FETCH 1 BODY[HEADER.FIELDS] => BAD …", "FETCH 1 BODY[]<0> => BAD …", "FETCH 1 BODY[]<0.0> => BAD 0 octets are not a range", "FETCH 1 BODY[0] => BAD …", "FETCH 1 BODY[MIME] => BAD …",
	}},
	{"store, flag, flag-list", []string{
		"STORE 1 FLAGS () => OK Done", "STORE 1 +FLAGS.SILENT \\Seen \\Flagged => OK Done", "STORE 1 -flags (\\seen work) => OK Done", "STORE 1 +FLAGS work => OK Done",
		"STORE 1 FLAGS => BAD Missing arguments", "STORE 1 *FLAGS x => BAD …", "STORE 1 FLAGS (a => BAD …", "STORE 1 FLAGS (a  b) => BAD …", "STORE 1 FLAGS (\\*) => BAD …", "STORE 1 FLAGS \\Recent => BAD \\Recent is not a flag that can be changed",
		"STORE 1 FLAGS \"x\" => BAD …", "STORE 1 FLAGS.LOUD x => BAD Unknown STORE item", "STORE 1 (FOO 1) FLAGS x => BAD Unknown STORE modifier", "STORE FLAGS x => BAD …",
	}},
	{"search", []string{
		"SEARCH ALL => OK Done", "search return () charset us-ascii (seen) => OK Done", "SEARCH 1 => OK Done", "SEARCH => BAD …", "SEARCH () => BAD Empty parentheses", "SEARCH FOO => BAD Unknown search key",
		"SEARCH RETURN (FOO) ALL => BAD Unknown RETURN option", "SEARCH CHARSET x-none ALL => NO [BADCHARSET …", "SEARCH ON 1-Feb-19946 => BAD Invalid date", "SEARCH SEEN) => BAD Too many arguments",
	}},
	{"uid: what the other commands take, after UID", []string{
		"UID FETCH 1 => BAD Missing …", "UID STORE 1 => BAD Missing …", "UID SEARCH => BAD Missing …", "UID COPY 1 => BAD Missing …", "UID MOVE 1 => BAD Missing …", "UID EXPUNGE => BAD Missing …",
		"UID SORT => BAD Missing …", "UID THREAD => BAD Missing …", "UID EXPUNGE 0 => BAD 0 is not …", "UID FETCH 1 (UID) => OK Done",
	}},
	{"sort, thread (RFC 5256 section 5)", []string{
		"SORT (REVERSE DATE SUBJECT) UTF-8 ALL => OK Done", "THREAD REFERENCES us-ascii ALL => OK Done", "SORT RETURN (COUNT) (SIZE) UTF-8 ALL => OK Done",
		"SORT (FOO) UTF-8 ALL => BAD …", "SORT () UTF-8 ALL => BAD …", "SORT DATE UTF-8 ALL => BAD …", "SORT (DATE) UTF-8 => BAD Missing …", "SORT (REVERSE) UTF-8 ALL => BAD …", "THREAD FOO UTF-8 ALL => BAD …", "THREAD REFERENCES UTF-8 => BAD Missing …",
		"SORT (DATE) x-none ALL => NO [BADCHARSET …",
	}},
	{"getquota, getquotaroot, setquota (RFC 9208 section 7)", []string{
		"GETQUOTA => BAD Missing arguments", "GETQUOTA x => NO …", "GETQUOTAROOT => BAD Missing arguments", "GETQUOTAROOT INBOX => OK Done", "SETQUOTA \"\" => BAD Missing arguments", "SETQUOTA \"\" (STORAGE x) => BAD …", "SETQUOTA \"\" (STORAGE 1) => NO [NOPERM] …",
	}},
	{"compress (RFC 4978 section 5)", []string{"COMPRESS => BAD Missing arguments", "COMPRESS LZW => BAD The only mechanism is DEFLATE", "COMPRESS DEFLATE x => BAD Too many arguments"}},
	{"examine", []string{"EXAMINE => BAD Missing arguments", "EXAMINE % => BAD …"}},
	{"copy, move, expunge", []string{
		"COPY 1 Sent => OK [COPYUID … Done", "COPY 1 => BAD …", "COPY Sent => BAD …", "COPY 1 nowhere => NO [TRYCREATE] …", "MOVE 1 => BAD …", "UID COPY 999 Sent => OK Done", "EXPUNGE 1 => BAD Too many arguments", "UID EXPUNGE 999 => OK Done",
	}},
	{"id, id-params-list (RFC 2971)", []string{
		"ID NIL => OK Done", "id nil => OK Done", "ID () => OK Done", `ID ("name" "x" "version" NIL) => OK Done`, "ID (\"name\" {1+}\r\nx) => OK Done",
		"ID => BAD Missing arguments", "ID name => BAD parameter list must be a string or NIL", `ID ("name") => BAD …`, `ID (name "x") => BAD field name must be a string`, `ID ("name" x) => BAD …`,
		"ID (" + strings.TrimSuffix(strings.Repeat(`"a" "b" `, 31), " ") + ") => BAD Too many fields",
	}},
	{"enable, namespace, idle, close, unselect, check", []string{
		"ENABLE X => OK Done", "ENABLE => BAD Missing arguments", "NAMESPACE => OK Done", "NAMESPACE x => BAD Too many arguments", "IDLE x => BAD Too many arguments", "CHECK x => BAD Too many arguments",
		"CLOSE x => BAD Too many arguments", "UNSELECT x => BAD Too many arguments", "UNSELECT => OK Done", "FETCH 1 UID => BAD Select a mailbox first", "CLOSE => BAD Select a mailbox first",
	}},
}

// No command is missing.
func TestGrammarIsWhole(t *testing.T) {
	refused := map[string]bool{}
	for _, g := range grammar {
		for _, line := range g.lines {
			command, answer, _ := strings.Cut(line, " => ")
			if cmd, _ := parseCommand([]byte("t " + command)); strings.HasPrefix(answer, "BAD ") {
				refused[cmd.name] = true
			}
		}
	}
	for name := range commands {
		if !refused[name] {
			t.Errorf("nothing about %s with a wrong grammar", name)
		}
	}
}

func TestGrammar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.srv.MaxBad = 1 << 20
		s.deliver("alice@example.org", "INBOX", "Subject: x\r\n\r\ny\r\n")
		s.deliver("alice@example.org", "INBOX", "Subject: y\r\n\r\ny\r\n")
		s.start()
		defer s.stop()
		c := s.login("alice")
		defer c.conn.Close()
		for _, g := range grammar {
			for _, line := range g.lines {
				command, want, ok := strings.Cut(line, " => ")
				if !ok {
					t.Fatal(line)
				}
				c.send("t " + command + "\r\n")
				all := c.until("t ")
				if got := all[len(all)-1]; !matches("t "+want, got) {
					t.Errorf("%s\n %q\n got  %s\n want %s", g.production, command, got, want)
				}
			}
		}
	})
}
