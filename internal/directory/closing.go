package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxMessage bounds what an admin can have people told, in bytes.
const MaxMessage = 200

// ErrMessage: a text that people cannot be told.
var ErrMessage = errors.New("unusable text")

// ErrDeferred: mail for this address is put off, so that its sender tries again; the
// error is a *DeferredError.
var ErrDeferred = errors.New("takes no mail at the moment")

// DeferredError says why mail is put off; errors.Is(err, ErrDeferred) holds.
type DeferredError struct {
	Address string
	Message string // of the admin, one line; "" for none
}

func (e *DeferredError) Error() string {
	if e.Message == "" {
		return e.Address + " " + ErrDeferred.Error()
	}
	return e.Address + " " + ErrDeferred.Error() + ": " + e.Message
}

// Is makes it an ErrDeferred.
func (e *DeferredError) Is(target error) bool { return target == ErrDeferred }

// Deferred is nil, or a *DeferredError while the account's mail is put off. One that is
// not there is not put off.
func (d *Directory) Deferred(ctx context.Context, address string) error {
	acc, err := d.account(ctx, d.cache.Load(), address)
	switch {
	case err != nil:
		return ownFault(err)
	case acc.Deferred:
		return &DeferredError{acc.Address, acc.Message}
	}
	return nil
}

// Closure is what an admin has said of an account, or of a domain. The zero value: it is open.
type Closure struct {
	Disabled bool   // nobody logs in
	Defer    bool   // and mail is put off, so that its senders try again; of a domain always
	Message  string // why, one line; "" for nothing
}

// DisableAccount forbids (or allows again) logins; mail is received all the same.
// Errors as GetAccount.
func (d *Directory) DisableAccount(ctx context.Context, address string, disabled bool) error {
	return d.CloseAccount(ctx, address, Closure{Disabled: disabled})
}

// CloseAccount closes an account, or opens it again: then nothing is left of what was
// said before. Errors as GetAccount, and ErrMessage.
func (d *Directory) CloseAccount(ctx context.Context, address string, c Closure) error {
	c, err := c.checked()
	if err != nil {
		return err
	}
	return d.changeAccount(ctx, address, func(tx *sql.Tx, acc Account) error {
		return closeAccount(ctx, tx, acc.ID, c)
	})
}

func closeAccount(ctx context.Context, tx *sql.Tx, id int64, c Closure) error {
	_, err := tx.ExecContext(ctx, `UPDATE accounts SET disabled = $1, defer_mail = $2, message = $3 WHERE id = $4`, c.Disabled, c.Defer, c.Message, id)
	return err
}

// CloseDomain closes a domain with all its accounts, or opens it again: while it is closed
// nobody there logs in or sends, and all mail for its addresses is put off. What was said
// of single accounts stays. Errors: ErrInvalidAddress, ErrNoDomain (an alias of a domain
// too), ErrMessage.
func (d *Directory) CloseDomain(ctx context.Context, name string, c Closure) error {
	name, err := ParseDomain(name)
	if err != nil {
		return err
	}
	if c, err = c.checked(); err != nil {
		return err
	}
	return d.change(ctx, func(tx *sql.Tx) error {
		dom, err := findDomain(ctx, tx, name)
		if err == nil && dom.AliasOf != "" {
			err = fmt.Errorf("%w: %s is an alias of %s, which can be closed as a whole only", ErrNoDomain, name, dom.AliasOf)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE domains SET disabled = $1, message = $2 WHERE id = $3`, c.Disabled, c.Message, dom.ID)
		return err
	})
}

// checked is c in the form in which it is kept: what is open has nothing to say.
func (c Closure) checked() (Closure, error) {
	if !c.Disabled {
		return Closure{}, nil
	}
	text, err := CleanMessage(c.Message)
	c.Message = text
	return c, err
}

// CleanMessage makes one line of a text that people are told, and refuses what has no place in
// one: ErrMessage.
func CleanMessage(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: it is no UTF-8", ErrMessage)
	}
	s = norm.NFC.String(strings.Join(strings.Fields(s), " "))
	if i := strings.IndexFunc(s, func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }); i >= 0 {
		return "", fmt.Errorf("%w: it has a character that cannot be shown", ErrMessage)
	}
	if len(s) > MaxMessage {
		return "", fmt.Errorf("%w: it has %d bytes, at most %d will do", ErrMessage, len(s), MaxMessage)
	}
	return s, nil
}

// Plain is a text in ASCII for protocols that have nothing else: letters lose their
// accents, all that is left becomes '?'.
func Plain(s string) string {
	s = strings.NewReplacer("ß", "ss", "æ", "ae", "Æ", "AE", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L", "đ", "d", "Đ", "D",
		"„", `"`, "“", `"`, "”", `"`, "«", `"`, "»", `"`, "‘", "'", "’", "'", "–", "-", "—", "-", "…", "...", "€", "EUR").Replace(s)
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, norm.NFKD.String(s))
}

// close puts together what is said of an account itself and of its domain.
func (acc *Account) close(own, domain Closure) {
	acc.Own = own
	acc.Disabled = own.Disabled || domain.Disabled
	acc.Deferred = own.Disabled && own.Defer || domain.Disabled
	if acc.Message = own.Message; acc.Message == "" {
		acc.Message = domain.Message
	}
}
