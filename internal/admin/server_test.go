package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/queue"
	"kurir/store"
)

// recorder is Operations that notes each call and answers with what it was given.
type recorder struct {
	got string
	err error
}

func (r *recorder) note(name string, q any) error {
	r.got = fmt.Sprintf("%s %+v", name, q)
	return r.err
}

func (r *recorder) AddDomain(_ context.Context, q string) error { return r.note("AddDomain", q) }
func (r *recorder) AddDomainAlias(_ context.Context, q Domain) error {
	return r.note("AddDomainAlias", q)
}
func (r *recorder) RemoveDomainAlias(_ context.Context, q string) error {
	return r.note("RemoveDomainAlias", q)
}
func (r *recorder) RemoveDomain(_ context.Context, q string) error { return r.note("RemoveDomain", q) }
func (r *recorder) ListDomains(context.Context) ([]Domain, error) {
	return []Domain{{Name: "a.test", Accounts: 3}, {Name: "b.test", AliasOf: "a.test"}}, r.note("ListDomains", nil)
}
func (r *recorder) AddAccount(_ context.Context, q NewAccount) (Added, error) {
	return Added{Address: q.Address, MailKept: true}, r.note("AddAccount", q)
}
func (r *recorder) ListAccounts(context.Context) ([]Account, error) {
	return []Account{{Address: "x@a.test", Disabled: true, Quota: 7, Created: time.Unix(1e9, 0).UTC()}}, r.note("ListAccounts", nil)
}
func (r *recorder) SetPassword(_ context.Context, q Password) error {
	return r.note("SetPassword", q)
}
func (r *recorder) SetQuota(_ context.Context, q Quota) error { return r.note("SetQuota", q) }
func (r *recorder) RenameAccount(_ context.Context, q Rename) error {
	return r.note("RenameAccount", q)
}
func (r *recorder) DisableAccount(_ context.Context, q Disable) error {
	return r.note("DisableAccount", q)
}
func (r *recorder) DisableDomain(_ context.Context, q Disable) error {
	return r.note("DisableDomain", q)
}
func (r *recorder) RemoveAccount(_ context.Context, q Remove) (Removed, error) {
	return Removed{Address: q.Address, MovedTo: "/removed/x"}, r.note("RemoveAccount", q)
}
func (r *recorder) AddAlias(_ context.Context, q Alias) error { return r.note("AddAlias", q) }
func (r *recorder) ListAliases(context.Context) ([]Alias, error) {
	return []Alias{{Address: "@a.test", Targets: []string{"x@a.test"}, MaySend: true}}, r.note("ListAliases", nil)
}
func (r *recorder) AddAppPassword(_ context.Context, q NewAppPassword) (AddedAppPassword, error) {
	return AddedAppPassword{Address: q.Address, Name: q.Name, Protocols: q.Protocols, Password: "x"}, r.note("AddAppPassword", q)
}
func (r *recorder) InviteAccount(_ context.Context, q string) (Invited, error) {
	return Invited{Address: q, URL: "https://h/setup/i/T", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, r.note("InviteAccount", q)
}

func (r *recorder) RevokeInvites(_ context.Context, q string) (RevokedInvites, error) {
	return RevokedInvites{2}, r.note("RevokeInvites", q)
}

func (r *recorder) ListAppPasswords(_ context.Context, q string) ([]AppPassword, error) {
	at := time.Unix(1e9, 0).UTC()
	return []AppPassword{{Name: "tablet", Protocols: []string{"imap"}, Created: at}, {Name: "phone", Created: at, LastUsed: at, LastFrom: "::1"}}, r.note("ListAppPasswords", q)
}
func (r *recorder) RevokeAppPassword(_ context.Context, q RevokeAppPassword) error {
	return r.note("RevokeAppPassword", q)
}
func (r *recorder) SetAlias(_ context.Context, q Alias) error { return r.note("SetAlias", q) }
func (r *recorder) ListLogins(_ context.Context, q LoginQuery) ([]LoginRecord, error) {
	return []LoginRecord{{Result: "ok", Count: 7, Last: time.Unix(1e9, 0).UTC()}}, r.note("ListLogins", q)
}
func (r *recorder) RemoveAlias(_ context.Context, q string) error { return r.note("RemoveAlias", q) }
func (r *recorder) ListMailboxes(_ context.Context, q string) ([]Mailbox, error) {
	return []Mailbox{{Name: "Grüße/<2026>", Messages: 1}}, r.note("ListMailboxes", q)
}
func (r *recorder) Fsck(_ context.Context, q Fsck) (FsckReport, error) {
	return FsckReport{Address: q.Address, Findings: []Finding{{Mailbox: "INBOX", What: "mended", Repaired: true}}}, r.note("Fsck", q)
}
func (r *recorder) ListDKIM(_ context.Context, q string) ([]DKIMKey, error) {
	return []DKIMKey{{Domain: q, Selector: "k1", State: "retiring", Since: time.Unix(1e9, 0).UTC(), Ends: time.Unix(2e9, 0).UTC()}}, r.note("ListDKIM", q)
}
func (r *recorder) DKIMRecords(_ context.Context, q string) ([]DKIMKey, error) {
	return []DKIMKey{{Domain: q, Value: "v=DKIM1"}}, r.note("DKIMRecords", q)
}

func (r *recorder) RotateDKIM(_ context.Context, q RotateDKIM) (RotatedDKIM, error) {
	return RotatedDKIM{Keys: []DKIMKey{{Value: "v=DKIM1; p=<x>"}}, Made: true}, r.note("RotateDKIM", q)
}
func (r *recorder) ListCertificates(context.Context) ([]Certificate, error) {
	at := time.Unix(1e9, 0).UTC()
	return []Certificate{{Names: []string{"mail.a.test"}, Host: true, Source: SourceCA, State: StateLate, NotAfter: at, Problem: "two\nlines"}}, r.note("ListCertificates", nil)
}
func (r *recorder) RenewCertificates(_ context.Context, q RenewCertificates) ([]Certificate, error) {
	return []Certificate{{Names: q.Names, State: StateValid}}, r.note("RenewCertificates", q)
}
func (r *recorder) ListQueue(_ context.Context, q QueueFilter) ([]QueueEntry, error) {
	return []QueueEntry{{ID: "a1", Sender: "x@a.test", Recipient: "é@b.test", State: "waiting", Due: time.Unix(1e9, 0).UTC()}}, r.note("ListQueue", q)
}
func (r *recorder) ShowQueue(_ context.Context, q string) (QueueDetail, error) {
	return QueueDetail{ID: q, Recipients: []QueueEntry{}, Events: []QueueEvent{{Kind: "accepted", Reply: "two\nlines"}}}, r.note("ShowQueue", q)
}
func (r *recorder) ChangeQueue(_ context.Context, q QueueChange) (Changed, error) {
	return Changed{Recipients: 3}, r.note("ChangeQueue", q)
}
func (r *recorder) Trace(_ context.Context, q TraceQuery) ([]TracedMessage, error) {
	return []TracedMessage{{ID: "m1", To: []string{"x@b.test"}, Outcome: "sent", Steps: []TraceStep{{Kind: "sent", Text: q.What}}}}, r.note("Trace", q)
}

func (r *recorder) ListSuppressed(context.Context) ([]Suppressed, error) {
	return []Suppressed{{Address: "x@b.test", Refused: true, Days: 2, Reply: "550 5.1.1 no"}}, r.note("ListSuppressed", nil)
}
func (r *recorder) Unsuppress(_ context.Context, q Unsuppress) (Unsuppressed, error) {
	return Unsuppressed{Removed: q.Addresses}, r.note("Unsuppress", q)
}
func (r *recorder) Send(_ context.Context, q Outgoing, m io.Reader) (Sent, error) {
	b, err := io.ReadAll(m)
	return Sent{ID: "m1", Refused: []Refused{{"y@b.test", 550, "5.1.1", "no such user"}}}, errors.Join(err, r.note("Send "+string(b), q))
}
func (r *recorder) Reload(context.Context) (Reloaded, error) {
	return Reloaded{Changed: []string{"smtp.address"}, Restart: []string{"data"}}, r.note("Reload", nil)
}
func (r *recorder) Health(context.Context) (Health, error) {
	return Health{Problems: map[string]string{"disk": "full"}}, r.note("Health", nil)
}
func (r *recorder) Version(context.Context) (Version, error) {
	return Version{Version: "1", Go: "go", PID: 42}, r.note("Version", nil)
}

// start serves o on a socket in a fresh directory and returns the socket's path and a
// function that stops the server.
func start(t *testing.T, o Operations) (path string, stop func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "control.sock")
	l, err := ListenSocket(t.Context(), fsx.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{Operations: o, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
	stop = func() {
		cancel()
		if err, open := <-done; open && err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(func() { cancel() })
	return path, stop
}

// TestOperationsThroughSocket makes each call directly and through the socket: the
// answers and what arrives must be the same.
func TestOperationsThroughSocket(t *testing.T) {
	far := &recorder{}
	path, stop := start(t, far)
	c := NewClient(path)
	defer c.Close()
	ctx := t.Context()
	calls := []func(o Operations) (any, error){
		func(o Operations) (any, error) { return nil, o.AddDomain(ctx, "a.test") },
		func(o Operations) (any, error) {
			return nil, o.AddDomainAlias(ctx, Domain{Name: "b.test", AliasOf: "a.test"})
		},
		func(o Operations) (any, error) { return nil, o.RemoveDomainAlias(ctx, "b.test") },
		func(o Operations) (any, error) { return nil, o.RemoveDomain(ctx, "a.test") },
		func(o Operations) (any, error) { return o.ListDomains(ctx) },
		func(o Operations) (any, error) {
			return o.AddAccount(ctx, NewAccount{Address: "x@a.test", Password: "p\x00\"é", Quota: 1 << 40})
		},
		func(o Operations) (any, error) { return o.ListAccounts(ctx) },
		func(o Operations) (any, error) {
			return o.AddAccounts(ctx, []BulkAccount{{Address: "x@a.test", Verifier: "$2y$", Defer: true, Message: "ü"}})
		},
		func(o Operations) (any, error) { return nil, o.SetVerifier(ctx, Verifier{"x@a.test", "$2y$"}) },
		func(o Operations) (any, error) { return o.ListVerifiers(ctx) },
		func(o Operations) (any, error) { return nil, o.SetPassword(ctx, Password{"x@a.test", "secret"}) },
		func(o Operations) (any, error) { return nil, o.SetQuota(ctx, Quota{"x@a.test", 5}) },
		func(o Operations) (any, error) { return nil, o.RenameAccount(ctx, Rename{"x@a.test", "y@a.test"}) },
		func(o Operations) (any, error) {
			return nil, o.DisableAccount(ctx, Disable{"x@a.test", true, true, "grüße"})
		},
		func(o Operations) (any, error) {
			return nil, o.DisableDomain(ctx, Disable{Address: "a.test", Message: "m"})
		},
		func(o Operations) (any, error) { return o.RemoveAccount(ctx, Remove{"x@a.test", true}) },
		func(o Operations) (any, error) {
			return o.AddAppPassword(ctx, NewAppPassword{Address: "x@a.test", Name: "a b \\ é", Protocols: []string{"imap"}})
		},
		func(o Operations) (any, error) { return o.ListLogins(ctx, LoginQuery{"x@a.test", true, 5}) },
		func(o Operations) (any, error) { return o.InviteAccount(ctx, "x@a.test") },
		func(o Operations) (any, error) { return o.RevokeInvites(ctx, "x@a.test") },
		func(o Operations) (any, error) { return o.ListAppPasswords(ctx, "x@a.test") },
		func(o Operations) (any, error) {
			return nil, o.RevokeAppPassword(ctx, RevokeAppPassword{"x@a.test", "é"})
		},
		func(o Operations) (any, error) {
			return nil, o.AddAlias(ctx, Alias{Address: "i@a.test", Targets: []string{"x@a.test", "y@a.test"}, MaySend: true})
		},
		func(o Operations) (any, error) {
			return nil, o.SetAlias(ctx, Alias{Address: "i@a.test", Targets: []string{"x@a.test"}, Post: "members"})
		},
		func(o Operations) (any, error) { return o.ListAliases(ctx) },
		func(o Operations) (any, error) { return nil, o.RemoveAlias(ctx, "i@a.test") },
		func(o Operations) (any, error) { return o.ListMailboxes(ctx, "x@a.test") },
		func(o Operations) (any, error) { return o.Fsck(ctx, Fsck{"x@a.test", true}) },
		func(o Operations) (any, error) { return o.ListDKIM(ctx, "a.test") },
		func(o Operations) (any, error) { return o.DKIMRecords(ctx, "a.test") },
		func(o Operations) (any, error) { return o.RotateDKIM(ctx, RotateDKIM{"a.test", true}) },
		func(o Operations) (any, error) {
			return o.ListQueue(ctx, QueueFilter{IDs: []string{"a"}, Domain: "b.test", Held: true, MinAge: time.Hour, Limit: 7})
		},
		func(o Operations) (any, error) { return o.ShowQueue(ctx, "a1") },
		func(o Operations) (any, error) {
			return o.ChangeQueue(ctx, QueueChange{Action: QueueDrop, Filter: QueueFilter{Error: "5.1.1 <\">"}})
		},
		func(o Operations) (any, error) { return o.ListCertificates(ctx) },
		func(o Operations) (any, error) {
			return o.RenewCertificates(ctx, RenewCertificates{Names: []string{"mail.a.test"}, NewKey: true})
		},
		func(o Operations) (any, error) { return o.ListSuppressed(ctx) },
		func(o Operations) (any, error) { return o.Trace(ctx, TraceQuery{What: "m1", Limit: 3}) },
		func(o Operations) (any, error) { return o.Unsuppress(ctx, Unsuppress{Addresses: []string{"x@b.test"}}) },
		func(o Operations) (any, error) {
			return o.Send(ctx, Outgoing{From: "x@a.test", To: []string{"é@b.test", "\"a b\"@c.test"}, Notify: "NEVER", EnvID: "\r\n+1", UTF8: true},
				strings.NewReader("Subject: hi\n\nbody\x00é\r\n.\r\n"))
		},
		func(o Operations) (any, error) { return o.Reload(ctx) },
		func(o Operations) (any, error) { return o.Health(ctx) },
		func(o Operations) (any, error) { return o.Version(ctx) },
	}
	for _, q := range []any{"s", Domain{Name: "s"}, NewAccount{Address: "s"}, Password{Address: "s"}, Verifier{Address: "s"}, Quota{Address: "s"},
		Disable{Address: "s"}, Remove{Address: "s"}, Alias{Address: "s"}, Fsck{Address: "s"}} {
		if subjectOf(q) != "s" {
			t.Errorf("the log does not say whom %T is about", q)
		}
	}
	if got := subjectOf(QueueChange{Action: "hold", Filter: QueueFilter{IDs: []string{"s"}}}); got != "hold s" {
		t.Errorf("the log says of a change of the queue: %q", got)
	}
	if got := subjectOf(RotateDKIM{Domain: "a", Now: true}); got != "a, at once" {
		t.Errorf("the log says of a rotation: %q", got)
	}
	if a, b := subjectOf(NewAppPassword{Address: "a", Name: "b"}), subjectOf(RevokeAppPassword{"a", "b"}); a != "a b" || b != a {
		t.Errorf("the log says of app passwords: %q, %q", a, b)
	}
	if got := subjectOf(Rename{Old: "a", New: "b"}); got != "a to b" {
		t.Errorf("the log says of a rename: %q", got)
	}
	if want := reflect.TypeFor[Operations]().NumMethod(); len(calls) != want || len(operations())+1 != want { // Send is served by itself
		t.Fatalf("%d calls tested and %d served of %d operations", len(calls), len(operations()), want)
	}
	for _, call := range calls {
		near := &recorder{}
		want, err := call(near)
		if err != nil {
			t.Fatal(err)
		}
		got, err := call(c)
		if err != nil || !reflect.DeepEqual(got, want) || far.got != near.got {
			t.Errorf("%s: got %+v, %v (call %s), want %+v", near.got, got, err, far.got, want)
		}
	}
	stop()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after the stop: %v", err)
	}
	if err := c.AddDomain(ctx, "a.test"); !errors.Is(err, ErrNoServer) {
		t.Errorf("a call without a server: %v", err)
	}
}

// TestErrorsThroughSocket: text and kind arrive, for each kind.
func TestErrorsThroughSocket(t *testing.T) {
	far := &recorder{}
	path, _ := start(t, far)
	c := NewClient(path)
	defer c.Close()
	for _, is := range []error{
		directory.ErrNoDomain, directory.ErrNoAccount, directory.ErrNoAlias, directory.ErrNoCredential, directory.ErrExists, directory.ErrInUse,
		directory.ErrInvalidAddress, directory.ErrLoop, auth.ErrPassword,
		store.ErrAccountExists, store.ErrNoAccount, store.ErrNewer, store.ErrDiskFull, store.ErrUnavailable,
		queue.ErrNoMessage, queue.ErrFull, queue.ErrBusy,
	} {
		far.err = fmt.Errorf("of alice: %w; do this", is)
		_, err := c.ListDomains(t.Context())
		if !errors.Is(err, is) || err.Error() != far.err.Error() {
			t.Errorf("%v arrived as %v", far.err, err)
		}
	}
	far.err = errors.New("of no kind")
	if err := c.AddDomain(t.Context(), "x"); err == nil || err.Error() != "of no kind" {
		t.Errorf("an error of no kind arrived as %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	path, _ := start(t, &recorder{})
	c := NewClient(path)
	defer c.Close()
	if err := c.act(t.Context(), "domain.rename", "x"); !errors.Is(err, ErrOtherVersion) {
		t.Errorf("an unknown operation: %v", err)
	}
	for _, q := range []any{7, map[string]int{"address": 7}, map[string]string{"colour": "red"}} {
		if err := c.act(t.Context(), "account.passwd", q); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("body %v: %v", q, err)
		}
	}
	if err := c.act(t.Context(), "domain.add", strings.Repeat("x", maxRequest)); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a body over the bound: %v", err)
	}
	resp, err := c.http.Get("http://kurir/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", resp.Status)
	}
}

// slow is an operation that lasts until its context ends.
type slow struct {
	recorder
	entered chan struct{}
}

func (s *slow) Fsck(ctx context.Context, _ Fsck) (FsckReport, error) {
	close(s.entered)
	<-ctx.Done()
	return FsckReport{}, ctx.Err()
}

func TestStopCutsSlowCalls(t *testing.T) {
	o := &slow{entered: make(chan struct{})}
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := ListenSocket(t.Context(), fsx.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&Server{Operations: o, Log: slog.New(slog.DiscardHandler), Grace: time.Millisecond}).Serve(ctx, l)
	}()
	c := NewClient(path)
	defer c.Close()
	answered := make(chan error, 1)
	go func() {
		_, err := c.Fsck(context.Background(), Fsck{})
		answered <- err
	}()
	<-o.entered
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("the call that was cut returned no error")
	}
}

