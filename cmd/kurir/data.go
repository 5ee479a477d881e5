package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"kurir/dnsutil"
	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/detour"
	"kurir/internal/directory"
	"kurir/internal/forward"
	"kurir/internal/fsx"
	"kurir/internal/gate"
	"kurir/internal/invite"
	"kurir/internal/logins"
	"kurir/internal/notice"
	"kurir/internal/policy"
	"kurir/internal/queue"
	"kurir/internal/relay"
	"kurir/internal/reserve"
	"kurir/internal/signing"
	"kurir/internal/sqldb"
	"kurir/internal/suppression"
	"kurir/internal/telemetry"
	"kurir/internal/tlspolicy"
	"kurir/internal/trace"
	"kurir/store"
)

// dataOptions say how to open the data directory of a configuration. All but metrics and
// failed is needed.
type dataOptions struct {
	cfg     *config.Config
	create  bool // make the directory if it is not there
	files   fsx.FS
	log     *slog.Logger
	serving bool               // for a server: what other programs do to the mail is noticed
	local   bool               // for the command local, which sends nothing to other domains
	metrics *telemetry.Metrics // nil: nothing is counted
	failed  func(error)        // told of each fsync that failed
}

// data is an open data directory: its lock, database, mail and queue.
type data struct {
	dir         string
	config      atomic.Pointer[config.Config] // in force
	db          *sqldb.DB
	dns         *dnsutil.Resolver // for all but signing, which keeps nothing of it
	directory   *directory.Directory
	store       *store.Store
	signing     *signing.Signer
	relay       *relay.Relay                       // in force
	transport   *transport                         // which the queue has in the place of relay
	submitter   atomic.Pointer[submitter]          // in force
	fetcher     atomic.Pointer[dnsutil.STSFetcher] // in force
	signingDNS  *dnsutil.Resolver                  // nil: nothing is signed
	tlsPolicies *tlspolicy.Policies
	detours     *detour.Detours
	suppression *suppression.List
	queue       *queue.Queue
	logins      *logins.History
	loginSecret []byte // of salts
	forward     *forward.Forwarder
	disk        *reserve.Disk
	trace       *trace.Trace
	notice      *notice.Notice // tells the administrator; never nil
	invites     *invite.Invites
	service     *admin.Service
	closers     []func() error // in the order of opening
}

// migrations are the tables of the whole program, for sqldb.Open.
func migrations() [][]sqldb.Migration {
	return [][]sqldb.Migration{
		directory.Migrations,
		logins.Migrations,
		admin.Migrations,
		queue.Migrations(),
		tlspolicy.Migrations(),
		signing.Migrations,
		gate.Migrations(),
		forward.Migrations,
		suppression.Migrations(),
		detour.Migrations(),
		invite.Migrations,
		notice.Migrations(),
		trace.Migrations(),
	}
}

// openData takes the data directory's lock and opens what lies in it. The error is
// fsx.ErrLocked, naming the process, if another one has it.
func openData(ctx context.Context, o dataOptions) (_ *data, err error) {
	if err := prepareDir(o); err != nil {
		return nil, err
	}
	dir := o.cfg.Data
	d := &data{dir: dir, dns: o.resolver(), disk: o.disk()}
	d.config.Store(o.cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	lock, err := fsx.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, lock.Unlock)
	if d.db, err = sqldb.Open(ctx, filepath.Join(dir, "kurir.db"), migrations()...); err != nil {
		return nil, err
	}
	d.closers = append(d.closers, d.db.Close)
	d.trace = d.newTrace(o)
	d.directory = directory.New(d.db)
	if err := d.openLogins(ctx, o); err != nil {
		return nil, err
	}
	d.invites = &invite.Invites{DB: d.db, Accounts: d.directory}
	d.signing = d.newSigning(o)
	so := store.Options{
		Dir: dir, FS: o.files, Hostname: o.cfg.Hostname, Log: o.log,
		ExpungedKeep: expungedKeep(o.cfg), NoWatch: !o.serving,
		Quota:  d.quota,
		Ledger: admin.Ledger{DB: d.db},
		Failed: o.failed,
		Room:   d.disk.Room,
	}
	if o.metrics != nil {
		so.Observe = o.metrics.Fsync
	}
	if d.store, err = store.Open(ctx, so); err != nil {
		return nil, fmt.Errorf("opening the mail in %s: %w", dir, err)
	}
	d.closers = append(d.closers, d.store.Close)
	if err := d.openForward(ctx, o); err != nil {
		return nil, err
	}
	if err := d.openQueue(ctx, o); err != nil {
		return nil, fmt.Errorf("opening the queue in %s: %w", dir, err)
	}
	d.notice = d.newNotice(o)
	d.service = d.newService(o)
	d.submitter.Store(newSubmitter(d, o))
	return d, nil
}

