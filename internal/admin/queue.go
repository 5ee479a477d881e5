package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/internal/queue"
)

// QueueFilter says which recipients that wait are meant: those that fit all that is set.
// Domains and addresses are compared without regard to case.
type QueueFilter struct {
	IDs       []string      `json:"ids,omitempty"`       // of messages
	Domain    string        `json:"domain,omitempty"`    // of the recipient
	Sender    string        `json:"sender,omitempty"`    // address, "@example.net" for a domain, "<>" for the null one
	Recipient string        `json:"recipient,omitempty"` // address
	Account   string        `json:"account,omitempty"`   // that submitted the message
	Error     string        `json:"error,omitempty"`     // part of the last reply
	Held      bool          `json:"held,omitempty"`      // only what waits for the administrator
	MinAge    time.Duration `json:"min_age,omitempty"`   // of the message
	Limit     int           `json:"limit,omitempty"`     // of a list, in recipients; 0: all
}

// empty tells whether the filter lets everything through.
func (f QueueFilter) empty() bool {
	return len(f.IDs) == 0 && f.Domain == "" && f.Sender == "" && f.Recipient == "" && f.Account == "" &&
		f.Error == "" && !f.Held && f.MinAge == 0
}

// QueueEntry is one recipient that waits.
type QueueEntry struct {
	ID          string    `json:"id"`     // of the message
	Sender      string    `json:"sender"` // empty: the null reverse-path of a notice
	Recipient   string    `json:"recipient"`
	Destination string    `json:"destination,omitempty"` // domain or smarthost; empty: a mailbox here
	Account     string    `json:"account,omitempty"`     // that submitted the message
	State       string    `json:"state"`                 // "waiting", "sending" or "held (reason)"
	Size        int64     `json:"size"`                  // bytes on the wire
	Created     time.Time `json:"created"`
	Due         time.Time `json:"due"`      // of the next try
	Deadline    time.Time `json:"deadline"` // of the last try
	Attempts    int       `json:"attempts"`
	Status      string    `json:"status,omitempty"` // RFC 3463
	Reply       string    `json:"reply,omitempty"`  // the last one
}

// QueueDetail is all that is known of a message, also of one that has left.
type QueueDetail struct {
	ID      string `json:"id"`
	Sender  string `json:"sender"`
	Account string `json:"account,omitempty"`
	Client  string `json:"client,omitempty"` // where it came from, in words
	EnvID   string `json:"envid,omitempty"`
	// RequireTLS and TLSOptional are what the sender wants of TLS (RFC 8689).
	RequireTLS  bool      `json:"require_tls,omitempty"`
	TLSOptional bool      `json:"tls_optional,omitempty"`
	Size        int64     `json:"size"`
	Created     time.Time `json:"created"`
	// DeliverBy is until when it is to be delivered, the zero time if nobody said so; then it is
	// returned with DeliverByReturn, else its sender is told (RFC 2852).
	DeliverBy       time.Time    `json:"deliver_by,omitzero"`
	DeliverByReturn bool         `json:"deliver_by_return,omitempty"`
	Priority        int          `json:"priority,omitempty"` // -9 to 9 (RFC 6710)
	Recipients      []QueueEntry `json:"recipients"`         // that wait; empty: it has left
	Events          []QueueEvent `json:"events"`             // in the order in which they happened
}

// QueueEvent is one thing that happened to a message.
type QueueEvent struct {
	At        time.Time `json:"at"`
	Recipient string    `json:"recipient,omitempty"` // empty: all
	Kind      string    `json:"kind"`                // "accepted", "sent", "deferred" and so on
	Host      string    `json:"host,omitempty"`
	Address   string    `json:"address,omitempty"` // of the host, with port
	TLS       string    `json:"tls,omitempty"`     // version, and the name that the certificate is valid for
	Policy    string    `json:"policy,omitempty"`  // what TLS had to be like there, and why
	Code      int       `json:"code,omitempty"`
	Status    string    `json:"status,omitempty"`
	Reply     string    `json:"reply,omitempty"`
}

// Actions of a QueueChange.
const (
	QueueRetry   = "retry"   // try now
	QueueHold    = "hold"    // wait for release
	QueueRelease = "release" // go on
	QueueDrop    = "drop"    // remove, without a word to the sender
	QueueBounce  = "bounce"  // return to the sender
)

// QueueActions are all of them.
func QueueActions() []string {
	return []string{QueueRetry, QueueHold, QueueRelease, QueueDrop, QueueBounce}
}

// QueueChange does something with what waits. The filter must say what, or All.
type QueueChange struct {
	Action string      `json:"action"`
	Filter QueueFilter `json:"filter"`
	All    bool        `json:"all,omitempty"`
}

