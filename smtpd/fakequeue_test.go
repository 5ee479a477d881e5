package smtpd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"kurir/internal/queue"
)

// fakeQueue keeps messages in memory, behind a text form of their envelopes.
type fakeQueue struct {
	mu        sync.Mutex
	mail      []string
	keepErr   error
	commitErr error
	failAfter int // so many commits succeed before commitErr
	held      string
	open      int      // kept, and neither committed nor dropped
	steps     []string // calls, of the store's Deliver, too
}

type fakeKept struct {
	q    *fakeQueue
	text string
	done bool
}

func (q *fakeQueue) Keep(m queue.Message) (Kept, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.steps = append(q.steps, "keep")
	if q.keepErr != nil {
		return nil, fmt.Errorf("queue: %w", q.keepErr)
	}
	q.open++
	return &fakeKept{q: q, text: m.(*fakeStaged).String()}, nil
}

// end ends the message, and the queue no longer waits for its Drop.
func (k *fakeKept) end() {
	k.done = true
	k.q.open--
}

func (k *fakeKept) Drop() {
	k.q.mu.Lock()
	defer k.q.mu.Unlock()
	if !k.done {
		k.q.steps = append(k.q.steps, "drop")
		k.end()
	}
}

// Commit fails before it has begun if there is no room, and at its end for other reasons.
func (k *fakeKept) Commit(ctx context.Context, e queue.Envelope) (queue.Receipt, error) {
	k.q.mu.Lock()
	defer k.q.mu.Unlock()
	k.q.steps = append(k.q.steps, "commit")
	commitErr := k.q.commitErr
	if k.q.failAfter > 0 {
		k.q.failAfter--
		commitErr = nil
	}
	if k.done || errors.Is(commitErr, queue.ErrFull) {
		return queue.Receipt{}, commitErr
	}
	k.end()
	if err := errors.Join(commitErr, ctx.Err()); err != nil {
		return queue.Receipt{}, err
	}
	k.q.mail = append(k.q.mail, envelopeText(e, k.text)+"\r\n"+k.text)
	return queue.Receipt{Held: k.q.held}, nil
}

// envelopeText writes an envelope as the transcripts have it, and what is wrong with it.
func envelopeText(e queue.Envelope, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<%s> %s, %s", e.Sender, e.Account, e.Client)
	for _, p := range []struct{ name, value string }{{"RET", e.Ret}, {"ENVID", e.EnvID}} {
		if p.value != "" {
			fmt.Fprintf(&b, " %s=%s", p.name, p.value)
		}
	}
	if e.MTPriority != 0 {
		fmt.Fprintf(&b, " MT-PRIORITY=%d", e.MTPriority)
	}
	if !e.By.IsZero() {
		fmt.Fprintf(&b, " BY=%s;%s", e.By.At.UTC().Format(time.TimeOnly), e.By.Mode())
	}
	if e.UTF8 {
		b.WriteString(" SMTPUTF8")
	}
	if e.RequireTLS {
		b.WriteString(" REQUIRETLS")
	}
	if e.TLSOptional {
		b.WriteString(" TLS-OPTIONAL")
	}
	relayed := text
	for _, name := range []string{"Return-Path:", "Delivered-To:"} {
		if strings.HasPrefix(relayed, name) {
			_, relayed, _ = strings.Cut(relayed, "\r\n")
		}
	}
	id, n, forwarded := strings.Cut(e.ID, "-f")
	top := "Received: "
	if strings.HasPrefix(relayed, "DKIM-Signature: ") {
		top = "DKIM-Signature: "
	}
	if forwarded {
		fmt.Fprintf(&b, " f%s", n)
	}
	if strings.Contains(e.Client, "passed on by") {
		if strings.HasPrefix(relayed, "ARC-Seal: ") {
			top = "ARC-Seal: "
		}
	}
	if int(e.Size) != len(relayed) || !strings.Contains(relayed, " id "+id) || !strings.HasPrefix(relayed, top) {
		fmt.Fprintf(&b, " WRONG: id %s, size %d, not %d", e.ID, e.Size, len(relayed))
	}
	b.WriteString("\r\n")
	for _, l := range []struct {
		what string
		to   []queue.Recipient
	}{{"to", e.Recipients}, {"delivered", e.Delivered}} {
		for _, r := range l.to {
			fmt.Fprintf(&b, "%s <%s>", l.what, r.Address)
			for _, p := range []struct{ name, value string }{{"account", r.Account}, {"NOTIFY", r.Notify.String()}, {"ORCPT", r.ORCPT}} {
				if p.value != "" {
					fmt.Fprintf(&b, " %s=%s", p.name, p.value)
				}
			}
			if r.Expanded {
				b.WriteString(" expanded")
			}
			if r.Err != nil {
				fmt.Fprintf(&b, ": %v", r.Err)
			}
			b.WriteString("\r\n")
		}
	}
	return b.String()
}
