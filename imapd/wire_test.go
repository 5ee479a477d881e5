package imapd

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kurir/internal/listen"
)

// Line ends and literals as clients send them: what is read of a command ends where it must,
// and the next one is understood.
func TestWire(t *testing.T) {
	for _, tt := range []struct{ what, send, want string }{
		{"RFC 9051 section 2.2: lines end in CRLF; a lone LF is forgiven",
			"a NOOP\nb STATUS {5+}\nINBOX (MESSAGES)\nc NOOP\r\n", "a OK Done|* STATUS …|b OK Done|c OK Done"},
		{"a CR inside a line ends nothing",
			"a NOOP\rb NOOP\r\nc NOOP\r\n", "a BAD Too many arguments|c OK Done"},
		{"section 7: a command without a tag is answered with an untagged BAD",
			"\r\n \r\n* NOOP\r\na+ NOOP\r\n(a NOOP\r\nz NOOP\r\n", "* BAD …|* BAD …|* BAD …|a BAD …|* BAD …|z OK Done"},
		{"section 9: a tag is an astring without +, in any length up to 128",
			"A.1]~ NOOP\r\n" + strings.Repeat("t", 128) + " NOOP\r\n" + strings.Repeat("t", 129) + " NOOP\r\n", "A.1]~ OK Done|" + strings.Repeat("t", 128) + " OK Done|* BAD Tag too long"},
		{"RFC 7888 section 4: a non-synchronising literal is read whatever becomes of the command",
			"a XYZZY {6+}\r\nb NOOP\r\nc NOOP\r\n", "a BAD Unknown command|c OK Done"},
		{"the same where the literal is too large",
			"a SUBSCRIBE {1048577+}\r\n" + strings.Repeat("x NOOP\r\n", 1048577/8) + "x (b {3+}\r\nabc\r\nc NOOP\r\n", "a BAD Literal too large|c OK Done"},
		{"RFC 9051 section 4.3: a synchronising one that is refused is not sent",
			"a SUBSCRIBE {1048577}\r\nb NOOP\r\n", "a BAD Literal too large|b OK Done"},
		{"no such number: too large, and the client waits for the answer",
			"a APPEND INBOX {99999999999999999999}\r\nb NOOP\r\n", "a NO [TOOBIG] …|b OK Done"},
		{"RFC 7889 section 4: if it does not wait, there is no way on",
			"a APPEND INBOX {99999999999999999999+}\r\nb NOOP\r\n", "* BYE [TOOBIG] …|" + closedLine},
		{"RFC 7888 section 5: LITERAL+ has no limit of 4096 octets",
			"a SUBSCRIBE {5000+}\r\n" + strings.Repeat("x", 5000) + "\r\nb NOOP\r\n", "a NO [LIMIT] Mailbox name too long|b OK Done"},
		{"RFC 9051 section 4.3: literals of 0 octets, and several in a command",
			"a LIST {0+}\r\n {5+}\r\nINBOX\r\nb LIST {0}\r\n {0}\r\n\r\n", "* LIST …|a OK Done|+ OK|+ OK|* LIST (\\Noselect) \"/\" \"\"|b OK Done"},
		{"a brace at the end of a quoted string announces nothing",
			"a STATUS \"x {3}\" (MESSAGES)\r\nb NOOP\r\n", "a NO [NONEXISTENT] …|b OK Done"},
		{"RFC 9755 section 3: in quoted strings, octets of 8 bits that are not UTF-8 are BAD; elsewhere no name has them",
			"a STATUS \"\xfc\" (MESSAGES)\r\nb ENABLE UTF8=ACCEPT\r\nc STATUS \"\xfc\" (MESSAGES)\r\nd SUBSCRIBE {1+}\r\n\xfc\r\n",
			"a NO [CANNOT] …|* ENABLED UTF8=ACCEPT|b OK Done|c BAD mailbox name is not UTF-8|d NO [CANNOT] Not a valid mailbox name: it is not UTF-8"},
		{"RFC 9051 section 6.3.9: patterns have a bound",
			"a LIST \"\" (" + strings.Repeat("x ", maxPatterns-1) + "y)\r\nb LIST \"\" (" + strings.Repeat("x ", maxPatterns) + "y)\r\nc LIST \"\" (" + strings.Repeat(strings.Repeat("x", 1000)+" ", 9) + "y)\r\n",
			"a OK Done|b NO [LIMIT] Too many patterns|c NO [LIMIT] Too many patterns"},
		{"section 6.3.13: the end of IDLE is DONE, in any case; all else is BAD",
			"a IDLE\r\ndone\r\nb IDLE\r\nNOOP\r\nc NOOP\r\n", "+ idling|a OK Done|+ idling|b BAD DONE is wanted at the end of IDLE|c OK Done"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t).start()
				defer s.stop()
				c := s.login("alice")
				defer c.conn.Close()
				go io.WriteString(c.conn, tt.send) // the server may close before it has read all
				for want := range strings.SplitSeq(tt.want, "|") {
					c.expect(want)
				}
			})
		})
	}
}

