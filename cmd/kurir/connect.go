package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kurir/internal/admin"
	"kurir/internal/fsx"
)

// connectRetry is the time between two tries to reach the data.
const connectRetry = 100 * time.Millisecond

// operation is what a command does once it has reached the data.
type operation func(context.Context, admin.Operations) error

// with runs f on the running server or, if there is none, on the data itself.
func (e *env) with(ctx context.Context, f operation) error { return e.connect(ctx, false, f) }

// create is with, and makes the data directory if there is none.
func (e *env) create(ctx context.Context, f operation) error { return e.connect(ctx, true, f) }

func (e *env) connect(ctx context.Context, create bool, f operation) error {
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	o := dataOptions{cfg: cfg, create: create, files: e.files, log: slog.New(slog.DiscardHandler)}
	client := admin.NewClient(cfg.Control)
	defer client.Close()
	patience := cmp.Or(e.patience, 5*time.Second)
	for start := time.Now(); ; {
		d, err := openData(ctx, o)
		if err == nil {
			return errors.Join(f(ctx, d.service), d.Close())
		}
		var owner *ownerError
		if !errors.Is(err, fsx.ErrLocked) && !errors.As(err, &owner) {
			return err
		}
		_, silent := client.Version(ctx)
		switch {
		case silent == nil:
			return f(ctx, client)
		case owner != nil: // root may ask the server, which makes the files itself
			return err
		case !errors.Is(silent, admin.ErrNoServer):
			return silent
		case time.Since(start) > patience:
			return fmt.Errorf("the data directory is in use, but %w; see that process (is it starting, stopping or another program?): %w", silent, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(connectRetry):
		}
	}
}

// client reaches the running server only.
func (e *env) client() (*admin.Client, error) {
	cfg, err := e.settings()
	if err != nil {
		return nil, err
	}
	return admin.NewClient(cfg.Control), nil
}
