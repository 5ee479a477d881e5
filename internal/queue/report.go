package queue

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"kurir/internal/directory"
	"kurir/internal/dsn"
	"kurir/internal/relay"
)

// reportOn makes the report to the sender about a conclusion: nil if nobody is to be told
// (wanted is false then), or can be.
func (q *Queue) reportOn(ctx context.Context, c *conclusion) (report *arrival, wanted bool, err error) {
	var all []dsn.Recipient
	for _, v := range c.verdicts {
		if action := c.tells(v); v.gone && action != "" {
			d := dsnRecipient(v.row, action, v.out.Reply, v.out.Peer.Host)
			d.Attempts = v.attempts
			if v.kind == EventExpired {
				if d.Code > 0 && d.Status != "" {
					d.Text = d.Status + " " + d.Text // the other host's own words
				}
				d.Status = expiredStatus(d.Status)
			}
			if c.job != nil {
				d.LastAttempt = fromMilli(c.at)
			}
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return nil, false, nil
	}
	if c.mail.sender == "" { // never a notice of a notice
		q.o().Log.Warn("a message from nobody could not be delivered, and nobody is told", "id", c.mail.id, "reply", all[0].Text)
		return nil, true, nil
	}
	report, err = q.report(ctx, c.mail, all)
	return report, true, err
}

// expiredStatus is the code of what is given up after days: "delivery time expired", but
// for a full mailbox.
func expiredStatus(status string) string {
	if strings.HasSuffix(status, ".2.2") {
		return "5.2.2"
	}
	return "5.4.7"
}

// dsnRecipient tells what a stranger may know of a recipient's last reply.
func dsnRecipient(r *row, action dsn.Action, reply relay.Reply, host string) dsn.Recipient {
	d := dsn.Recipient{Address: r.address, ORCPT: r.orcpt, Action: action, Status: reply.Status, Code: reply.Code,
		Text: reply.Text, Host: host, Attempts: r.attempts}
	if r.account != "" && reply.Status != returnedStatus {
		d.Code, d.Host, d.Text = 0, "", ""
		if action == dsn.Failed || action == dsn.Delayed {
			d.Text = localWords(reply.Status)
		}
	}
	switch action {
	case dsn.Delivered, dsn.Expanded, dsn.Relayed:
		if !strings.HasPrefix(d.Status, "2.") {
			d.Status = "2.0.0"
		}
	case dsn.Delayed:
		if !strings.HasPrefix(d.Status, "4.") {
			d.Status = "4.0.0"
		}
	default:
		d.Status = cmp.Or(d.Status, "5.0.0")
	}
	return d
}

// report makes the report to a message's sender (RFC 3464), a message of the queue's own
// with a durable file; its rows are written by writeReport. nil: the sender does not exist
// here, which is logged.
func (q *Queue) report(ctx context.Context, m *mail, recipients []dsn.Recipient) (*arrival, error) {
	a, err := q.notice(ctx, m.sender, "report on "+m.id)
	switch {
	case errors.Is(err, errNobody):
		q.o().Log.Error("sender of a message can't be told what became of it", "id", m.id, "from", m.sender, "error", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	a.mail.utf8 = m.utf8 || !isASCII(m.sender)
	a.mail.requireTLS = m.requireTLS // and it returns the header alone (RFC 8689 section 5)
	to := m.sender
	if len(a.rows) == 1 {
		to = a.rows[0].address // a return address of ours stands for another
	}
	r := &dsn.Report{Hostname: q.o().Hostname, ID: m.id, To: to, EnvID: m.envID, Arrival: fromMilli(m.created), Now: q.o().Now(),
		Recipients: eachOnce(recipients), Full: m.ret == "FULL" && !m.requireTLS && anyFailed(recipients), ReturnPath: a.rows[0].account != "", Original: m.opener(q)}
	if f, err := r.Original(); err != nil { // the sender is told all the same
		q.o().Log.Error("message can't be read for the report on it", "id", m.id, "file", m.file, "error", err)
		r.Original = nil
	} else if err := f.Close(); err != nil {
		return nil, err
	}
	if err := q.fill(ctx, a, r.Write); err != nil {
		return nil, err
	}
	return a, nil
}

// eachOnce leaves out repetitions: an address may lead to several accounts.
func eachOnce(recipients []dsn.Recipient) []dsn.Recipient {
	type key struct {
		address string
		action  dsn.Action
	}
	seen := map[key]bool{}
	var all []dsn.Recipient
	for _, r := range recipients {
		if k := (key{r.Address, r.Action}); !seen[k] {
			seen[k] = true
			all = append(all, r)
		}
	}
	return all
}

// anyFailed: only a report of failure returns all of a message (RFC 3461 section 4.3).
func anyFailed(recipients []dsn.Recipient) bool {
	for _, r := range recipients {
		if r.Action == dsn.Failed {
			return true
		}
	}
	return false
}

// errNobody: there is nobody here of that address.
var errNobody = errors.New("nobody here has this address")

// notice begins a message of the queue's own, from nobody: it has no file yet.
func (q *Queue) notice(ctx context.Context, to, client string) (*arrival, error) {
	now := q.now()
	a := &arrival{own: true, client: client, mail: &mail{id: newID(), file: newName(), priority: 1, created: now}}
	accounts, err := q.o().Directory.Resolve(ctx, to)
	switch {
	case err == nil:
		for _, t := range accounts {
			address := to
			if t.Remote != "" {
				address = t.Remote
				q.holdAll(a)
			}
			a.recipient(q, Recipient{Address: address, Notify: relay.NotifyNever, Account: t.Account.Address}, now)
		}
	case errors.Is(err, directory.ErrNoDomain):
		q.holdAll(a)
		a.recipient(q, Recipient{Address: to, Notify: relay.NotifyNever}, now)
	case errors.Is(err, directory.ErrNoAccount), errors.Is(err, directory.ErrInvalidAddress), errors.Is(err, directory.ErrLoop):
		return nil, fmt.Errorf("%w: %w", errNobody, err)
	default:
		return nil, err
	}
	if len(a.rows) == 0 {
		return nil, errNobody
	}
	return a, nil
}

// holdAll holds what is for other hosts where all of that is held.
func (q *Queue) holdAll(a *arrival) {
	if q.o().HoldRemote != "" {
		a.held, a.reason = holdRemote, q.o().HoldRemote
	}
}

// fill makes the file of a notice, signed if it goes elsewhere.
func (q *Queue) fill(ctx context.Context, a *arrival, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	first, rest, signature := []byte(nil), b.Bytes(), []byte(nil)
	if q.o().Sign != nil && slices.ContainsFunc(a.rows, func(r *row) bool { return r.account == "" }) {
		first, rest = localLine(rest)
		var err error
		if signature, err = q.o().Sign(ctx, q.o().Hostname, bytes.NewReader(rest)); err != nil {
			return fmt.Errorf("signing a notice: %w", err)
		}
		signature = bytes.ReplaceAll(signature, []byte("\r\n"), []byte("\n")) // as all of the notice
	}
	var n wireCounter
	err := q.create(q.path(a.mail.file), fromMilli(a.mail.created), func(w io.Writer) error {
		w = io.MultiWriter(w, &n)
		for _, p := range [][]byte{first, signature, rest} {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		return nil
	})
	a.mail.size = n.size
	return err
}

// localLine parts the first line from a notice if it is for mailboxes here; see opener.
func localLine(notice []byte) (first, rest []byte) {
	if i := bytes.IndexByte(notice, '\n'); bytes.HasPrefix(notice, []byte("Return-Path:")) {
		return notice[:i+1], notice[i+1:]
	}
	return nil, notice
}

// writeReport writes the rows of a report, if there is one, and the event of it.
func (q *Queue) writeReport(c *change, on *mail, report *arrival) {
	if report == nil {
		return
	}
	q.write(c, report)
	c.event(&q.sql, on.id, report.mail.created, Event{Kind: EventNotice, Reply: "message " + report.mail.id + " to " + on.sender})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// domainOf is the domain of an address, in lower case.
func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
