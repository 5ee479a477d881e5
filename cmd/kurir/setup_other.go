//go:build !unix

package main

import (
	"context"

	"kurir/internal/fsx"
)

func isRoot() bool { return false }

func readableBy(string, string) error { return nil }

func giveIfEmpty(fsx.FS, string, string) error { return nil }

// openAsOwner does nothing: here the data are always this user's own.
func (r *setupRun) openAsOwner(context.Context) error { return nil }
