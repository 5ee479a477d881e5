package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/directory"
	"kurir/internal/sqldb"
)

// office is a directory in memory, so that bubbles of synctest need no database.
// Addresses are canonical as they stand.
type office struct {
	mu      sync.Mutex
	rows    map[string]row
	fails   error
	touched []map[int64]directory.Use
}

type row struct {
	acc   directory.Account
	creds []directory.Credential
}

func (o *office) Login(_ context.Context, name string) (directory.Account, []directory.Credential, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails != nil {
		return directory.Account{}, nil, o.fails
	}
	r, ok := o.rows[strings.ToLower(name)]
	switch {
	case !strings.HasSuffix(strings.ToLower(name), "@example.com"):
		return directory.Account{}, nil, directory.ErrNoDomain
	case !ok:
		return directory.Account{Address: strings.ToLower(name)}, nil, directory.ErrNoAccount
	}
	return r.acc, r.creds, nil
}

func (o *office) Touch(_ context.Context, used map[int64]directory.Use) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fails != nil {
		return o.fails
	}
	o.touched = append(o.touched, used)
	return nil
}

// writes is what Touch was given so far.
func (o *office) writes() []map[int64]directory.Use {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.touched)
}

// quick is a hash function that costs nothing.
func quick(password, salt []byte, _ params, n int) []byte {
	sum := sha256.Sum256(append(append([]byte{}, salt...), password...))
	return sum[:n]
}

func quickVerifier(password string) string {
	v := verifier{params: current, salt: []byte(fmt.Sprintf("salt of %-10s", password))}
	v.key = quick([]byte(password), v.salt, v.params, keyBytes)
	return v.String()
}

func (o *office) set(id int64, address string, passwords ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := row{acc: directory.Account{ID: id, Address: address}}
	for i, p := range passwords {
		r.creds = append(r.creds, directory.Credential{ID: id*100 + int64(i), Kind: directory.KindPassword, Verifier: quickVerifier(p)})
	}
	o.rows[address] = r
}

// bench is an Authenticator that counts its hashes, for accounts anna, bert … dora
// @example.com with the password "right".
type bench struct {
	*Authenticator
	dir    *office
	hashes atomic.Int64
	log    bytes.Buffer
}

func newBench(o Options) *bench {
	b := &bench{dir: &office{rows: map[string]row{}}}
	for i, name := range []string{"anna", "bert", "carl", "dora"} {
		b.dir.set(int64(i+1), name+"@example.com", "right")
	}
	o.Directory = b.dir
	o.Log = slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.Authenticator = New(o)
	b.hash = func(password, salt []byte, p params, n int) []byte {
		b.hashes.Add(1)
		return quick(password, salt, p, n)
	}
	return b
}

var (
	home   = netip.MustParseAddr("192.0.2.1")
	away   = netip.MustParseAddr("198.51.100.7")
	others = netip.MustParseAddr("203.0.113.0")
)

func (b *bench) login(from netip.Addr, name, password string) error {
	_, err := b.Authenticate(context.Background(), Attempt{Protocol: "imap", Mechanism: "PLAIN", Remote: from, TLS: &tls.ConnectionState{Version: tls.VersionTLS13}, Username: name + "@example.com", Password: password})
	return err
}

func TestAuthenticate(t *testing.T) {
	synctest.Test(t, testAuthenticate)
}

