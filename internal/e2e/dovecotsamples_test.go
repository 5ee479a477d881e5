package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// sample is one message to compare.
type sample struct{ name, text string }

// allSamples are the messages of our own and those of public libraries that this machine
// has, each once.
func allSamples(t *testing.T) []sample {
	t.Helper()
	all := ownSamples()
	seen := make(map[string]bool)
	for _, dir := range publicMail(t) {
		n := len(all)
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".md") {
				return err
			}
			text, err := os.ReadFile(path)
			if rel, _ := filepath.Rel(dir, path); err == nil && isMail(text) && !seen[string(text)] {
				seen[string(text)] = true
				all = append(all, sample{filepath.Base(dir) + "/" + rel, oneLineEnd(string(text))})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d messages in %s", len(all)-n, dir)
	}
	return all
}

// isMail reports whether a file begins with something like a header field.
func isMail(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	name, _, ok := bytes.Cut(line, []byte{':'})
	return ok && len(name) > 0 && !bytes.ContainsAny(name, " \t{(<\"/") || bytes.HasPrefix(line, []byte("From "))
}

// oneLineEnd makes all line ends of a message CRLF if some are: a file with both kinds is
// served as it is by kurir (docs/store-format.md), and not by Dovecot.
func oneLineEnd(text string) string {
	if !strings.Contains(text, "\r\n") {
		return text
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
}

// publicMail are the folders with test messages of public libraries that are installed.
func publicMail(t *testing.T) (dirs []string) {
	t.Helper()
	ask := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).Output() // a program that is not there has no messages
		return strings.TrimSpace(string(out))
	}
	places := []string{
		filepath.Join(ask("go", "env", "GOROOT"), "src/mime/multipart/testdata"),
		filepath.Join(ask("python3", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"), "test/test_email/data"),
	}
	modules, err := os.ReadFile("testdata/mailmodules.txt")
	if err != nil {
		t.Fatal(err)
	}
	cache := ask("go", "env", "GOMODCACHE")
	for line := range strings.Lines(string(modules)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			places = append(places, filepath.Join(cache, moduleDir(line)))
		}
	}
	for _, d := range places {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// moduleDir is where the module cache has a module: capitals are "!" and the small letter.
func moduleDir(module string) string {
	var b strings.Builder
	for _, r := range module {
		if unicode.IsUpper(r) {
			b.WriteByte('!')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
