package certs

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core passes certmagic's log on to ours. What it says of each step is of use only to
// those who look for a fault; what has failed is said in words of ours as well.
type core struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// zapLogger is a logger for certmagic that ends in log.
func zapLogger(log *slog.Logger) *zap.Logger { return zap.New(core{log: log}) }

// level is what an entry is for us: nothing of another program's is our own fault.
func level(l zapcore.Level) slog.Level {
	if l >= zapcore.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.Core.
func (c core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), level(l)) }

// With implements zapcore.Core.
func (c core) With(more []zapcore.Field) zapcore.Core {
	return core{c.log, slices.Concat(c.fields, more)}
}

// Check implements zapcore.Core.
func (c core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c core) Write(e zapcore.Entry, more []zapcore.Field) error {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, more) {
		f.AddTo(all)
	}
	var attrs []slog.Attr
	for _, key := range slices.Sorted(maps.Keys(all.Fields)) {
		v := all.Fields[key]
		if m, ok := v.(map[string]any); ok {
			v = fmt.Sprint(m)
		}
		attrs = append(attrs, slog.Any(key, v))
	}
	c.log.LogAttrs(context.Background(), level(e.Level), "certificates: "+e.Message, attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (c core) Sync() error { return nil }
