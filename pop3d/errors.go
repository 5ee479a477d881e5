package pop3d

import (
	"context"
	"errors"

	"kurir/internal/auth"
	"kurir/store"
)

// refusal is a -ERR reply. A handler that returns one has written nothing, and the session
// goes on; any other error of a handler ends it.
type refusal struct {
	code  string // response code (RFC 2449 section 8), "" to omit
	text  string // one line, safe to show a stranger
	err   error  // cause: logged, never sent
	count bool   // it counts against Server.MaxErrors
}

func (r *refusal) Error() string {
	if r.err != nil {
		return r.text + ": " + r.err.Error()
	}
	return r.text
}

func (r *refusal) Unwrap() error { return r.err }

// syntax refuses what the client should not have sent at all.
func syntax(text string) error { return &refusal{text: text, count: true} }

// Response codes (RFC 2449 section 8.1, RFC 3206).
const (
	codeAuth    = "AUTH"
	codeSysTemp = "SYS/TEMP"
	codeSysPerm = "SYS/PERM"
)

// errEnd ends the session; all that is to be said has been written.
var errEnd = errors.New("session ended")

// errLoginEnded ends the session, which has to be told.
var errLoginEnded = errors.New("login ended")

// refuse turns an error of package store into the reply.
func refuse(err error) error {
	for _, m := range []struct {
		is         error
		code, text string
	}{
		{store.ErrExpunged, "", "This message is gone"},
		{store.ErrNoAccount, codeSysPerm, "There is no mailbox for this account"},
		{store.ErrNoMailbox, codeSysPerm, "There is no mailbox for this account"},
		{store.ErrMailboxGone, codeSysPerm, "The mailbox has been removed"},
		{store.ErrNewer, codeSysPerm, "The mailbox was written by a newer version"},
		{store.ErrDiskFull, codeSysTemp, "The server's disk is full"},
		{context.Canceled, codeSysTemp, "The server is stopping"},
	} {
		if errors.Is(err, m.is) {
			return &refusal{code: m.code, text: m.text, err: err}
		}
	}
	return &refusal{code: codeSysTemp, text: "Cannot get at the mailbox, try again later", err: err}
}

// refuseLogin turns an error of package auth into the reply (RFC 3206). An unknown user and
// a wrong password look the same; that an account is disabled is told only after the right one.
func refuseLogin(err error) error {
	for _, m := range []struct {
		is         error
		code, text string
	}{
		{auth.ErrInvalid, codeAuth, "Wrong user name or password"},
		{auth.ErrThrottled, codeSysTemp, "Too many failed logins, try again later"},
		{auth.ErrDisabled, codeAuth, "This account is disabled"},
	} {
		if errors.Is(err, m.is) {
			return &refusal{code: m.code, text: auth.Disabled(m.text, err), err: err, count: true}
		}
	}
	return &refusal{code: codeSysTemp, text: "Cannot check passwords now, try again later", err: err, count: true}
}
