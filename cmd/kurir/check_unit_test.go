package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/config"
)

// TestCheckUnit: variables that only the unit knows are told of, those that this command has
// too are not.
func TestCheckUnit(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kurir")
	text := "# KURIR_DATA=/x\nKURIR_ADMIN=\"a@b.test\"\nKURIR_LOG_LEVEL=debug\nOTHER=1\n KURIR_HOSTNAME=mail.b.test\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	con := newConsole(t)
	con.environ = append(con.environ, "KURIR_ADMIN=a@b.test", "KURIR_LOG_LEVEL=info")
	r := &report{}
	con.checkUnit(r, file)
	if len(r.Findings) != 1 || r.Findings[0].Level != levelWarning {
		t.Fatalf("%+v", r.Findings)
	}
	contains(t, r.Findings[0].Text, "KURIR_LOG_LEVEL, KURIR_HOSTNAME for the server", file)
	if strings.Contains(r.Findings[0].Text, "KURIR_ADMIN") || strings.Contains(r.Findings[0].Text, "KURIR_DATA") {
		t.Error(r.Findings[0].Text)
	}
	r = &report{}
	con.checkUnit(r, "")
	con.checkUnit(r, file+"-none")
	if len(r.Findings) > 0 {
		t.Errorf("without a file: %+v", r.Findings)
	}
	con.checkUnit(r, t.TempDir())
	if r.Warnings != 1 {
		t.Errorf("a file that cannot be read: %+v", r.Findings)
	}
}

func TestCheckConfine(t *testing.T) {
	for _, on := range []bool{true, false} {
		r := &report{}
		cfg := config.Default()
		cfg.Confine = on
		checkConfine(r, cfg)
		if len(r.Findings) != 1 || r.Errors+r.Warnings > 0 || strings.Contains(r.Findings[0].Text, "confine is false") == on {
			t.Errorf("confine = %v: %+v", on, r.Findings)
		}
	}
}

// What a container has on all its addresses is for its neighbours, and no warning each time.
func TestCheckOpenHTTP(t *testing.T) {
	cfg := &config.Config{}
	cfg.HTTP.Address = []string{":8080"}
	for container, warnings := range map[bool]int{true: 0, false: 1} {
		r := &report{}
		checkOpenHTTP(r, cfg, container)
		if r.Warnings != warnings || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Text, "http.address has :8080") {
			t.Errorf("container %v: %+v", container, r)
		}
	}
}
