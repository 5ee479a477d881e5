package suppression

import (
	"slices"
	"strings"
)

// missing tells whether a reply says that there is no such mailbox, for certain. Statuses
// of RFC 3463 section 3.2 say so; without one that does, words must. Either can be a cover for
// something else, which other words betray: a refusal of the message, or of us, is none of
// the address.
func missing(code int, status, text string) bool {
	if code/100 != 5 {
		return false
	}
	text = strings.ToLower(text)
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	if has([]string{
		"spam", "spf", "dkim", "dmarc", "block", "blacklist", "denylist", "reputation", "policy", "policies", "denied", "unsolicited",
		"not authenticated", "unauthenticated", "authentication", "ptr record", "reverse dns", "rdns", "virus", "sender", "quota", "mailbox full", "is full",
		"temporar", "try again", "later", " rate", "relay",
	}) {
		return false
	}
	switch status {
	case "5.1.1", "5.1.6", "5.1.10": // no such mailbox, it has moved, null MX (RFC 7505)
		return true
	case "", "5.0.0", "5.1.0", "5.5.0":
		return (code == 550 || code == 551 || code == 553 || code == 554) && has([]string{
			"user unknown", "unknown user", "no such user", "no such mailbox", "no such recipient", "no such address", "no such person",
			"does not exist", "doesn't exist", "unknown recipient", "recipient unknown", "unknown mailbox", "unknown address", "address unknown",
			"mailbox not found", "user not found", "recipient not found", "address not found", "no mailbox here", "invalid recipient",
			"invalid mailbox", "not a valid mailbox", "not a known user",
		})
	}
	return false
}