// newService is what the commands ask for.
func (d *data) newService(o dataOptions) *admin.Service {
	s := &admin.Service{
		Directory: d.directory, Store: d.store, Queue: admin.MailQueue{Queue: d.queue},
		Hostname: o.cfg.Hostname, Admin: d.admin, Program: programVersion(),
		Submit: d.submit, Suppression: d.suppression, Tracer: d.trace,
		Logins: d.logins, LoginSecret: d.loginSecret, Invites: d.invites,
		PagesURL: func() string { return pagesURL(d.config.Load(), d.isLocal(o)) },
	}
	if !d.isLocal(o) {
		s.Signing = d.signing
	}
	return s
}

// openQueue opens the queue, and the relay that it hands messages to.
func (d *data) openQueue(ctx context.Context, o dataOptions) (err error) {
	roots, err := authorities(o.cfg.Relay.CAFile)
	if err != nil {
		return err
	}
	d.openTLS(o)
	if d.detours, err = detour.Open(ctx, detour.Options{DB: d.db, Log: o.log}); err != nil {
		return err
	}
	d.transport = &transport{}
	d.useRelay(o, roots)
	d.closers = append(d.closers, func() error { d.relay.Close(); return nil })
	q := o.queueOptions()
	q.Sign = d.sign
	q.Posted = d.notePosted
	if q.Ended, err = d.openSuppression(ctx, o); err != nil {
		return err
	}
	q.DB, q.Dir = d.db, filepath.Join(d.dir, "queue")
	q.Deliverer, q.Transport = queue.MailStore{Store: d.store, Junk: policy.IsJunk, Deferred: d.directory.Deferred, Detail: d.detail}, d.transport
	q.Directory = forward.Senders{Forwarder: d.forward}
	d.queue, err = queue.Open(ctx, q)
	return err
}

// prepareDir makes the data directory if wanted, and refuses one that this user cannot
// work in or should not.
func prepareDir(o dataOptions) error {
	dir := o.cfg.Data
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && o.create:
		if err := fsx.MkdirAll(o.files, dir, 0o700); err != nil {
			return fmt.Errorf("making the data directory: %w; make it for the user that runs kurir (sudo install -d -m 700 -o USER %s), or name another with \"data\" in the configuration", err, dir)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no data directory %s: \"kurir domain add\" makes it; or name another with -c or --data", dir)
	case err != nil:
		return fmt.Errorf("data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("the data directory %s is a file", dir)
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	if err := mayWrite(dir); err != nil {
		return denied(dir, info, err)
	}
	if o.create {
		return nil
	}
	if _, err := o.files.Stat(filepath.Join(dir, "kurir.db")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no data of kurir: name the right directory with -c or --data; if it is the right one, \"kurir domain add\" begins there", dir)
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

// detail tells the queue into which mailbox an address with a + leads; "" for none.
func (d *data) detail(ctx context.Context, recipient, account string) string {
	if !d.config.Load().Accounts.PlusFolders {
		return ""
	}
	return d.directory.Detail(ctx, recipient, account)
}

// quota is an account's limit in bytes for the store; 0 is none.
func (d *data) quota(ctx context.Context, address string) (int64, error) {
	a, err := d.directory.GetAccount(ctx, address)
	if errors.Is(err, directory.ErrNoAccount) || errors.Is(err, directory.ErrNoDomain) {
		return 0, nil // being added or removed at this moment
	}
	return a.Quota, err
}
