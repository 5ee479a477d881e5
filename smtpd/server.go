// Package smtpd is the SMTP front-end: inbound mail on port 25, submission on 587 and
// 465, what the administrator's own programs hand in, and LMTP. go-smtp runs the dialogue; between it and the connection lies a wire of our own,
// which hands it one screened command at a time, edits its replies, does STARTTLS and
// takes the message itself (RFC 5321, 3207, 3030). smtpd decides who may send what to
// whom and asks others, by small interfaces, who a recipient is and to take the message:
// the store for recipients here, the queue for all others.
// It writes no file and knows no mailbox format.
package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"kurir/internal/auth"
	"kurir/internal/trace"
)

// Mode says what a listener is for.
type Mode int

const (
	// Inbound takes mail for local recipients from anybody (port 25).
	Inbound Mode = iota
	// Submission takes mail from logged-in users; STARTTLS (port 587, RFC 6409).
	Submission
	// SubmissionTLS is Submission with TLS from the first octet (port 465, RFC 8314).
	SubmissionTLS
	// Trusted takes mail from the administrator's own programs, on a listener that
	// nobody else can reach: with any sender, without login, TLS and bounds on errors.
	Trusted
	// LMTP takes mail for local recipients from programs and servers of the administrator's,
	// which have judged it already, and answers for each recipient (RFC 2033).
	LMTP
)

// String is the mode's name in logs.
func (m Mode) String() string {
	return [...]string{"smtp", "submission", "submissions", "local", "lmtp"}[m]
}

// Server serves SMTP. Its fields must not change once Serve was called. The zero value
// of an option is its documented default.
type Server struct {
	Hostname  string    // our name in the banner and in Received
	Directory Directory // who receives and who may send
	Auth      Auth      // checks passwords; nil: no AUTH
	Store     Store     // takes messages
	Queue     Queue     // takes messages for elsewhere, and for who could not be delivered to; nil: nothing is sent elsewhere
	// PlusFolders has mail to user+name delivered into the account's mailbox of that name.
	PlusFolders bool
	Devices     []Device // networks whose clients need not log in
	// Peers are the networks that LMTP is spoken with, beside this machine itself.
	Peers   []netip.Prefix
	Signer  Signer    // signs what is submitted; nil: nothing is signed
	Policy  Policy    // judges strangers' messages; nil: all are taken
	Gate    Gate      // looks at strangers on port 25; nil: all may come in
	Forward Forwarder // passes mail on from aliases to other servers; nil: none is
	// Suppressed tells of a recipient elsewhere that is known not to exist, and in words why
	// it is refused to who submits mail for it; nil: of none.
	Suppressed func(address string) (why string, is bool)
	// Shared tells of an address, other than loopback, that it stands for everybody, as
	// that of a proxy or of a container's gateway does; nil: none does.
	Shared func(netip.Addr) bool

	// Sessions are those that are logged in, so that they can be ended, and may be shared with
	// other servers; nil: the server has its own.
	Sessions *auth.Sessions

	TLS *tls.Config // nil: no STARTTLS, and no SubmissionTLS
	// AllowPlaintext says whether an address may log in without TLS; nil: none may.
	AllowPlaintext func(netip.Addr) bool

	// TLSFailed is told of each handshake that failed, and why; nil: nobody is. It must not block.
	TLSFailed func(remote netip.Addr, err error)

	MaxSize       int64 // octets of a message; zero means 50 MiB
	MaxRecipients int   // of a message; zero means 100
	MaxMessages   int   // of a connection; zero means 1000
	MaxBad        int   // bad commands before 421; zero means 10
	MaxRefused    int   // refusals of any kind before 421; zero means 100
	MaxHops       int   // Received lines of an inbound message; zero means 50

	IdleTimeout      time.Duration // wait for a command or for more data; zero means 5 minutes (RFC 5321 section 4.5.3.2.7)
	MessageTimeout   time.Duration // for one whole message; zero means 1 hour
	DrainTimeout     time.Duration // for the rest of a message over MaxSize; zero means 1 minute
	HandshakeTimeout time.Duration // zero means 30 seconds
	Grace            time.Duration // what messages under way are given at the end; zero means 5 seconds

	TarpitAfter int           // refusals that are answered at once; zero means 3
	TarpitStep  time.Duration // each later refusal waits so much longer; zero means 1 second
	TarpitMax   time.Duration // longest wait; zero means 10 seconds

	// Room tells whether a message of so many octets, 0 if that is not known, may be stored; an
	// error says that there is no room, and why. nil: there always is.
	Room func(size int64) error
	// Trace is told what became of each message in the session; nil: nobody is. It must not block.
	Trace func(trace.Record)

	Now func() time.Time // zero means time.Now
	Log *slog.Logger     // for connections without a logger of their own; zero means slog.Default

	// Observe is told the end of each message transaction: result is "accepted",
	// "refused" (for good) or "deferred"; size in octets; d from the end of data to the
	// answer.
	Observe func(result string, size int64, d time.Duration)
}

