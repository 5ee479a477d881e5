package rules

import (
	"slices"
	"strings"
	"testing"
)

// Profiles of the process are for who may use the control socket. The package net/http/pprof
// puts itself into the one handler that a forgetful server answers with, so neither is used.
func TestNoProfilesInPublic(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if slices.Contains(s.imports, "net/http/pprof") || slices.Contains(s.imports, "expvar") {
			t.Errorf("%s imports what registers itself with http.DefaultServeMux", s.file)
		}
		if slices.Contains(s.imports, "runtime/pprof") && s.pkg != "internal/admin" {
			t.Errorf("%s makes profiles: that is internal/admin's part", s.file)
		}
		for _, bad := range []string{"http.DefaultServeMux", "http.Handle(", "http.HandleFunc(", "http.ListenAndServe"} {
			if strings.Contains(s.text, bad) {
				t.Errorf("%s uses %s", s.file, bad)
			}
		}
	}
}
