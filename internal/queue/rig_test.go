package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/relay"
	"kurir/internal/sqldb"
)

// rig is a queue over a folder, with mailboxes that are folders, too, and other hosts that
// do as they are told. It is the queue's Deliverer, Directory and Transport.
type rig struct {
	t       testing.TB
	ctx     context.Context
	dir     string
	db      *sqldb.DB
	q       *Queue
	now     time.Time
	clock   func() time.Time // nil: now
	options func(*Options)
	fs      fsx.FS // nil: the real one
	kill    *killer
	logged  syncBuffer

	mu    sync.Mutex
	fail  map[string]error // of deliveries, by account
	seq   int
	hosts func(*call) *relay.Result // nil: all take everything
	sent  []sent

	onTake func(*call) // a host is about to take a message
}

// call is an attempt at another host.
type call struct {
	ctx         context.Context
	destination string
	m           *relay.Message
	to          []relay.Recipient
	before      relay.BeforeDot
}

// sent is what another host has taken.
type sent struct{ id, recipient, text string }

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t testing.TB, options ...func(*Options)) *rig {
	r := &rig{t: t, ctx: context.Background(), dir: t.TempDir(), fail: map[string]error{}, now: time.Unix(1_800_000_000, 0)}
	if len(options) > 0 {
		r.options = options[0]
	}
	r.open()
	return r
}

// open opens the queue as a new process would.
func (r *rig) open() {
	r.t.Helper()
	db, err := sqldb.Open(r.ctx, filepath.Join(r.dir, "kurir.db"), Migrations())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { db.Close() })
	r.db = db
	fsys := r.fsys()
	if r.kill != nil {
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithCancel(context.Background())
		r.kill.FS, r.kill.dead = fsx.OS{}, func() { db.Close(); cancel() }
		fsys = r.kill
	}
	o := Options{DB: db, FS: fsys, Dir: filepath.Join(r.dir, "queue"), Deliverer: r, Directory: r, Transport: r,
		Hostname: "mx.local.test", Now: r.time, Rand: func() float64 { return 0.5 },
		Log: slog.New(slog.NewTextHandler(&r.logged, nil))}
	if r.options != nil {
		r.options(&o)
	}
	if r.q, err = Open(r.ctx, o); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) time() time.Time {
	if r.clock != nil {
		return r.clock()
	}
	return r.now
}

func (r *rig) fsys() fsx.FS {
	if r.fs == nil {
		return fsx.OS{}
	}
	return r.fs
}

func (r *rig) reopen() {
	r.t.Helper()
	r.db.Close()
	r.kill, r.ctx = nil, context.Background()
	r.open()
}

func (r *rig) DeliverFile(_ context.Context, path, address, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fail[address]; err != nil {
		return err
	}
	if r.kill != nil {
		if err := r.kill.before(); err != nil {
			return err
		}
		defer r.kill.after()
	}
	box := filepath.Join(r.dir, "mail", address)
	if err := os.MkdirAll(box, 0o700); err != nil {
		return err
	}
	r.seq++
	name := filepath.Join(box, fmt.Sprintf("%09d.%d", r.seq, r.time().UnixNano()))
	if err := r.fsys().Link(path, name); err != nil {
		return err
	}
	if err := r.fsys().SyncDir(box); err != nil {
		return errors.Join(err, r.fsys().Remove(name))
	}
	return nil
}

func (r *rig) Resolve(_ context.Context, address string) ([]directory.Recipient, error) {
	account := func(a string) directory.Recipient { return directory.Recipient{Account: directory.Account{Address: a}} }
	switch {
	case strings.HasPrefix(address, "nobody@local"):
		return nil, directory.ErrNoAccount
	case strings.HasPrefix(address, "broken@local"):
		return nil, io.ErrUnexpectedEOF
	case strings.HasPrefix(address, "list@local"):
		return []directory.Recipient{account("a@local.test"), account("b@local.test")}, nil
	case address == "return@local.test":
		return []directory.Recipient{{Remote: "who@remote.example"}}, nil
	case address == "both@local.test":
		return []directory.Recipient{account("a@local.test"), {Remote: "b@remote.example", Alias: address}}, nil
	case strings.HasSuffix(address, "@local.test"):
		return []directory.Recipient{account(address)}, nil
	}
	return nil, directory.ErrNoDomain
}

