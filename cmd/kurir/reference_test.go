package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const commandsPage = "../../docs/commands.md"

// The page of commands is what the program says of itself: KURIR_UPDATE_DOCS=1 writes it.
func TestCommandsPage(t *testing.T) {
	want := commandReference(newRoot(newConsole(t).env))
	if os.Getenv("KURIR_UPDATE_DOCS") != "" {
		if err := os.WriteFile(commandsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(commandsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/commands.md is not what the commands say: run the test with KURIR_UPDATE_DOCS=1")
	}
}

// Every command can be understood without reading anything else: it says what it does and
// shows how it is used.
func TestEveryCommandHasExamples(t *testing.T) {
	for _, c := range documented(newRoot(newConsole(t).env)) {
		if strings.HasPrefix(c.CommandPath(), "kurir completion") {
			continue // the library's own
		}
		if c.Short == "" {
			t.Errorf("%s: no short description", c.CommandPath())
		}
		if !c.HasAvailableSubCommands() && c.Example == "" {
			t.Errorf("%s: no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if first := strings.Fields(line); len(first) > 0 && !strings.Contains(line, "kurir") {
				t.Errorf("%s: example %q is no command of kurir", c.CommandPath(), line)
			}
		}
	}
}

func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	c := newConsole(t)
	if code := run(t.Context(), c.env, []string{"reference", "--man", dir}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, c.err.String())
	}
	for _, name := range []string{"kurir.1", "kurir-serve.1", "kurir-account-add.1", "kurir-dns-check.1", "kurir.toml.5"} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, head := range []string{".TH", ".SH NAME"} {
			if !strings.Contains(string(page), head) {
				t.Errorf("%s has no %s", name, head)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "kurir-reference.1")); err == nil {
		t.Error("there is a page about a hidden command")
	}
	if _, err := exec.LookPath("groff"); err != nil {
		return // its complaints are looked at where the package is made
	}
	out, err := exec.Command("groff", "-man", "-ww", "-Tutf8", "-z", filepath.Join(dir, "kurir.toml.5"), filepath.Join(dir, "kurir.1")).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

func TestReferenceWantsFolder(t *testing.T) {
	if code := run(t.Context(), newConsole(t).env, []string{"reference"}); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
}
