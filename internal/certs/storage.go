package certs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"kurir/internal/fsx"
)

// maxValue bounds what is read of one file, in bytes.
const maxValue = 1 << 20

// leftover is the age of a file that nobody is writing any more.
const leftover = time.Hour

// storage keeps what certmagic wants to find again: a file for each key, whose parts
// divided by "/" are directories. Each value is replaced in one step and is durable when
// Store returns. Locks hold within this process alone: the data directory has one of its own.
type storage struct {
	files fsx.FS
	dir   string

	mu    sync.Mutex
	locks map[string]chan struct{} // closed when the lock is free again
}

var _ certmagic.Storage = (*storage)(nil)

// newStorage makes the directory, and clears away what a killed process has left half written.
func newStorage(files fsx.FS, dir string) (*storage, error) {
	s := &storage{files: files, dir: dir, locks: make(map[string]chan struct{})}
	if err := fsx.MkdirAll(files, dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for certificates: %w", err)
	}
	return s, s.walk("", func(name string, info fs.FileInfo) error {
		if fsx.IsTemp(name) && time.Since(info.ModTime()) > leftover {
			return files.Remove(name)
		}
		return nil
	})
}

// String names it in certmagic's log.
func (s *storage) String() string { return "storage:" + s.dir }

// path is the file of a key, which must not lead out of the directory.
func (s *storage) path(key string) (string, error) {
	if !fs.ValidPath(key) || fsx.IsTemp(key) || strings.ContainsAny(key, "\x00\\") {
		return "", &fs.PathError{Op: "certificate storage", Path: key, Err: fs.ErrInvalid}
	}
	return filepath.Join(s.dir, filepath.FromSlash(key)), nil
}

// Store implements certmagic.Storage.
func (s *storage) Store(_ context.Context, key string, value []byte) error {
	name, err := s.path(key)
	if err != nil {
		return err
	}
	if len(value) > maxValue {
		return fmt.Errorf("certificate storage: %s is larger than %d bytes", key, maxValue)
	}
	if err := fsx.MkdirAll(s.files, filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return fsx.WriteFile(s.files, name, value, 0o600)
}

// Load implements certmagic.Storage; fs.ErrNotExist if there is no such key.
func (s *storage) Load(_ context.Context, key string) ([]byte, error) {
	name, err := s.path(key)
	if err != nil {
		return nil, err
	}
	return fsx.ReadFile(s.files, name, maxValue)
}

// Delete implements certmagic.Storage: the key and all below it.
func (s *storage) Delete(_ context.Context, key string) error {
	name, err := s.path(key)
	if err != nil {
		return err
	}
	if err := fsx.RemoveAll(s.files, name); err != nil {
		return err
	}
	err = s.files.SyncDir(filepath.Dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(_ context.Context, key string) (certmagic.KeyInfo, error) {
	name, err := s.path(key)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	info, err := s.files.Stat(name)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	return certmagic.KeyInfo{Key: key, Modified: info.ModTime(), Size: info.Size(), IsTerminal: !info.IsDir()}, nil
}

// List implements certmagic.Storage.
func (s *storage) List(_ context.Context, prefix string, recursive bool) ([]string, error) {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		if _, err := s.path(prefix); err != nil {
			return nil, err
		}
	}
	var keys []string
	err := s.walk(prefix, func(name string, info fs.FileInfo) error {
		rel, err := filepath.Rel(s.dir, name)
		if err != nil || fsx.IsTemp(name) {
			return err
		}
		keys = append(keys, filepath.ToSlash(rel))
		if info.IsDir() && !recursive {
			return fs.SkipDir
		}
		return nil
	})
	return keys, err
}

// walk visits all that lies below a key; fs.SkipDir from visit leaves out what is below a
// directory.
func (s *storage) walk(key string, visit func(name string, info fs.FileInfo) error) error {
	dir := filepath.Join(s.dir, filepath.FromSlash(key))
	names, err := s.files.ReadNames(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		info, err := s.files.Stat(filepath.Join(dir, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return err
		}
		err = visit(filepath.Join(dir, n), info)
		if err == nil && info.IsDir() {
			err = s.walk(path.Join(key, n), visit)
		}
		if err != nil && !errors.Is(err, fs.SkipDir) {
			return err
		}
	}
	return nil
}

// Lock implements certmagic.Locker.
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		s.mu.Lock()
		free, taken := s.locks[name]
		if !taken {
			s.locks[name] = make(chan struct{})
		}
		s.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	free, taken := s.locks[name]
	if !taken {
		return fmt.Errorf("certificate storage: %s is not locked", name)
	}
	delete(s.locks, name)
	close(free)
	return nil
}
