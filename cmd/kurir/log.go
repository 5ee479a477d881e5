package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"kurir/internal/config"
)

// logSwitch is what of a log may change while it is written.
type logSwitch struct {
	level slog.LevelVar
	json  atomic.Bool
}

// set has the log be as the configuration asks for, from now on.
func (s *logSwitch) set(c config.Log) {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) != nil {
		level = slog.LevelInfo // the configuration has been checked: there is no other level
	}
	s.level.Set(level)
	s.json.Store(c.Format == "json")
}

// newLogger returns the log that the configuration asks for, on w, and what changes it.
func newLogger(w io.Writer, c *config.Config) (*slog.Logger, *logSwitch) {
	s := &logSwitch{}
	s.set(c.Log)
	o := &slog.HandlerOptions{Level: &s.level}
	forms := [2]slog.Handler{formText: slog.NewTextHandler(w, o), formJSON: slog.NewJSONHandler(w, o)}
	return slog.New(&logHandler{s: s, make: func(form int) slog.Handler { return forms[form] }}), s
}

// Forms of a log.
const formText, formJSON = 0, 1

// logHandler writes in the form that is in force. What a logger says in each line is put into
// a form when its first line in it is written: most say little, and in one form only.
type logHandler struct {
	s    *logSwitch
	make func(form int) slog.Handler
	once [2]sync.Once
	made [2]slog.Handler
}

// of is what writes a form.
func (h *logHandler) of(form int) slog.Handler {
	h.once[form].Do(func() { h.made[form] = h.make(form) })
	return h.made[form]
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.s.level.Level() }

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.s.json.Load() {
		return h.of(formJSON).Handle(ctx, r)
	}
	return h.of(formText).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &logHandler{s: h.s, make: func(form int) slog.Handler { return h.of(form).WithAttrs(a) }}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{s: h.s, make: func(form int) slog.Handler { return h.of(form).WithGroup(name) }}
}
