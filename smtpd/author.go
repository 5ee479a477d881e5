package smtpd

import (
	"errors"
	"net/textproto"
	"strings"

	"kurir/internal/message"
)

// author is who has written a message that does not say it.
func (s *session) author() string {
	switch {
	case !s.mail.From.IsNull():
		return s.mail.From.String()
	case s.by.account != "":
		return s.by.account
	}
	return "postmaster@" + s.wire.srv.Hostname
}

// maxFrom bounds a field of senders, well below what could hide an address behind more
// entries than are read of a field.
const maxFrom = 16 << 10

// mayWriteAs checks every address of From, Sender and their like. A field in which there
// is no address, or something that is none, is refused: what we do not understand,
// another program may. The administrator's own programs may write as anybody.
func (s *session) mayWriteAs(field, value string) *Reply {
	if s.by.role == trusted {
		return nil
	}
	w := s.wire
	if len(value) > maxFrom {
		return notYourField(field, errors.New("field is too long"))
	}
	n := 0
	for _, a := range message.ParseAddressList(value) {
		if a.Host == "" { // begin or end of a group
			continue
		}
		n++
		address := Path{a.Mailbox, a.Host}.String()
		ok, err := w.srv.Directory.MaySendAs(w.ctx, s.by.account, address)
		if err != nil && replyTo(err).Code < 500 {
			return replyTo(err)
		}
		if err != nil || !ok {
			return notYourField(field, errors.Join(errors.New(address), err))
		}
	}
	if seen, ok := countMailboxes(value); !ok || n == 0 || n != seen {
		return notYourField(field, errors.New("field can be read in more than one way"))
	}
	return nil
}

// notYourField refuses a message, and names the field that is to blame.
func notYourField(field string, cause error) *Reply {
	text := "you may not send with the address in " + textproto.CanonicalMIMEHeaderKey(field)
	return &Reply{553, "5.7.1", text, cause}
}

// countMailboxes counts the addresses of a field as the strictest reader would. It is not
// ok if others could find more in it: behind an address comes a comma or the end, and not,
// as in "a@b <c>", what some take for the address (RFC 5322 section 3.4).
func countMailboxes(s string) (n int, ok bool) {
	const (
		name   = iota // before an address: its name, or its local part
		angle         // in angle brackets
		domain        // behind the @ of an address without brackets
		ended         // behind an address
	)
	state, begun := name, false // begun: the domain is
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if i, ok = message.QuotedEnd(s, i); !ok || state == domain || state == ended {
				return 0, false
			}
		case c == ' ' || c == '\t' || c == '(':
			if c == '(' {
				if i, ok = message.CommentEnd(s, i); !ok {
					return 0, false
				}
			}
			if state == domain && begun {
				state = ended
			}
		case c == '<' && state == name:
			state = angle
		case c == '>' && state == angle:
			state = ended
		case c == '@' && state == angle:
			n++
		case c == '@' && state == name:
			n++
			state, begun = domain, false
		case c == ':' && state == name: // a group begins
		case (c == ',' || c == ';') && state != angle:
			state = name
		case c < ' ' || c == 0x7f || strings.IndexByte("<>@:,;", c) >= 0 || state == ended:
			return 0, false
		default:
			begun = true
		}
	}
	return n, true
}
