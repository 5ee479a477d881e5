package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

// setupDataCommand is what setup starts as the user that owns the data: it opens them and
// answers on the control socket until its standard input ends. It is no command for people.
func setupDataCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "setup-data",
		Short:   "Open the data for setup, as their owner",
		Example: "  kurir setup-data < /dev/null",
		Hidden:  true,
		Args:    exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := e.settings()
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(c.Context())
			defer stop()
			d, err := openData(ctx, dataOptions{cfg: cfg, create: true, files: e.files, log: slog.New(slog.DiscardHandler)})
			if err != nil {
				return err
			}
			defer d.Close()
			control, err := admin.ListenSocket(ctx, e.files, cfg.Control)
			if err != nil {
				return err
			}
			go func() { // ends with the input
				io.Copy(io.Discard, e.stdin)
				stop()
			}()
			server := &admin.Server{Operations: d.service, Log: slog.New(slog.DiscardHandler)}
			return server.Serve(ctx, control)
		},
	}
}