func (r *rig) Destination(_, recipient string) string { return domainOf(recipient) }

func (r *rig) Send(ctx context.Context, destination string, m *relay.Message, to []relay.Recipient, before relay.BeforeDot) *relay.Result {
	c := &call{ctx, destination, m, to, before}
	if r.hosts != nil {
		return r.hosts(c)
	}
	return r.take(c)
}

// take is a host that takes the message for all.
func (r *rig) take(c *call) *relay.Result {
	f, err := c.m.Open()
	if err != nil {
		return c.all(relay.Outcome{Reply: relay.Reply{Status: "4.3.0", Text: err.Error()}})
	}
	text, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = c.before(c.ctx)
	}
	if err != nil {
		return c.all(relay.Outcome{Reply: relay.Reply{Status: "4.3.0", Text: err.Error()}})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.onTake != nil {
		r.onTake(c)
	}
	if r.kill != nil { // the other host lives on, if the final dot has reached it
		if err := r.kill.before(); err != nil {
			return c.all(relay.Outcome{Uncertain: true, Reply: relay.Reply{Status: "4.4.2", Text: err.Error()}})
		}
		defer r.kill.after()
	}
	for _, to := range c.to {
		r.sent = append(r.sent, sent{c.m.ID, to.Address, string(text)})
	}
	return c.all(relay.Outcome{Action: relay.Sent, Peer: relay.Peer{Host: "mx." + c.destination},
		Reply: relay.Reply{Code: 250, Status: "2.0.0", Text: "taken"}})
}

// all is one outcome for all recipients.
func (c *call) all(o relay.Outcome) *relay.Result {
	res := &relay.Result{}
	for range c.to {
		res.Outcomes = append(res.Outcomes, o)
	}
	return res
}

func deferred(code int, status, text string) relay.Outcome {
	return relay.Outcome{Reply: relay.Reply{Code: code, Status: status, Text: text}, Peer: relay.Peer{Host: "mx.example.net"}}
}

func failed(code int, status, text string) relay.Outcome {
	o := deferred(code, status, text)
	o.Action = relay.Failed
	return o
}

// unreachable is a destination that fails as a whole.
func (c *call) unreachable() *relay.Result {
	res := c.all(relay.Outcome{Reply: relay.Reply{Status: "4.4.1", Text: "None of the mail servers could be reached."}})
	res.Whole = true
	return res
}

// got are the recipients elsewhere that have a message, "bob@example.net" or, several
// times, "bob@example.net*2".
func (r *rig) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := map[string]int{}
	for _, s := range r.sent {
		n[s.recipient]++
	}
	var all []string
	for a, k := range n {
		if k > 1 {
			a = fmt.Sprintf("%s*%d", a, k)
		}
		all = append(all, a)
	}
	slices.Sort(all)
	return all
}

// box returns the messages of an account.
func (r *rig) box(address string) (msgs []string) {
	r.t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "mail", address, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			r.t.Fatal(err)
		}
		msgs = append(msgs, string(b))
	}
	return msgs
}

// files are what the queue has on disk.
func (r *rig) files() []string {
	r.q.removeDiscarded()
	names, _ := filepath.Glob(filepath.Join(r.dir, "queue", "*"))
	return names
}

// removeDiscarded does not wait for a lull.
func (q *Queue) removeDiscarded() {
	for name, _ := q.remover.next(time.Now().Add(lull)); name != ""; name, _ = q.remover.next(time.Now().Add(lull)) {
		q.remove(name)
	}
}

