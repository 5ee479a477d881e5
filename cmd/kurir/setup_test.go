package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/fsx"
)

// setupSite is an empty folder in which setup makes a server.
type setupSite struct {
	t    *testing.T
	dir  string
	file string
}

func newSetupSite(t *testing.T) *setupSite {
	dir := t.TempDir()
	return &setupSite{t: t, dir: dir, file: filepath.Join(dir, "kurir.toml")}
}

// quiet are the steps that would look at the world outside the test.
const quiet = "--skip ports,rights,disk,clock,memory,addresses,ptr,port25-out,port25-in,start,certificate,dns,test"

// yes runs setup without questions and returns its result.
func (s *setupSite) yes(domain, more string) (code int, r setupResult, errs string) {
	s.t.Helper()
	c := newConsole(s.t)
	args := append([]string{"setup", domain, "--yes", "--json", "-c", s.file}, strings.Fields(quiet+" "+more)...)
	code = run(s.t.Context(), c.env, args)
	if code != exitUsage {
		if err := json.Unmarshal([]byte(c.out.String()), &r); err != nil {
			s.t.Fatalf("%v in %s (%s)", err, c.out.String(), c.err.String())
		}
	}
	return code, r, c.err.String()
}

// outcome is how a step ended, empty if it is not there.
func (r *setupResult) outcome(name string) string {
	for _, s := range r.Steps {
		if s.Name == name {
			return string(s.Outcome)
		}
	}
	return ""
}

// words are all that is said of a step.
func (r *setupResult) words(name string) (all string) {
	for _, s := range r.Steps {
		if s.Name == name {
			all += s.Text + " " + s.Why + " " + s.Do + "\n"
		}
	}
	return all
}

