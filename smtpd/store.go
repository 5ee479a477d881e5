package smtpd

import (
	"context"
	"io"
	"slices"

	"kurir/store"
)

// Staged is a message that is being received. It holds bytes as on the wire.
type Staged interface {
	Write(p []byte) (int, error)
	// Size is how many octets have been written.
	Size() int64
	// Reader reads what has been written so far; after Prepend, all of it. Close it when done.
	Reader() (io.ReadCloser, error)
	// Insert has text without line ends stand before the octet at, the beginning of a line,
	// once Prepend was called; of several calls each is for a later line.
	Insert(at int64, text string) error
	// Prepend puts header lines in front of what has been written; once, at the end.
	Prepend(header []byte) error
	// KeepAs makes a durable copy at path.
	KeepAs(path string) error
	// Close drops what was not delivered.
	Close() error
}

// Target is the account, by its address, that a message goes to.
type Target struct {
	Address   string
	Recipient string // the address that the sender wrote to
	Detail    string // of user+detail: into the account's mailbox of that name, if it has one
	Placed    string // set by Deliver where it is known: the mailbox that the message is in
	Junk      bool   // into the account's mailbox for junk, INBOX if it has none
}

// Failure is a target that has not got the message, while others have.
type Failure struct {
	Target
	Err error
}

// Store takes messages. Errors are those of package store.
type Store interface {
	Stage() (Staged, error)
	// Deliver returns once the targets have the message durably, but those in failed,
	// whose mailboxes are full or could not be written while others could: for them the
	// message can still be kept. With an error none has it.
	Deliver(ctx context.Context, m Staged, targets []Target) (failed []Failure, err error)
	// CheckQuota tells whether an account has room for add bytes more.
	CheckQuota(ctx context.Context, address string, add int64) error
}

// MailStore is the Store in which messages are kept.
type MailStore struct{ *store.Store }

// Stage begins a message.
func (s MailStore) Stage() (Staged, error) {
	m, err := s.Store.Stage()
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Deliver delivers a message of Stage.
func (s MailStore) Deliver(ctx context.Context, m Staged, targets []Target) ([]Failure, error) {
	to := make([]store.Target, len(targets))
	for i, t := range targets {
		to[i].Address, to[i].Junk, to[i].Detail = t.Address, t.Junk, t.Detail
	}
	failed, err := s.Store.Deliver(ctx, m.(*store.Staged), to)
	for i := range to {
		targets[i].Placed = to[i].Placed
	}
	if err != nil {
		return nil, err
	}
	var fs []Failure
	for _, f := range failed {
		i := slices.IndexFunc(targets, func(t Target) bool { return t.Address == f.Target.Address })
		fs = append(fs, Failure{targets[i], f.Err})
	}
	return fs, nil
}
