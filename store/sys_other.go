//go:build !linux

package store

import (
	"errors"
	"io/fs"
	"time"
)

func changeTime(st fs.FileInfo) time.Time { return st.ModTime() }

// watcher is inotify's place: elsewhere mailboxes are polled when they are looked at.
type watcher struct{}

func newWatcher(*Store) (*watcher, error) { return nil, errors.New("only on Linux") }
func (*watcher) close()                   {}
func (*watcher) add(*Mailbox) bool        { return false }
func (*watcher) remove(*Mailbox)          {}
func (*watcher) pause(*Mailbox)           {}
func (*watcher) resume(*Mailbox)          {}
