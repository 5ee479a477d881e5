package main

import (
	"encoding/json"
	"strings"
	"testing"

	"kurir/internal/admin"
	"kurir/internal/config"
)

// An invitation works from the stopped server, is alone on stdout, and can be taken back.
func TestAccountInvite(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	s.must("correct horse\n", "account", "add", "alice@example.test", "--password-stdin")
	out := s.must("", "account", "invite", "alice@example.test")
	if !strings.HasPrefix(out, "https://") || strings.Count(out, "\n") != 1 || !strings.Contains(out, "/setup/i/") {
		t.Errorf("%q", out)
	}
	var i admin.Invited
	if err := json.Unmarshal([]byte(s.must("", "account", "invite", "alice@example.test", "--json")), &i); err != nil || i.Address != "alice@example.test" || i.Expires.IsZero() {
		t.Errorf("%+v %v", i, err)
	}
	contains(t, s.must("", "account", "invite", "alice@example.test", "--revoke"), "2 invitations of alice@example.test stopped working.")
	s.must("", "account", "disable", "alice@example.test")
	for _, address := range []string{"alice@example.test", "bob@example.test"} {
		if code, _, _ := s.do("", "account", "invite", address); code == exitOK {
			t.Errorf("%s was invited", address)
		}
	}
}

func TestPagesURL(t *testing.T) {
	cfg := config.Default()
	cfg.Hostname = "mail.example.org"
	for _, c := range []struct {
		https []string
		local bool
		want  string
	}{
		{nil, false, "https://mail.example.org"},
		{[]string{":443"}, false, "https://mail.example.org"},
		{[]string{"[::]:8443"}, false, "https://mail.example.org:8443"},
		{nil, true, "http://127.0.0.1:8080"},
	} {
		cfg.Web.HTTPS = c.https
		if got := pagesURL(cfg, c.local); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// The code on a terminal is as wide as high, and has all its corners.
func TestBlocks(t *testing.T) {
	text := blocks("https://mail.example.org/setup/i/ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	width := 0
	for i, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "  \x1b[30;107m"), "\x1b[0m")
		if n := len([]rune(line)); i > 0 && n != width {
			t.Fatalf("line %d is %d wide, not %d", i, n, width)
		} else {
			width = n
		}
	}
	if width < 25 || (width+1)/2 != len(lines) || !strings.Contains(lines[1], "█▀▀▀▀▀█") {
		t.Errorf("%d wide, %d lines:\n%s", width, len(lines), text)
	}
	if blocks(strings.Repeat("x", 5000)) != "" {
		t.Error("too long a text made a code")
	}
}
