package suppression

import "testing"

func TestMissing(t *testing.T) {
	for _, c := range []struct {
		code   int
		status string
		text   string
		want   bool
	}{
		{550, "5.1.1", "<x@example.net>: Recipient address rejected: User unknown in virtual mailbox table", true},
		{550, "5.1.1", "The email account that you tried to reach does not exist. Please try\ndouble-checking the recipient's email address", true},
		{550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", true},
		{551, "5.1.6", "has moved", true},
		{550, "5.0.0", "No Such User Here", true},
		{554, "", "delivery error: dd This user doesn't have an account; mailbox not found", true},
		{553, "5.5.0", "unknown user", true},
		// What the sender or the message is refused for.
		{550, "5.1.1", "blocked using zen.example: see why", false},
		{550, "5.1.1", "message looks like SPAM", false},
		{550, "5.7.1", "no such user", false},
		{550, "5.0.0", "mailbox unavailable", false},
		{550, "5.4.1", "Recipient address rejected: Access denied", false},
		{550, "5.2.1", "the account is inactive", false},
		{552, "5.2.2", "mailbox full", false},
		{550, "5.1.1", "mailbox is full", false},
		{550, "5.1.8", "sender domain does not exist", false},
		{550, "5.0.0", "your domain does not exist: sender verify failed", false},
		{521, "5.0.0", "user unknown", false},
		{450, "4.1.1", "user unknown", false},
		{0, "5.1.1", "user unknown", false}, // our own words
		{250, "2.1.5", "ok", false},
	} {
		if got := missing(c.code, c.status, c.text); got != c.want {
			t.Errorf("%d %s %s: %v", c.code, c.status, c.text, got)
		}
	}
}
