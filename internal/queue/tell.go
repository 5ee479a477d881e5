package queue

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"
)

// Letter is a message of the server's own to one person.
type Letter struct {
	To      string // an address, here or elsewhere
	Subject string // one line
	Text    string // paragraphs; lines end in LF
	About   string // a few words for the log and "kurir queue show": where it came from
}

// Post takes on a message of the server's own from nobody (RFC 5321 section 4.5.5), and
// returns its id once it would survive a power cut. Nobody hears of it if it can't be delivered. Errors: those
// of the file system and the database, and one that says that To is nobody here.
func (q *Queue) Post(ctx context.Context, l Letter) (id string, err error) {
	a, err := q.notice(ctx, l.To, l.About)
	if err != nil {
		return "", fmt.Errorf("queue: %w", err)
	}
	a.mail.utf8 = !isASCII(l.To)
	local := a.rows[0].account != ""
	err = q.fill(ctx, a, func(w io.Writer) error {
		_, err := io.WriteString(w, q.heading(l.To, l.Subject, local)+strings.TrimRight(l.Text, "\n")+"\n")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("queue: %w", err)
	}
	if err := q.group(ctx, func(c *change) { q.write(c, a) }); err != nil {
		q.forsakeAll(err, a)
		return "", fmt.Errorf("queue: %w", err)
	}
	q.took(a)
	return a.mail.id, nil
}

// heading is the header of a notice with the empty line behind it, lines ending in LF.
func (q *Queue) heading(to, subject string, local bool) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	if local {
		p("Return-Path: <>\n")
	}
	p("From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: <%s>\n", q.o().Hostname, to)
	p("Subject: %s\n", mime.QEncoding.Encode("utf-8", subject))
	p("Date: %s\nMessage-ID: <%s@%s>\n", q.o().Now().Format(time.RFC1123Z), strings.ToLower(rand.Text()), q.o().Hostname)
	p("Auto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	return b.String()
}
