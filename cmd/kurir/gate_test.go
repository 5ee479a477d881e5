package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
	"kurir/internal/fsx"
	"kurir/internal/gate"
)

// TestCheckLists: check asks each list for its test entries.
func TestCheckLists(t *testing.T) {
	dns := dnstest.Start(t, "2.0.0.127.good.test. A 127.0.0.2\n*.parked.test. A 192.0.2.1\n")
	s := newTestSite(t, "[dns]", `servers = ["`+dns.Addr()+`"]`, "[inbound]", `dnsbl = ["good.test", "parked.test"]`, `dnswl = ["gone.test"]`)
	out := s.must("", "check")
	contains(t, out, "ok       the list good.test answers as it should", "warning  the list parked.test: it answers 192.0.2.1", "warning  the list gone.test: it does not have 127.0.0.2")
}

// TestCheckShared: what a server has noticed is said by check and at its next start.
func TestCheckShared(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	found := []gate.Sighting{{Address: netip.MustParseAddr("10.9.9.9"), What: "a private address: a proxy?", Names: []string{"a.test", "b.test"}, Last: time.Now().UTC()}}
	path := filepath.Join(s.dir, sharedName)
	if err := writeShared(fsx.OS{}, path, found); err != nil {
		t.Fatal(err)
	}
	const want = "connections from 10.9.9.9 (a private address: a proxy?) stand for everybody"
	contains(t, s.must("", "check"), "warning  "+want, "[proxy] networks")
	server := s.serve()
	contains(t, server.err.String(), want)
	server.stop()
	lines, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.config, string(lines)+"\n[[device]]\nnetworks = [\"10.0.0.0/8\"]\naccount = \"a@example.test\"\n")
	if code, out, _ := s.do("", "check"); code == exitOK || !strings.Contains(out, "all the world may send as that account") {
		t.Errorf("exit %d: %s", code, out)
	}
	write(t, s.config, string(lines))
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, s.must("", "check"), "warning  "+sharedName)
}

func TestSharedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), sharedName)
	if all, err := readShared(fsx.OS{}, path); err != nil || all != nil {
		t.Errorf("no file: %v, %v", all, err)
	}
	want := gate.Sighting{Address: netip.MustParseAddr("fd00::1"), What: "x", Names: []string{"a"}, Last: time.Unix(1e9, 0).UTC()}
	if err := writeShared(fsx.OS{}, path, []gate.Sighting{want}); err != nil {
		t.Fatal(err)
	}
	all, err := readShared(fsx.OS{}, path)
	if err != nil || len(all) != 1 || all[0].String() != want.String() || all[0].Address != want.Address {
		t.Errorf("%v, %v", all, err)
	}
}

// TestHeaderless: what may speak in the clear says what is missing, in one line.
func TestHeaderless(t *testing.T) {
	for protocol, want := range map[string]string{
		"smtp": "421 4.7.0 ", "submission": "421 ", "imap": "* BYE ", "pop3": "-ERR ", "http": "HTTP/1.1 400 ", "web": "HTTP/1.1 400 ",
		"submissions": "", "imaps": "", "pop3s": "",
	} {
		line := (&port{protocol: protocol}).headerless()
		switch {
		case want == "" && line != nil:
			t.Errorf("%s: %q", protocol, line())
		case want != "" && (line == nil || !strings.HasPrefix(string(line()), want) || !strings.HasSuffix(string(line()), "\r\n")):
			t.Errorf("%s says nothing, or %q", protocol, line())
		}
	}
}