func testAuthenticate(t *testing.T) {
	b, ctx := newBench(Options{}), t.Context()
	got, err := b.Authenticate(ctx, Attempt{Protocol: "imap", Remote: home, Username: "ANNA@Example.com", Password: "right"})
	if err != nil || got.Address != "anna@example.com" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, at := range []Attempt{
		{Username: "anna@example.com", Password: "tippfehler"},
		{Username: "anna@example.com", Password: ""},
		{Username: "anna@example.com", Password: "right\x00"},
		{Username: "nobody@example.com", Password: "right"},
		{Username: "right", Password: "right"},
		{Username: "", Password: ""},
		{Username: "anna@example.com", Password: "right", Identity: "bert@example.com"},
		{Username: "anna@example.com", Password: "right", Identity: "nobody@example.com"},
	} {
		at.Remote = away
		if got, err := b.Authenticate(ctx, at); got != (Login{}) || err != ErrInvalid {
			t.Errorf("%+v: got %v, %v; want plain ErrInvalid", at, got, err)
		}
	}
	for _, id := range []string{"", "anna@example.com", "Anna@EXAMPLE.com"} {
		if _, err := b.Authenticate(ctx, Attempt{Remote: home, Username: "anna@example.com", Password: "right", Identity: id}); err != nil {
			t.Errorf("as %q: %v", id, err)
		}
	}
	r := b.dir.rows["bert@example.com"]
	r.acc.Disabled, r.acc.Message = true, "in März"
	b.dir.rows["bert@example.com"] = r
	if err := b.login(home, "bert", "wrong"); err != ErrInvalid {
		t.Errorf("disabled, wrong password: %v", err)
	}
	for range 2 {
		if err := b.login(home, "bert", "right"); !errors.Is(err, ErrDisabled) || Disabled("closed", err) != "closed: in Marz" {
			t.Errorf("disabled, right password: %v", err)
		}
	}
	b.dir.fails = errors.New("disk on fire")
	if err := b.login(home, "anna", "right"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, b.dir.fails) {
		t.Errorf("directory fails: %v", err)
	}
	log := b.log.String()
	for _, level := range []string{"INFO", "WARN", "ERROR"} {
		if !strings.Contains(log, "level="+level) {
			t.Errorf("no %s in the log", level)
		}
	}
	for _, password := range []string{"right", "tippfehler"} {
		if strings.Contains(log, password) {
			t.Errorf("password %q in the log: %s", password, log)
		}
	}
}

// Unknown name and wrong password: the same error after the same work.
func TestSameWorkForUnknown(t *testing.T) {
	for _, c := range []struct{ what, name, password string }{
		{"wrong password", "anna", "wrong"},
		{"no such account", "nobody", "wrong"},
		{"account without a credential", "empty", "wrong"},
		{"credential for another protocol", "popper", "right"},
		{"broken verifier", "broken", "right"},
	} {
		b := newBench(Options{})
		b.dir.set(7, "empty@example.com")
		b.dir.set(8, "popper@example.com", "right")
		b.dir.rows["popper@example.com"].creds[0].Protocols = "pop3"
		b.dir.set(9, "broken@example.com", "right")
		b.dir.rows["broken@example.com"].creds[0].Verifier = "{PLAIN}right"
		var used params
		inner := b.hash
		b.hash = func(password, salt []byte, p params, n int) []byte {
			used = p
			return inner(password, salt, p, n)
		}
		for _, round := range []string{"first", "repeated"} {
			err := b.login(home, c.name, c.password)
			if err != ErrInvalid || b.hashes.Load() != 1 || used != current {
				t.Errorf("%s, %s: %v after %d hashes of %v", c.what, round, err, b.hashes.Load(), used)
			}
		}
		if strings.Contains(b.log.String(), "{PLAIN}") {
			t.Errorf("%s: a verifier got into the log", c.what)
		}
	}
	// Names that are in no domain of ours too.
	b := newBench(Options{})
	if _, err := b.Authenticate(t.Context(), Attempt{Username: "x@elsewhere.test", Password: "y"}); err != ErrInvalid || b.hashes.Load() != 1 {
		t.Errorf("foreign domain: %v after %d hashes", err, b.hashes.Load())
	}
}

func TestGoodPasswordIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		expect := func(what, password string, want error, hashes int64) {
			t.Helper()
			before := b.hashes.Load()
			if err := b.login(home, "anna", password); err != want || b.hashes.Load()-before != hashes {
				t.Errorf("%s: %v after %d hashes, want %v after %d", what, err, b.hashes.Load()-before, want, hashes)
			}
		}
		expect("first", "right", nil, 1)
		expect("again", "right", nil, 0)
		expect("a wrong one", "wrong", ErrInvalid, 1)
		expect("still", "right", nil, 0)
		time.Sleep(9*time.Minute + 59*time.Second)
		expect("after nearly ten minutes", "right", nil, 0)
		time.Sleep(time.Second)
		expect("after ten", "right", nil, 1)
		b.dir.set(1, "anna@example.com", "new")
		expect("old one after a change", "right", ErrInvalid, 1)
		expect("new one", "new", nil, 1)
		b.dir.set(1, "anna@example.com", "right")
		expect("changed back", "right", nil, 1)
		b.Forget("anna@example.com")
		expect("after Forget", "right", nil, 1)
		b.Forget("bert@example.com")
		expect("after another's Forget", "right", nil, 0)
		b.dir.mu.Lock()
		delete(b.dir.rows, "anna@example.com")
		b.dir.mu.Unlock()
		expect("account removed", "right", ErrInvalid, 1)
		if n := len(b.remember.entries.nodes); n > 4 {
			t.Errorf("%d passwords remembered", n)
		}
	})
	b := newBench(Options{Remember: -1})
	for range 3 {
		b.login(home, "anna", "right")
	}
	if b.hashes.Load() != 3 {
		t.Errorf("remembering is off, and yet there were %d hashes", b.hashes.Load())
	}
}

// Several credentials: each is tried, those of other protocols too, whose owner is told so.
func TestAppPasswords(t *testing.T) {
	b := newBench(Options{})
	b.dir.set(1, "anna@example.com", "main", "phone", "pop")
	b.dir.rows["anna@example.com"].creds[2].Protocols = "pop3"
	for password, want := range map[string]error{"main": nil, "phone": nil, "pop": ErrInvalid} {
		for range 2 {
			if err := b.login(home, "anna", password); err != want {
				t.Errorf("%s: %v", password, err)
			}
		}
	}
	if n := b.hashes.Load(); n != 1+2+3 {
		t.Errorf("%d hashes", n)
	}
}

func TestHashesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Workers: 2})
		var running, most atomic.Int64
		b.hash = func(password, salt []byte, p params, n int) []byte {
			if r := running.Add(1); r > most.Load() {
				most.Store(r)
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return quick(password, salt, p, n)
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { b.login(home, fmt.Sprint("nobody", i), "x") })
		}
		// Whoever waits longer than he may gives up, and that is no failed login.
		time.Sleep(time.Millisecond)
		short, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := b.Authenticate(short, Attempt{Remote: away, Username: "anna@example.com", Password: "wrong"})
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited too long: %v", err)
		}
		if s := b.throttle.accounts.get("anna@example.com"); s == nil || s.score != 0 || len(b.throttle.guesses.nodes) != 8 {
			t.Errorf("giving up counted as failed: %+v", s)
		}
		all.Wait()
		if most.Load() != 2 {
			t.Errorf("%d hashes at once, want 2", most.Load())
		}
	})
}

// A phone opens many connections at once; two hashes at most are spent on its password.
func TestSamePasswordAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{Workers: 2})
		inner := b.hash
		b.hash = func(password, salt []byte, p params, n int) []byte {
			time.Sleep(time.Second)
			return inner(password, salt, p, n)
		}
		start := time.Now()
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				if err := b.login(home, "anna", "right"); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := b.hashes.Load(); n > 2 || time.Since(start) > time.Second {
			t.Errorf("%d hashes in %v", n, time.Since(start))
		}
	})
}

func TestLastUseIsNotedLazily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx); close(done) }()
		for range 500 {
			b.login(home, "anna", "right")
			b.login(home, "bert", "right")
			time.Sleep(time.Second / 10)
		}
		if n := len(b.dir.writes()); n != 0 {
			t.Errorf("%d writes within the first minute", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w := b.dir.writes(); len(w) != 1 || len(w[0]) != 2 {
			t.Errorf("after a minute: %v", w)
		}
		time.Sleep(5 * time.Minute)
		b.dir.mu.Lock()
		b.dir.fails = errors.New("disk full")
		b.dir.mu.Unlock()
		b.keepUses(map[int64]directory.Use{300: {At: time.Now()}, 301: {At: time.Now()}})
		time.Sleep(time.Minute)
		b.dir.mu.Lock()
		b.dir.fails = nil
		b.dir.mu.Unlock()
		cancel()
		<-done
		if w := b.dir.writes(); len(w) != 2 || len(w[1]) != 2 {
			t.Errorf("what could not be written was lost, or minutes without logins wrote: %v", w)
		}
	})
}

