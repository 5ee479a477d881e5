package imapd

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
	// Authenticate tells whose login it is. Errors are those of package auth: ErrInvalid,
	// ErrThrottled, ErrDisabled, ErrUnavailable.
	Authenticate(ctx context.Context, a auth.Attempt) (auth.Login, error)
	// Mechanisms are those of SASL that a session is offered, of which at says what is known.
	Mechanisms(at auth.Attempt) []string
	// NewExchange is the server's half of one of them; nil if it is not on offer. It calls
	// login once, with the attempt complete, which is to call Authenticate.
	NewExchange(ctx context.Context, mechanism string, at auth.Attempt, login func(auth.Attempt) error) auth.Exchange
	// PasswordCommands reports whether LOGIN may be used.
	PasswordCommands() bool
}

// Defaults of Server's fields.
const (
	DefaultLoginTimeout  = 60 * time.Second
	DefaultIdleTimeout   = 30 * time.Minute // RFC 9051 section 5.4: no less
	DefaultKeepAlive     = 2 * time.Minute
	DefaultStopTimeout   = 3 * time.Second
	DefaultMaxBad        = 50
	DefaultMaxMessage    = 50 << 20
	DefaultMaxSearchKeys = 1000
	DefaultMaxPerAccount = 50
)

// Server is an IMAP server. Store and Auth must be set; the zero value of every other
// field is its documented default. Its fields must not change once Serve was called.
type Server struct {
	Store *store.Store
	Auth  Authenticator

	// TLS is for STARTTLS and for listeners with TLS from the start. nil: there is no
	// STARTTLS, and Serve refuses a listener with TLS.
	TLS *tls.Config
	// AllowPlaintext says whether a client at this address may log in without TLS. nil: no.
	AllowPlaintext func(netip.Addr) bool
	// Log is the parent of each session's logger; nil means no log. A listener that is a
	// *listen.Listener already brings its own.
	Log *slog.Logger
	// TLSFailed is told of each handshake that failed, and why; nil: nobody is. It must not block.
	TLSFailed func(remote netip.Addr, err error)
	// Location is the time zone of INTERNALDATE and of the days in SEARCH; nil means UTC.
	Location *time.Location

	// Observe is told of each command that IMAP knows, but IDLE, and how long it took; nil: nobody is.
	Observe func(command string, took time.Duration)

	LoginTimeout time.Duration // from the first byte to a login; zero means 60 seconds
	IdleTimeout  time.Duration // without a command, then BYE; zero means 30 minutes
	KeepAlive    time.Duration // between two "* OK Still here" in IDLE; zero means 2 minutes, less than zero never
	StopTimeout  time.Duration // how long Serve waits for sessions at the end; zero means 3 seconds

	MaxBad        int   // BAD replies before BYE; zero means 50
	MaxMessage    int64 // bytes of a message in APPEND; zero means 50 MiB
	MaxSearchKeys int   // keys in one SEARCH, those in parentheses included; zero means 1000
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

// EndSessions asks the sessions of an account to say goodbye: at once if they wait, else behind
// their command. It is to be called when the account was disabled, renamed or removed, or
// has another password, and from any goroutine.
func (s *Server) EndSessions(address string) { s.sessions().End(address) }

// orDefault returns v, or def if v is zero.
func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// rejectLine is said to a client that there is no room for (RFC 9051 section 7.1.5).
const rejectLine = "* BYE [LIMIT] Too many connections, try again later\r\n"

// Reject is the line for listen.Options.Reject.
func Reject() []byte { return []byte(rejectLine) }

// Serve accepts connections of l until ctx ends, and then returns nil once every
// session was told goodbye, or after StopTimeout. implicitTLS says that TLS begins
// with the first byte (port 993). Errors: those of l, or that TLS is not configured.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	ln, ok := l.(*listen.Listener)
	if !ok {
		o := listen.Options{Protocol: "imap", Log: s.Log}
		if !implicitTLS {
			o.Reject = Reject
		}
		ln = listen.New(l, o)
	}
	if implicitTLS && s.TLS == nil {
		return errors.Join(errors.New("imapd: no TLS configuration for a listener with TLS"), ln.Close())
	}
	return ln.Serve(ctx, orDefault(s.StopTimeout, DefaultStopTimeout), func(work context.Context, c net.Conn) {
		s.serve(work, ctx, c, implicitTLS)
	})
}

// serve runs one session. work is the context of what it does, stop ends when the server
// is asked to stop.
func (s *Server) serve(work, stop context.Context, c net.Conn, implicitTLS bool) {
	defer c.Close()
	work, cancel := context.WithCancel(work)
	defer cancel()
	ses := newSession(s, c, work)
	defer context.AfterFunc(stop, ses.stop)()
	defer ses.close()
	defer func() {
		if p := recover(); p != nil { // a bug: it costs this client its session, not everybody's
			ses.log.Error("session failed", "panic", p, "command", ses.running, "stack", string(debug.Stack()))
		}
	}()
	if implicitTLS {
		if err := ses.handshake(); err != nil {
			ses.log.Info("TLS handshake failed", "error", err)
			return
		}
	}
	ses.greet()
	ses.loop()
}
