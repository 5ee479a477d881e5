// Package trace remembers the way of each message through the server, so that "where is my
// mail?" has an answer: who handed it in, what was thought of it, where it went, or why it
// was refused. What waits for other servers, and each try there, the queue remembers itself.
// No subject and no text is kept.
//
// Writers never wait: [Trace.Note] puts a record into a bounded buffer, which is written
// once a second, or when it is half full, and at the end; what has no room is counted and
// forgotten. A process that is killed loses its last second.
//
// In kurir.db, table trace_batch, times in milliseconds since 1970: a row holds the records
// of one write, as a JSON array of [Record], so that a busy server pays for few rows. Which
// rows can have a name is told by the hashes in front of them: FNV-1a of 32 bits over each
// name of its records, in 8 hexadecimal digits, sorted. Names are the message's and the
// session's id, addresses, accounts, Message-IDs and IP addresses, in small letters.
//
// Rows go when they are older than Options.Keep, or hold more than Options.Max records in
// all. Refusals come from strangers, who could fill the table with them: refusals.go bounds
// what they get of it.
package trace

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/internal/sqldb"
)

// Migrations are the tables of this package, for sqldb.Open.
func Migrations() []sqldb.Migration {
	return []sqldb.Migration{{Name: "trace/1", SQL: `
CREATE TABLE trace_batch (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	first   BIGINT NOT NULL, -- time of the oldest record
	last    BIGINT NOT NULL, -- and of the youngest
	number  BIGINT NOT NULL, -- of records
	names   TEXT NOT NULL,   -- hashes
	records TEXT NOT NULL    -- JSON
);
`}}
}

// Kinds of steps.
const (
	Received  = "received"  // a message came whole; Text says from where
	Judged    = "judged"    // what was thought of a stranger's message, and why
	Refused   = "refused"   // for good, with the reply that the client got
	Deferred  = "deferred"  // the client was told to try again, with the reply
	Delivered = "delivered" // it is in a mailbox here
	Missed    = "missed"    // a mailbox could not be written; the queue tries again
	Queued    = "queued"    // the queue has it for other servers
	Forwarded = "forwarded" // an alias passes it on
	Posted    = "posted"    // the server wrote a report or a notice itself
	Lost      = "lost"      // the client broke off within it
)

// Step is one thing that happened to a message.
type Step struct {
	Kind      string `json:"kind"`
	Recipient string `json:"recipient,omitempty"` // that it is about; "": all
	Account   string `json:"account,omitempty"`
	Mailbox   string `json:"mailbox,omitempty"`
	Text      string `json:"text,omitempty"` // one line, for people
}

// Record is what is noted of a message at one time.
type Record struct {
	ID        string    `json:"id"` // the message's, as in the log and in Received
	At        time.Time `json:"at"`
	Sender    string    `json:"sender"` // reverse-path, "" if null
	To        []string  `json:"to,omitempty"`
	Account   string    `json:"account,omitempty"` // who submitted it
	Client    string    `json:"client,omitempty"`  // IP address; "" for programs of this machine
	TLS       string    `json:"tls,omitempty"`     // version, "" without
	MessageID string    `json:"message_id,omitempty"`
	Size      int64     `json:"size,omitempty"`  // octets
	Names     []string  `json:"names,omitempty"` // by which it is found, too
	Steps     []Step    `json:"steps"`
}

const (
	// maxNames and maxTo bound a record's names and recipients.
	maxNames, maxTo = 60, 100
	// maxSteps bounds a record's steps, maxText each text's octets.
	maxSteps, maxText = 120, 600
)

// Options of a Trace. DB is needed.
type Options struct {
	DB     *sqldb.DB        // with Migrations
	Keep   time.Duration    // zero or less: nothing is noted
	Max    int              // records; zero means 200,000
	Buffer int              // records that wait to be written; zero means 4096
	Now    func() time.Time // zero means time.Now
	Log    *slog.Logger     // zero means no log
	// Dropped, if set, is told of records that were forgotten for want of room.
	Dropped func(n int)
}

// Trace is the memory of messages. Its methods may be called from any goroutine, and on
// nil, which notes nothing.
type Trace struct {
	o        Options
	refusals refusals

	mu      sync.Mutex // guards waiting
	waiting []Record
	wake    chan struct{} // tells Run that much waits
	writing sync.Mutex    // held over a write, guards total
	total   int64         // records that are written, once counted
	counted bool
}

// New returns a Trace.
func New(o Options) *Trace {
	o.Max = cmp.Or(o.Max, 200_000)
	o.Buffer = cmp.Or(o.Buffer, 4096)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dropped == nil {
		o.Dropped = func(int) {}
	}
	return &Trace{o: o, wake: make(chan struct{}, 1)}
}

// Note takes a record, whose time may be zero for now, and never waits.
func (t *Trace) Note(r Record) {
	if t == nil || t.o.Keep <= 0 || r.ID == "" {
		return
	}
	if r.At.IsZero() {
		r.At = t.o.Now()
	}
	r.At = r.At.Truncate(time.Millisecond) // as the queue has it
	if r.refused() && !t.refusals.take(r.Client, r.At) {
		t.o.Dropped(1)
		return
	}
	t.mu.Lock()
	full := len(t.waiting) >= t.o.Buffer
	if !full {
		t.waiting = append(t.waiting, r)
	}
	much := len(t.waiting) >= t.o.Buffer/2
	t.mu.Unlock()
	if much {
		select {
		case t.wake <- struct{}{}:
		default: // it has been told
		}
	}
	if full {
		t.o.Dropped(1)
	}
}

// refused tells whether a record is of nothing but refusals.
func (r *Record) refused() bool {
	return !slices.ContainsFunc(r.Steps, func(s Step) bool {
		return s.Kind != Refused && s.Kind != Deferred && s.Kind != Received && s.Kind != Judged && s.Kind != Lost
	})
}

// bounded cuts what strangers could make long.
func (r *Record) bounded() {
	r.To = r.To[:min(len(r.To), maxTo)]
	r.Names = r.Names[:min(len(r.Names), maxTo)]
	r.Steps = r.Steps[:min(len(r.Steps), maxSteps)]
	for i := range r.Steps {
		r.Steps[i].Text = cut(r.Steps[i].Text)
	}
	r.Sender, r.MessageID = cut(r.Sender), cut(r.MessageID)
}

func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "?")
}

// names are what a record is found by, each once.
func (r *Record) names() []string {
	session, _, _ := strings.Cut(r.ID, "-")
	all := []string{r.ID, session, r.Sender, r.Account, r.Client, r.MessageID}
	for _, s := range r.Steps {
		all = append(all, s.Account, s.Recipient)
	}
	all = append(append(all, r.To...), r.Names...)
	var names []string
	for _, n := range all {
		if n = Name(n); n != "" && !slices.Contains(names, n) && len(names) < maxNames {
			names = append(names, n)
		}
	}
	return names
}

// Name is how an address, a Message-ID or an IP address is looked for.
func Name(s string) string {
	return strings.ToLower(strings.Trim(strings.TrimSpace(s), "<>"))
}
