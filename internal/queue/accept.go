package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kurir/internal/dsn"
	"kurir/internal/relay"
)

// Message is a message that has been received.
type Message interface {
	// KeepAs makes a durable copy, or hard link, at path.
	KeepAs(path string) error
}

// Envelope is what is known of a message beside its content.
type Envelope struct {
	ID      string // names it in logs, in Received and in the queue; zero means a new one
	Sender  string // reverse-path, "" if null
	Account string // who submitted it: his limits count; "" for mail from outside
	Client  string // where it came from, in words, "submission from [192.0.2.1]"
	EnvID   string // RFC 3461 section 4.4, as xtext
	Ret     string // "FULL", "HDRS" or ""
	UTF8    bool   // RFC 6531
	// RequireTLS and TLSOptional are as in relay.Message.
	RequireTLS  bool
	TLSOptional bool
	Size        int64 // octets on the wire; zero: it is counted when needed
	Priority    int   // the least goes first; zero means 1, or 2 for more than 10 recipients
	MTPriority  int   // -9 to 9 (RFC 6710): so much less is Priority
	By          relay.DeliverBy
	NotBefore   time.Time // no attempt is made before; zero means at once

	Recipients []Recipient
	// Delivered are recipients here that have it already. Those that asked to hear of
	// success get their report.
	Delivered []Recipient
}

// Recipient is one address that a message goes to.
type Recipient struct {
	Address string // as the sender wrote it
	ORCPT   string // RFC 3461 section 4.2
	Notify  relay.Notify
	Account string // the account here that it goes to, by its address; "" for another host
	// Expanded: of Envelope.Delivered, an address that leads to several, not all of which
	// are here; the others have an envelope of their own (RFC 3461 section 5.2.7.3).
	Expanded bool
	Err      error // why an attempt at Account has failed; nil: none was made
}

// event is what has happened to one of Envelope.Delivered.
func (r Recipient) event() string {
	if r.Expanded {
		return EventExpanded
	}
	return EventDelivered
}

// Receipt says how a message was taken.
type Receipt struct {
	ID string
	// Held is why it waits for the administrator, "" if it does not.
	Held string
}

// bulk is the number of recipients above which a message lets others go first.
const bulk = 10

// Kept is a message whose file is durable. One of Commit and Drop ends it.
type Kept struct {
	q    *Queue
	file string
	done bool
}

// Keep takes a message and returns once its file would survive a power cut; what becomes
// of it is said by Commit. Errors: [ErrFull], those of the Message; nothing is kept then.
func (q *Queue) Keep(m Message) (*Kept, error) {
	q.mu.Lock()
	full := len(q.mails)+q.coming >= q.o().MaxMessages
	if !full {
		q.coming++
	}
	q.mu.Unlock()
	if full {
		return nil, ErrFull
	}
	k := &Kept{q: q, file: newName()}
	if err := m.KeepAs(q.path(k.file)); err != nil {
		k.end()
		q.remove(k.file)
		return nil, fmt.Errorf("queue: %w", err)
	}
	return k, nil
}

// end gives back the place of a message.
func (k *Kept) end() {
	k.done = true
	k.q.mu.Lock()
	k.q.coming--
	k.q.mu.Unlock()
}

// Drop gives the message up. After Commit it does nothing.
func (k *Kept) Drop() {
	if !k.done {
		k.end()
		k.q.remove(k.file)
	}
}

// Commit takes the message on for its recipients, and returns once that would survive a
// power cut. Errors: [ErrFull], those of the database; nobody gets the message then, and
// nothing is kept, but see [sqldb.ErrUncertain].
func (k *Kept) Commit(ctx context.Context, e Envelope) (Receipt, error) {
	q := k.q
	if k.done {
		return Receipt{}, errors.New("queue: message was committed or dropped before")
	}
	defer k.end()
	if !q.makeRoom(len(e.Recipients)) {
		q.remove(k.file)
		return Receipt{}, ErrFull
	}
	defer func() {
		q.mu.Lock()
		q.comingRows -= len(e.Recipients)
		q.mu.Unlock()
	}()
	a, err := q.arrive(ctx, k.file, &e)
	if err != nil {
		q.remove(k.file)
		return Receipt{}, err
	}
	success := q.successReport(ctx, a.mail, e.Delivered)
	err = q.group(ctx, func(c *change) {
		q.write(c, a)
		for _, r := range e.Delivered {
			c.event(&q.sql, a.mail.id, a.mail.created, Event{Recipient: r.Address, Kind: r.event()})
		}
		q.writeReport(c, a.mail, success)
	})
	if err != nil {
		q.forsakeAll(err, a, success)
		q.limits.giveBack(a)
		return Receipt{}, fmt.Errorf("queue: %w", err)
	}
	q.took(a, success)
	if len(a.rows) == 0 {
		q.remove(k.file)
	}
	if a.held == holdLimit {
		q.overLimit(ctx, a)
	}
	return Receipt{ID: a.mail.id, Held: a.reason}, nil
}

// makeRoom reserves room for recipients.
func (q *Queue) makeRoom(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows)+q.comingRows+n > q.o().MaxRecipients {
		return false
	}
	q.comingRows += n
	return true
}

// arrival is a message with its recipients that is about to be written.
type arrival struct {
	mail         *mail
	rows         []*row
	destinations []string      // of rows
	replies      []relay.Reply // of rows, to attempts before; nil: none
	client       string
	own          bool // the queue has written it
	remote       int  // recipients elsewhere
	counted      int  // of them, towards the account's limits
	held         hold
	reason       string
	minute       int64 // in which it was counted
}

