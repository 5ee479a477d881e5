package admin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/sqldb"
	"kurir/store"
)

// world is a service on real data in a fresh directory.
type world struct {
	*Service
	t         *testing.T
	dir       string
	forgotten []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	db, err := sqldb.Open(t.Context(), filepath.Join(w.dir, "kurir.db"), directory.Migrations, Migrations)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	st, err := store.Open(t.Context(), store.Options{Dir: w.dir, Hostname: "mail.example.test", NoWatch: true, Ledger: Ledger{DB: db}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Service = &Service{
		Directory: directory.New(db), Store: st, Program: "1.2.3",
		Forget: func(a string) { w.forgotten = append(w.forgotten, a) },
	}
	w.ok(w.AddDomain(t.Context(), "example.test"))
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// fails wants an error of the kind is whose text holds all of words.
func (w *world) fails(err, is error, words ...string) {
	w.t.Helper()
	if !errors.Is(err, is) {
		w.t.Fatalf("got %v, want %v", err, is)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("%q does not say %q", err, word)
		}
	}
}

func (w *world) add(address string) Added {
	w.t.Helper()
	added, err := w.AddAccount(w.t.Context(), NewAccount{Address: address, Password: "a fine password"})
	w.ok(err)
	return added
}

// deliver puts one message into the account's INBOX.
func (w *world) deliver(address string) {
	w.t.Helper()
	m, err := w.Store.Stage()
	w.ok(err)
	defer m.Close()
	_, err = m.Write([]byte("Subject: hello\r\n\r\nHi\r\n"))
	w.ok(err)
	failed, err := w.Store.Deliver(w.t.Context(), m, []store.Target{{Address: address}})
	w.ok(err)
	if len(failed) > 0 {
		w.t.Fatal(failed[0])
	}
}

// inbox returns how many messages an account's INBOX has, and its UIDVALIDITY.
func (w *world) inbox(address string) (messages, validity uint32) {
	w.t.Helper()
	boxes, err := w.ListMailboxes(w.t.Context(), address)
	w.ok(err)
	if len(boxes) == 0 || boxes[0].Name != "INBOX" {
		w.t.Fatalf("mailboxes of %s: %+v", address, boxes)
	}
	return boxes[0].Messages, boxes[0].UIDValidity
}

func (w *world) addresses() []string {
	w.t.Helper()
	list, err := w.ListAccounts(w.t.Context())
	w.ok(err)
	var all []string
	for _, a := range list {
		all = append(all, a.Address)
	}
	return all
}

func TestAccountLife(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if added := w.add("Alice@Example.Test"); added.Address != "alice@example.test" || added.MailKept {
		t.Errorf("added %+v", added)
	}
	boxes, err := w.ListMailboxes(ctx, "alice@example.test")
	w.ok(err)
	var names []string
	for _, b := range boxes {
		if !b.Subscribed {
			t.Errorf("%s is not subscribed", b.Name)
		}
		names = append(names, b.Name+"="+b.SpecialUse)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "Archive=Archive Drafts=Drafts INBOX= Junk=Junk Sent=Sent Trash=Trash" {
		t.Errorf("mailboxes: %s", got)
	}

	_, err = w.AddAccount(ctx, NewAccount{Address: "alice@example.test", Password: "other"})
	w.fails(err, directory.ErrExists, "kurir account passwd alice@example.test")

	w.deliver("alice@example.test")
	if n, _ := w.inbox("ALICE@example.test"); n != 1 {
		t.Errorf("%d messages after a delivery", n)
	}

	w.ok(w.SetQuota(ctx, Quota{"alice@example.test", 1 << 20}))
	w.ok(w.DisableAccount(ctx, Disable{Address: "alice@example.test", Disabled: true}))
	list, err := w.ListAccounts(ctx)
	w.ok(err)
	if len(list) != 1 || !list[0].Disabled || list[0].Quota != 1<<20 || list[0].Created.IsZero() {
		t.Errorf("list: %+v", list)
	}
	w.ok(w.DisableAccount(ctx, Disable{Address: "alice@example.test", Disabled: false}))

	_, before, err := w.Directory.Login(ctx, "alice@example.test")
	w.ok(err)
	w.ok(w.SetPassword(ctx, Password{"alice@example.test", "another password"}))
	_, after, err := w.Directory.Login(ctx, "alice@example.test")
	w.ok(err)
	if len(before) != 1 || len(after) != 1 || before[0].Verifier == after[0].Verifier {
		t.Errorf("the verifier has not changed: %+v, %+v", before, after)
	}
	if want := strings.Repeat("alice@example.test ", 3); strings.Join(w.forgotten, " ")+" " != want {
		t.Errorf("logins forgot %q", w.forgotten)
	}
}

func TestAddAccountRefusals(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	add := func(address, password string) error {
		_, err := w.AddAccount(ctx, NewAccount{Address: address, Password: password})
		return err
	}
	w.fails(add("alice", "x"), directory.ErrInvalidAddress)
	w.fails(add("alice@elsewhere.test", "a fine password"), directory.ErrNoDomain, "kurir domain add elsewhere.test")
	w.fails(add("alice@example.test", ""), auth.ErrPassword)
	if _, err := w.AddAccount(ctx, NewAccount{Address: "alice@example.test", Password: "a fine password", Quota: -1}); err == nil {
		t.Error("a quota below zero was taken")
	}
	// What is refused leaves nothing behind: neither a row nor folders.
	w.add("bob@example.test")
	w.ok(w.AddAlias(ctx, Alias{Address: "alice@example.test", Targets: []string{"bob@example.test"}}))
	w.fails(add("alice@example.test", "a fine password"), directory.ErrExists)
	if _, err := w.Store.Account(ctx, "alice@example.test"); !errors.Is(err, store.ErrNoAccount) {
		t.Errorf("folders of a refused account: %v", err)
	}
	w.ok(w.AddDomainAlias(ctx, Domain{Name: "example.net", AliasOf: "example.test"}))
	w.fails(add("carol@example.net", "a fine password"), directory.ErrNoDomain, "carol@example.test")
	if _, err := w.Store.Account(ctx, "carol@example.net"); !errors.Is(err, store.ErrNoAccount) {
		t.Errorf("folders of an account in a domain alias: %v", err)
	}
	if got := w.addresses(); len(got) != 1 {
		t.Errorf("accounts: %q", got)
	}
}

// TestAddAccountInterrupted: the folders were made, the row was not.
func TestAddAccountInterrupted(t *testing.T) {
	w := newWorld(t)
	w.ok(w.Store.CreateAccount(t.Context(), "alice@example.test"))
	if added := w.add("alice@example.test"); !added.MailKept {
		t.Error("MailKept is false")
	}
	w.deliver("alice@example.test")
	if n, _ := w.inbox("alice@example.test"); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestRenameAccount(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.add("bob@example.test")
	w.deliver("alice@example.test")
	_, validity := w.inbox("alice@example.test")

	w.fails(w.RenameAccount(ctx, Rename{"alice@example.test", "bob@example.test"}), directory.ErrExists)
	w.fails(w.RenameAccount(ctx, Rename{"alice@example.test", "alice@elsewhere.test"}), directory.ErrNoDomain)
	w.fails(w.RenameAccount(ctx, Rename{"alice@example.test", "alice"}), directory.ErrInvalidAddress)
	w.fails(w.RenameAccount(ctx, Rename{"carol@example.test", "dave@example.test"}), directory.ErrNoAccount)
	w.fails(w.RenameAccount(ctx, Rename{"carol@example.test", "bob@example.test"}), directory.ErrNoAccount)

	w.ok(w.RenameAccount(ctx, Rename{"alice@example.test", "Alice.Smith@example.test"}))
	if n, v := w.inbox("alice.smith@example.test"); n != 1 || v != validity {
		t.Errorf("after the rename: %d messages, UIDVALIDITY %d; want 1, %d", n, v, validity)
	}
	if got := w.addresses(); !slices.Equal(got, []string{"alice.smith@example.test", "bob@example.test"}) {
		t.Errorf("accounts: %q", got)
	}
	if _, err := w.Store.Account(ctx, "alice@example.test"); !errors.Is(err, store.ErrNoAccount) {
		t.Errorf("the old folder: %v", err)
	}
}

// TestRenameAccountInterrupted: the row was renamed, the folder was not.
func TestRenameAccountInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.deliver("alice@example.test")
	w.ok(w.Directory.RenameAccount(ctx, "alice@example.test", "ann@example.test"))
	w.ok(w.RenameAccount(ctx, Rename{"alice@example.test", "ann@example.test"}))
	if n, _ := w.inbox("ann@example.test"); n != 1 {
		t.Errorf("%d messages", n)
	}
	// Once done it is no interrupted rename any more.
	w.fails(w.RenameAccount(ctx, Rename{"alice@example.test", "ann@example.test"}), directory.ErrNoAccount)
}

// TestRenameAccountBlocked: a folder in the way leaves the account as it was.
func TestRenameAccountBlocked(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.ok(w.Store.CreateAccount(ctx, "ann@example.test"))
	w.fails(w.RenameAccount(ctx, Rename{"alice@example.test", "ann@example.test"}), store.ErrAccountExists)
	if got := w.addresses(); !slices.Equal(got, []string{"alice@example.test"}) {
		t.Errorf("accounts: %q", got)
	}
	w.inbox("alice@example.test")
}

func TestRemoveAccount(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.deliver("alice@example.test")
	_, validity := w.inbox("alice@example.test")
	removed, err := w.RemoveAccount(ctx, Remove{Address: "Alice@example.test"})
	w.ok(err)
	if removed.Address != "alice@example.test" || !strings.HasPrefix(removed.MovedTo, filepath.Join(w.dir, "removed")) {
		t.Errorf("removed: %+v", removed)
	}
	if n := countMessages(t, removed.MovedTo); n != 1 {
		t.Errorf("%d messages in %s", n, removed.MovedTo)
	}
	if _, err := w.RemoveAccount(ctx, Remove{Address: "alice@example.test"}); !errors.Is(err, directory.ErrNoAccount) {
		t.Errorf("removed twice: %v", err)
	}
	// A new account of the same address is empty, and no UIDVALIDITY comes back.
	if added := w.add("alice@example.test"); added.MailKept {
		t.Error("the new account took over something")
	}
	if n, v := w.inbox("alice@example.test"); n != 0 || v <= validity {
		t.Errorf("the new account: %d messages, UIDVALIDITY %d after %d", n, v, validity)
	}
	removed, err = w.RemoveAccount(ctx, Remove{Address: "alice@example.test", Purge: true})
	w.ok(err)
	if removed.MovedTo != "" {
		t.Errorf("purged, yet moved to %s", removed.MovedTo)
	}
}

// countMessages counts the files of all cur and new folders below dir.
func countMessages(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if parent := filepath.Base(filepath.Dir(path)); d.Type().IsRegular() && (parent == "cur" || parent == "new") {
			n++
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return n
}

// TestRemoveAccountAliased: an account that aliases lead to keeps its mail.
func TestRemoveAccountAliased(t *testing.T) {
	for _, target := range []string{"alice@example.test", "alice+lists@example.test"} {
		t.Run(target, func(t *testing.T) {
			w := newWorld(t)
			ctx := t.Context()
			w.add("alice@example.test")
			w.deliver("alice@example.test")
			w.ok(w.AddAlias(ctx, Alias{Address: "info@example.test", Targets: []string{target}}))
			_, err := w.RemoveAccount(ctx, Remove{Address: "alice@example.test"})
			w.fails(err, directory.ErrInUse, "kurir alias remove info@example.test")
			if n, _ := w.inbox("alice@example.test"); n != 1 {
				t.Errorf("%d messages after the refusal", n)
			}
			w.ok(w.RemoveAlias(ctx, "info@example.test"))
			_, err = w.RemoveAccount(ctx, Remove{Address: "alice@example.test"})
			w.ok(err)
		})
	}
}

// TestRemoveAccountBesideRemote: aliases that lead to other servers are none of its business.
func TestRemoveAccountBesideRemote(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.add("bob@example.test")
	w.ok(w.AddAlias(ctx, Alias{Address: "friends@example.test", Targets: []string{"bob@example.test", "alice@example.net"}, Remote: []string{"alice@example.net"}}))
	_, err := w.RemoveAccount(ctx, Remove{Address: "alice@example.test"})
	w.ok(err)
	_, err = w.RemoveAccount(ctx, Remove{Address: "bob@example.test"})
	w.fails(err, directory.ErrInUse, "friends@example.test")
}

// TestRemoveAccountInterrupted: the mail was put away, the row is still there.
func TestRemoveAccountInterrupted(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	_, err := w.Store.RemoveAccount(ctx, "alice@example.test", false)
	w.ok(err)
	_, err = w.RemoveAccount(ctx, Remove{Address: "alice@example.test"})
	w.ok(err)
	if got := w.addresses(); len(got) != 0 {
		t.Errorf("accounts: %q", got)
	}
}

func TestDomains(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.fails(w.AddDomain(ctx, "example.test"), directory.ErrExists)
	w.ok(w.AddDomainAlias(ctx, Domain{Name: "example.net", AliasOf: "example.test"}))
	w.add("alice@example.test")
	list, err := w.ListDomains(ctx)
	w.ok(err)
	want := []Domain{{Name: "example.net", AliasOf: "example.test"}, {Name: "example.test", Accounts: 1}}
	if !slices.Equal(list, want) {
		t.Errorf("domains: %+v, want %+v", list, want)
	}
	w.fails(w.RemoveDomain(ctx, "example.net"), directory.ErrInUse, "kurir domain alias remove example.net")
	w.fails(w.RemoveDomainAlias(ctx, "example.test"), directory.ErrInUse, "kurir domain remove example.test")
	w.fails(w.RemoveDomain(ctx, "example.test"), directory.ErrInUse, "accounts")
	w.fails(w.RemoveDomainAlias(ctx, "example.com"), directory.ErrNoDomain, "kurir domain list")
	w.fails(w.RemoveDomain(ctx, "example.com"), directory.ErrNoDomain, "kurir domain list")
	w.fails(w.RemoveDomain(ctx, "not a domain"), directory.ErrInvalidAddress)
	w.ok(w.RemoveDomainAlias(ctx, "Example.NET"))
}

func TestAliases(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.ok(w.AddAlias(ctx, Alias{Address: "@example.test", Targets: []string{"alice@example.test"}, MaySend: true}))
	w.fails(w.AddAlias(ctx, Alias{Address: "@example.test", Targets: []string{"alice@example.test"}}), directory.ErrExists)
	w.fails(w.AddAlias(ctx, Alias{Address: "x@example.test", Targets: []string{"y@elsewhere.test"}}), directory.ErrNoDomain)
	list, err := w.ListAliases(ctx)
	w.ok(err)
	if len(list) != 1 || list[0].Address != "@example.test" || !list[0].MaySend || !slices.Equal(list[0].Targets, []string{"alice@example.test"}) {
		t.Errorf("aliases: %+v", list)
	}
	w.ok(w.RemoveAlias(ctx, "@example.test"))
	w.fails(w.RemoveAlias(ctx, "@example.test"), directory.ErrNoAlias)
}

func TestUnknownAccount(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	const nobody = "nobody@example.test"
	for name, err := range map[string]error{
		"passwd":  w.SetPassword(ctx, Password{nobody, "x"}),
		"quota":   w.SetQuota(ctx, Quota{nobody, 1}),
		"disable": w.DisableAccount(ctx, Disable{Address: nobody, Disabled: true}),
		"list":    second(w.ListMailboxes(ctx, nobody)),
		"fsck":    second(w.Fsck(ctx, Fsck{Address: nobody})),
		"remove":  second(w.RemoveAccount(ctx, Remove{Address: nobody})),
	} {
		if !errors.Is(err, directory.ErrNoAccount) || !strings.Contains(err.Error(), "kurir account list") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFsck(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.add("alice@example.test")
	w.deliver("alice@example.test")
	_, validity := w.inbox("alice@example.test")
	r, err := w.Fsck(ctx, Fsck{Address: "alice@example.test"})
	w.ok(err)
	if r.Address != "alice@example.test" || r.Mailboxes != 6 || r.Messages != 1 || len(r.Findings) != 0 {
		t.Errorf("report: %+v", r)
	}
	_, err = w.Fsck(ctx, Fsck{Address: "alice@example.test", Restored: true})
	w.ok(err)
	if n, v := w.inbox("alice@example.test"); n != 1 || v <= validity {
		t.Errorf("after --restored: %d messages, UIDVALIDITY %d after %d", n, v, validity)
	}
	// A folder that is no mailbox is a finding, and stays.
	stray := filepath.Join(w.dir, "mail", "example.test", "alice", ".Stray")
	w.ok(os.Mkdir(stray, 0o700))
	r, err = w.Fsck(ctx, Fsck{Address: "alice@example.test"})
	w.ok(err)
	if len(r.Findings) != 1 || r.Findings[0].Repaired || !strings.Contains(r.Findings[0].What, "Stray") {
		t.Errorf("a folder that is no mailbox: %+v", r.Findings)
	}
}

func TestHealthAndVersion(t *testing.T) {
	s := &Service{Program: "1.2.3"}
	if h, err := s.Health(context.Background()); err != nil || !h.OK {
		t.Errorf("health without checks: %+v, %v", h, err)
	}
	s.Problems = func() map[string]string { return map[string]string{"disk": "full"} }
	if h, err := s.Health(context.Background()); err != nil || h.OK || h.Problems["disk"] != "full" {
		t.Errorf("health with a red check: %+v, %v", h, err)
	}
	if v, err := s.Version(context.Background()); err != nil || v.Version != "1.2.3" || v.PID != os.Getpid() {
		t.Errorf("version: %+v, %v", v, err)
	}
}
