// Package queue keeps messages that have been accepted and not yet delivered: those for
// other hosts, and those for mailboxes here whose delivery failed after another's had
// succeeded. It decides when each recipient is tried, gives up, and tells senders what
// became of their mail (RFC 3461); handing a message to another host is the Transport's
// part, putting it into a mailbox the Deliverer's.
//
// On disk: <data>/queue/msg-<random>, one durable file a message, a hard link of what was
// received. It may begin with Return-Path (and a Delivered-To behind it), which is for
// mailboxes here; other hosts get what follows. An attempt at a mailbox works on a private
// copy, that name with "." and the row's id behind it: delivery makes a hard link of it,
// so that after a kill its link count tells whether it had been delivered. Files that no
// row needs are removed at start.
//
// In kurir.db, times in milliseconds since 1970:
//
//	queue_message      a message; the row stays as long as its events
//	queue_recipient    one recipient that waits; gone when it has been dealt with
//	queue_event        what happened, from "accepted" to the last attempt, for KeepEvents
//	queue_destination  a destination that fails as a whole, and until when it is let be
//
// SQL is the truth. Memory mirrors the rows that wait (index.go), so that no message costs
// a search: per destination those that are due, in order of priority and time, and one heap
// of the times at which something is to be done for the others. Run's scheduler hands jobs,
// one message for its due recipients at one destination, to workers, destination by
// destination in turn. Before the final dot of a message the rows are marked: those found
// marked at start may have arrived, which is logged, and are tried again. The outcome of an
// attempt, its events, the rows that go and the report to the sender are one commit. A clock
// that is set back keeps nothing longer than its wait can be (clock.go).
//
// The package knows no SMTP and no mailbox format.
package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kurir/internal/directory"
	"kurir/internal/fsx"
	"kurir/internal/relay"
	"kurir/internal/sqldb"
)

// Deliverer puts messages into mailboxes.
type Deliverer interface {
	// DeliverFile delivers the message kept in a file to an account, as a hard link of it
	// where the file system has them, and returns once that is durable. With an error,
	// nothing has been delivered. One that is [ErrNoRecipient] is for good. recipient is the
	// address that the sender wrote to.
	DeliverFile(ctx context.Context, path, account, recipient string) error
}

// Directory says who gets a notice; *directory.Directory is one.
type Directory interface {
	Resolve(ctx context.Context, address string) ([]directory.Recipient, error)
}

// Transport hands messages to other hosts; *relay.Relay is one.
type Transport interface {
	// Destination names where a recipient's mail goes: limits and backoff are by that name.
	Destination(sender, recipient string) string
	// Send makes one attempt. It calls before once it has sent all but the final dot, and
	// returns an outcome for each recipient, soon after ctx has ended.
	Send(ctx context.Context, destination string, m *relay.Message, to []relay.Recipient, before relay.BeforeDot) *relay.Result
}

// Errors that callers may meet.
var (
	// ErrNoRecipient: there is no such account any more.
	ErrNoRecipient = errors.New("no such recipient")
	// ErrFull: as much waits as may wait.
	ErrFull = errors.New("queue: full")
	// ErrNoMessage: no message of that id waits or is remembered.
	ErrNoMessage = errors.New("queue: no such message")
	// ErrBusy: a recipient is being sent to at this moment and was left alone.
	ErrBusy = errors.New("queue: an attempt is under way")
)

// Limits bound what an account may send to other hosts within a sliding hour and day.
// Zero is no limit.
type Limits struct {
	MessagesHour, MessagesDay     int
	RecipientsHour, RecipientsDay int
}

