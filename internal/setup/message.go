package setup

import (
	"fmt"
	"strings"
	"time"
)

// MailEvent is what became of a test message at one moment, as the queue has it.
type MailEvent struct {
	Kind   string // "accepted", "sent", "delivered", "deferred", "failed" and so on
	Host   string // that was spoken to; "": none
	TLS    string // version and name; "": none
	Code   int    // of its reply; 0: none
	Status string // RFC 3463
	Reply  string // in one line
}

// Test explains what became of the test message with an id to an address elsewhere. events
// are all that happened so far, waits tells that it is still in the queue.
func Test(to, id string, events []MailEvent, waits bool, waited time.Duration) Step {
	var last MailEvent
	for _, e := range events {
		switch e.Kind {
		case "sent", "delivered", "deferred", "failed", "expired", "returned", "held":
			last = e
		}
	}
	where := strings.TrimSpace(last.Host)
	reply := strings.TrimSpace(last.Status + " " + last.Reply)
	if last.Code != 0 {
		reply = fmt.Sprint(last.Code, " ", reply)
	}
	see := "kurir queue show " + id
	switch {
	case last.Kind == "sent" || last.Kind == "delivered":
		with := " Without TLS."
		if last.TLS != "" {
			with = " With " + last.TLS + "."
		}
		return step("test", OK, "The test message was taken by %s for %s.%s", where, to, with).
			because("", "Look whether it is there, in the junk folder too, and answer it: that proves the way in.")
	case last.Kind == "held":
		return step("test", Todo, "The test message waits for you: %s", orText(last.Reply, "it is held")).because("", "Let it go: kurir queue release "+id)
	case last.Kind == "deferred" && last.Code == 0:
		return step("test", Todo, "The test message has not left yet: %s", orText(last.Reply, "no server of "+to+" was reached")).
			because("It is tried again by itself for some days.", wayOut(last)+" Then see: "+see)
	case last.Kind == "deferred":
		return step("test", Todo, "%s does not take the test message yet: %s", where, reply).
			because("That is usual for a server that nobody knows yet (greylisting). It is tried again by itself.", "See in some minutes: "+see)
	case last.Kind != "" && !waits && last.Code == 0:
		return step("test", Todo, "The test message was returned: %s", reply).because("", Refusal(last)+" All about it: "+see)
	case last.Kind != "" && !waits:
		return step("test", Todo, "The test message was refused by %s: %s", orText(where, "the other server"), reply).
			because("", Refusal(last)+" All about it: "+see)
	}
	return step("test", Todo, "After %s the test message is still on its way.", waited.Round(time.Second)).because("", "See what becomes of it: "+see)
}

// wayOut says what to look at where no server was reached.
func wayOut(e MailEvent) string {
	switch text := strings.ToLower(e.Reply); {
	case strings.Contains(text, "timeout") || strings.Contains(text, "timed out") || strings.Contains(text, "no answer") || strings.Contains(text, "refused") || strings.Contains(text, "unreachable"):
		return "Most likely your provider blocks port 25: ask it to open it for outgoing mail, or set relay.smarthost (docs/sending.md)."
	}
	return "Look whether this machine's DNS works."
}

// Refusal says what a refusal usually means for a new server.
func Refusal(e MailEvent) string {
	text := strings.ToLower(e.Status + " " + e.Reply)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("ptr", "reverse", "rdns", "5.7.25", "hostname"):
		return "The address of this server needs a name that leads back to it (PTR): set it in your provider's panel."
	case has("spf", "dkim", "dmarc", "authenticat", "5.7.26", "5.7.1 unauth"):
		return "The records in the DNS are not seen there yet, or not right: kurir dns check tells, and mend it; then wait an hour."
	case has("blocklist", "blacklist", "blocked", "spamhaus", "listed", "reputation", "banned"):
		return "The address has a bad name from who had it before: the reply says where to ask for its removal; or let mail leave through a smarthost (docs/sending.md)."
	case has("5.1.2", "exist in the dns"):
		return "There is no such domain: run this again with --test-to and the right address."
	case has("5.1.1", "user unknown", "no such user", "does not exist", "mailbox unavailable"):
		return "The address does not exist there: run this again with --test-to and the right one."
	}
	return "The reply says why, in the words of who refused it."
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
