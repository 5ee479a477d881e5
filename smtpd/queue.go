package smtpd

import (
	"context"

	"kurir/internal/queue"
)

// Queue takes messages that have still a way to go: to other servers, or to a mailbox
// here that could not be written. Errors are those of package queue.
type Queue interface {
	// Keep makes the message durable. It is nobody's yet: Commit or Drop must follow.
	Keep(m queue.Message) (Kept, error)
}

// Kept is a message in the hands of the queue.
type Kept interface {
	// Commit returns once it will survive a power cut that the message goes to its
	// recipients. It is called once at most.
	Commit(ctx context.Context, e queue.Envelope) (queue.Receipt, error)
	// Drop gives up a message that Commit has not taken; one that it has taken, or may
	// have taken, stays as it is.
	Drop()
}

// MailQueue is the Queue of this server.
type MailQueue struct{ *queue.Queue }

// Keep keeps a message.
func (q MailQueue) Keep(m queue.Message) (Kept, error) {
	k, err := q.Queue.Keep(m)
	if err != nil {
		return nil, err
	}
	return k, nil
}
