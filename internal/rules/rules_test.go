// Package rules holds no code: its tests are the rules of the tree as a whole.
package rules

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// forbidden says, for each package and those below it, which imports would turn an arrow
// around: cmd -> front-ends, web -> queue, auth -> store, directory -> sqldb, message.
var forbidden = map[string][]string{
	"smtpd":                {"imapd", "pop3d", "dnsutil", "internal/smtpclient", "internal/web", "cmd"},
	"imapd":                {"smtpd", "pop3d", "internal/queue", "internal/web", "cmd"},
	"pop3d":                {"smtpd", "imapd", "internal/queue", "internal/web", "cmd"},
	"store":                {"smtpd", "imapd", "pop3d", "internal/queue", "internal/auth", "internal/directory", "internal/listen", "internal/web", "cmd"},
	"internal/policy":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/sqldb", "internal/config", "cmd"},
	"internal/queue":       {"smtpd", "imapd", "pop3d", "dnsutil", "internal/smtpclient", "internal/admin", "cmd"},
	"internal/forward":     {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal/queue", "internal/relay", "internal/signing", "cmd"},
	"internal/relay":       {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/auth", "internal/sqldb", "cmd"},
	"internal/signing":     {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal/queue", "internal/relay", "internal/auth", "internal/admin", "cmd"},
	"internal/suppression": {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/config", "cmd"},
	"internal/invite":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/auth", "internal/web", "cmd"},
	"internal/detour":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/config", "cmd"},
	"internal/trace":       {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/config", "cmd"},
	"internal/reserve":     {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/sqldb", "internal/config", "cmd"},
	"internal/notice":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/config", "cmd"},
	"internal/tlspolicy":   {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/relay", "internal/directory", "internal/config", "cmd"},
	"internal/smtpclient":  {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal/queue", "internal/relay", "internal/directory", "internal/sqldb", "cmd"},
	"internal/dsn":         {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal/queue", "internal/relay", "internal/directory", "internal/sqldb", "cmd"},
	"dnsutil":              {"smtpd", "imapd", "pop3d", "store", "internal", "cmd"},
	"internal/auth":        {"smtpd", "imapd", "pop3d", "store", "internal/queue", "cmd"},
	"internal/logins":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/config", "internal/admin", "cmd"},
	"internal/directory":   {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/auth", "cmd"},
	"internal/message":     {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/sqldb", "cmd"},
	"internal/thread":      {"smtpd", "imapd", "pop3d", "store", "internal", "cmd"},
	"internal/maildir":     {"smtpd", "imapd", "pop3d", "store", "internal/fsx", "internal/sqldb", "cmd"},
	"internal/fsx":         {"smtpd", "imapd", "pop3d", "store", "internal/maildir", "internal/sqldb", "cmd"},
	"internal/sqldb":       {"smtpd", "imapd", "pop3d", "store", "internal/directory", "cmd"},
	"internal/listen":      {"smtpd", "imapd", "pop3d", "store", "cmd"},
	"internal/gate":        {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/auth", "internal/mailauth", "internal/policy", "cmd"},
	"internal/mailauth":    {"smtpd", "imapd", "pop3d", "store", "internal/policy", "internal/queue", "internal/relay", "internal/directory", "internal/sqldb", "internal/config", "cmd"},
	"internal/certs":       {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/auth", "internal/admin", "internal/web", "internal/config", "cmd"},
	"internal/setup":       {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/admin", "internal/config", "internal/sqldb", "internal/fsx", "cmd"},
	"internal/roster":      {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/admin", "internal/config", "internal/sqldb", "internal/fsx", "cmd"},
	"internal/confine":     {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal", "cmd"},
	"internal/tlsconf":     {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal/queue", "internal/certs", "internal/config", "cmd"},
	"internal/deflate":     {"smtpd", "imapd", "pop3d", "store", "dnsutil", "internal", "cmd"},
	"internal/telemetry":   {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/config", "cmd"},
	"internal/web":         {"smtpd", "imapd", "pop3d", "store", "internal/queue", "internal/directory", "internal/admin", "internal/config", "internal/sqldb", "cmd"},
	"internal/config":      {"smtpd", "imapd", "pop3d", "store", "cmd"},
}

// foreign says which packages alone import a module of others: protocol words stay at
// the edge, SQL in its place.
var foreign = map[string][]string{
	"github.com/KimMachineGun/automemlimit":  {"cmd"},
	"golang.org/x/crypto/x509roots/fallback": {"cmd"},

	"blitiri.com.ar/go/spf":               {"internal/mailauth"},
	"golang.org/x/net/publicsuffix":       {"internal/mailauth", "dnsutil"},
	"github.com/emersion/go-imap/v2":      {"imapd", "internal/e2e", "cmd"},
	"github.com/emersion/go-smtp":         {"smtpd", "internal/e2e", "cmd"},
	"github.com/emersion/go-msgauth":      {"internal/mailauth", "internal/signing"},
	"github.com/caddyserver/certmagic":    {"internal/certs"},
	"github.com/mholt/acmez/v3":           {"internal/certs"},
	"github.com/libdns":                   {"internal/certs"},
	"go.uber.org/zap":                     {"internal/certs"},
	"github.com/miekg/dns":                {"dnsutil"},
	"modernc.org/sqlite":                  {"internal/sqldb", "store"},
	"github.com/smallstep/pkcs7":          {"internal/web"},
	"github.com/chromedp":                 {"internal/e2e"},
	"github.com/cpuguy83/go-md2man/v2":    {"cmd"},
	"rsc.io/qr":                           {"internal/web", "cmd"},
	"github.com/spf13/cobra":              {"cmd"},
	"github.com/coreos/go-systemd":        {"cmd"},
	"github.com/landlock-lsm/go-landlock": {"internal/confine"},
	"github.com/pires/go-proxyproto":      {"internal/listen"},
	"github.com/prometheus/client_golang": {"internal/telemetry"},
	"github.com/pelletier/go-toml/v2":     {"internal/config", "internal/roster"},
	"golang.org/x/crypto/argon2":          {"internal/auth"},
	"github.com/xdg-go/scram":             {"internal/auth", "internal/e2e"},
	"database/sql":                        {"internal/sqldb", "internal/directory", "internal/queue", "internal/admin", "internal/auth", "internal/logins", "internal/gate", "internal/forward", "internal/signing", "internal/tlspolicy", "internal/notice", "internal/trace", "internal/invite", "store"},
}

// writes are the functions of package os that change the file system.
var writes = []string{"os.Create(", "os.WriteFile(", "os.Rename(", "os.Remove(", "os.RemoveAll(", "os.Link(", "os.Symlink(", "os.Mkdir(", "os.MkdirAll(", "os.OpenFile(", "os.Truncate(", "os.Chtimes("}

// mayWrite are the files that write outside internal/fsx, and why.
var mayWrite = map[string]string{
	"store/index.go":          "SQLite's own files, which it removes when they are damaged",
	"store/account.go":        "the same, when they were replaced",
	"internal/sqldb/sqldb.go": "it makes kurir.db with narrow permissions before SQLite opens it",
}

type source struct {
	pkg, file string
	imports   []string
	text      string
	test      bool
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		s := source{pkg: filepath.ToSlash(filepath.Dir(rel)), file: filepath.ToSlash(rel), text: string(text), test: strings.HasSuffix(path, "_test.go")}
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			s.imports = append(s.imports, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d source files found below %s", len(all), root)
	}
	return all
}

func within(pkg, of string) bool { return pkg == of || strings.HasPrefix(pkg, of+"/") }

func TestImportDirection(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for of, not := range forbidden {
			if !within(s.pkg, of) {
				continue
			}
			for _, i := range s.imports {
				rel, ours := strings.CutPrefix(i, "kurir/")
				if ours && slices.ContainsFunc(not, func(n string) bool { return within(rel, n) }) {
					t.Errorf("%s imports %s, which turns an arrow around", s.file, i)
				}
			}
		}
	}
}

func TestForeignModules(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, i := range s.imports {
			for mod, where := range foreign {
				if within(i, mod) && !slices.ContainsFunc(where, func(w string) bool { return within(s.pkg, w) }) {
					t.Errorf("%s imports %s, which belongs to %v", s.file, i, where)
				}
			}
		}
	}
}

// Only internal/fsx writes, so that tests can fail every call and cut the power anywhere.
func TestOnlyFsxWrites(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || within(s.pkg, "internal/fsx") || mayWrite[s.file] != "" || within(s.pkg, "internal/maildir/maildirtest") {
			continue
		}
		for n, line := range strings.Split(s.text, "\n") {
			code, _, _ := strings.Cut(line, "//")
			for _, w := range writes {
				if strings.Contains(code, w) {
					t.Errorf("%s:%d calls %s: write through internal/fsx", s.file, n+1, strings.TrimSuffix(w, "("))
				}
			}
		}
	}
}

// Every package says what it owns.
func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), s.file, s.text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil && len(f.Doc.Text()) > 40 {
			said[s.pkg] = true
		} else if !said[s.pkg] {
			said[s.pkg] = false
		}
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

// A log or a comment with a leftover marker is an unfinished part.
func TestNothingUnfinished(t *testing.T) {
	for _, s := range sources(t) {
		if s.pkg == "internal/rules" {
			continue
		}
		for _, w := range []string{"TODO", "FIXME", "XXX:"} {
			if strings.Contains(s.text, w) {
				t.Errorf("%s contains %s", s.file, w)
			}
		}
	}
}
