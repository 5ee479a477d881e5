// Package auth decides whether a login is good. It owns the password verifiers
// (argon2id in PHC string form), what keeps guessing slow (Limits), and the server's
// half of SASL PLAIN and LOGIN. Accounts and their credentials come from package
// directory; protocols and their replies are the front-ends'.
//
// A stranger learns nothing from a refusal: an unknown name and a wrong password take
// the same work and give the same error. Passwords are never logged and never kept; a
// good one is remembered for a while as an HMAC under a key that dies with the process.
package auth

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/directory"
)

// Outcomes other than success.
var (
	// ErrInvalid: no such account, or not its password.
	ErrInvalid = errors.New("wrong user name or password")
	// ErrThrottled: too many failed logins lately; the error is a *ThrottledError.
	ErrThrottled = errors.New("too many failed logins")
	// ErrDisabled: the password is right, but the account may not log in; the error is a *DisabledError.
	ErrDisabled = errors.New("account is disabled")
	// ErrUnavailable: nothing is known about the password; the fault is ours, or the
	// caller's context has ended.
	ErrUnavailable = errors.New("logins are not possible at the moment")
)

// ThrottledError says how long to wait; errors.Is(err, ErrThrottled) holds.
type ThrottledError struct{ RetryAfter time.Duration }

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("%v; try again in %v", ErrThrottled, e.RetryAfter.Round(time.Second))
}

func (e *ThrottledError) Is(target error) bool { return target == ErrThrottled }

// Directory is what auth needs to know of accounts; *directory.Directory is one.
type Directory interface {
	// Login finds the account of a login name and its credentials. The errors
	// directory.ErrInvalidAddress, ErrNoDomain and ErrNoAccount mean that there is none.
	// Called for every login, so it has to answer from memory.
	Login(ctx context.Context, username string) (directory.Account, []directory.Credential, error)
	// Touch notes when credentials, by id, were last used.
	Touch(ctx context.Context, used map[int64]directory.Use) error
}

// Options of an Authenticator.
type Options struct {
	Directory Directory
	Log       *slog.Logger  // nil means slog.Default()
	Workers   int           // passwords hashed at once, 19 MiB each; zero means the number of CPUs
	Remember  time.Duration // for how long a good password isn't hashed again; zero means 10 minutes, less than zero never
	Limits    Limits
	// Secret of this server, the same for all its life: of the salts that SCRAM shows for
	// names without app passwords. nil: one that dies with the process.
	Secret   []byte
	Settings Settings // what Configure may change later
	// Shared tells of an address that it stands for everybody, and is never refused for
	// what others did there; nil: none does.
	Shared func(netip.Addr) bool
	// Observe is told of each attempt when it has ended; nil: nobody is. It must not block.
	Observe func(Event)
}

// Attempt is one login as a client asks for it.
type Attempt struct {
	Protocol  string               // "imap", "pop3", "submission", "web"
	Mechanism string               // "PLAIN", "LOGIN", "USER": for the log
	Remote    netip.Addr           // of the client
	TLS       *tls.ConnectionState // nil without TLS
	Username  string               // the account's address
	Password  string
	Identity  string       // whom to act as (SASL's authorization identity): "" or the account itself
	Log       *slog.Logger // the session's; nil means Options.Log

	proof    *proof // of SCRAM, in place of a password
	external bool   // the certificate of TLS, in place of a password
	refused  error  // what an exchange was ended for before there was a password
}

// Authenticator checks logins. Its methods may be called from any goroutine.
type Authenticator struct {
	dir      Directory
	log      *slog.Logger
	slots    chan struct{} // one token for each hash that runs
	hash     hashFunc
	secret   []byte // of salts
	settings atomic.Pointer[Settings]
	nobody   string // verifier to check for accounts that aren't there
	key      []byte // of all HMACs; dies with the process
	remember remembered
	throttle *throttle
	shared   func(netip.Addr) bool // nil: no address is everybody's
	observe  func(Event)           // nil: nobody

	usedMu sync.Mutex
	used   map[int64]directory.Use // credential id to last use, not yet written
}

