package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/admin"
	"kurir/internal/roster"
)

// file writes a file beside the data, and returns its path.
func (s *testSite) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// refused wants a command to fail with a code, and words on stderr.
func (s *testSite) refused(code int, words string, args ...string) {
	s.t.Helper()
	if got, out, errs := s.do("", args...); got != code || !strings.Contains(errs, words) {
		s.t.Errorf("kurir %s: exit %d, want %d; %s%s", strings.Join(args, " "), got, code, out, errs)
	}
}

const applied = `
[[domain]]
name = "example.test"
aliases = ["example.net"]
[[account]]
address = "alice@example.test"
quota = "5GiB"
[[account]]
address = "bob@example.test"
disabled = true
mail = "defer"
message = "away"
[[alias]]
address = "info@example.test"
to = ["team@example.test"]
forward = ["Friend@elsewhere.test"]
[[group]]
address = "team@example.test"
members = ["alice+Team@example.net", "bob@example.test"]
may_send = true
`

// applyStory: a file becomes the state of a server, its export is no change, and what
// the file does not name goes with --prune alone.
func applyStory(t *testing.T, s *testSite) {
	path := s.file("accounts.toml", applied)
	if code, out, _ := s.do("", "apply", "--dry-run", path); code != exitPending || !strings.Contains(out, "+ account bob@example.test: no password yet; active → disabled, mail deferred (away)") {
		t.Fatalf("dry run: exit %d: %s", code, out)
	}
	s.refused(exitUsage, "add --yes", "apply", path)
	contains(t, s.must("", "apply", "--yes", path), "+ domain example.test", "+ group team@example.test", "6 changes done.")
	contains(t, s.must("", "apply", "--dry-run", path), "Nothing to change")
	s.must("", "account", "passwd", "alice@example.test", "--generate")
	contains(t, s.must("", "apply", "--dry-run", path), "Nothing to change")

	for _, args := range [][]string{{"export"}, {"export", "--hashes"}} {
		text := s.must("", args...)
		again := s.file("export.toml", text)
		contains(t, s.must("", "apply", "--dry-run", "--prune", again), "Nothing to change")
		if got := s.must("", args...); got != text {
			t.Errorf("two exports differ:\n%s\n%s", text, got)
		}
		if has := strings.Contains(text, "$argon2id$"); has != (len(args) > 1) {
			t.Errorf("%s has a hash: %v", args, has)
		}
	}

	s.must("", "domain", "add", "other.test")
	less := s.file("less.toml", "[[domain]]\nname = \"example.test\"\n[[account]]\naddress = \"alice@example.test\"\n[[account]]\naddress = \"cy@other.test\"\n")
	code, out, errs := s.do("", "apply", "--yes", "--json", less)
	var plan struct {
		Changes []struct {
			Action, Kind, Name string
			What               []string
		}
		Left []string
	}
	if err := json.Unmarshal([]byte(out), &plan); err != nil || code != exitOK || len(plan.Changes) != 2 || plan.Changes[0].What[0] != "quota 5 GiB → none" || len(plan.Left) != 4 {
		t.Errorf("--json: exit %d, %v: %s%s", code, err, out, errs)
	}
	contains(t, s.must("", "apply", "--yes", "--prune", less), "- alias info@example.test\n- group team@example.test\n", "- account bob@example.test: its mail is kept")
	contains(t, s.must("", "account", "list"), "alice@example.test", "cy@other.test")
	contains(t, s.must("", "domain", "list"), "other.test")
	if out := s.must("", "account", "list"); strings.Contains(out, "bob@") {
		t.Errorf("after --prune:\n%s", out)
	}
	s.refused(exitFailed, `unknown key "account.pasword"`, "apply", "-y", s.file("bad.toml", "[[account]]\naddress = \"x@other.test\"\npasword = \"y\""))
	s.refused(exitFailed, "x@no.test: there is no domain no.test", "apply", "-y", s.file("bad.toml", "[[account]]\naddress = \"x@no.test\"\n[[account]]\naddress = \"zed@other.test\""))
	if out := s.must("", "account", "list"); strings.Contains(out, "zed@other.test") {
		t.Errorf("a file with a mistake was applied in part:\n%s", out)
	}
	s.refused(exitFailed, "no such file", "apply", "-y", "nothing.toml")
	if code, _, errs := s.do(applied, "apply", "-y", "-"); code != exitOK {
		t.Errorf("from stdin: exit %d: %s", code, errs)
	}
	s.refused(exitUsage, "add --yes", "apply", "-")
}

func TestApplyStopped(t *testing.T) { applyStory(t, newTestSite(t)) }

func TestApplyRunning(t *testing.T) {
	s := newTestSite(t)
	s.serve()
	applyStory(t, s)
}

// The example that comes with the program can be applied.
func TestApplyExample(t *testing.T) {
	s := newTestSite(t)
	path := filepath.Join("..", "..", "deploy", "accounts.example.toml")
	s.must("", "apply", "--yes", path)
	contains(t, s.must("", "apply", "--dry-run", "--prune", path), "Nothing to change")
	contains(t, s.must("", "group", "list"), "domain", "members")
}

