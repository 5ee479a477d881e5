package main

import (
	"log/slog"
	"strings"
	"testing"

	"kurir/internal/config"
)

// Level and form of the log change under those who write it, with the fields that they have
// given it before.
func TestLogSwitch(t *testing.T) {
	var out buffer
	c := config.Default()
	log, s := newLogger(&out, c)
	log = log.With("session", "abc")
	group := log.WithGroup("g")
	last := func() string {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return lines[len(lines)-1]
	}
	log.Debug("hidden")
	log.Info("one")
	if got := last(); !strings.Contains(got, "level=INFO msg=one session=abc") || strings.Contains(out.String(), "hidden") {
		t.Errorf("text: %s", out.String())
	}
	s.set(config.Log{Level: "debug", Format: "json"})
	group.Debug("two", "n", 2)
	if got := last(); !strings.Contains(got, `"level":"DEBUG","msg":"two","session":"abc","g":{"n":2}`) {
		t.Errorf("JSON: %s", got)
	}
	s.set(config.Log{Level: "error", Format: "text"})
	if log.Enabled(t.Context(), slog.LevelWarn) || !log.Enabled(t.Context(), slog.LevelError) {
		t.Error("the level is another")
	}
	log.Error("three")
	if got := last(); !strings.Contains(got, "level=ERROR msg=three session=abc") {
		t.Errorf("text again: %s", got)
	}
}