// RFC 9051 section 6.2.2 and RFC 4959: corners of AUTHENTICATE and LOGIN, before login.
func TestWireBeforeLogin(t *testing.T) {
	for _, tt := range []struct{ what, send, want string }{
		{"a mechanism is an atom", "a AUTHENTICATE\r\nb AUTHENTICATE \"PLAIN\"\r\nc AUTHENTICATE FOO =\r\n", "a BAD Missing arguments|b BAD …|c NO [CANNOT] …"},
		{"an initial response is base64, or = for an empty one", "a AUTHENTICATE PLAIN AGF\r\nb AUTHENTICATE PLAIN ==\r\nc AUTHENTICATE PLAIN AA== x\r\nd AUTHENTICATE PLAIN  AA==\r\n", "a BAD …|b BAD …|c BAD …|d BAD …"},
		{"an empty initial response: LOGIN asks for the user name all the same", "a AUTHENTICATE LOGIN =\r\n*\r\nb NOOP\r\n", "+ VXNlcm5hbWU6|a BAD Authentication cancelled|b OK Done"},
		{"a challenge without a text is \"+ \"", "a AUTHENTICATE PLAIN\r\n*\r\n", "+ |a BAD Authentication cancelled"},
		{"a response that is too long", "a AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", maxSASL+4) + "\r\nb NOOP\r\n", "+ |a BAD Response too long|b OK Done"},
		{"LOGIN takes literals and quoted strings", "a LOGIN {5+}\r\nalice \"sec\\\\ret\"\r\nb LOGIN {5}\r\nalice {6}\r\nsecret\r\n", "a NO [AUTHENTICATIONFAILED] …|+ OK|+ OK|b OK …"},
		{"and nothing else", "a LOGIN alice\r\nb LOGIN alice secret more\r\nc LOGIN (alice) secret\r\nd LOGIN alice{3+}\r\nabc\r\n", "a BAD Missing arguments|b BAD Too many arguments|c BAD …|d BAD …"},
		{"RFC 5530 section 3: a password in 8 bits is wrong, not BAD", "a LOGIN alice \"gr\xc3\xbcn\"\r\nb LOGIN alice \"gr\xfcn\"\r\n", "a NO [AUTHENTICATIONFAILED] …|b NO [AUTHENTICATIONFAILED] …"},
		{"STARTTLS without a certificate, and with arguments", "a STARTTLS\r\nb STARTTLS now\r\n", "a BAD TLS is not available|b BAD Too many arguments"},
		{"before login a literal is bounded more closely", "a LOGIN {20000+}\r\n" + strings.Repeat("x", 20000) + " y\r\nb LOGIN {20000}\r\nc NOOP\r\n", "a BAD Literal too large|b BAD Literal too large|c OK Done"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t).start()
				defer s.stop()
				c := dial(t, s.l.dial())
				defer c.conn.Close()
				c.expect("* OK …")
				go io.WriteString(c.conn, tt.send)
				for want := range strings.SplitSeq(tt.want, "|") {
					c.expect(want)
				}
			})
		})
	}
}

// A client that is gone in the middle of a response is no fault of the server's, and not logged
// as one.
func TestClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		faults := &faultCount{}
		s.srv.Log = slog.New(faults)
		s.deliver("alice@example.org", "INBOX", "Subject: x\r\n\r\n"+strings.Repeat("0123456789\r\n", 1<<16))
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		ln := listen.New(s.l, listen.Options{Protocol: "imap", MaxPerAddr: -1, Log: s.srv.Log})
		go func() { served <- s.srv.Serve(ctx, ln, false) }()
		for _, command := range []string{"FETCH 1 BODY.PEEK[]", "FETCH 1 (FLAGS BODY[])", "UID FETCH 1 (BINARY.PEEK[1] ENVELOPE)", "FETCH 1 (" + strings.Repeat("FLAGS ", 9000) + "UID)"} {
			c := s.l.dial()
			go io.WriteString(c, "a LOGIN alice secret\r\nb SELECT INBOX\r\nc "+command+"\r\n")
			if _, err := io.CopyN(io.Discard, c, 20_000); err != nil {
				t.Fatal(command, err)
			}
			c.Close()
			synctest.Wait()
		}
		if n := faults.n.Load(); n > 0 {
			t.Errorf("%d errors logged, the first: %v", n, faults.first.Load())
		}
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		s.store.Close()
	})
}

// faultCount counts what is logged as an error.
type faultCount struct {
	slog.Handler
	n     atomic.Int64
	first atomic.Value // string
}

func (f *faultCount) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (f *faultCount) WithAttrs([]slog.Attr) slog.Handler           { return f }

func (f *faultCount) Handle(_ context.Context, r slog.Record) error {
	f.n.Add(1)
	r.Attrs(func(a slog.Attr) bool { f.first.CompareAndSwap(nil, r.Message+" "+a.String()); return a.Key != "error" })
	return nil
}
