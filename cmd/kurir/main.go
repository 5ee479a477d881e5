// Command kurir is the mail server and its administration: the command line, the
// reading of the configuration and the wiring of the parts, nothing else. Each command
// has a file of its own; run.go puts a server together for both serve and local.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes, also told by "kurir --help".
const (
	exitOK     = 0
	exitFailed = 1 // the command could not be carried out, or found something wrong
	exitUsage  = 2 // the command line is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if name, ok := sendmailName(os.Args[0]); ok {
		os.Exit(sendmailMain(ctx, systemEnv(), name, os.Args[1:]))
	}
	os.Exit(run(ctx, systemEnv(), os.Args[1:]))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, env *env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if errors.As(err, new(pendingError)) {
		return exitPending
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(env.stderr, "kurir:", strings.ReplaceAll(text, "\n", "\nkurir: "))
	}
	if isUsage(err) || !env.started {
		fmt.Fprintln(env.stderr, "Try the command with --help for its usage and examples.")
		return exitUsage
	}
	return exitFailed
}