// Options of a Queue.
type Options struct {
	DB        *sqldb.DB // with Migrations
	FS        fsx.FS
	Dir       string // of the messages, made if need be; on the store's file system
	Deliverer Deliverer
	Directory Directory
	Transport Transport // nil: mail for elsewhere is held
	Hostname  string    // in notices

	Limits     Limits
	HoldRemote string // not "": mail for elsewhere is held, and this is why
	// Sign makes the signatures of a notice from a domain to an address elsewhere, header lines
	// that end in CRLF; nil: notices are not signed.
	Sign  func(ctx context.Context, domain string, message io.Reader) ([]byte, error)
	Admin string // who is told of accounts over their limits; zero means postmaster at the account's domain

	MaxMessages    int // that wait; zero means 100,000
	MaxRecipients  int // that wait; zero means 200,000
	PerDestination int // attempts at a time at one destination; zero means 20
	InAll          int // attempts at a time at all other hosts; zero means 200

	First       time.Duration // wait before the second try at another host; zero means 5 minutes. It doubles each time
	Most        time.Duration // longest wait between two tries; zero means 4 hours
	LocalFirst  time.Duration // the same for mailboxes here; zero means 1 minute
	LocalMost   time.Duration // zero means 1 hour
	Expire      time.Duration // age at which a message is given up; zero means 5 days
	DelayNotice time.Duration // age at which its sender is told that it is late; zero means 4 hours
	KeepEvents  time.Duration // zero means 14 days
	Grace       time.Duration // for attempts under way when Run is to end; zero means 10 seconds

	Now  func() time.Time // zero means time.Now
	Rand func() float64   // 0 to 1, for waits that differ by 10 % either way; zero means math/rand
	Log  *slog.Logger     // zero means slog.Default
	// Observe, if set, is told the end of each recipient's attempt: EventSent, EventDelivered,
	// EventDeferred or EventFailed, and how long the attempt took.
	Observe func(kind string, took time.Duration)
	// Ended, if set, is told when another host has taken, or refused for good, what an account
	// here has submitted for a recipient.
	Ended func(ctx context.Context, e Ending)
	// Posted, if set, is told of each message of the queue's own, once it is durable. It must
	// not block.
	Posted func(Posting)
	// Reach, if set, is told each time that a destination has failed as a whole, and why;
	// with nil, that it works again.
	Reach func(destination string, why *relay.Reply)
}

// Posting is a report or a notice that the queue has written.
type Posting struct {
	ID       string
	To       []string
	Accounts []string // here, that it goes to
	Size     int64    // octets on the wire
	About    string   // in a few words
}

// Ending is the end of a recipient at another host.
type Ending struct {
	ID, Recipient string
	Sent          bool // else it was refused
	Reply         relay.Reply
	Host          string
}

// Queue is the open queue. Its methods may be called from any goroutine.
type Queue struct {
	opts   atomic.Pointer[Options]
	sql    statements
	limits limiter
	wake   chan struct{}

	remover remover
	doubts  doubts

	commands sync.Mutex // held by one of the administrator's commands; taken before mu
	mu       sync.Mutex // guards the index; nothing waits while it is held
	index
}

// Open opens the queue: it reads what waits, tells of attempts of which the end is not
// known, and removes what an earlier run left half-done. It is called before the first
// Keep. Nothing is tried until Run.
func Open(ctx context.Context, o Options) (*Queue, error) {
	o.setDefaults()
	if err := fsx.MkdirAll(o.FS, o.Dir, 0o700); err != nil {
		return nil, err
	}
	q := &Queue{wake: make(chan struct{}, 1), remover: remover{wake: make(chan struct{}, 1)}}
	q.opts.Store(&o)
	q.index.init(&o)
	if err := q.sql.prepare(ctx, o.DB); err != nil {
		return nil, err
	}
	if err := q.load(ctx); err != nil {
		return nil, err
	}
	return q, q.sweep()
}

// o are the options in force.
func (q *Queue) o() *Options { return q.opts.Load() }

// Settings are the options that may change while the queue is open. Zero values are those
// of Options.
type Settings struct {
	Limits                     Limits
	Admin                      string
	MaxMessages, MaxRecipients int
	PerDestination, InAll      int
	First, Most                time.Duration
	Expire, DelayNotice        time.Duration // for what is taken from now on
	KeepEvents                 time.Duration
}