// String is what was done to what, for the log.
func (c QueueChange) String() string {
	if c.All {
		return c.Action + " all"
	}
	b := c.Action
	for _, w := range []struct{ name, value string }{
		{"", strings.Join(c.Filter.IDs, " ")}, {"domain=", c.Filter.Domain}, {"sender=", c.Filter.Sender},
		{"recipient=", c.Filter.Recipient}, {"account=", c.Filter.Account}, {"error=", c.Filter.Error},
	} {
		if w.value != "" {
			b += " " + w.name + w.value
		}
	}
	if c.Filter.Held {
		b += " held"
	}
	if c.Filter.MinAge > 0 {
		b += " older=" + c.Filter.MinAge.String()
	}
	return b
}

// Changed is what a QueueChange did.
type Changed struct {
	Recipients int `json:"recipients"`
	// Problem says why others were left as they are; empty: there were none.
	Problem string `json:"problem,omitempty"`
}

// Queue is what Service needs of the queue; MailQueue is one.
type Queue interface {
	List(ctx context.Context, f QueueFilter) ([]QueueEntry, error)
	// Show fails with queue.ErrNoMessage if nothing is known of id.
	Show(ctx context.Context, id string) (QueueDetail, error)
	// Change returns how many recipients it was about.
	Change(ctx context.Context, action string, f QueueFilter) (recipients int, err error)
}

// errNoQueue says that this process has not opened the queue.
var errNoQueue = errors.New("the queue is not open in this program; start the server")

// ListQueue implements Operations; in order of age, the oldest message first.
func (s *Service) ListQueue(ctx context.Context, f QueueFilter) ([]QueueEntry, error) {
	if s.Queue == nil {
		return nil, errNoQueue
	}
	if err := checkFilter(f); err != nil {
		return nil, err
	}
	rows, err := s.Queue.List(ctx, f)
	if rows == nil {
		rows = []QueueEntry{}
	}
	return rows, err
}

// ShowQueue implements Operations.
func (s *Service) ShowQueue(ctx context.Context, id string) (QueueDetail, error) {
	if s.Queue == nil {
		return QueueDetail{}, errNoQueue
	}
	d, err := s.Queue.Show(ctx, id)
	if errors.Is(err, queue.ErrNoMessage) {
		return d, unknownMessage(id)
	}
	if d.Recipients == nil {
		d.Recipients = []QueueEntry{}
	}
	if d.Events == nil {
		d.Events = []QueueEvent{}
	}
	return d, err
}

// noMessage is queue.ErrNoMessage in words that say what to do.
type noMessage struct{ text string }

func (n *noMessage) Error() string { return n.text }

func (n *noMessage) Unwrap() error { return queue.ErrNoMessage }

func unknownMessage(id string) error {
	return &noMessage{fmt.Sprintf("no message %q waits or is remembered; see what waits with: kurir queue list", id)}
}

// ChangeQueue implements Operations. If one of the ids is not that of a message that
// waits, nothing is changed.
func (s *Service) ChangeQueue(ctx context.Context, c QueueChange) (Changed, error) {
	switch {
	case s.Queue == nil:
		return Changed{}, errNoQueue
	case !slices.Contains(QueueActions(), c.Action):
		return Changed{}, &invalid{fmt.Sprintf("the queue knows no action %q", c.Action)}
	case c.Filter.empty() != c.All:
		return Changed{}, &invalid{"say which messages: by ids or a filter, or all of them"}
	}
	if err := checkFilter(c.Filter); err != nil {
		return Changed{}, err
	}
	c.Filter.Limit = 0
	if err := s.allWait(ctx, c.Filter.IDs); err != nil {
		return Changed{}, err
	}
	n, err := s.Queue.Change(ctx, c.Action, c.Filter)
	switch {
	case errors.Is(err, queue.ErrNoMessage): // gone in the meantime
		err = nil
	case err != nil && n > 0:
		return Changed{Recipients: n, Problem: err.Error()}, nil
	}
	return Changed{Recipients: n}, err
}

// allWait sees that each id is that of a message that waits.
func (s *Service) allWait(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := s.Queue.List(ctx, QueueFilter{IDs: ids})
	if err != nil && !errors.Is(err, queue.ErrNoMessage) {
		return err
	}
	for _, id := range ids {
		if slices.ContainsFunc(rows, func(e QueueEntry) bool { return e.ID == id }) {
			continue
		}
		if _, err := s.Queue.Show(ctx, id); err == nil {
			return &noMessage{fmt.Sprintf("message %s has left the queue; what became of it: kurir queue show %s", id, id)}
		}
		return unknownMessage(id)
	}
	return nil
}

// checkFilter refuses what cannot be meant.
func checkFilter(f QueueFilter) error {
	switch {
	case f.MinAge < 0 || f.Limit < 0:
		return &invalid{"an age or a limit below zero"}
	case strings.Contains(f.Domain, "@"):
		return &invalid{fmt.Sprintf("%q is an address, not a domain", f.Domain)}
	}
	return nil
}
