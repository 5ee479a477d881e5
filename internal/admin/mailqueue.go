package admin

import (
	"context"
	"strings"

	"kurir/internal/queue"
)

// MailQueue is the Queue of this server.
type MailQueue struct{ *queue.Queue }

// List lists what waits.
func (q MailQueue) List(ctx context.Context, f QueueFilter) ([]QueueEntry, error) {
	s := selection(f)
	if f.Recipient != "" {
		s.Limit = 0
	}
	rows, err := q.Queue.List(ctx, s.Filter)
	if err != nil {
		return nil, err
	}
	all := make([]QueueEntry, 0, len(rows))
	for _, r := range rows {
		if f.Recipient != "" && !strings.EqualFold(f.Recipient, r.Recipient) {
			continue
		}
		if f.Limit > 0 && len(all) == f.Limit {
			break
		}
		all = append(all, entry(r))
	}
	return all, nil
}

// Show tells all about one message.
func (q MailQueue) Show(ctx context.Context, id string) (QueueDetail, error) {
	d, err := q.Queue.Show(ctx, id)
	if err != nil {
		return QueueDetail{}, err
	}
	all := QueueDetail{ID: d.ID, Sender: d.Sender, Account: d.Account, Client: d.Client, EnvID: d.EnvID, Size: d.Size, Created: d.Created,
		RequireTLS: d.RequireTLS, TLSOptional: d.TLSOptional,
		DeliverBy: d.By.At, DeliverByReturn: d.By.Return, Priority: d.MTPriority}
	for _, r := range d.Recipients {
		all.Recipients = append(all.Recipients, entry(r))
	}
	for _, e := range d.Events {
		all.Events = append(all.Events, QueueEvent{
			At: e.At, Recipient: e.Recipient, Kind: e.Kind, Host: e.Host, Address: e.Address,
			TLS: e.TLS, Policy: e.Policy, Code: e.Code, Status: e.Status, Reply: e.Reply,
		})
	}
	return all, nil
}

// Change does one of QueueActions.
func (q MailQueue) Change(ctx context.Context, action string, f QueueFilter) (recipients int, err error) {
	act := map[string]func(context.Context, queue.Selection) (int, error){
		QueueRetry: q.Retry, QueueHold: q.Hold, QueueRelease: q.Release, QueueDrop: q.Drop, QueueBounce: q.Bounce,
	}[action]
	return act(ctx, selection(f))
}

// selection is a filter in the queue's terms.
func selection(f QueueFilter) queue.Selection {
	s := queue.Selection{Recipient: f.Recipient, Filter: queue.Filter{
		IDs: f.IDs, Domain: f.Domain, Sender: f.Sender, Account: f.Account, Error: f.Error, MinAge: f.MinAge, Limit: f.Limit,
	}}
	if f.Held {
		s.State = "held"
	}
	return s
}

// localDestination is the queue's name for mailboxes here.
const localDestination = "(local)"

func entry(e queue.Entry) QueueEntry {
	if e.Destination == localDestination {
		e.Destination = ""
	}
	return QueueEntry{
		ID: e.ID, Sender: e.Sender, Recipient: e.Recipient, Destination: e.Destination, Account: e.Account, State: e.State,
		Size: e.Size, Created: e.Created, Due: e.Due, Deadline: e.Deadline, Attempts: e.Attempts, Status: e.Status, Reply: e.Reply,
	}
}
