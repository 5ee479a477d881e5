package admin

import (
	"errors"
	"fmt"
	"net/http"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/queue"
	"kurir/store"
)

// wireError is a refusal as the control socket carries it.
type wireError struct {
	Error string `json:"error"` // for people
	Kind  string `json:"kind"`  // one of kinds, "" for our own faults
	// Refused is what kindNotSent is about.
	Refused []Refused `json:"refused,omitempty"`
}

const (
	kindUnknownOperation = "unknown-operation"
	kindBadRequest       = "bad-request"
	kindNotSent          = "not-sent"
)

// ErrOtherVersion is returned by a client whose server does not know the call: it is of another version.
var ErrOtherVersion = errors.New("the running server is of another version; restart it after an upgrade, or use its own kurir program")

// invalid is a call that can be read, and cannot be meant.
type invalid struct{ text string }

func (i *invalid) Error() string { return i.text }

// kind is a kind of error, by its name on the wire.
type kind struct {
	name   string
	is     error
	status int
}

// kinds are the errors that keep their identity on the way through the socket.
func kinds() []kind {
	return []kind{
		{"no-domain", directory.ErrNoDomain, http.StatusNotFound},
		{"no-account", directory.ErrNoAccount, http.StatusNotFound},
		{"no-alias", directory.ErrNoAlias, http.StatusNotFound},
		{"no-credential", directory.ErrNoCredential, http.StatusNotFound},
		{"exists", directory.ErrExists, http.StatusConflict},
		{"in-use", directory.ErrInUse, http.StatusConflict},
		{"invalid-address", directory.ErrInvalidAddress, http.StatusBadRequest},
		{"loop", directory.ErrLoop, http.StatusBadRequest},
		{"message", directory.ErrMessage, http.StatusBadRequest},
		{"password", auth.ErrPassword, http.StatusBadRequest},
		{"mail-exists", store.ErrAccountExists, http.StatusConflict},
		{"no-mail", store.ErrNoAccount, http.StatusNotFound},
		{"newer", store.ErrNewer, http.StatusConflict},
		{"disk-full", store.ErrDiskFull, http.StatusInsufficientStorage},
		{"unavailable", store.ErrUnavailable, http.StatusServiceUnavailable},
		{"no-message", queue.ErrNoMessage, http.StatusNotFound},
		{"queue-full", queue.ErrFull, http.StatusInsufficientStorage},
		{"busy", queue.ErrBusy, http.StatusConflict},
		{kindUnknownOperation, ErrOtherVersion, http.StatusNotFound},
	}
}

// toWire translates an error of an operation.
func toWire(err error) (status int, e wireError) {
	var bad *badRequest
	if errors.As(err, &bad) {
		return http.StatusBadRequest, wireError{Error: "the request cannot be read: " + err.Error(), Kind: kindBadRequest}
	}
	var wrong *invalid
	if errors.As(err, &wrong) {
		return http.StatusBadRequest, wireError{Error: err.Error(), Kind: kindBadRequest}
	}
	var not *NotSent
	if errors.As(err, &not) {
		return http.StatusUnprocessableEntity, wireError{Error: not.Error(), Kind: kindNotSent, Refused: not.Refused}
	}
	for _, k := range kinds() {
		if errors.Is(err, k.is) {
			return k.status, wireError{Error: err.Error(), Kind: k.name}
		}
	}
	return http.StatusInternalServerError, wireError{Error: err.Error()}
}

// fromWire is the error that a client returns for e.
func fromWire(e wireError) error {
	if e.Kind == kindNotSent {
		return &NotSent{Refused: e.Refused}
	}
	for _, k := range kinds() {
		if k.name != e.Kind {
			continue
		}
		if k.is == ErrOtherVersion {
			return fmt.Errorf("%w (%s)", ErrOtherVersion, e.Error)
		}
		return &remoteError{text: e.Error, is: k.is}
	}
	return &remoteError{text: e.Error}
}

// remoteError is an error that happened in the server: its text, and the kind that errors.Is finds.
type remoteError struct {
	text string
	is   error
}

func (r *remoteError) Error() string { return r.text }

func (r *remoteError) Unwrap() error { return r.is }
