package main

import (
	"context"
	"log/slog"
	"testing"

	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/telemetry"
)

// A server that is stopped while it looks at its DNS and its keys does not call them faulty.
func TestProbeAtTheEnd(t *testing.T) {
	s := newTestSite(t)
	s.must("", "domain", "add", "example.test")
	cfg := config.Default()
	cfg.Hostname, cfg.Data, cfg.DNS.Servers = "mail.example.test", s.dir, []string{"127.0.0.1:1"}
	d, err := openData(t.Context(), dataOptions{cfg: cfg, files: fsx.OS{}, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	site := &site{cfg: cfg, data: d, metrics: telemetry.New()}
	site.metrics.Health.Log = slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	site.probeOthers(ctx)
	if red := site.metrics.Health.Red(); len(red) > 0 {
		t.Error(red)
	}
}