// run does all that is due, one thing after the other, and returns when there will be
// more; zero: never.
func (r *rig) run() time.Time {
	r.t.Helper()
	ended, cancel := context.WithCancel(r.ctx)
	cancel() // each worker does one job
	for {
		var todo []func()
		next := r.q.dispatch(
			func(j *job) { todo = append(todo, func() { r.q.work(ended, r.ctx, j) }) },
			func(c *chore) { todo = append(todo, func() { r.q.do(r.ctx, c) }) })
		if len(todo) == 0 {
			r.q.removeDiscarded()
			if next == never {
				return time.Time{}
			}
			return fromMilli(next)
		}
		for _, f := range todo {
			f()
		}
	}
}

// expire lets time pass until nothing is tried any more, and counts the rounds.
func (r *rig) expire() (rounds int) {
	for next := r.run(); !next.IsZero() && rounds < 1000; rounds++ {
		if next.After(r.now) {
			r.now = next
		}
		next = r.run()
	}
	return rounds
}

func (r *rig) waiting() string {
	r.t.Helper()
	c, err := r.q.Waiting(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%d local, %d remote, %d held", c.Local, c.Remote, c.Held)
}

const nothing = "0 local, 0 remote, 0 held"

// kinds are the kinds of a message's events, in order.
func (r *rig) kinds(id string) string {
	r.t.Helper()
	d, err := r.q.Show(r.ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, e := range d.Events {
		all = append(all, e.Kind)
	}
	return strings.Join(all, " ")
}

// received is a message that others have already: a file whose inode has another name.
type received struct {
	fs        fsx.FS
	dir, text string
}

func (m received) KeepAs(path string) error {
	f, err := m.fs.Create(filepath.Join(m.dir, "staged-"+newID()), 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, m.text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = errors.Join(m.fs.Link(f.Name(), path), m.fs.SyncDir(filepath.Dir(path)))
	}
	return errors.Join(err, m.fs.Remove(f.Name()))
}

const testMessage = "Subject: hello\nFrom: who@remote.example\n\ntext\n"

// accept puts a message into the queue.
func (r *rig) accept(e Envelope) (Receipt, error) {
	return r.acceptText(testMessage, e)
}

func (r *rig) acceptText(text string, e Envelope) (Receipt, error) {
	k, err := r.q.Keep(received{r.fsys(), r.dir, text})
	if err != nil {
		return Receipt{}, err
	}
	return k.Commit(r.ctx, e)
}

// submit accepts a message for other hosts.
func (r *rig) submit(sender string, to ...string) string {
	r.t.Helper()
	e := Envelope{Sender: sender}
	for _, a := range to {
		e.Recipients = append(e.Recipients, Recipient{Address: a})
	}
	return r.mustAccept(e)
}

func (r *rig) mustAccept(e Envelope) string {
	r.t.Helper()
	receipt, err := r.accept(e)
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt.ID
}

// keep accepts a message for accounts here whose delivery has failed once.
func (r *rig) keep(sender string, accounts ...string) error {
	e := Envelope{Sender: sender}
	for _, a := range accounts {
		e.Recipients = append(e.Recipients, Recipient{Address: "team@local.test", Account: a, Err: io.ErrUnexpectedEOF})
	}
	_, err := r.accept(e)
	return err
}

// killer is a file system that stops with its process: before or after one operation.
type killer struct {
	fsx.FS
	n, at int
	then  bool // the operation is still done
	dead  func()
	done  bool
}

var errKilled = errors.New("killed")

func (k *killer) before() error {
	if k.n == k.at && !k.then {
		k.done = true
		k.dead()
	}
	if k.done {
		return errKilled
	}
	return nil
}

func (k *killer) after() {
	if k.n == k.at && k.then {
		k.done = true
		k.dead()
	}
	k.n++
}

// op does one operation.
func (k *killer) op(f func() error) error {
	if err := k.before(); err != nil {
		return err
	}
	defer k.after()
	return f()
}

func (k *killer) Create(name string, perm fs.FileMode) (f fsx.File, err error) {
	err = k.op(func() error { f, err = k.FS.Create(name, perm); return err })
	return f, err
}
func (k *killer) Remove(name string) error { return k.op(func() error { return k.FS.Remove(name) }) }
func (k *killer) SyncDir(name string) error {
	return k.op(func() error { return k.FS.SyncDir(name) })
}
