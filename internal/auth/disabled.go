package auth

import (
	"errors"

	"kurir/internal/directory"
)

// DisabledError says why an account may not log in; errors.Is(err, ErrDisabled) holds.
type DisabledError struct {
	Message string // of the admin, one line; "" for none
}

func (e *DisabledError) Error() string { return e.With(ErrDisabled.Error()) }

// Is makes it an ErrDisabled.
func (e *DisabledError) Is(target error) bool { return target == ErrDisabled }

// With is text, and the admin's message behind it as it was written.
func (e *DisabledError) With(text string) string {
	if e.Message == "" {
		return text
	}
	return text + ": " + e.Message
}

// Disabled is a sentence in ASCII for whoever may not log in: text, and what the admin says
// in err behind it.
func Disabled(text string, err error) string {
	var d *DisabledError
	if errors.As(err, &d) {
		return directory.Plain(d.With(text))
	}
	return text
}
