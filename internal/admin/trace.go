package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kurir/internal/queue"
	"kurir/internal/trace"
)

// TraceQuery asks what became of messages.
type TraceQuery struct {
	// What is a message's id, a session's id, an address, a Message-ID or an IP address.
	What  string    `json:"what"`
	Since time.Time `json:"since,omitzero"`  // zero: all that is remembered
	Limit int       `json:"limit,omitempty"` // messages; zero means 20
}

// TracedMessage is the way of one message.
type TracedMessage struct {
	ID        string      `json:"id"`
	At        time.Time   `json:"at"`
	Sender    string      `json:"sender"` // "" if null
	To        []string    `json:"to"`
	Account   string      `json:"account,omitempty"` // who submitted it
	Client    string      `json:"client,omitempty"`
	MessageID string      `json:"message_id,omitempty"`
	Size      int64       `json:"size,omitempty"`
	Outcome   string      `json:"outcome"` // in a word or two, of all recipients
	Steps     []TraceStep `json:"steps"`   // in order of time
}

// TraceStep is one thing that happened.
type TraceStep struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // those of packages trace and queue
	Text string    `json:"text"` // a sentence
}

const (
	// traced and maxTraced are how many messages are told of.
	traced, maxTraced = 20, 1000
	// maxCopies bounds the envelopes of one message that the queue is asked about.
	maxCopies = 50
)

// Trace implements Operations; the youngest message first. None at all is an error that
// says what may be the reason.
func (s *Service) Trace(ctx context.Context, q TraceQuery) ([]TracedMessage, error) {
	if strings.TrimSpace(q.What) == "" {
		return nil, &invalid{"name a message's id, an address, a Message-ID or an IP address"}
	}
	found, err := s.Tracer.Find(ctx, q.What, q.Since, min(cmp.Or(max(q.Limit, 0), traced), maxTraced))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && !strings.Contains(q.What, "@") { // from before there was a trace, or of another's keeping time
		found = []trace.Message{{ID: q.What}}
	}
	all := []TracedMessage{}
	for _, m := range found {
		t := tracedMessage(m)
		if err := s.traceQueue(ctx, &t); err != nil {
			return nil, err
		}
		if len(t.Steps) > 0 {
			t.Outcome = outcome(t.Steps)
			all = append(all, t)
		}
	}
	return all, nil
}

// tracedMessage is what the session noted.
func tracedMessage(m trace.Message) TracedMessage {
	t := TracedMessage{ID: m.ID, To: []string{}, Steps: []TraceStep{}}
	for _, r := range m.Records {
		if t.At.IsZero() {
			t.At = r.At
		}
		t.Sender, t.Account, t.Client = cmp.Or(t.Sender, r.Sender), cmp.Or(t.Account, r.Account), cmp.Or(t.Client, r.Client)
		t.MessageID, t.Size = cmp.Or(t.MessageID, r.MessageID), max(t.Size, r.Size)
		for _, to := range r.To {
			t.addTo(to)
		}
		for _, one := range r.Steps {
			if one.Kind == trace.Refused || one.Kind == trace.Deferred {
				t.addTo(one.Recipient)
			}
			t.Steps = append(t.Steps, TraceStep{r.At, one.Kind, sentence(one, r)})
		}
	}
	return t
}

func (t *TracedMessage) addTo(address string) {
	if address != "" && !slices.Contains(t.To, address) {
		t.To = append(t.To, address)
	}
}

// sentence is a step in words.
func sentence(s trace.Step, r trace.Record) string {
	switch s.Kind {
	case trace.Received:
		return "came " + s.Text
	case trace.Judged:
		return "judged: " + s.Text
	case trace.Refused, trace.Deferred:
		who := "the message"
		switch {
		case s.Recipient != "":
			who = "the recipient " + s.Recipient
		case r.MessageID == "" && r.Size == 0 && len(r.To) == 0 && r.Sender == "":
			who = "the client"
		case r.MessageID == "" && r.Size == 0 && len(r.To) == 0:
			who = "the sender " + r.Sender
		}
		if s.Kind == trace.Refused {
			return who + " was refused: " + s.Text
		}
		return who + " was put off, the sender's server shall try again: " + s.Text
	case trace.Delivered:
		text := "delivered to " + s.Account + ", " + s.Mailbox
		if s.Recipient != "" && !strings.EqualFold(s.Recipient, s.Account) {
			text += " (as " + s.Recipient + ")"
		}
		return text
	case trace.Missed:
		return "not delivered to " + s.Account + " yet: " + s.Text
	case trace.Queued:
		return "handed to the queue for " + s.Recipient
	case trace.Forwarded:
		return "passed on by an alias to " + s.Recipient
	case trace.Posted:
		return "written by this server: " + s.Text
	}
	return s.Kind + ": " + s.Text
}

