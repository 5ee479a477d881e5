// Package pop3d is the POP3 front-end: it translates RFC 1939, with the extensions that
// capa.go lists, into calls of package store. A session works on the view of INBOX that it
// took at login, so that message numbers, sizes and unique-ids stay as they were whatever
// other sessions do; what it deletes goes at QUIT and at no other time. Reading a message
// leaves its flags alone: what a phone fetches stays new for the desktop's IMAP.
//
// Messages are sent as they are, to clients that have not said UTF8 as well: a header in
// UTF-8 is not rewritten for them (RFC 6856 section 2.1 would have a surrogate), since that
// would change sizes and signatures, and no client gains by an error in its place.
//
// The package knows neither SMTP nor IMAP, and owns no file.
package pop3d

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
	"kurir/store"
)

// Authenticator checks logins; *auth.Authenticator is one.
type Authenticator interface {
	// Authenticate returns the canonical address of the account that logged in. Errors
	// are those of package auth: ErrInvalid, ErrThrottled, ErrDisabled, ErrUnavailable.
	Authenticate(ctx context.Context, a auth.Attempt) (auth.Login, error)
	// Mechanisms are those of SASL that a session is offered, of which at says what is known.
	Mechanisms(at auth.Attempt) []string
	// NewExchange is the server's half of one of them; nil if it is not on offer. It calls
	// login once, with the attempt complete, which is to call Authenticate.
	NewExchange(ctx context.Context, mechanism string, at auth.Attempt, login func(auth.Attempt) error) auth.Exchange
	// PasswordCommands reports whether USER and PASS may be used.
	PasswordCommands() bool
}

// Defaults of Server's fields.
const (
	DefaultLoginTimeout = 3 * time.Minute
	DefaultIdleTimeout  = 10 * time.Minute // RFC 1939 section 3: no less
	DefaultStopTimeout  = 3 * time.Second
	DefaultMaxErrors    = 20

	DefaultMaxPerAccount = 50
)

// Server is a POP3 server. Store and Auth must be set; the zero value of every other
// field is its documented default. Its fields must not change once Serve was called.
type Server struct {
	Store *store.Store
	Auth  Authenticator

	// TLS is for STLS and for listeners with TLS from the start. nil: there is no STLS,
	// and Serve refuses a listener with TLS.
	TLS *tls.Config
	// AllowPlaintext says whether a client at this address may log in without TLS. nil: no.
	AllowPlaintext func(netip.Addr) bool
	// TLSFailed is told of each handshake that failed, and why; nil: nobody is. It must not block.
	TLSFailed func(remote netip.Addr, err error)
	// Observe is told of each command that is legal where it comes, and how long it took; nil:
	// nobody is.
	Observe func(command string, took time.Duration)
	// Log is the parent of each session's logger; nil means no log. A listener that is a
	// *listen.Listener already brings its own.
	Log *slog.Logger

	LoginTimeout time.Duration // from the connection to a login; zero means 3 minutes
	IdleTimeout  time.Duration // without a whole command, then the connection is closed; zero means 10 minutes
	StopTimeout  time.Duration // how long Serve waits for sessions at the end; zero means 3 seconds

	MaxErrors int // refused logins and commands that make no sense before the connection is closed; zero means 20
	// MaxPerAccount is how many sessions may be logged in to one account from one IPv4 address or
	// IPv6 /64, and a fourth of how many from all; zero means 50, less than zero no limit.
	MaxPerAccount int

	// Sessions are those that are logged in, for servers that share them as one that follows on
	// another does; nil: the server's own.
	Sessions *auth.Sessions
	own      auth.Sessions
}

// sessions are those that are logged in.
func (s *Server) sessions() *auth.Sessions {
	if s.Sessions != nil {
		return s.Sessions
	}
	return &s.own
}

// EndSessions asks the sessions of an account to end, without deleting what they have marked:
// at once if they wait, else behind their command. It is to be called when the account was
// disabled, renamed or removed, or has another password, and from any goroutine.
func (s *Server) EndSessions(address string) { s.sessions().End(address) }

// orDefault returns v, or def if v is zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Reject is the line for listen.Options.Reject.
func Reject() []byte { return []byte("-ERR [SYS/TEMP] Too many connections, try again later\r\n") }

// Serve accepts connections of l until ctx ends, and then returns nil once every session
// has finished its command and was told goodbye, or after StopTimeout. implicitTLS says
// that TLS begins with the first byte (port 995). Errors: those of l, or that TLS is not
// configured. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	ln, ok := l.(*listen.Listener)
	if !ok {
		o := listen.Options{Protocol: "pop3", Log: s.Log}
		if !implicitTLS {
			o.Reject = Reject
		}
		ln = listen.New(l, o)
	}
	if implicitTLS && s.TLS == nil {
		return errors.Join(errors.New("pop3d: no TLS configuration for a listener with TLS"), ln.Close())
	}
	return ln.Serve(ctx, orDefault(s.StopTimeout, DefaultStopTimeout), func(work context.Context, c net.Conn) {
		s.serve(work, ctx, c, implicitTLS)
	})
}

// serve runs one session. work is the context of what it does, stop ends when the server
// is asked to stop.
func (s *Server) serve(work, stop context.Context, c net.Conn, implicitTLS bool) {
	ses := newSession(s, work, stop, c)
	defer ses.close()
	defer context.AfterFunc(stop, ses.wake)()
	defer func() {
		if p := recover(); p != nil { // a bug: it costs this client its session, not everybody's
			ses.log.Error("session failed", "panic", p, "command", ses.running, "stack", string(debug.Stack()))
		}
	}()
	if implicitTLS {
		if err := ses.startTLS(); err != nil {
			ses.log.Info("TLS handshake failed", "error", err)
			return
		}
	}
	ses.loop()
}
