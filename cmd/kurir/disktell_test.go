package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/config"
	"kurir/internal/notice"
	"kurir/internal/reserve"
	"kurir/internal/sqldb"
	"kurir/internal/telemetry"
	"kurir/store"
)

// TestDiskTold: the administrator hears of a short disk once a day for as long as it lasts;
// what could not be told is told later; and when there was room again, at once.
func TestDiskTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), notice.Migrations())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		mail, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), NoWatch: true, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer mail.Close()
		var free, sent atomic.Int64
		var fails atomic.Bool
		free.Store(1 << 20)
		fails.Store(true)
		var log buffer
		cfg := config.Default()
		s := &site{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil)), metrics: telemetry.New()}
		s.metrics.Health.Log = s.log
		s.data = &data{store: mail}
		s.data.disk = &reserve.Disk{Size: 10 << 20, Space: func(string) (uint64, uint64, error) { return uint64(free.Load()), 100 << 20, nil }}
		s.data.notice = notice.New(notice.Options{DB: db, Post: func(context.Context, string, string) error {
			if fails.Load() {
				return errors.New("database or disk is full")
			}
			sent.Add(1)
			return nil
		}})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.watchDisk(ctx) }()
		after := func(d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if sent := sent.Load(); sent != want {
				t.Errorf("%d mails, not %d", sent, want)
			}
		}
		after(time.Minute, 0)
		fails.Store(false)
		after(tellEvery, 1)
		after(23*time.Hour, 1)
		after(time.Hour, 2)
		free.Store(50 << 20)
		after(time.Minute, 2)
		free.Store(1 << 20)
		after(time.Minute, 3)
		if n := strings.Count(log.String(), "the disk is nearly full"); n != 2 {
			t.Errorf("logged %d times:\n%s", n, log.String())
		}
		stop()
		<-ended
	})
}