// traceQueue adds what the queue knows of a message and its copies.
func (s *Service) traceQueue(ctx context.Context, t *TracedMessage) error {
	if s.Queue == nil {
		return nil
	}
	for n := range maxCopies {
		id := t.ID
		if n > 0 {
			id = fmt.Sprintf("%s-f%d", t.ID, n)
		}
		d, err := s.Queue.Show(ctx, id)
		if errors.Is(err, queue.ErrNoMessage) {
			break
		}
		if err != nil {
			return err
		}
		if t.At.IsZero() {
			t.At, t.Sender, t.Account, t.Size = d.Created, d.Sender, d.Account, d.Size
		}
		t.addQueue(d)
	}
	slices.SortStableFunc(t.Steps, func(a, b TraceStep) int { return a.At.Compare(b.At) })
	return nil
}

// addQueue adds the queue's events, and what waits.
func (t *TracedMessage) addQueue(d QueueDetail) {
	known := len(t.Steps) > 0
	here := slices.ContainsFunc(t.Steps, func(s TraceStep) bool { return s.Kind == trace.Delivered })
	for _, e := range d.Events {
		if e.Kind == queue.EventDelivered && here && !e.At.After(t.At.Add(time.Second)) {
			continue // the session has said so
		}
		if e.Kind == queue.EventAccepted && known {
			continue
		}
		t.addTo(e.Recipient)
		t.Steps = append(t.Steps, TraceStep{e.At, e.Kind, queueSentence(e)})
	}
	for _, r := range d.Recipients {
		t.addTo(r.Recipient)
		text := "waits for " + r.Recipient
		switch {
		case strings.HasPrefix(r.State, "held"):
			text += ": " + r.State + "; see: kurir queue show " + d.ID
		case r.State == "sending":
			text = "is being sent to " + r.Recipient
		default:
			text += ", next try " + r.Due.Local().Format(time.DateTime)
		}
		t.Steps = append(t.Steps, TraceStep{time.Now(), "waits", text})
	}
}

// queueSentence is an event of the queue in words.
func queueSentence(e QueueEvent) string {
	who, reply := e.Recipient, strings.Join(strings.Fields(e.Reply), " ")
	if e.Code > 0 {
		reply = strings.TrimSpace(fmt.Sprintf("%d %s %s", e.Code, e.Status, reply))
	}
	with := func(s string) string {
		if e.Host != "" {
			s += " by " + e.Host
		}
		if e.TLS != "" {
			s += " (" + e.TLS + ")"
		}
		if reply != "" {
			s += ": " + reply
		}
		return s
	}
	if who == "" {
		who = "all its recipients"
	}
	switch e.Kind {
	case queue.EventAccepted:
		return "taken by the queue, " + reply
	case queue.EventTried:
		return with("a mail server could not be used, the next one is tried; refused")
	case queue.EventDeferred:
		return with("not taken for " + who + ", will be tried again; put off")
	case queue.EventSent:
		return with("taken for " + who)
	case queue.EventDelivered:
		return with("delivered to " + who)
	case queue.EventFailed:
		return with("returned: refused for " + who)
	case queue.EventExpired:
		return with("given up for " + who + " after days; last put off")
	case queue.EventNotice:
		return "a report was written: " + reply
	case queue.EventHeld:
		return "held for the administrator: " + reply
	case queue.EventUntold:
		return "nobody could be told"
	case queue.EventDropped:
		return "removed by the administrator for " + who
	case queue.EventReturned:
		return "returned by the administrator for " + who
	}
	return with(e.Kind + " for " + who)
}

// outcome is what became of a message in a word or two: the worst and the last of what happened.
func outcome(steps []TraceStep) string {
	n := map[string]int{}
	for _, s := range steps {
		n[s.Kind]++
	}
	var all []string
	for _, k := range []struct {
		word  string
		kinds []string
	}{
		{"delivered", []string{trace.Delivered}},
		{"sent", []string{queue.EventSent}},
		{"waits", []string{"waits"}},
		{"returned", []string{queue.EventFailed, queue.EventExpired, queue.EventReturned}},
		{"removed", []string{queue.EventDropped}},
		{"refused", []string{trace.Refused}},
		{"broken off", []string{trace.Lost}},
	} {
		if slices.ContainsFunc(k.kinds, func(kind string) bool { return n[kind] > 0 }) {
			all = append(all, k.word)
		}
	}
	if len(all) == 0 && n[trace.Deferred] > 0 {
		return "put off"
	}
	if len(all) == 0 {
		return "under way"
	}
	return strings.Join(all, ", ")
}

// Trace implements Operations.
func (c *Client) Trace(ctx context.Context, q TraceQuery) ([]TracedMessage, error) {
	return post[[]TracedMessage](ctx, c, "trace", q)
}