// A CSV file: nothing is done as long as anything is wrong, passwords of all kinds work,
// and repeating skips what is there.
func TestImport(t *testing.T) {
	s := newTestSite(t, "[tls]", `plaintext_login_networks = ["127.0.0.0/8"]`)
	srv := s.serve()
	login := func(account, password string) error {
		c, err := smtp.Dial(srv.address("127.0.0.1:40002"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Auth(smtp.PlainAuth("", account, password, "127.0.0.1"))
	}
	s.must("", "domain", "add", "example.test")
	const bcrypt = "{BLF-CRYPT}$2y$04$tW2YgQUbzkIkac57a/flHeke0w7acbQCYwzFMgTkC.Xfrh1N6ApRm"
	bad := s.file("bad.csv", "address,password\nx@example.test,good enough\ny@example.test,bad\nz@no.test,good enough\nw@example.test,\n")
	s.refused(exitFailed, "line 3: y@example.test: the password has 3 characters", "account", "import", bad)
	s.refused(exitFailed, "line 4: z@no.test: there is no domain", "account", "import", bad)
	s.refused(exitFailed, "line 5: w@example.test: it has no password", "account", "import", bad)
	contains(t, s.must("", "account", "list", "--json"), "[]")

	good := s.file("good.csv", "\xef\xbb\xbfAddress;Password;Password hash;Quota;Aliases\r\nann@example.test;a fine password;;1GiB;info@example.test\r\n"+
		"bob@example.test;;"+bcrypt+";;info@example.test\r\ncy@example.test;;;;\r\n")
	out := filepath.Join(t.TempDir(), "passwords.csv")
	contains(t, s.must("", "account", "import", "--dry-run", "--passwords-out", out, good), "3 accounts to add", "passwords to make")
	if _, err := os.Stat(out); err == nil {
		t.Error("a dry run has written passwords")
	}
	s.refused(exitUsage, "exclude each other", "account", "import", good, "--no-password", "--passwords-out", out)
	contains(t, s.must("", "account", "import", good, "--passwords-out", out), "4 changes done.")
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("passwords: %v, %v", info.Mode(), err)
	}
	b, _ := os.ReadFile(out)
	made, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "address,password\ncy@example.test,")
	if !ok {
		t.Fatalf("passwords: %q", b)
	}
	for account, password := range map[string]string{"ann@example.test": "a fine password", "bob@example.test": "right horse", "cy@example.test": made} {
		if err := login(account, password); err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	contains(t, s.must("", "alias", "list"), "info@example.test  ann@example.test, bob@example.test")
	contains(t, s.must("", "account", "import", good), "3 accounts there already, skipped")
	s.refused(exitFailed, "name a new file", "account", "import", s.file("more.csv", "address\ndee@example.test\n"), "--passwords-out", out)
	contains(t, s.must("", "account", "import", s.file("more.csv", "address\ndee@example.test\n"), "--no-password"), "1 account to add", "1 change done.")
	contains(t, s.must("", "account", "import", "--update", s.file("more.csv", "address,password,quota\nann@example.test,another password,2GiB\nbob@example.test,a third password,\n")), "2 accounts to change")
	if err := login("bob@example.test", "a third password"); err != nil {
		t.Errorf("after --update: %v", err)
	}
	invites := filepath.Join(t.TempDir(), "invites.csv")
	contains(t, s.must("", "account", "import", s.file("more.csv", "address,password\neve@example.test,\nfay@example.test,a fine password\n"), "--invites-out", invites),
		"2 changes done.", "1 invitation in")
	if b, err := os.ReadFile(invites); err != nil || !strings.HasPrefix(string(b), "address,link,until\neve@example.test,http") || strings.Contains(string(b), "fay@") {
		t.Errorf("invitations: %s, %v", b, err)
	}
	s.refused(exitFailed, "name a new file", "account", "import", s.file("more.csv", "address\ngil@example.test\n"), "--invites-out", invites)
	before := s.must("", "export", "--hashes")
	s.must("", "account", "import", "--update", s.file("more.csv", "address,password,quota\nann@example.test,another password,2GiB\n"))
	if after := s.must("", "export", "--hashes"); before != after {
		t.Errorf("the same once more is a change:\n%s\n%s", before, after)
	}
	contains(t, s.must("", "account", "list"), "ann@example.test  active  2 GiB")
}

// bulkOperations notes how many accounts are added at once.
type bulkOperations struct {
	admin.Operations
	sizes []int
}

func (b *bulkOperations) AddAccounts(_ context.Context, all []admin.BulkAccount) ([]admin.Added, error) {
	b.sizes = append(b.sizes, len(all))
	return nil, nil
}

func (b *bulkOperations) AddAlias(context.Context, admin.Alias) error {
	b.sizes = append(b.sizes, 0)
	return nil
}

// As many accounts as may be go in one call, and all before what leads to them.
func TestApplyInParts(t *testing.T) {
	var changes []roster.Change
	for i := range admin.MaxBulk + 7 {
		changes = append(changes, roster.Change{Action: roster.Add, Kind: "account", Account: &roster.Account{Address: fmt.Sprint(i)}})
	}
	changes = append(changes, roster.Change{Action: roster.Add, Kind: "alias", Alias: &roster.Alias{}})
	o, done := &bulkOperations{}, 0
	d := doer{o: o, done: func(n int) { done += n }}
	if err := d.do(t.Context(), changes); err != nil || done != len(changes) || !slices.Equal(o.sizes, []int{admin.MaxBulk, 7, 0}) {
		t.Errorf("%v, %d done, in parts of %v", err, done, o.sizes)
	}
}

// Long work says how far it is, short work nothing.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := (&env{stderr: &out}).progress(10)
		p.add(1)
		time.Sleep(4 * time.Second)
		p.add(1)
		time.Sleep(time.Second)
		p.add(1)
		p.add(7)
		p.end()
		if out.String() != "2 of 10 done, about 16s left\n10 of 10 done in 5s\n" {
			t.Errorf("%q", out.String())
		}
		out.Reset()
		p = (&env{stderr: &out}).progress(1)
		p.add(1)
		p.end()
		if out.String() != "" {
			t.Errorf("%q", out.String())
		}
	})
}
