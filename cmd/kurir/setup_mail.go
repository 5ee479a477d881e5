package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kurir/internal/admin"
	"kurir/internal/setup"
)

const (
	testSubject = "A test message of kurir"
	// testTime is how long the fate of the test message is waited for.
	testTime = 45 * time.Second
	testLook = 500 * time.Millisecond
)

// testLocally hands the first account a message on the port for other servers.
func (r *setupRun) testLocally(ctx context.Context) {
	at := localAddressOf(r.cfg.SMTP.Address)
	if at == "" {
		return
	}
	// In a name of ours it would be taken for forged: this machine's own address is none that
	// our records name.
	text := "From: kurir setup <setup@localhost.invalid>\nTo: " + r.result.Account + "\nSubject: " + testSubject +
		"\n\nThis message came in on the port for other servers, from the machine itself:\nkurir setup has sent it. The mailbox works.\n"
	o := sendOptions{to: []string{r.result.Account}, fromGiven: true, server: at}
	s := setup.Step{Name: "test", Outcome: setup.OK, Text: "A message on the port for other servers came into the mailbox of " + r.result.Account + "."}
	if _, err := r.send(ctx, o, strings.NewReader(text)); err != nil {
		s = setup.Step{Name: "test", Outcome: setup.Todo, Text: "A message on the port for other servers was not taken: " + oneLine(err.Error()), Do: "The log says more: journalctl -u kurir, or where the server writes to."}
	}
	r.report(s)
}

// testElsewhere sends a message to the person's address elsewhere, and says what became of it.
func (r *setupRun) testElsewhere(ctx context.Context) error {
	to := r.flags.testTo
	if to == "" {
		r.report(setup.Step{Name: "test", Outcome: setup.Skipped, Text: "No test message was sent: name an address of yours elsewhere with --test-to."})
		return nil
	}
	text := fmt.Sprintf("This is a test message of the mail server %s.\n\nPlease answer it: the answer proves that mail from outside comes in for %s.\n",
		r.cfg.Hostname, r.result.Account)
	sent, err := r.send(ctx, sendOptions{to: []string{to}, from: r.result.Account, fromGiven: true, subject: testSubject, hasSubject: true}, strings.NewReader(text))
	if err != nil {
		r.report(setup.Step{Name: "test", Outcome: setup.Todo, Text: "The test message was not taken by this server: " + oneLine(err.Error())})
		return ctx.Err()
	}
	s, err := r.follow(ctx, to, sent.ID)
	if err == nil {
		r.report(s)
	}
	return err
}

// follow waits for the fate of a message.
func (r *setupRun) follow(ctx context.Context, to, id string) (s setup.Step, err error) {
	began := time.Now()
	for {
		var detail admin.QueueDetail
		err := r.with(ctx, func(ctx context.Context, o admin.Operations) (err error) {
			detail, err = o.ShowQueue(ctx, id)
			return err
		})
		if err != nil && ctx.Err() != nil {
			return s, ctx.Err()
		}
		var events []setup.MailEvent
		decided := false
		for _, e := range detail.Events {
			events = append(events, setup.MailEvent{Kind: e.Kind, Host: plain(e.Host), TLS: plain(e.TLS), Code: e.Code, Status: e.Status, Reply: plain(oneLine(e.Reply))})
			decided = decided || e.Kind == "deferred" || e.Kind == "held"
		}
		waits := len(detail.Recipients) > 0
		if err == nil && (!waits || decided) || time.Since(began) > testTime {
			return setup.Test(to, plain(id), events, waits, time.Since(began)), nil
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(testLook):
		}
	}
}
