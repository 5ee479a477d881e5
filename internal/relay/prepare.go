package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/sevenbit"
)

// held is how much of a message may be held in memory during its attempt, in octets.
const held = 64 << 10

// content is what a message asks of those that transport it.
type content struct {
	open       func() (io.ReadCloser, error)
	eightBit   bool // octets above 127
	utf8Header bool // such octets in the header, of a message that may have them there
}

// look reads the message once. A small one is held, so that it is read no more.
func (a *attempt) look() error {
	f, err := a.m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, held))
	if err != nil {
		return err
	}
	c := &content{open: a.m.Open}
	rest := io.Reader(f)
	if len(head) < held {
		c.open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(head)), nil }
		rest = bytes.NewReader(nil)
	}
	eightBit, utf8Header, _, err := sevenbit.Needed(io.MultiReader(bytes.NewReader(head), rest))
	c.eightBit, c.utf8Header = eightBit, utf8Header && a.m.UTF8
	if err == nil {
		a.content = c
	}
	return err
}

// prepare makes the message fit for what a host can do. Recipients that cannot be served
// are settled; nil: all of them.
func (a *attempt) prepare(ctx context.Context, s *session) *smtpclient.Transaction {
	if a.content == nil {
		if err := a.look(); err != nil {
			a.settleAll(unreadable(s, err))
			return nil
		}
	}
	c := a.content
	t := &smtpclient.Transaction{From: a.m.Sender, Size: a.m.Size, Ret: a.m.Ret, EnvID: a.m.EnvID, Open: c.open,
		RequireTLS: a.m.RequireTLS && s.requireTLS, UTF8: s.offers("SMTPUTF8") && a.wantsUTF8()}
	if !t.UTF8 && !a.plainAddresses(s, t) {
		return nil
	}
	switch eight := s.offers("8BITMIME"); {
	case !c.eightBit:
	case eight:
		t.Body8Bit = true
	case t.UTF8: // RFC 6531 section 3.1 item 8: it takes 8 bits, although it does not say so
	default:
		if !a.downgrade(ctx, s, t) {
			return nil
		}
	}
	if t.By, t.Priority = "", a.m.Priority; !a.deliverBy(s, t) {
		return nil
	}
	if most := s.conn.MaxSize(); most > 0 && t.Size > most { // RFC 1870 section 6.1
		a.settleAll(s.cannot("5.3.4", "The message is too large for %s: it has %s, and no more than %s are accepted there.",
			s.peer.show(), octets(t.Size), octets(most)))
		return nil
	}
	return t
}

// wantsUTF8 tells whether the message, or a recipient that waits, cannot do without
// SMTPUTF8 (RFC 6531 section 3.2).
func (a *attempt) wantsUTF8() bool {
	if _, ok := asciiAddress(a.m.Sender); !ok || a.content.utf8Header {
		return true
	}
	for _, i := range a.pending(len(a.to)) {
		if _, ok := asciiAddress(a.to[i].Address); !ok {
			return true
		}
	}
	return false
}

// plainAddresses does without SMTPUTF8, and settles those for whom that cannot be. It
// reports whether anybody is left.
func (a *attempt) plainAddresses(s *session, t *smtpclient.Transaction) bool {
	from, ok := asciiAddress(a.m.Sender)
	switch {
	case !ok:
		a.settleAll(s.cannot("5.6.7", "%s takes no addresses with letters beyond ASCII, and the sender's address %s has some.", s.peer.show(), a.m.Sender))
		return false
	case a.content.utf8Header:
		a.settleAll(s.cannot("5.6.9", "%s takes no messages whose header has letters beyond ASCII without encoding, as this one's has.", s.peer.show()))
		return false
	}
	t.From = from
	for _, i := range a.pending(len(a.to)) {
		if _, ok := asciiAddress(a.to[i].Address); !ok {
			a.settle(i, s.cannot("5.6.7", "%s takes no addresses with letters beyond ASCII.", s.peer.show()))
		}
	}
	return len(a.pending(1)) > 0
}

// downgrade makes the message one of 7 bits, or settles all if that cannot be (RFC 6152
// section 3).
func (a *attempt) downgrade(ctx context.Context, s *session, t *smtpclient.Transaction) bool {
	converted, size, err := sevenbit.Open(a.content.open)
	if err == nil {
		converted, size, err = a.resigned(ctx, converted, size)
	}
	switch {
	case errors.Is(err, sevenbit.ErrCannot):
		a.settleAll(s.cannot("5.6.3", "%s takes no 8-bit characters, and %v.", s.peer.show(), err))
		return false
	case err != nil:
		a.settleAll(unreadable(s, err))
		return false
	}
	t.Open, t.Size = converted, size
	return true
}

// resigned puts new signatures in front of a message that was converted: those that it has
// are of what it was (RFC 6376 section 5.3).
func (a *attempt) resigned(ctx context.Context, open func() (io.ReadCloser, error), size int64) (func() (io.ReadCloser, error), int64, error) {
	if a.r.Resign == nil {
		return open, size, nil
	}
	header, err := a.r.Resign(ctx, open)
	if err != nil || len(header) == 0 {
		return open, size, err
	}
	return func() (io.ReadCloser, error) {
		r, err := open()
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(header), r), r}, nil
	}, size + int64(len(header)), nil
}

// recipients of a transaction, in the form that it needs.
func (a *attempt) recipients(batch []int, t *smtpclient.Transaction) []smtpclient.Recipient {
	all := make([]smtpclient.Recipient, len(batch))
	for k, i := range batch {
		rcpt := a.to[i]
		all[k] = smtpclient.Recipient{Address: rcpt.Address, ORCPT: rcpt.ORCPT, Notify: rcpt.Notify.String()}
		if !t.UTF8 {
			all[k].Address, _ = asciiAddress(rcpt.Address)
			all[k].ORCPT = asciiORCPT(rcpt.ORCPT)
		}
	}
	return all
}

// beforeDot is BeforeDot for smtpclient, which remembers what it said.
func (a *attempt) beforeDot(ctx context.Context) error {
	if a.before == nil {
		return nil
	}
	a.ownFault = a.before(ctx)
	return a.ownFault
}

// cannot is the verdict on what a host cannot do.
func (s *session) cannot(status, format string, args ...any) *verdict {
	return &verdict{action: Failed, peer: s.peer, reply: Reply{Status: status, Text: bounded(fmt.Sprintf(format, args...))}}
}

// unreadable is the verdict when our own copy of the message cannot be read.
func unreadable(s *session, err error) *verdict {
	return &verdict{peer: s.peer, reply: Reply{Status: "4.3.0", Text: sentence("this server cannot read the message: " + err.Error())}}
}

// octets is a size for people.
func octets(n int64) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%d MB", n/1_000_000)
	case n >= 1_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d bytes", n)
}
