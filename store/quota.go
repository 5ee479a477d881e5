package store

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// CheckQuota says whether an account has room for add more bytes: ErrOverQuota if not.
func (s *Store) CheckQuota(ctx context.Context, address string, add int64) error {
	limit, err := s.limit(ctx, address)
	if err != nil || limit == 0 {
		return err
	}
	q, err := s.use(address, limit)
	if err != nil {
		return err
	}
	if q.Over(add, 1) {
		return ErrOverQuota
	}
	return nil
}

// CheckRoom says whether the disk has room for add more bytes beside what is kept free:
// ErrDiskFull if not. What a client adds asks; what it moves, copies or deletes does not.
func (s *Store) CheckRoom(add int64) error {
	if s.o.Room == nil {
		return nil
	}
	if err := s.o.Room(add); err != nil {
		return errors.Join(ErrDiskFull, err)
	}
	return nil
}

// limit gives an account's limit in bytes, 0 for none.
func (s *Store) limit(ctx context.Context, address string) (int64, error) {
	if s.o.Quota == nil {
		return 0, nil
	}
	n, err := s.o.Quota(ctx, address)
	return n, kindOf(err)
}

// QuotaLimit is how much the account may hold, in bytes; 0 is no limit. Unlike Quota it never
// has to count.
func (a *Account) QuotaLimit(ctx context.Context) (int64, error) { return a.s.limit(ctx, a.address) }

// Quota says how much of its space the account uses.
func (a *Account) Quota(ctx context.Context) (Quota, error) {
	limit, err := a.QuotaLimit(ctx)
	if err != nil {
		return Quota{}, err
	}
	var q maildir.Quota
	if limit == 0 {
		q, err = a.s.countUse(a.dir)
	} else {
		q, err = a.s.use(a.address, limit)
	}
	return Quota{Used: q.Bytes, Messages: q.Count, Limit: limit}, kindOf(err)
}

var quotaSeed = maphash.MakeSeed()

func (s *Store) quotaLock(address string) *sync.Mutex {
	return &s.quotaMu[maphash.String(quotaSeed, address)%uint64(len(s.quotaMu))]
}

// use reads maildirsize, and makes it anew from the names of all messages if it is
// missing, damaged, too long, or of another limit.
func (s *Store) use(address string, limit int64) (maildir.Quota, error) {
	dir, err := s.accountDir(address)
	if err != nil {
		return maildir.Quota{}, err
	}
	l := s.quotaLock(address)
	l.Lock()
	defer l.Unlock()
	path := filepath.Join(dir, maildir.QuotaFile)
	b, err := fsx.ReadFile(s.fs, path, 64<<10)
	if err == nil {
		q, ok := maildir.ParseQuota(b)
		if ok && q.MaxBytes == limit {
			st, err := s.fs.Stat(path)
			if err == nil && !q.NeedsRecompute(int64(len(b)), s.o.Now().Sub(st.ModTime())) {
				return q, nil
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("maildirsize is made anew", "account", address, "error", err)
	}
	q, err := s.countUse(dir)
	if err != nil {
		return q, kindOf(err)
	}
	q.MaxBytes = limit
	if err := fsx.WriteFile(s.fs, path, q.Format(), 0o600); err != nil {
		s.log.Warn("maildirsize can't be written", "account", address, "error", err)
	}
	return q, nil
}

// countUse adds up all messages of an account by their names.
func (s *Store) countUse(dir string) (maildir.Quota, error) {
	var q maildir.Quota
	names, err := s.fs.ReadNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return q, ErrNoAccount
	}
	if err != nil {
		return q, err
	}
	folders := []string{""}
	for _, n := range names {
		if strings.HasPrefix(n, ".") {
			folders = append(folders, n)
		}
	}
	for _, f := range folders {
		for _, sub := range []string{"new", "cur"} {
			d := filepath.Join(dir, f, sub)
			files, err := s.fs.ReadNames(d)
			if err != nil {
				continue // not a mailbox, or removed meanwhile
			}
			for _, file := range files {
				if !isMessageName(file) {
					continue
				}
				size := maildir.ParseName(file).Size
				if size < 0 {
					st, err := s.fs.Stat(filepath.Join(d, file))
					if err != nil {
						continue
					}
					size = st.Size()
				}
				q.Bytes += size
				q.Count++
			}
		}
	}
	return q, nil
}

func (a *Account) addUse(bytes, count int64) { a.s.addUse(a.address, bytes, count) }

// addUse notes in maildirsize what was added or, below zero, removed. It is an estimate
// between two countings: a failure is logged only.
func (s *Store) addUse(address string, bytes, count int64) {
	if limit, err := s.limit(context.Background(), address); err != nil || limit == 0 {
		return
	}
	dir, err := s.accountDir(address)
	if err != nil {
		return
	}
	l := s.quotaLock(address)
	l.Lock()
	defer l.Unlock()
	path := filepath.Join(dir, maildir.QuotaFile)
	if _, err := s.fs.Stat(path); err != nil {
		return // counted when it is next asked for
	}
	f, err := s.fs.OpenAppend(path, 0o600)
	if err == nil {
		_, err = f.Write(maildir.AppendQuota(nil, bytes, count))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.log.Warn("maildirsize can't be written", "account", address, "error", err)
	}
}
