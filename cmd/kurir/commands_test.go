package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/fsx"
)

// step is one command line and what comes of it. Words are wanted in the output: in
// stdout if code is 0 and else in stderr.
type step struct {
	line  string
	stdin string
	code  int
	want  []string
}

// story is the life of a small site, command by command.
func story() []step {
	return []step{
		{line: "domain list", want: nil},
		{line: "domain add Example.TEST", want: []string{"added"}},
		{line: "domain add example.test", code: 1, want: []string{"example.test", "already exists"}},
		{line: "domain add not/a/domain", code: 1, want: []string{"no domain name"}},
		{line: "domain alias add example.net example.test", want: []string{"valid at example.net too"}},
		{line: "domain alias add example.com elsewhere.test", code: 1, want: []string{"kurir domain add elsewhere.test"}},
		{line: "domain list", want: []string{"DOMAIN", "example.net", "example.test"}},
		{line: "domain list --json", want: []string{`"name": "example.net"`, `"alias_of": "example.test"`}},

		{line: "account list --json", want: []string{"[]"}},
		{line: "account add alice@example.test --password-stdin", stdin: "a fine password\n", want: []string{"Account alice@example.test added."}},
		{line: "account add alice@example.test --password-stdin", stdin: "a fine password\n", code: 1, want: []string{"kurir account passwd alice@example.test"}},
		{line: "account add dave@example.test --password-stdin", stdin: "s3cret!\n", code: 1, want: []string{"7 characters, 8 at least"}},
		{line: "account passwd alice@example.test --password-stdin", stdin: "Alice@example.test\n", code: 1, want: []string{"the password is the address"}},
		{line: "account add bob@example.test --generate --quota 1GiB", want: []string{"-"}},
		{line: "account add carol@elsewhere.test --generate", code: 1, want: []string{"kurir domain add elsewhere.test"}},
		{line: "account add dave@example.test --password-stdin", stdin: "\n", code: 1, want: []string{"standard input holds no password"}},
		{line: "account add dave@example.test --password-stdin", stdin: strings.Repeat("x", 2000), code: 1, want: []string{"longer than 1024 bytes"}},
		{line: "account list", want: []string{"alice@example.test  active  none", "bob@example.test    active  1 GiB"}},
		{line: "account list --json", want: []string{`"address": "bob@example.test"`, `"quota": 1073741824`}},
		{line: "account passwd alice@example.test --password-stdin", stdin: "another password\r\n", want: []string{"changed"}},
		{line: "account passwd nobody@example.test --generate", code: 1, want: []string{"kurir account list"}},
		{line: "account quota bob@example.test none", want: []string{"bob@example.test: none"}},
		{line: "account disable bob@example.test", want: []string{"cannot log in"}},
		{line: "account list", want: []string{"bob@example.test    disabled"}},
		{line: "account disable bob@example.test --mail perhaps", code: 2, want: []string{"neither keep nor defer"}},
		{line: "account disable bob@example.test --mail defer --message away", want: []string{"its mail is put off"}},
		{line: "account list", want: []string{"bob@example.test    disabled, mail deferred (away)"}},
		{line: "domain disable example.test --message unpaid", want: []string{"its mail is put off"}},
		{line: "domain list", want: []string{"disabled (unpaid)", "example.net   example.test  0         active"}},
		{line: "account list", want: []string{"alice@example.test  domain disabled"}},
		{line: "domain disable example.net", code: 1, want: []string{"is an alias of example.test"}},
		{line: "domain enable example.test", want: []string{"in use again"}},
		{line: "account enable bob@example.test", want: []string{"can log in again"}},

		{line: "alias list --json", want: []string{"[]"}},
		{line: "alias add info@example.test alice@example.test bob@example.test --may-send", want: []string{"goes to alice@example.test, bob@example.test"}},
		{line: "alias add @example.test alice@example.test", want: []string{"@example.test"}},
		{line: "alias add out@example.test someone@elsewhere.test", code: 1, want: []string{"--to someone@elsewhere.test"}},
		{line: "alias add out@example.test", code: 2, want: []string{"TARGET"}},
		{line: "alias add out@example.test alice@example.test --to Some.One@elsewhere.test --to bob@example.test", want: []string{"goes to alice@example.test, Some.One@elsewhere.test, bob@example.test"}},
		{line: "domain add elsewhere.test", code: 1, want: []string{"out@example.test"}},
		{line: "alias list --json", want: []string{`"remote": [`, `"Some.One@elsewhere.test"`}},
		{line: "alias remove out@example.test", want: []string{"removed"}},
		{line: "alias list", want: []string{"ALIAS", "info@example.test", "alice@example.test, bob@example.test", "yes", "no"}},
		{line: "alias list --json", want: []string{`"may_send": true`}},

		{line: "group list", want: nil},
		{line: "group add crew@example.test alice@example.test --post somebody", code: 2, want: []string{"none of members, domain and anyone"}},
		{line: "group add crew@example.test", code: 2, want: []string{"MEMBER"}},
		{line: "group add crew@example.test alice@example.test --to dave@elsewhere.test", want: []string{"members may write to it"}},
		{line: "group join crew@example.test BOB@example.test", want: []string{"Members of crew@example.test: alice@example.test, dave@elsewhere.test, BOB@example.test; members may"}},
		{line: "group join crew@example.test bob@example.test", code: 1, want: []string{"is a member of crew@example.test already"}},
		{line: "group leave crew@example.test alice@example.test bob@example.test", want: []string{"Members of crew@example.test: dave@elsewhere.test"}},
		{line: "group leave crew@example.test bob@example.test", code: 1, want: []string{"is no member"}},
		{line: "group leave crew@example.test dave@elsewhere.test", code: 1, want: []string{"kurir group remove crew@example.test"}},
		{line: "group post crew@example.test domain", want: []string{"all accounts of its domain"}},
		{line: "group list", want: []string{"crew@example.test  dave@elsewhere.test  domain   no"}},
		{line: "group list --json", want: []string{`"post": "domain"`}},
		{line: "group post @example.test members", code: 1, want: nil},
		{line: "group post nobody@example.test members", code: 1, want: []string{"no such alias"}},
		{line: "group remove crew@example.test", want: []string{"removed"}},
		{line: "group list --json", want: []string{"[]"}},

		{line: "mailbox list alice@example.test", want: []string{"MAILBOX", "INBOX", "Junk"}},
		{line: "mailbox list alice@example.test --json", want: []string{`"name": "INBOX"`, `"special_use": "Sent"`}},
		{line: "mailbox list nobody@example.test", code: 1, want: []string{"kurir account list"}},
		{line: "mailbox fsck alice@example.test", want: []string{"6 mailboxes with 0 messages checked, 0 findings"}},
		{line: "mailbox fsck alice@example.test --restored", want: []string{"6 mailboxes"}},
		{line: "mailbox fsck alice@example.test --json", want: []string{`"findings": []`}},

		{line: "account rename bob@example.test robert@example.test", want: []string{"is now robert@example.test"}},
		{line: "account rename alice@example.test robert@example.test", code: 1, want: []string{"already exists"}},
		{line: "account remove robert@example.test --yes", code: 1, want: []string{"kurir alias remove info@example.test"}},
		{line: "alias remove info@example.test", want: []string{"removed"}},
		{line: "alias remove info@example.test", code: 1, want: []string{"no such alias"}},
		{line: "account remove robert@example.test --yes", want: []string{"Its mail is kept in ", "removed"}},
		{line: "alias remove @example.test", want: []string{"removed"}},
		{line: "domain remove example.test", code: 1, want: []string{"still in use"}},
		{line: "account remove alice@example.test --purge -y", want: []string{"Its mail is deleted."}},
		{line: "domain remove example.net", code: 1, want: []string{"kurir domain alias remove example.net"}},
		{line: "domain alias remove example.net", want: []string{"removed"}},
		{line: "domain remove example.test", want: []string{"removed"}},
		{line: "domain remove example.test", code: 1, want: []string{"kurir domain list"}},
		{line: "domain add bücher.example", want: []string{"added"}},
		{line: "domain list", want: []string{"xn--bcher-kva.example (bücher.example)"}},
	}
}

