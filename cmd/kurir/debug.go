package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
)

func debugCommand(e *env) *cobra.Command {
	short := map[string]string{
		admin.ProfileCPU:        "Where the processor's time goes, for some seconds",
		admin.ProfileHeap:       "What the memory holds",
		admin.ProfileAllocs:     "What was asked of memory since the start",
		admin.ProfileGoroutines: "What each goroutine does at this moment, as text",
		admin.ProfileBlock:      "Where goroutines wait for each other",
		admin.ProfileMutex:      "Who keeps others waiting",
	}
	var all []*cobra.Command
	for _, p := range admin.Profiles() {
		all = append(all, debugProfile(e, p, short[p]))
	}
	return group(&cobra.Command{
		Use:   "debug",
		Short: "Profiles of the running server, for its developers",
		Long: `Profiles of the running server, for a report of slowness or of much memory. They come over
the control socket alone, and go to standard output. "go tool pprof FILE" reads them; that of
goroutines is text. They hold names of functions, and no mail.`,
		Example: `  kurir debug profile --seconds 30 > cpu.pprof
  kurir debug heap > heap.pprof
  kurir debug goroutines > goroutines.txt`,
	}, all...)
}

// debugProfile is the command of one profile.
func debugProfile(e *env, profile, short string) *cobra.Command {
	c := &cobra.Command{Use: profile, Short: short, Example: "  kurir debug " + profile + " > " + profile + ".pprof", Args: exactly()}
	seconds := new(int)
	if profile == admin.ProfileCPU {
		seconds = c.Flags().Int("seconds", 30, "for so many `SECONDS`")
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := admin.DebugQuery{Profile: profile, For: time.Duration(*seconds) * time.Second}
		if q.For < 0 || q.For > admin.MaxProfile || profile == admin.ProfileCPU && q.For == 0 {
			return usagef("--seconds has to be between 1 and %d", int(admin.MaxProfile.Seconds()))
		}
		client, err := e.client()
		if err != nil {
			return err
		}
		defer client.Close()
		err = client.Debug(c.Context(), q, e.stdout)
		if errors.Is(err, admin.ErrNoServer) {
			return fmt.Errorf("%w: only a running server has a profile", err)
		}
		return err
	}
	return c
}
