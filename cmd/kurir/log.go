package main

import (
	"context"
	"io"
	"log/slog"
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
	return slog.New(&logHandler{s, slog.NewTextHandler(w, o), slog.NewJSONHandler(w, o)}), s
}

// logHandler writes in the form that is in force.
type logHandler struct {
	s          *logSwitch
	text, json slog.Handler
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.s.level.Level() }

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.s.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &logHandler{h.s, h.text.WithAttrs(a), h.json.WithAttrs(a)}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.s, h.text.WithGroup(name), h.json.WithGroup(name)}
}