// arrive makes the rows of a message that was accepted.
func (q *Queue) arrive(ctx context.Context, file string, e *Envelope) (*arrival, error) {
	now := q.now()
	m := &mail{id: e.ID, file: file, sender: e.Sender, account: e.Account, envID: e.EnvID, ret: e.Ret, size: e.Size,
		created: now, priority: e.Priority, utf8: e.UTF8, requireTLS: e.RequireTLS, tlsOptional: e.TLSOptional, mtPriority: e.MTPriority, by: e.By}
	if m.id == "" {
		m.id = newID()
	}
	if m.priority == 0 {
		m.priority = 1
		if len(e.Recipients) > bulk {
			m.priority = 2
		}
	}
	m.priority -= m.mtPriority
	notBefore := now
	if !e.NotBefore.IsZero() {
		notBefore = max(now, e.NotBefore.UnixMilli())
	}
	a := &arrival{mail: m, client: e.Client}
	for _, r := range e.Recipients {
		if r.Account == "" {
			a.remote++
		}
	}
	switch {
	case a.remote == 0:
	case q.o().HoldRemote != "":
		a.held, a.reason = holdRemote, q.o().HoldRemote
	default:
		if err := q.count(ctx, a); err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
	}
	for _, r := range e.Recipients {
		a.recipient(q, r, notBefore)
	}
	return a, nil
}

// recipient adds the row of a recipient.
func (a *arrival) recipient(q *Queue, r Recipient, notBefore int64) {
	w := &row{mail: a.mail, address: r.Address, orcpt: r.ORCPT, notify: r.Notify, account: r.Account,
		due: notBefore, notBefore: notBefore}
	w.deadline = q.deadline(w, notBefore)
	if a.mail.sender != "" && r.Notify.Delay() {
		w.delay = q.delay(w, notBefore)
	}
	if r.Account == "" {
		w.held, w.reason = a.held, a.reason
	}
	var reply relay.Reply
	if r.Err != nil {
		w.attempts = 1
		w.due = min(notBefore+q.wait(w, 1), w.deadline)
		reply = localReply(r.Err)
	}
	a.rows = append(a.rows, w)
	a.replies = append(a.replies, reply)
	a.destinations = append(a.destinations, q.destinationOf(w))
}

// destinationOf names where a row goes.
func (q *Queue) destinationOf(r *row) string {
	switch {
	case r.account != "":
		return localDestination
	case q.o().Transport == nil:
		return domainOf(r.address)
	}
	return q.o().Transport.Destination(r.mail.sender, r.address)
}

// write writes a message's rows and first events.
func (q *Queue) write(c *change, a *arrival) {
	m := a.mail
	c.exec(q.sql.message, m.id, m.file, m.sender, m.account, a.client, m.envID, m.ret, flag(m.utf8), flag(m.requireTLS),
		m.size, m.priority, m.created, a.counted, flag(m.tlsOptional), m.mtPriority, byTime(m.by), byMode(m.by))
	c.event(&q.sql, m.id, m.created, Event{Kind: EventAccepted, Reply: a.client})
	if a.held != holdNone {
		c.event(&q.sql, m.id, m.created, Event{Kind: EventHeld, Reply: a.reason})
	}
	for i, r := range a.rows {
		if c.err != nil {
			return
		}
		reply := a.replies[i]
		c.err = c.tx.StmtContext(c.ctx, q.sql.recipient).QueryRowContext(c.ctx, m.id, r.address, r.orcpt, r.notify, r.account,
			a.destinations[i], r.due, r.attempts, r.notBefore, r.deadline, r.delay, r.held, r.reason,
			reply.Code, reply.Status, bounded(reply.Text), "").Scan(&r.id)
	}
}

// took takes into memory what has been written. Any of them may be nil.
func (q *Queue) took(arrivals ...*arrival) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.takeIn(arrivals...)
}

// takeIn is took for who holds mu.
func (q *Queue) takeIn(arrivals ...*arrival) {
	now := q.now()
	for _, a := range arrivals {
		if a == nil {
			continue
		}
		for i, r := range a.rows {
			q.add(r, a.destinations[i], now)
		}
		q.poke()
		if a.own {
			q.o().Posted(a.posting())
		}
	}
}

// posting is what is told of a message of the queue's own.
func (a *arrival) posting() Posting {
	p := Posting{ID: a.mail.id, Size: a.mail.size, About: a.client}
	for _, r := range a.rows {
		p.To = append(p.To, r.address)
		if r.account != "" {
			p.Accounts = append(p.Accounts, r.account)
		}
	}
	return p
}

// successReport makes the report to the sender for recipients that have the message, nil
// if none of them asked for it (RFC 3461 section 5.2.3). One that can't be made is no
// reason to refuse a message that was delivered.
func (q *Queue) successReport(ctx context.Context, m *mail, delivered []Recipient) *arrival {
	var all []dsn.Recipient
	for _, r := range delivered {
		if r.Notify.Success() {
			action := dsn.Delivered
			if r.Expanded {
				action = dsn.Expanded
			}
			all = append(all, dsn.Recipient{Address: r.Address, ORCPT: r.ORCPT, Action: action, Status: "2.0.0",
				Attempts: 1, LastAttempt: fromMilli(m.created)})
		}
	}
	if len(all) == 0 || m.sender == "" {
		return nil
	}
	report, err := q.report(ctx, m, all)
	if err != nil {
		q.o().Log.Error("no report of success could be made", "id", m.id, "error", err)
	}
	return report
}
