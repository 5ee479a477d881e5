package relay

import (
	"context"
	"errors"
	"strings"
	"time"

	"kurir/internal/smtpclient"
)

// converse hands the message over on s, in as many transactions as it takes. When it
// returns with recipients that have no outcome, another connection is to be used.
func (a *attempt) converse(ctx context.Context, s *session) {
	t := a.prepare(ctx, s)
	if t == nil {
		return
	}
	t.BeforeDot = a.beforeDot
	for s.another(s.sent + 1) {
		most := s.recipients
		if a.chunk > 0 {
			most = min(most, a.chunk)
		}
		batch := a.pending(most)
		if len(batch) == 0 {
			return
		}
		t.To = a.recipients(batch, t)
		s.sent++
		sending, cancel := context.WithTimeoutCause(ctx, longest(t.Size), smtpclient.ErrTimeout)
		o, err := s.conn.Send(sending, t)
		cancel()
		if a.elsewhere(ctx, s, o, err) {
			return
		}
		if err != nil && !a.correct(s, t, batch, err) {
			a.broken(ctx, s, batch, o, err)
			return
		}
		if err == nil {
			a.judge(s, batch, o)
			s.served = true
		}
	}
	if s.served {
		a.again(s)
	}
}

// longest is how long a transaction with so many octets may take, however often the host
// gives a sign of life: each wait may be as long as RFC 5321 section 4.5.3.2 has it, but
// not all of them, lest one host keep a place that others could use.
func longest(size int64) time.Duration {
	const slow = 16 << 10 // octets a second
	return 30*time.Minute + time.Duration(size/slow)*time.Second
}

// again has the host of s tried before all others: it has nothing against the message, but
// had enough of this connection.
func (a *attempt) again(s *session) {
	if a.search != nil {
		a.search.back(s.candidate, a.r.findBy())
	}
}

// elsewhere tells whether the message should go over another connection, as this one has
// come to nothing before MAIL was answered well: the host has had enough of it, or is one
// that has no use for us.
func (a *attempt) elsewhere(ctx context.Context, s *session, o *smtpclient.Outcome, err error) bool {
	b, lost := errors.AsType[*smtpclient.Broken](err)
	lost = lost && b.Stage == smtpclient.Mail && o.Mail.Code == 0
	if ctx.Err() != nil {
		return false
	}
	if s.served {
		if lost || o.Mail.Temporary() || o.Mail.Code == 503 || o.Mail.Refused() && !s.conn.Usable() {
			a.log.Debug("relay: a connection that was kept is of no more use", "host", s.peer.Host, "reply", o.Mail.Error(), "error", err)
			a.fresh = true
			s.most = s.sent
			a.again(s)
			return true
		}
		return false
	}
	switch {
	case lost:
		a.failed(Try{s.peer, s.lost(b).reply})
	case o.Mail.Closing():
		a.failed(Try{s.peer, said(&o.Mail, s.peer).reply})
	default:
		return false
	}
	return true
}

// correct mends a transaction of which nothing was sent because of what our own side
// wants to send, and reports whether it could be mended.
func (a *attempt) correct(s *session, t *smtpclient.Transaction, batch []int, err error) bool {
	e, ok := errors.AsType[*smtpclient.EnvelopeError](err)
	if !ok || !s.conn.Usable() {
		return false
	}
	s.sent--
	switch e.Field {
	case "MAIL":
		a.settleAll(s.cannot("5.1.7", "The sender's address cannot be sent by SMTP: %q.", e.Value))
	case "RCPT":
		mended := false
		for k, i := range batch {
			if t.To[k].Address == e.Value {
				a.settle(i, s.cannot("5.1.3", "This is no address that can be sent by SMTP: %q.", e.Value))
				mended = true
			}
		}
		return mended
	case "ENVID":
		mended := t.EnvID+t.Ret != ""
		t.EnvID, t.Ret = "", ""
		return mended
	case "ORCPT":
		mended := false
		for k, i := range batch {
			if r := t.To[k]; r.ORCPT+r.Notify == e.Value {
				mended = mended || a.to[i].ORCPT != ""
				a.to[i].ORCPT = ""
			}
		}
		return mended
	default:
		return false
	}
	return true
}