// New returns an Authenticator. Run has to run beside it for last uses to be noted.
func New(o Options) *Authenticator {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Remember == 0 {
		o.Remember = 10 * time.Minute
	}
	a := &Authenticator{
		dir:      o.Directory,
		log:      o.Log,
		slots:    make(chan struct{}, o.Workers),
		hash:     argon2id,
		key:      make([]byte, 32),
		remember: remembered{ttl: o.Remember, entries: newLRU[int64, memory](maxRemembered)},
		throttle: newThrottle(o.Limits),
		shared:   o.Shared,
		observe:  o.Observe,
		secret:   o.Secret,
		used:     map[int64]directory.Use{},
	}
	a.Configure(o.Settings)
	rand.Read(a.key) // never fails
	if a.secret == nil {
		a.secret = a.key
	}
	salt, key := make([]byte, saltBytes), make([]byte, keyBytes)
	rand.Read(salt)
	rand.Read(key)
	a.nobody = verifier{params: current, salt: salt, key: key}.String()
	return a
}

// Authenticate checks a password and tells whose it is. Errors: ErrInvalid,
// ErrThrottled, ErrDisabled, ErrUnavailable. It may wait, for a turn to hash and because
// of earlier failures, until ctx ends. It logs the outcome itself, and tells Observe.
func (a *Authenticator) Authenticate(ctx context.Context, at Attempt) (Login, error) {
	return a.authenticate(ctx, at, true)
}

// authenticate is Authenticate; if a success is not to be told yet, tell is false.
func (a *Authenticator) authenticate(ctx context.Context, at Attempt, tell bool) (Login, error) {
	acc, creds, err := a.dir.Login(ctx, at.Username)
	var used *directory.Credential
	if err != nil && !unknown(err) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	} else {
		who := pair{a.client(at.Remote), acc.Address}
		if who.account == "" {
			// Not ours at all: only to count failures by, so cut to an address's length.
			who.account = strings.ToLower(at.Username[:min(len(at.Username), 254)])
		}
		if used, err = a.check(ctx, at, who, acc, creds); err == nil {
			err = a.checkIdentity(ctx, at, acc)
		}
	}
	login := Login{Address: acc.Address}
	if used != nil {
		login.Credential, login.Name = used.ID, used.Name
	}
	if err == nil && !tell {
		return login, nil
	}
	a.report(at, acc, err)
	if a.observe != nil {
		a.observe(event(at, acc, login, err))
	}
	if err != nil {
		return Login{}, publicly(err)
	}
	return login, nil
}

// publicly is err without what the client must not learn from it.
func publicly(err error) error {
	if errors.As(err, new(*refusal)) {
		return ErrInvalid
	}
	return err
}

// check goes from the cheap answers to the dear one. acc.ID is 0 for nobody. The
// credential is known after ErrDisabled too.
func (a *Authenticator) check(ctx context.Context, at Attempt, who pair, acc directory.Account, creds []directory.Credential) (*directory.Credential, error) {
	switch {
	case at.refused != nil:
		return nil, at.refused
	case at.external:
		return nil, a.checkExternal(at, acc)
	}
	password := prepared(at.Password)
	wait, err := a.throttle.check(who)
	if err == nil {
		err = sleep(ctx, wait)
	}
	if err != nil {
		return nil, err
	}
	if at.proof != nil {
		password = at.proof.challenge + at.proof.final // to count by: no two are the same
	} else if c := a.recall(at.Protocol, password, creds); c != nil {
		return c, a.admit(acc, c, who, at.Remote)
	}
	t, err := a.throttle.begin(who, a.digest(who.account, password, creds), at.Protocol)
	if err != nil {
		return nil, err
	}
	var c *directory.Credential
	if at.proof != nil {
		c, err = a.prove(at, acc, creds)
	} else {
		c, err = a.verify(ctx, at.Protocol, password, who, acc, creds)
	}
	switch {
	case errors.Is(err, ErrInvalid):
		a.throttle.fail(t, err)
		return c, err
	case err != nil:
		a.throttle.cancel(t)
		return nil, err
	}
	a.throttle.cancel(t)
	return c, a.admit(acc, c, who, at.Remote)
}