// A session's logger names the protocol itself: it is said once.
func TestLogNamesProtocolOnce(t *testing.T) {
	a := New(Options{Directory: noDirectory{}, Log: slog.New(slog.DiscardHandler)})
	var own, session bytes.Buffer
	a.log = slog.New(slog.NewTextHandler(&own, nil))
	at := Attempt{Protocol: "pop3", Remote: home, Username: "nobody@example.com", Password: "secret"}
	a.Authenticate(t.Context(), at)
	at.Log = slog.New(slog.NewTextHandler(&session, nil)).With("protocol", "pop3")
	a.Authenticate(t.Context(), at)
	for _, log := range []string{own.String(), session.String()} {
		if strings.Count(log, "protocol=pop3") != 1 || strings.Contains(log, "secret") {
			t.Error(log)
		}
	}
}

// noDirectory has no account.
type noDirectory struct{}

func (noDirectory) Login(context.Context, string) (directory.Account, []directory.Credential, error) {
	return directory.Account{}, nil, directory.ErrNoAccount
}

func (noDirectory) Touch(context.Context, map[int64]directory.Use) error { return nil }

// The whole with the real directory and the real hash.
func TestWithDirectory(t *testing.T) {
	ctx := t.Context()
	db, err := sqldb.Open(ctx, filepath.Join(t.TempDir(), "kurir.db"), directory.Migrations)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := directory.New(db)
	v, err := HashPassword("pässword")
	if err == nil {
		_, err = d.AddDomain(ctx, "example.com")
	}
	if err == nil {
		_, err = d.AddDomainAlias(ctx, "example.org", "example.com")
	}
	if err == nil {
		_, err = d.AddAccount(ctx, "anna@example.com", directory.AccountOptions{Verifier: v})
	}
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Directory: d, Log: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		name, password string
		want           error
	}{
		{"anna@example.com", "pässword", nil},
		{"Anna@example.org", "pa\u0308ssword", nil},
		{"anna@example.com", "password", ErrInvalid},
		{"anna", "pässword", ErrInvalid},
		{"nobody@example.org", "pässword", ErrInvalid},
	} {
		got, err := a.Authenticate(ctx, Attempt{Protocol: "imap", Remote: home, Username: c.name, Password: c.password})
		if err != c.want || err == nil && got.Address != "anna@example.com" {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
	if err := d.SetPassword(ctx, "anna@example.com", quickVerifier("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, Attempt{Protocol: "imap", Remote: home, Username: "anna@example.com", Password: "pässword"}); err != ErrInvalid {
		t.Errorf("the old password after a change: %v", err)
	}
	a.noteUses(ctx)
	_, creds, _ := directory.New(db).Login(ctx, "anna@example.com")
	if len(creds) != 1 || creds[0].LastUsed.IsZero() {
		t.Errorf("last use not noted: %+v", creds)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	db, err := sqldb.Open(b.Context(), filepath.Join(b.TempDir(), "kurir.db"), directory.Migrations)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	d := directory.New(db)
	v, _ := HashPassword("right")
	d.AddDomain(b.Context(), "example.com")
	d.AddAccount(b.Context(), "anna@example.com", directory.AccountOptions{Verifier: v})
	a := New(Options{Directory: d, Log: slog.New(slog.DiscardHandler)})
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			if _, err := a.Authenticate(b.Context(), Attempt{Protocol: "imap", Remote: home, Username: "anna@example.com", Password: "right"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hashed", func(b *testing.B) {
		for b.Loop() {
			a.Forget("anna@example.com")
			if _, err := a.Authenticate(b.Context(), Attempt{Protocol: "imap", Remote: home, Username: "anna@example.com", Password: "right"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