func tell(s *testSite, story []step) {
	s.t.Helper()
	for _, st := range story {
		code, out, errs := s.do(st.stdin, strings.Fields(st.line)...)
		text := out
		if st.code != exitOK {
			text = errs
		}
		if code != st.code {
			s.t.Fatalf("kurir %s: exit %d, want %d: %s", st.line, code, st.code, errs)
		}
		for _, w := range st.want {
			if !strings.Contains(text, w) {
				s.t.Errorf("kurir %s: %q is missing in:\n%s", st.line, w, text)
			}
		}
	}
}

// TestCommandsStopped: the commands work on the data of a server that does not run.
func TestCommandsStopped(t *testing.T) {
	s := newTestSite(t)
	if code, _, errs := s.do("", "account", "list"); code != exitFailed || !strings.Contains(errs, "kurir domain add") {
		t.Errorf("without a data directory: exit %d: %s", code, errs)
	}
	s.must("", "domain", "add", "first.test")
	s.must("", "domain", "remove", "first.test")
	tell(s, story())
}

// TestCommandsRunning: the same commands through the control socket.
func TestCommandsRunning(t *testing.T) {
	s := newTestSite(t)
	srv := s.serve()
	tell(s, story())
	contains(t, srv.err.String(), "operation=account.remove subject=robert@example.test")
	if strings.Contains(srv.err.String(), "password\"") || strings.Contains(srv.err.String(), "fine password") {
		t.Error("the log has a password")
	}
}

