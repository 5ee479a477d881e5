package relay

import (
	"slices"
	"strings"
)

// reputation tells whether a reply refuses this server for its address, whatever it sends:
// by a list, a missing name in the DNS, or what other mail from there was like. Refusals of
// a message, its sender or its links are none: another way would be refused as well, and
// rightly.
func reputation(r Reply) bool {
	if r.Code < 400 {
		return false
	}
	text := strings.ToLower(strings.ReplaceAll(r.Text, "\n", " "))
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	if has([]string{
		"surbl", "uribl", "dbl.spamhaus", "spamhaus dbl", "url", "link", "content", "attachment", "virus", "malware", "phish",
		"dmarc", "spf", "dkim", "unauthenticated", "not authenticated", "identified as spam", "looks like spam", "spam message", "message is spam",
		"sender domain", "sender address", "from address", "user unknown", "open resolver",
	}) && !has([]string{"blocked using", "client host"}) {
		return false
	}
	_, detail, _ := strings.Cut(r.Status, ".")
	switch {
	case detail == "7.25": // RFC 7372: the address has no name
		return true
	case detail == "7.28" && strings.Contains(text, "ip address"): // Gmail: much unwanted mail from there
		return true
	case r.Code >= 500 && (detail == "7.511" || len(detail) == 5 && detail >= "7.606" && detail <= "7.649"): // Microsoft: banned addresses
		return true
	}
	return has([]string{
		"spamhaus", "spamcop", "barracudacentral", "sorbs.net", "dnsbl", " rbl", "blocked using", "block list", "blocklist", "blacklist",
		"denylist", "is listed", "listed at", "listed in", "listed by", "banned sending ip", "s3140", "s3150",
		"not authorized to send email directly", "connections will not be accepted from", "poor reputation", "bad reputation", "low reputation",
		"ip reputation", "reputation of the sending ip", "reputation of your ip", "reputation of the ip", "dynamic ip", "dynamic address", "residential",
		"ptr record", "reverse dns", "rdns", "reverse hostname", "your ip address is not allowed", "your ip has been",
	})
}