// TestClientCancels: the server's work ends with the client.
func TestClientCancels(t *testing.T) {
	o := &slow{entered: make(chan struct{})}
	path, stop := start(t, o)
	c := NewClient(path)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-o.entered; cancel() }()
	if _, err := c.Fsck(ctx, Fsck{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: %v", err)
	}
	stop()
}

func TestSocketFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "control.sock")
	l, err := ListenSocket(t.Context(), fsx.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}

	// A socket that a dead server left over.
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	if _, err := NewClient(path).Version(t.Context()); !errors.Is(err, ErrNoServer) {
		t.Errorf("a call to a dead socket: %v", err)
	}
	l, err = ListenSocket(t.Context(), fsx.OS{}, path)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	l.Close()

	// Anything else is not kurir's to remove.
	if err := os.WriteFile(path, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenSocket(t.Context(), fsx.OS{}, path); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("a file in the socket's place: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "notes" {
		t.Error("the file in the socket's place is gone")
	}
	if _, err := ListenSocket(t.Context(), fsx.OS{}, filepath.Join(dir, "no", "control.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}

// TestLongSocketPath: a path longer than a socket address works all the same.
func TestLongSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100), strings.Repeat("e", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "control.sock")
	l, err := ListenSocket(t.Context(), fsx.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Server{Operations: &recorder{}, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l) }()
	c := NewClient(path)
	defer c.Close()
	if v, err := c.Version(ctx); err != nil || v.PID != 42 {
		t.Errorf("Version: %+v, %v", v, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the stop: %v", err)
	}
}