// TestPasswordTakesEffect: logins of a running server follow the commands at once.
func TestPasswordTakesEffect(t *testing.T) {
	s := newTestSite(t, "[tls]", `plaintext_login_networks = ["127.0.0.0/8"]`)
	srv := s.serve()
	s.must("", "domain", "add", "example.test")
	first := strings.TrimSpace(s.must("", "account", "add", "alice@example.test", "--generate"))
	login := func(password string) error {
		c, err := smtp.Dial(srv.address("127.0.0.1:40002"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Auth(smtp.PlainAuth("", "alice@example.test", password, "127.0.0.1"))
	}
	if err := login(first); err != nil {
		t.Fatalf("the generated password: %v", err)
	}
	second := strings.TrimSpace(s.must("", "account", "passwd", "alice@example.test", "--generate"))
	if first == second {
		t.Fatal("two generated passwords are the same")
	}
	if err := login(first); err == nil {
		t.Error("the old password still works")
	}
	if err := login(second); err != nil {
		t.Errorf("the new password: %v", err)
	}
	s.must("", "account", "disable", "alice@example.test")
	if err := login(second); err == nil {
		t.Error("a disabled account could log in")
	}
	s.must("", "account", "enable", "alice@example.test")
	if err := login(second); err != nil {
		t.Errorf("after enable: %v", err)
	}
}

// TestTyping: passwords and confirmations at a terminal.
func TestTyping(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	for _, c := range []struct {
		line   string
		typed  []string
		answer string
		code   int
		want   string
	}{
		{line: "account add alice@example.test", typed: []string{"good pass", "good past"}, code: 1, want: "the two passwords differ"},
		{line: "account add alice@example.test", typed: []string{""}, code: 1, want: "no password was typed"},
		{line: "account add alice@example.test", typed: []string{"short"}, code: 1, want: "5 characters"},
		{line: "account add alice@elsewhere.test", code: 1, want: "kurir domain add elsewhere.test"},
		{line: "account passwd nobody@example.test", code: 1, want: "no such account"},
		{line: "account remove nobody@example.test", code: 1, want: "no such account"},
		{line: "account add alice@example.test", typed: []string{"good pass"}, code: 1, want: "nobody types any more"},
		{line: "account add alice@example.test", typed: []string{"good pass", "good pass"}, want: "New password for alice@example.test: "},
		{line: "account passwd alice@example.test", typed: []string{"other pass", "other pass"}, want: "The same once more: "},
		{line: "account remove alice@example.test", answer: "no\n", code: 1, want: "nothing was changed"},
		{line: "account add alice@example.test", code: 1, want: "already exists; for another password"},
		{line: "account remove alice@example.test", answer: "", code: 1, want: "nothing was changed"},
		{line: "account remove alice@example.test --purge", answer: "\n", code: 1, want: "delete all its mail for good? [y/N]"},
		{line: "account remove alice@example.test", answer: "Yes\n", want: "Remove the account alice@example.test? [y/N]"},
	} {
		con := newConsole(t)
		con.typing(c.typed...)
		con.stdin = strings.NewReader(c.answer)
		code := run(t.Context(), con.env, append([]string{"-c", s.config}, strings.Fields(c.line)...))
		if code != c.code {
			t.Errorf("kurir %s: exit %d, want %d: %s", c.line, code, c.code, con.err.String())
		}
		contains(t, con.err.String(), c.want)
	}
}

// TestGeneratedPassword: the password alone is on stdout.
func TestGeneratedPassword(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	code, out, errs := s.do("", "account", "add", "alice@example.test", "--generate")
	if code != exitOK || strings.Count(out, "\n") != 1 || len(out) < 20 {
		t.Errorf("exit %d, stdout %q", code, out)
	}
	contains(t, errs, "Account alice@example.test added.", "shown this once")
}

// TestInterruptedAdd: folders that are there already are named.
func TestInterruptedAdd(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	d, err := openData(t.Context(), dataOptions{cfg: &config.Config{Data: s.dir}, files: fsx.OS{}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.store.CreateAccount(t.Context(), "alice@example.test"), d.Close()); err != nil {
		t.Fatal(err)
	}
	_, _, errs := s.do("", "account", "add", "alice@example.test", "--generate")
	contains(t, errs, "A mail folder of alice@example.test was there already")
}

// TestFsckLeftover: what cannot be repaired is told, with exit code 1.
func TestFsckLeftover(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("", "account", "add", "alice@example.test", "--generate")
	if err := os.Mkdir(filepath.Join(s.dir, "mail", "example.test", "alice", ".Stray"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, out, errs := s.do("", "mailbox", "fsck", "alice@example.test")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, out, ".Stray", "(left as it is)", "1 finding.")
	contains(t, errs, "1 finding could not be repaired")
}

// TestLockedWithoutSocket: something has the lock but does not answer.
func TestLockedWithoutSocket(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	lock, err := fsx.Lock(filepath.Join(s.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	con := newConsole(t)
	con.patience = 150 * time.Millisecond
	if code := run(t.Context(), con.env, []string{"-c", s.config, "account", "list"}); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, con.err.String(), "the data directory is in use", fmt.Sprintf("process %d", os.Getpid()))
}

// TestBroken: data of a newer version, and data that is none, are refused with advice.
func TestBroken(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	stamp := filepath.Join(s.dir, "mail", "kurir-store")
	was, err := os.ReadFile(stamp)
	if err != nil {
		t.Fatal(err)
	}
	// What check believes to be the newest format is what the store writes.
	if string(was) != fmt.Sprintf("kurir-store %d\n", storeFormat) {
		t.Errorf("the store's stamp is %q, check knows %d", was, storeFormat)
	}
	write(t, stamp, "kurir-store 99\n")
	code, _, errs := s.do("", "account", "list")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "newer", "99")
	write(t, stamp, string(was))

	write(t, filepath.Join(s.dir, "kurir.db"), strings.Repeat("no database ", 1000))
	code, _, errs = s.do("", "account", "list")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "no intact database", "backup")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOtherUsersData: root does not make files that the server's user cannot read.
func TestOtherUsersData(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	if err := os.Chown(s.dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	code, _, errs := s.do("", "account", "list")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "user with id 12345", "sudo -u '#12345'")
	_, out, _ := s.do("", "check")
	contains(t, out, "user with id 12345")

	// A running server makes the files itself: it may be asked.
	if err := os.Chown(s.dir, 0, 0); err != nil {
		t.Fatal(err)
	}
	srv := s.serve()
	if err := os.Chown(s.dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	contains(t, s.must("", "domain", "list"), "example.test")
	srv.stop()
}

// TestWrongDirectory: what only looks makes no data where there is none.
func TestWrongDirectory(t *testing.T) {
	s := newTestSite(t)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"account list", "domain list", "alias list", "mailbox list a@b.test", "account add a@b.test --generate"} {
		code, _, errs := s.do("", strings.Fields(line)...)
		if code != exitFailed {
			t.Errorf("kurir %s: exit %d", line, code)
		}
		contains(t, errs, s.dir+" holds no data of kurir", "kurir domain add")
	}
	if names, err := os.ReadDir(s.dir); err != nil || len(names) > 0 {
		t.Errorf("left in the directory: %v, %v", names, err)
	}
	s.must("", "domain", "add", "example.test")
}

func TestHealth(t *testing.T) {
	s := newTestSite(t)
	code, _, errs := s.do("", "health")
	if code != exitFailed {
		t.Errorf("no server: exit %d", code)
	}
	contains(t, errs, "no kurir server answers", s.dir, "kurir serve")

	srv := s.serve()
	if out := s.must("", "health"); out != "ok\n" {
		t.Errorf("health: %q", out)
	}
	contains(t, s.must("", "health", "--json"), `"ok": true`)
	contains(t, get(t, "http://"+srv.address("127.0.0.1:40008")+"/healthz"), "ok")
}

// failingSync is a file system whose disk fills up when told so.
type failingSync struct {
	fsx.OS
	broken chan struct{} // closed: full
}

func (f *failingSync) Create(name string, perm fs.FileMode) (fsx.File, error) {
	select {
	case <-f.broken:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	default:
		return f.OS.Create(name, perm)
	}
}

// TestHealthRed: a probe that fails turns health red, in the command and over HTTP.
func TestHealthRed(t *testing.T) {
	s := newTestSite(t)
	files := &failingSync{broken: make(chan struct{})}
	con := newConsole(t)
	con.files = files
	srv := start(t, con, "serve", "-c", s.config)
	close(files.broken)
	srv.hangups <- syscall.SIGHUP // has it look again, too
	var code int
	var out string
	for code != exitFailed {
		time.Sleep(5 * time.Millisecond)
		code, out, _ = s.do("", "health")
	}
	contains(t, out, "storage: ", "no space left")
	_, out, _ = s.do("", "health", "--json")
	var h admin.Health
	if err := json.Unmarshal([]byte(out), &h); err != nil || h.OK || h.Problems["storage"] == "" {
		t.Errorf("health --json: %+v, %v", h, err)
	}
	contains(t, get(t, "http://"+srv.address("127.0.0.1:40008")+"/healthz"), "no space left")
	contains(t, srv.err.String(), "certificate in service")
}
