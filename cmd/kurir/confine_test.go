package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kurir/internal/confine"
)

// TestConfine: a server confines itself to its data and sockets, and to reading its
// configuration and what that names, unless it is told not to.
func TestConfine(t *testing.T) {
	sockets, secrets := t.TempDir(), t.TempDir()
	s := newTestSite(t, "[lmtp]", fmt.Sprintf("address = [%q]", "unix:"+filepath.Join(sockets, "l")),
		"[[route]]", `smarthost = "relay.example.net"`, `username = "x"`, fmt.Sprintf("password_file = %q", filepath.Join(secrets, "password")))
	for _, tt := range []struct {
		line    string
		version int
		err     error
		want    string
	}{
		{"", 5, nil, "confined to its folders"},
		{"", 0, nil, "the kernel has no Landlock"},
		{"", 5, errors.New("no room"), "could not confine itself"},
		{"confine = false\n", 5, nil, ""},
	} {
		con := newConsole(t)
		var got *confine.Paths
		con.confine = func(p confine.Paths) (int, error) { got = &p; return tt.version, tt.err }
		cfg, err := (&env{config: s.config, files: con.files}).settings()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Confine = tt.line == ""
		con.config = s.config
		log, _ := newLogger(&con.err, cfg)
		site := &site{env: con.env, cfg: cfg, log: log}
		site.confine()
		contains(t, con.err.String(), tt.want)
		if tt.line != "" {
			if got != nil || con.err.String() != "" {
				t.Error("confined against the configuration")
			}
			continue
		}
		for _, dir := range []string{s.dir, sockets} {
			if !slices.Contains(got.Write, dir) || slices.Contains(got.Read, dir) {
				t.Errorf("may not write to %s: %+v", dir, got)
			}
		}
		for _, dir := range []string{filepath.Dir(s.config), secrets, "/etc"} {
			if !slices.Contains(got.Read, dir) || slices.Contains(got.Write, dir) {
				t.Errorf("may write to %s, or not read it: %+v", dir, got)
			}
		}
		if slices.Contains(append(got.Read, got.Write...), "/") || slices.Contains(got.Read, "") {
			t.Errorf("all of the machine: %+v", got)
		}
		denied := fmt.Errorf("tls.cert: %w", fs.ErrPermission)
		if said := site.outside(denied).Error(); strings.Contains(said, "restart") != (tt.err == nil && tt.version > 0) {
			t.Errorf("%s: %s", tt.want, said)
		}
	}
}
