package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"kurir/internal/admin"
	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/queue"
	"kurir/internal/sqldb"
	"kurir/store"
)

// dataOptions say how to open a data directory. Only dir is needed.
type dataOptions struct {
	dir          string
	create       bool // make the directory if it is not there
	files        fsx.FS
	hostname     string
	expungedKeep time.Duration
	watch        bool // notice what other programs do to the mail
	log          *slog.Logger
	observe      func(kind string, n int, d time.Duration) // told of each fsync
	failed       func(error)                               // told of each fsync that failed
}

// data is an open data directory: its lock, database and mail.
type data struct {
	dir       string
	db        *sqldb.DB
	directory *directory.Directory
	store     *store.Store
	service   *admin.Service
	closers   []func() error // in the order of opening
}

// migrations are the tables of the whole program, for sqldb.Open.
func migrations() [][]sqldb.Migration {
	return [][]sqldb.Migration{directory.Migrations, admin.Migrations, queue.Migrations()}
}

// openData takes the data directory's lock and opens what lies in it. The error is
// fsx.ErrLocked, naming the process, if another one has it.
func openData(ctx context.Context, o dataOptions) (_ *data, err error) {
	if err := prepareDir(o); err != nil {
		return nil, err
	}
	d := &data{dir: o.dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	lock, err := fsx.Lock(filepath.Join(o.dir, "lock"))
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, lock.Unlock)
	if d.db, err = sqldb.Open(ctx, filepath.Join(o.dir, "kurir.db"), migrations()...); err != nil {
		return nil, err
	}
	d.closers = append(d.closers, d.db.Close)
	d.directory = directory.New(d.db)
	d.store, err = store.Open(ctx, store.Options{
		Dir: o.dir, FS: o.files, Hostname: o.hostname, Log: o.log,
		ExpungedKeep: o.expungedKeep, NoWatch: !o.watch,
		Quota:   d.quota,
		Ledger:  admin.Ledger{DB: d.db},
		Observe: o.observe, Failed: o.failed,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the mail in %s: %w", o.dir, err)
	}
	d.closers = append(d.closers, d.store.Close)
	d.service = &admin.Service{Directory: d.directory, Store: d.store, Program: programVersion()}
	return d, nil
}

// prepareDir makes the data directory if wanted, and refuses one that this user cannot
// work in or should not.
func prepareDir(o dataOptions) error {
	info, err := os.Stat(o.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.create:
		if err := fsx.MkdirAll(o.files, o.dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w; make it for the user that runs kurir (sudo install -d -m 700 -o USER %s), or name another with \"data\" in the configuration", err, o.dir)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no data directory %s: \"kurir domain add\" makes it; or name another with -c or --data", o.dir)
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("the data directory %s is a file", o.dir)
	}
	if err := checkOwner(o.dir, info); err != nil {
		return err
	}
	if err := mayWrite(o.dir); err != nil {
		return denied(o.dir, info, err)
	}
	if o.create {
		return nil
	}
	if _, err := o.files.Stat(filepath.Join(o.dir, "kurir.db")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no data of kurir: name the right directory with -c or --data; if it is the right one, \"kurir domain add\" begins there", o.dir)
	}
	return nil
}

// ownerError says that the data belong to another user than root, who is asking.
type ownerError struct{ text string }

func (o *ownerError) Error() string { return o.text }

// denied explains why this user cannot work in dir.
func denied(dir string, info fs.FileInfo, err error) error {
	if whose := ownedBy(info); whose != "" {
		return fmt.Errorf("this user may not work in the data directory %s (%w): %s", dir, err, whose)
	}
	return fmt.Errorf("this user may not work in the data directory %s: %w", dir, err)
}

// Close closes everything in reverse order.
func (d *data) Close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	d.closers = nil
	return errors.Join(errs...)
}

// quota is an account's limit in bytes for the store; 0 is none.
func (d *data) quota(ctx context.Context, address string) (int64, error) {
	a, err := d.directory.GetAccount(ctx, address)
	if errors.Is(err, directory.ErrNoAccount) || errors.Is(err, directory.ErrNoDomain) {
		return 0, nil // being added or removed at this moment
	}
	return a.Quota, err
}
