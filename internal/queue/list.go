package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/internal/relay"
)

// Filter chooses recipients that wait. Zero fields choose all; the others all have to fit.
type Filter struct {
	IDs     []string      // of messages
	Domain  string        // of the recipient, or the destination
	Sender  string        // address, "@example.net" for a domain, "<>" for nobody
	Account string        // who submitted it
	Error   string        // part of the last reply, or its status
	State   string        // beginning of Entry.State: "held"
	MinAge  time.Duration // of the message
	Limit   int           // the first so many
}

// Entry is one recipient that waits.
type Entry struct {
	ID          string // of the message
	Sender      string // "" if null
	Recipient   string
	Destination string // "(local)" for a mailbox here
	Account     string // who submitted it
	State       string // "waiting", "sending", "held (reason)"
	Size        int64  // octets on the wire; 0: not known
	Created     time.Time
	Due         time.Time // of the next attempt
	Deadline    time.Time // of the last one
	Attempts    int
	Status      string // of the last reply, its recipient's or, where that fails as a whole, its destination's
	Reply       string
}

// Detail is all that is known of a message, waiting or gone.
type Detail struct {
	ID, Sender, Account string
	Client              string // where it came from
	EnvID, Ret          string
	UTF8, RequireTLS    bool
	TLSOptional         bool
	By                  relay.DeliverBy
	MTPriority          int
	Size                int64
	Created             time.Time
	Recipients          []Entry // that wait
	Events              []Event // in order of time
}

// listed is an Entry with its row.
type listed struct {
	Entry
	row int64
}

// List returns recipients that wait, those of the oldest messages first.
func (q *Queue) List(ctx context.Context, f Filter) ([]Entry, error) {
	found, err := q.list(ctx, f, "")
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(found))
	for i, l := range found {
		entries[i] = l.Entry
	}
	return entries, nil
}

// list finds what f chooses, of one recipient alone if that is not "".
func (q *Queue) list(ctx context.Context, f Filter, recipient string) (all []listed, err error) {
	if len(f.IDs) == 0 {
		return q.listWhere(ctx, f, recipient, "")
	}
	ids := slices.Compact(slices.Sorted(slices.Values(f.IDs)))
	for _, id := range ids {
		found, err := q.listWhere(ctx, f, recipient, `WHERE m.id = $1`, id)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b listed) int { return a.Created.Compare(b.Created) })
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[:f.Limit]
	}
	return all, nil
}

func (q *Queue) listWhere(ctx context.Context, f Filter, recipient, where string, args ...any) (all []listed, err error) {
	rs, err := q.o().DB.QueryContext(ctx, `SELECT r.id, m.id, m.sender, r.address, r.destination, m.account, r.held, r.reason,
			m.size, m.created, r.due, r.deadline, r.attempts, r.status, r.reply,
			COALESCE(d.next, 0), COALESCE(d.status, ''), COALESCE(d.reply, '')
		FROM queue_recipient r JOIN queue_message m ON m.id = r.message LEFT JOIN queue_destination d ON d.name = r.destination
		`+where+` ORDER BY m.created, r.id`, args...)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	now := q.o().Now()
	for rs.Next() && (f.Limit <= 0 || len(all) < f.Limit) {
		l, err := q.scanListed(rs)
		if err != nil {
			return nil, err
		}
		if f.fits(&l.Entry, now) && (recipient == "" || strings.EqualFold(recipient, l.Recipient)) {
			all = append(all, l)
		}
	}
	return all, rs.Err()
}

func (q *Queue) scanListed(rs *sql.Rows) (l listed, err error) {
	var held hold
	var reason, status, reply string
	var created, due, deadline, next int64
	err = rs.Scan(&l.row, &l.ID, &l.Sender, &l.Recipient, &l.Destination, &l.Account, &held, &reason,
		&l.Size, &created, &due, &deadline, &l.Attempts, &l.Status, &l.Reply, &next, &status, &reply)
	if err != nil {
		return l, err
	}
	if next > 0 && held == holdNone {
		due, l.Status, l.Reply = max(due, next), status, reply
	}
	l.Created, l.Due, l.Deadline = fromMilli(created), fromMilli(min(due, max(deadline, next))), fromMilli(deadline)
	q.mu.Lock()
	r := q.rows[l.row]
	busy := r != nil && r.busy
	q.mu.Unlock()
	switch {
	case busy:
		l.State = "sending"
	case held != holdNone:
		l.State = "held (" + reason + ")"
	default:
		l.State = "waiting"
	}
	return l, nil
}

// fits tells whether a filter chooses an entry; its IDs are looked at elsewhere.
func (f *Filter) fits(e *Entry, now time.Time) bool {
	contains := func(s string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(f.Error)) }
	switch {
	case f.Domain != "" && domainOf(e.Recipient) != strings.ToLower(f.Domain) && !strings.EqualFold(e.Destination, f.Domain):
	case f.Sender != "" && !fitsSender(f.Sender, e.Sender):
	case f.Account != "" && !strings.EqualFold(f.Account, e.Account):
	case f.Error != "" && !contains(e.Reply) && !contains(e.Status):
	case !strings.HasPrefix(e.State, f.State):
	case f.MinAge > 0 && now.Sub(e.Created) < f.MinAge:
	default:
		return true
	}
	return false
}

func fitsSender(want, sender string) bool {
	switch {
	case want == "<>":
		return sender == ""
	case strings.HasPrefix(want, "@"):
		return sender != "" && domainOf(sender) == strings.ToLower(want[1:])
	}
	return strings.EqualFold(want, sender)
}

// Show returns what is known of a message, as long as something waits or is remembered.
// Errors: [ErrNoMessage], those of the database.
func (q *Queue) Show(ctx context.Context, id string) (Detail, error) {
	d := Detail{ID: id}
	var created, byAt int64
	var byMode string
	err := q.o().DB.QueryRowContext(ctx, `SELECT sender, account, client, envid, ret, utf8, require_tls, tls_optional, size, created,
			mt_priority, by_at, by_mode
		FROM queue_message WHERE id = $1`, id).
		Scan(&d.Sender, &d.Account, &d.Client, &d.EnvID, &d.Ret, &d.UTF8, &d.RequireTLS, &d.TLSOptional, &d.Size, &created, &d.MTPriority, &byAt, &byMode)
	if errors.Is(err, sql.ErrNoRows) {
		return Detail{}, fmt.Errorf("%w: %s", ErrNoMessage, id)
	}
	if err != nil {
		return Detail{}, err
	}
	d.Created, d.By = fromMilli(created), deliverBy(byAt, byMode)
	if d.Recipients, err = q.List(ctx, Filter{IDs: []string{id}}); err != nil {
		return Detail{}, err
	}
	d.Events, err = q.events(ctx, id)
	return d, err
}

// events reads a message's events.
func (q *Queue) events(ctx context.Context, id string) (all []Event, err error) {
	rs, err := q.o().DB.QueryContext(ctx, `SELECT recipient, at, kind, host, address, tls, code, status, reply, policy
		FROM queue_event WHERE message = $1 ORDER BY at, id`, id)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	for rs.Next() {
		var e Event
		var at int64
		if err := rs.Scan(&e.Recipient, &at, &e.Kind, &e.Host, &e.Address, &e.TLS, &e.Code, &e.Status, &e.Reply, &e.Policy); err != nil {
			return nil, err
		}
		e.At = fromMilli(at)
		all = append(all, e)
	}
	return all, rs.Err()
}