// orDefault is v, or def if v is zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// withDefaults returns a copy with every option set.
func (s *Server) withDefaults() *Server {
	d := *s
	d.Hostname = orDefault(s.Hostname, "localhost")
	d.Sessions = orDefault(s.Sessions, &auth.Sessions{})
	d.MaxSize = orDefault(s.MaxSize, 50<<20)
	d.MaxRecipients = orDefault(s.MaxRecipients, 100)
	d.MaxMessages = orDefault(s.MaxMessages, 1000)
	d.MaxBad = orDefault(s.MaxBad, 10)
	d.MaxRefused = orDefault(s.MaxRefused, 100)
	d.MaxHops = orDefault(s.MaxHops, 50)
	d.IdleTimeout = orDefault(s.IdleTimeout, 5*time.Minute)
	d.MessageTimeout = orDefault(s.MessageTimeout, time.Hour)
	d.DrainTimeout = orDefault(s.DrainTimeout, time.Minute)
	d.HandshakeTimeout = orDefault(s.HandshakeTimeout, 30*time.Second)
	d.Grace = orDefault(s.Grace, 5*time.Second)
	d.TarpitAfter = orDefault(s.TarpitAfter, 3)
	d.TarpitStep = orDefault(s.TarpitStep, time.Second)
	d.TarpitMax = orDefault(s.TarpitMax, 10*time.Second)
	d.Log = orDefault(s.Log, slog.Default())
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Observe == nil {
		d.Observe = func(string, int64, time.Duration) {}
	}
	return &d
}

// Serve accepts connections until ctx ends. Then idle clients get 421 4.3.2, messages
// under way get Grace to finish, and Serve returns nil once every session has ended.
// Connections may be *tls.Conn already; in mode SubmissionTLS others are made so.
// An error of Accept ends it likewise and is returned.
func (s *Server) Serve(ctx context.Context, l net.Listener, mode Mode) error {
	if mode == SubmissionTLS && s.TLS == nil {
		return errors.New("smtpd: submission over TLS needs a certificate")
	}
	run := newRun(s.withDefaults(), mode)
	gs := run.goSMTP()
	var wg sync.WaitGroup
	wg.Go(func() { gs.Serve(run.inners) }) // ends when run.inners is closed
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var err error
	for {
		var c net.Conn
		if c, err = l.Accept(); err != nil {
			break
		}
		wg.Go(func() { run.open(ctx, c) })
	}
	run.stop()
	wg.Wait()
	gs.Shutdown(context.Background()) // waits for go-smtp's goroutines
	if ctx.Err() != nil {
		return nil
	}
	l.Close()
	return err
}

// goSMTP makes the go-smtp server that runs the dialogues. What it would do itself about
// time-outs, line lengths and TLS is the wire's.
func (r *run) goSMTP() *smtp.Server {
	gs := smtp.NewServer(smtp.BackendFunc(r.newSession))
	gs.Domain = r.srv.Hostname
	gs.MaxLineLength = 0
	gs.MaxMessageBytes = r.srv.MaxSize
	gs.MaxRecipients = r.srv.MaxRecipients
	gs.AllowInsecureAuth = true // session.AuthMechanisms decides
	gs.EnableSMTPUTF8 = true
	gs.EnableDSN = r.offersDSN()
	gs.ErrorLog = errorLog{r.srv.Log}
	return gs
}

// errorLog passes on what go-smtp reports: panics of a session, and read errors that it
// did not expect.
type errorLog struct{ log *slog.Logger }

func (l errorLog) Printf(format string, v ...any) {
	l.log.Error("smtp session failed", "error", sprintf(format, v...))
}

func (l errorLog) Println(v ...any) {
	l.log.Error("smtp session failed", "error", sprintln(v...))
}