// Settings are those in force.
func (o *Options) Settings() Settings {
	return Settings{
		Limits: o.Limits, Admin: o.Admin, MaxMessages: o.MaxMessages, MaxRecipients: o.MaxRecipients,
		PerDestination: o.PerDestination, InAll: o.InAll, First: o.First, Most: o.Most,
		Expire: o.Expire, DelayNotice: o.DelayNotice, KeepEvents: o.KeepEvents,
	}
}

// Change puts other settings into force, for all that is decided from now on.
func (q *Queue) Change(s Settings) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := *q.o()
	o.Limits, o.Admin, o.MaxMessages, o.MaxRecipients = s.Limits, s.Admin, s.MaxMessages, s.MaxRecipients
	o.PerDestination, o.InAll, o.First, o.Most = s.PerDestination, s.InAll, s.First, s.Most
	o.Expire, o.DelayNotice, o.KeepEvents = s.Expire, s.DelayNotice, s.KeepEvents
	o.setDefaults()
	q.opts.Store(&o)
	q.index.options = &o
	q.poke()
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		zero  time.Duration
	}{
		{&o.First, 5 * time.Minute}, {&o.Most, 4 * time.Hour},
		{&o.LocalFirst, time.Minute}, {&o.LocalMost, time.Hour},
		{&o.Expire, 5 * 24 * time.Hour}, {&o.DelayNotice, 4 * time.Hour},
		{&o.KeepEvents, 14 * 24 * time.Hour}, {&o.Grace, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.zero
		}
	}
	for _, n := range []struct {
		field *int
		zero  int
	}{{&o.MaxMessages, 100_000}, {&o.MaxRecipients, 200_000}, {&o.PerDestination, 20}, {&o.InAll, 200}} {
		if *n.field == 0 {
			*n.field = n.zero
		}
	}
	if o.Transport == nil && o.HoldRemote == "" {
		o.HoldRemote = "this server sends no mail to others"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = mathrand.Float64
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Ended == nil {
		o.Ended = func(context.Context, Ending) {}
	}
	if o.Reach == nil {
		o.Reach = func(string, *relay.Reply) {}
	}
	if o.Posted == nil {
		o.Posted = func(Posting) {}
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration) {}
	}
}

// Counts of recipients that wait.
type Counts struct {
	Messages int
	Local    int // for mailboxes here, without those held
	Remote   int // for other hosts, without those held
	Held     int // for the administrator
	Sending  int // of Local and Remote: under way at this moment
	// Failing is how many destinations are let be for a while, as nobody there can be reached.
	Failing int
	// Oldest is when the first of all came; zero: nothing waits.
	Oldest time.Time
}

// Waiting counts what waits.
func (q *Queue) Waiting(context.Context) (Counts, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := Counts{Messages: len(q.mails)}
	oldest := int64(never)
	for _, r := range q.rows {
		oldest = min(oldest, r.mail.created)
		switch {
		case r.held != holdNone:
			c.Held++
			continue
		case r.account != "":
			c.Local++
		default:
			c.Remote++
		}
		if r.busy {
			c.Sending++
		}
	}
	for _, d := range q.destinations {
		if d.closed() {
			c.Failing++
		}
	}
	if oldest != never {
		c.Oldest = fromMilli(oldest)
	}
	return c, nil
}

// now is the present in milliseconds since 1970, as all times in rows and memory.
func (q *Queue) now() int64 { return q.o().Now().UnixMilli() }

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms) }

// poke lets the scheduler look again.
func (q *Queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// filePrefix begins the names of messages; those of queues before there was a relay began
// with oldPrefix.
const (
	filePrefix = "msg-"
	oldPrefix  = "local-"
)

func (q *Queue) path(name string) string { return filepath.Join(q.o().Dir, name) }

func newName() string { return filePrefix + strings.ToLower(rand.Text()) }

// newID names a message of the queue's own.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// remove removes a file that nothing needs. If that fails, it is done at the next start.
func (q *Queue) remove(name string) {
	if err := ignoreMissing(q.o().FS.Remove(q.path(name))); err != nil {
		q.o().Log.Warn("file in the queue could not be removed", "file", name, "error", err)
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
