package imapd

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

// Response codes that go-imap has no name for.
const (
	codeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED" // RFC 5530 section 3
	codeUseAttr       imap.ResponseCode = "USEATTR"       // RFC 6154 section 3
	typeNo                              = imap.StatusResponseTypeNo
	typeBad                             = imap.StatusResponseTypeBad
)

// reply is a tagged NO or BAD. Text and code go to the client, cause to the log.
type reply struct {
	imap.StatusResponse
	cause error
}

func (r *reply) Error() string {
	if r.cause != nil {
		return fmt.Sprintf("%s %s: %v", r.Type, r.Text, r.cause)
	}
	return string(r.Type) + " " + r.Text
}

func (r *reply) Unwrap() error { return r.cause }

// badf says that the client's command is wrong.
func badf(format string, args ...any) *reply {
	return &reply{StatusResponse: imap.StatusResponse{Type: typeBad, Text: fmt.Sprintf(format, args...)}}
}

// no says that the command can't be done, and why.
func no(code imap.ResponseCode, text string) *reply {
	return &reply{StatusResponse: imap.StatusResponse{Type: typeNo, Code: code, Text: text}}
}

// connError ends the session: its connection is of no more use.
type connError struct{ error }

func (e connError) Unwrap() error { return e.error }

// errGoodbye ends the session after what is gathered has been sent.
var errGoodbye = errors.New("session over")

// storeErrors says how the store's errors reach the client (RFC 5530 section 3).
var storeErrors = []struct {
	is   error
	code imap.ResponseCode
	text string
}{
	{store.ErrNameTooLong, imap.ResponseCodeLimit, "Mailbox name too long"}, // in front of ErrNoMailbox, which it may come with
	{store.ErrInvalidName, imap.ResponseCodeCannot, "Not a possible mailbox name"},
	{store.ErrNoMailbox, imap.ResponseCodeNonExistent, "No such mailbox"},
	{store.ErrMailboxExists, imap.ResponseCodeAlreadyExists, "Mailbox exists already"},
	{store.ErrTooManyMailboxes, imap.ResponseCodeLimit, "No room for another mailbox or subscription"},
	{store.ErrMailboxGone, imap.ResponseCodeNonExistent, "Mailbox has been deleted"},
	{store.ErrOverQuota, imap.ResponseCodeOverQuota, "Over quota"},
	{store.ErrDiskFull, imap.ResponseCodeUnavailable, "The server's disk is full"},
	{store.ErrTooManyKeywords, imap.ResponseCodeLimit, "No more than 26 keywords in a mailbox"},
	{store.ErrInvalidKeyword, imap.ResponseCodeCannot, "Not a possible keyword"},
	{store.ErrNotPermitted, imap.ResponseCodeCannot, "Not possible with this mailbox"},
	{store.ErrExpunged, codeExpungeIssued, "Some messages are gone"},
	{store.ErrNoAccount, imap.ResponseCodeUnavailable, "No mail store for this account"},
	{store.ErrNewer, imap.ResponseCodeContactAdmin, "The mail was written by a newer version of this server"},
	{store.ErrUnavailable, imap.ResponseCodeUnavailable, "Mail store unavailable, try again later"},
	{store.ErrClosed, imap.ResponseCodeUnavailable, "The account's mail is closed"}, // removed, renamed, or the server stops
	{context.Canceled, imap.ResponseCodeUnavailable, "Server is stopping"},
}

// replyTo translates an error of a handler. One that is in no table is our own fault:
// the client is told nothing specific.
func replyTo(err error) *reply {
	var r *reply
	if errors.As(err, &r) {
		return r
	}
	for _, e := range storeErrors {
		if errors.Is(err, e.is) {
			r := no(e.code, e.text)
			r.cause = err
			return r
		}
	}
	r = no(imap.ResponseCodeServerBug, "Internal error")
	r.cause = err
	return r
}

// ownFault reports whether the server is to blame, so that the error is logged as such.
func (r *reply) ownFault() bool {
	switch r.Code {
	case imap.ResponseCodeServerBug, imap.ResponseCodeContactAdmin, imap.ResponseCodeUnavailable:
		return r.cause != nil && !errors.Is(r.cause, context.Canceled)
	}
	return false
}

// tryCreate turns "no such mailbox" into the hint that CREATE would help (RFC 9051
// sections 6.3.12 and 6.4.7), which it would not if the name is impossible.
func tryCreate(err error) error {
	if replyTo(err).Code == imap.ResponseCodeNonExistent {
		r := no(imap.ResponseCodeTryCreate, "No such mailbox")
		r.cause = err
		return r
	}
	return err
}
