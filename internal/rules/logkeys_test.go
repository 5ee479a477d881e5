package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// firstKey is at which argument the attributes of a logger's method begin.
var firstKey = map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0, "Log": 3}

// isLogger tells whether an expression looks like a logger: its last name is log or Log, or
// it is what With gives.
func isLogger(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return strings.EqualFold(e.Name, "log") || strings.EqualFold(e.Name, "logger")
	case *ast.SelectorExpr:
		return strings.EqualFold(e.Sel.Name, "log")
	case *ast.CallExpr:
		sel, ok := e.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "With"
	}
	return false
}

// logKeys are the names of the attributes that a file logs, with where they stand.
func logKeys(t *testing.T, s source) map[string]token.Position {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, s.file, s.text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]token.Position{}
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			key, _ := strconv.Unquote(lit.Value)
			keys[key] = set.Position(lit.Pos())
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "slog" && len(call.Args) == 2 { // slog.String("key", …)
			add(call.Args[0])
		}
		if first, ok := firstKey[sel.Sel.Name]; ok && isLogger(sel.X) && !call.Ellipsis.IsValid() {
			for i := first; i < len(call.Args); i += 2 {
				add(call.Args[i])
			}
		}
		return true
	})
	return keys
}

// synonyms are names that an attribute must not have, since another one says the same, or
// since slog has it for itself.
var synonyms = map[string]string{
	"err": "error", "user": "account", "username": "account", "login": "account", "ip": "remote", "addr": "address", "client_ip": "remote",
	"message_id": "id", "msgid": "id", "msg_id": "id", "queue_id": "id", "sess": "session", "sid": "session", "session_id": "session",
	"sender": "from", "mbox": "mailbox", "folder": "mailbox", "rcpt": "recipient", "duration": "took", "elapsed": "took", "hostname": "host", "path": "file",
	"proto": "protocol", "directory": "dir", "msg": "something else", "time": "something else", "level": "something else", "source": "something else",
}

// Each attribute of the log has one name for one thing, so that who searches a log finds
// everything; docs/monitoring.md tells of those that many lines have.
func TestLogAttributes(t *testing.T) {
	used := map[string]bool{}
	shape := regexp.MustCompile(`^[a-z][a-z_]*$`)
	for _, s := range sources(t) {
		if s.test || s.pkg == "internal/rules" || strings.HasSuffix(s.pkg, "test") {
			continue
		}
		for key, at := range logKeys(t, s) {
			used[key] = true
			if better, is := synonyms[key]; is {
				t.Errorf("%s:%d logs %q: call it %q", s.file, at.Line, key, better)
			}
			if !shape.MatchString(key) {
				t.Errorf("%s:%d logs %q: small letters and underscores alone", s.file, at.Line, key)
			}
		}
	}
	if len(used) < 50 {
		t.Errorf("only %d attributes found: the search is broken", len(used))
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/monitoring.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| attribute | means |")
	if !found {
		t.Fatal("docs/monitoring.md has no table of attributes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(table, -1) {
		if !used[m[1]] {
			t.Errorf("docs/monitoring.md has the attribute %q, which nothing logs", m[1])
		}
	}
}