// admit ends a login with the right password.
func (a *Authenticator) admit(acc directory.Account, c *directory.Credential, who pair, from netip.Addr) error {
	if acc.Disabled {
		return &DisabledError{acc.Message}
	}
	a.throttle.succeed(who)
	a.usedMu.Lock()
	u := directory.Use{At: time.Now()}
	if from.IsValid() {
		u.From = from.Unmap().WithZone("").String()
	}
	a.used[c.ID] = u
	a.usedMu.Unlock()
	return nil
}

// verify waits for its turn and looks for the credential. The error is a *refusal, and the
// credential is given too, if it is not for the protocol.
func (a *Authenticator) verify(ctx context.Context, protocol, password string, who pair, acc directory.Account, creds []directory.Credential) (*directory.Credential, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting to check a password: %w", ErrUnavailable, context.Cause(ctx))
	}
	// While this one waited, the same password may have been found good for another
	// connection, or others may have failed too often.
	if c := a.recall(protocol, password, creds); c != nil {
		return c, nil
	}
	if err := a.throttle.paused(who); err != nil {
		return nil, err
	}
	c := a.match(acc, creds, password)
	switch {
	case c == nil:
		return nil, ErrInvalid
	case !a.allows(c, protocol):
		return c, otherDoor(c, protocol)
	}
	a.remember.put(c.ID, memory{mac: a.mac(c, password), address: acc.Address})
	return c, nil
}

// checkIdentity allows acting as oneself only, in any spelling (RFC 4616 section 2).
func (a *Authenticator) checkIdentity(ctx context.Context, at Attempt, acc directory.Account) error {
	if at.Identity == "" || at.Identity == at.Username {
		return nil
	}
	other, _, err := a.dir.Login(ctx, at.Identity)
	if err == nil && other.ID == acc.ID {
		return nil
	}
	if err == nil || unknown(err) {
		return ErrInvalid
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// report logs an outcome. A name that is no address is left out: people type their
// password into the wrong field.
func (a *Authenticator) report(at Attempt, acc directory.Account, err error) {
	log, level, text := at.Log, slog.LevelWarn, "login refused"
	if log == nil { // a session's logger has both
		log = a.log.With("remote", at.Remote, "protocol", at.Protocol)
	}
	switch {
	case err == nil:
		level, text = slog.LevelInfo, "login"
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, context.Canceled):
		level, text = slog.LevelError, "login not checked"
	}
	if !log.Enabled(context.Background(), level) {
		return
	}
	name := acc.Address
	if typed, err := directory.ParseAddress(at.Username); name == "" && err == nil && strings.Contains(typed.Domain, ".") {
		name = typed.String()
	}
	args := []any{"account", name, "mechanism", at.Mechanism, "tls", at.TLS != nil}
	if err != nil {
		args = append(args, "error", err)
	}
	log.Log(context.Background(), level, text, args...)
}

// Forget drops what is remembered about an account, by its canonical address: good
// passwords and failed logins. For when its password has been changed or reset.
func (a *Authenticator) Forget(address string) {
	a.remember.forget(address)
	a.throttle.forget(address)
}

// unknown reports whether the directory says that there is no such account.
func unknown(err error) bool {
	return errors.Is(err, directory.ErrInvalidAddress) || errors.Is(err, directory.ErrNoDomain) || errors.Is(err, directory.ErrNoAccount)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: slowed down after failures: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// client is what failures from an address count for: nobody if it stands for everybody.
func (a *Authenticator) client(remote netip.Addr) netip.Addr {
	if a.shared != nil && a.shared(remote) {
		return netip.Addr{}
	}
	return client(remote)
}