// Setup makes a server that loads, and a second run changes nothing.
func TestSetupTwice(t *testing.T) {
	s := newSetupSite(t)
	const flags = "--ipv4 192.0.2.25 --set smtp.address=127.0.0.1:40001 --data "
	code, first, errs := s.yes("Example.TEST", flags+s.dir+"/data")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if first.Domain != "example.test" || first.Hostname != "mail.example.test" || first.Account != "admin@example.test" || len(first.Password) < 20 {
		t.Errorf("%+v", first)
	}
	for _, name := range []string{"config", "data", "domain", "account"} {
		if got := first.outcome(name); got != "done" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if first.Records == nil || len(first.Records.Records) < 10 {
		t.Errorf("records: %+v", first.Records)
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "hostname = \"mail.example.test\"", "admin = \"admin@example.test\"", "[smtp]", "40001")

	code, second, errs := s.yes("example.test", flags+s.dir+"/data")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, name := range []string{"config", "data", "domain", "account"} {
		if got := second.outcome(name); got != "kept" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if second.Password != "" {
		t.Error("a password for an account that was there")
	}
	if a, b := first.Records.Records, second.Records.Records; len(a) != len(b) {
		t.Errorf("%d records, then %d", len(a), len(b))
	} else {
		for i := range a {
			if a[i].Value != b[i].Value {
				t.Errorf("record %d: %s, then %s", i, a[i].Value, b[i].Value)
			}
		}
	}
	if again, err := os.ReadFile(s.file); err != nil || string(again) != string(text) {
		t.Errorf("the configuration has changed: %v", err)
	}
}

// A configuration that is there is never written; what it lacks is said.
func TestSetupKeepsConfig(t *testing.T) {
	s := newSetupSite(t)
	const mine = "# mine\nhostname = \"post.example.net\"\ndata = \"data\"\n"
	write(t, s.file, mine)
	code, r, errs := s.yes("example.test", "--hostname mx --set log.level=debug")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if text, err := os.ReadFile(s.file); err != nil || string(text) != mine {
		t.Errorf("%q, %v", text, err)
	}
	if r.Hostname != "post.example.net" || r.outcome("config") != "todo" || r.Todos == 0 {
		t.Errorf("%+v", r)
	}
	contains(t, r.words("config"), `hostname is "post.example.net" there, and would be "mx.example.test"`, `log.level is nothing there`, `level = "debug" (below [log])`, `admin = "admin@example.test"`)
}

// A further domain comes to the server that is there.
func TestSetupSecondDomain(t *testing.T) {
	s := newSetupSite(t)
	if code, _, errs := s.yes("example.test", "--account anna --data "+s.dir+"/data"); code != exitOK {
		t.Fatal(errs)
	}
	code, r, errs := s.yes("bücher.test", "")
	if code != exitOK {
		t.Fatal(errs)
	}
	if r.Domain != "xn--bcher-kva.test" || r.Hostname != "mail.example.test" || r.outcome("config") != "kept" || r.outcome("domain") != "done" || r.Account != "admin@xn--bcher-kva.test" {
		t.Errorf("%+v", r)
	}
	if _, r, _ := s.yes("example.test", ""); r.Account != "anna@example.test" || r.outcome("account") != "kept" {
		t.Errorf("%+v", r)
	}
}

// The CA writes to an address elsewhere, if one is known.
func TestSetupACMEEmail(t *testing.T) {
	for flags, want := range map[string]string{
		"": `email = "admin@example.test"`, "--test-to me@example.net": `email = "me@example.net"`,
		"--test-to me@example.net --acme-email ca@example.net": `email = "ca@example.net"`,
	} {
		s := newSetupSite(t)
		if code, _, errs := s.yes("example.test", flags+" --data "+s.dir+"/data"); code != exitOK {
			t.Fatal(errs)
		}
		text, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		contains(t, string(text), "[acme]", "enabled = true", want)
	}
}

// The password comes from a file, whose weak ones are refused before anything is made.
func TestSetupPasswordFile(t *testing.T) {
	s := newSetupSite(t)
	file := filepath.Join(s.dir, "secret")
	write(t, file, "short\n")
	if code, _, errs := s.yes("example.test", "--password-file "+file); code != exitFailed || !strings.Contains(errs, "8 at least") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, err := os.Stat(s.file); err == nil {
		t.Error("a configuration was written")
	}
	write(t, file, "long enough, this\n")
	code, r, errs := s.yes("example.test", "--data "+s.dir+"/data --password-file "+file)
	if code != exitOK || r.Password != "" {
		t.Errorf("exit %d: %s %+v", code, errs, r)
	}
}

// A password in the settings is written as it is, for its owner's eyes.
func TestSetupSecret(t *testing.T) {
	s := newSetupSite(t)
	const flags = "--no-acme --set relay.smarthost=out.example.net --set relay.smarthost_username=u --set relay.smarthost_password=hunter2 --data "
	code, r, errs := s.yes("example.test", flags+s.dir+"/data")
	if code != exitOK || r.outcome("config") != "done" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	text, err := os.ReadFile(s.file)
	if err != nil || !strings.Contains(string(text), "\nsmarthost_password = \"hunter2\"\n") {
		t.Errorf("%v in:\n%s", err, text)
	}
	if info, err := os.Stat(s.file); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestSetupUsage(t *testing.T) {
	for line, want := range map[string]string{
		"setup":                                                    "DOMAIN is missing",
		"setup example.test":                                       "add --yes",
		"setup example --yes":                                      "no dot",
		"setup a@example.test --yes":                               "mail address",
		"setup example.test --json":                                "--json needs --yes",
		"setup example.test --yes --skip nothing":                  "the steps are ports, rights",
		"setup example.test --yes --ipv4 10.0.0.1":                 "private address",
		"setup example.test --yes --account a@other.test":          "--account: a@other.test is not an address in example.test",
		"setup example.test --yes --hostname 192.0.2.1":            "--hostname:",
		"setup example.test --yes --set no.key=1":                  "KEY=VALUE",
		"setup example.test --yes --no-acme --acme-email a@b.test": "excludes",
		"setup example.test --yes --wait --no-wait":                "excludes",
		"setup example.test --yes --test-to nobody":                "--test-to:",
	} {
		c := newConsole(t)
		dir := t.TempDir()
		args := append(strings.Fields(line), "-c", filepath.Join(dir, "kurir.toml"), "--data", filepath.Join(dir, "data"))
		args = append(args, strings.Fields(quiet)...)
		if strings.Contains(line, "--skip") {
			args = append(strings.Fields(line), "-c", filepath.Join(dir, "kurir.toml"))
		}
		if code := run(t.Context(), c.env, args); code != exitUsage {
			t.Errorf("kurir %s: exit %d: %s", line, code, c.err.String())
		}
		contains(t, c.err.String(), want)
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("kurir %s made %v", line, names)
		}
	}
}

// In a container the environment is enough, and each further start changes nothing.
func TestFirstStart(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	write(t, secret, "correct horse battery\n")
	environ := []string{
		"HOME=" + dir, "KURIR_DATA=" + filepath.Join(dir, "data"), "KURIR_HOSTNAME=",
		"KURIR_SETUP_DOMAIN=example.test", "KURIR_SETUP_ACCOUNT=anna", "KURIR_SETUP_PASSWORD_FILE=" + secret,
	}
	begin := func() *serving {
		c := newConsole(t)
		c.environ = environ
		return start(t, c, "serve")
	}
	s := begin()
	contains(t, s.err.String(), "set up: domain added", "set up: first account added", "account=anna@example.test")
	if strings.Contains(s.err.String(), "correct horse") {
		t.Error("the password is in the log")
	}
	other := newConsole(t)
	other.environ = environ
	if code := run(t.Context(), other.env, []string{"account", "rename", "anna@example.test", "berta@example.test"}); code != exitOK {
		t.Fatal(other.err.String())
	}
	s.stop()
	s = begin()
	if strings.Contains(s.err.String(), "set up:") {
		t.Errorf("set up again: %s", s.err.String())
	}
	list := newConsole(t)
	list.environ = environ
	if code := run(t.Context(), list.env, []string{"account", "list"}); code != exitOK || !strings.Contains(list.out.String(), "berta@") || strings.Contains(list.out.String(), "anna@") {
		t.Errorf("exit %d: %s%s", code, list.out.String(), list.err.String())
	}
	records := newConsole(t)
	records.environ = environ
	if code := run(t.Context(), records.env, []string{"dns", "records", "example.test"}); code != exitOK || !strings.Contains(records.out.String(), "10 mail.example.test.") {
		t.Errorf("exit %d: %s%s", code, records.out.String(), records.err.String())
	}
}

// Without a password file the owner comes in by a link, which the log tells once.
func TestFirstStartInvites(t *testing.T) {
	dir := t.TempDir()
	environ := []string{
		"HOME=" + dir, "KURIR_DATA=" + filepath.Join(dir, "data"), "KURIR_SETUP_DOMAIN=example.test", "KURIR_HOSTNAME=mx.example.test",
		"KURIR_WEB_HTTPS=127.0.0.1:0",
	}
	for n := range 2 {
		c := newConsole(t)
		c.environ = environ
		s := start(t, c, "serve")
		if got := strings.Contains(s.err.String(), "link=https://mx.example.test"); got != (n == 0) {
			t.Errorf("start %d: %s", n, s.err.String())
		}
		s.stop()
	}
}

func TestFirstStartMistakes(t *testing.T) {
	for env, want := range map[string]string{
		"KURIR_SETUP_DOMAIN=example":                                           "KURIR_SETUP_DOMAIN: ",
		"KURIR_SETUP_DOMAIN=example.test KURIR_SETUP_ACCOUNT=a@b.test":         "KURIR_SETUP_ACCOUNT: ",
		"KURIR_SETUP_DOMAIN=example.test KURIR_SETUP_PASSWORD_FILE=/not/there": "KURIR_SETUP_PASSWORD_FILE: ",
		"KURIR_SETUP_ACCOUNT=a":                                                "need KURIR_SETUP_DOMAIN",
	} {
		c := newConsole(t)
		c.environ = append([]string{"KURIR_DATA=" + filepath.Join(t.TempDir(), "data")}, strings.Fields(env)...)
		if code := run(t.Context(), c.env, []string{"serve"}); code != exitFailed {
			t.Errorf("%s: exit %d", env, code)
		}
		contains(t, c.err.String(), want)
	}
}

// Without sudo no second server is begun beside the one that is installed.
func TestSetupBesideInstalled(t *testing.T) {
	dir := t.TempDir()
	err := besideInstalled(fsx.OS{}, filepath.Join(dir, "kurir.toml"), "example.test")
	if err == nil || !strings.Contains(err.Error(), "sudo kurir setup example.test;") {
		t.Errorf("installed: %v", err)
	}
	for _, path := range []string{"", filepath.Join(dir, "none", "kurir.toml")} {
		if err := besideInstalled(fsx.OS{}, path, "example.test"); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}