// judge settles the recipients of a transaction that came to its end. Those that were too
// many for it go into the next (RFC 5321 section 4.5.3.1.10).
func (a *attempt) judge(s *session, batch []int, o *smtpclient.Outcome) {
	end := &o.Final
	switch {
	case !o.Mail.Positive():
		end = &o.Mail
	case end.Code == 0:
		end = &o.Data
	}
	if v := a.admin(s, &o.Mail); v != nil {
		a.settleAll(v)
		return
	}
	accepted := 0
	for k := range batch {
		if o.Rcpt[k].Positive() {
			accepted++
		}
	}
	for k, i := range batch {
		r := &o.Rcpt[k]
		switch {
		case !o.Mail.Positive() || r.Positive():
			a.settleBy(i, s, end)
		case tooMany(r) && accepted > 0:
			a.chunk = max(accepted, 1)
		default:
			a.settleBy(i, s, r)
		}
	}
}

// tooMany tells whether a recipient was refused because there were enough before it.
// Status x.5.3 says so; 452 does if no status says something else, and so does 552, the
// code of old (RFC 5321 section 4.5.3.1.10).
func tooMany(r *smtpclient.Reply) bool {
	return limited(r) || r.Code == 452 && r.Status == "4.0.0" || r.Code == 552 && r.Status == "5.0.0"
}

// limited tells whether a reply's status says that there are too many recipients (RFC 3463
// section 3.6).
func limited(r *smtpclient.Reply) bool { return strings.HasSuffix(r.Status, ".5.3") }

// settleBy settles a recipient by a reply.
func (a *attempt) settleBy(i int, s *session, r *smtpclient.Reply) {
	if v := a.admin(s, r); v != nil {
		a.settle(i, v)
		return
	}
	v := said(r, s.peer)
	switch {
	case r.Permanent() && (limited(r) || s.fellBack && r.Code == 530):
		v.deferred() // 530 without TLS is about TLS (RFC 3207 section 4), which may work again
	case !r.Positive() && !r.Refused():
		v.reply = Reply{Status: "4.5.0", Text: sentence(s.peer.show() + " gave no answer that makes sense")}
	}
	a.settle(i, v)
	a.outcomes[i].Relayed = v.action == Sent && !s.offers("DSN")
	a.outcomes[i].Untimed = v.action == Sent && !a.m.By.IsZero() && !s.offers("DELIVERBY")
}

// admin is the verdict on a reply that asks for a login or TLS of us: the settings of the
// smarthost are wrong, which is no reason to give up mail. Else it is nil.
func (a *attempt) admin(s *session, r *smtpclient.Reply) *verdict {
	if a.way.policy.smarthost == "" || r.Code != 530 && r.Code != 535 && r.Code != 538 {
		return nil
	}
	return &verdict{whole: true, peer: s.peer, reply: Reply{Status: "4.7.0", Text: bounded("The smarthost " + s.peer.show() + " wants a login, or encryption, before it takes mail: " +
		r.Error() + ". The administrator must look at the settings of the smarthost.")}}
}

// broken settles the recipients when the connection was lost in a transaction: those that
// were refused before that by their reply, the others are tried again. So are the
// recipients whose turn has not come.
func (a *attempt) broken(ctx context.Context, s *session, batch []int, o *smtpclient.Outcome, err error) {
	v := a.or(ctx, s.lost(err))
	switch {
	case a.ownFault != nil && ctx.Err() == nil:
		v.reply = Reply{Status: "4.3.0", Text: sentence("this server could not write down that the message is being sent: " + a.ownFault.Error())}
	case errors.Is(err, smtpclient.ErrSource):
		v = unreadable(s, err)
	}
	uncertain := *v
	uncertain.uncertain = o.Dot
	for k, i := range batch {
		switch r := &o.Rcpt[k]; {
		case r.Refused() && !tooMany(r):
			a.settleBy(i, s, r)
		case o.Mail.Refused():
			a.settleBy(i, s, &o.Mail)
		case r.Positive():
			a.settle(i, &uncertain)
		default:
			a.settle(i, v)
		}
	}
	a.settleAll(v)
}

// lost is the verdict when the connection was lost, or what it came to makes no sense.
func (s *session) lost(err error) *verdict {
	return &verdict{peer: s.peer, reply: Reply{Status: "4.4.2", Text: bounded("The connection to " + s.peer.show() + " came to no good end: " + err.Error() + ".")}}
}
