package relay

import "testing"

func TestReputation(t *testing.T) {
	for _, c := range []struct {
		code         int
		status, text string
		want         bool
	}{
		{550, "5.7.1", "Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).", true},
		{550, "5.7.606", "Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit our page", true},
		{550, "5.7.511", "Access denied, banned sender[192.0.2.1]", true},
		{550, "5.7.1", "[192.0.2.1] The IP you're using to send mail is not authorized to\nsend email directly to our servers.", true},
		{550, "5.7.1", "The IP you're using to send mail is not authorized to send email directly to our servers.", true},
		{550, "5.7.25", "[192.0.2.1] The IP address sending this message does not have a PTR record setup", true},
		{421, "4.7.28", "Our system has detected an unusual rate of unsolicited mail originating from your IP address.", true},
		{553, "5.7.1", "[BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", true},
		{554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", true},
		{450, "4.7.25", "Client host rejected: cannot find your reverse hostname, [192.0.2.1]", true},
		{554, "5.0.0", "Your IP has been blocked due to its poor reputation", true},
		// What is not about this server's address.
		{550, "5.7.26", "Your email has been blocked because the sender is unauthenticated. DKIM = did not pass", false},
		{550, "5.7.1", "message contains a URL listed at dbl.spamhaus.org", false},
		{552, "5.7.0", "This message was blocked because its content presents a potential security issue", false},
		{550, "5.7.1", "Our system has detected that this message is likely unsolicited mail.", false},
		{554, "5.7.1", "message identified as SPAM, see our block list of words", false},
		{550, "5.1.1", "no such user", false},
		{450, "4.2.0", "greylisted, come back later", false},
		{550, "5.7.1", "relaying denied", false},
		{550, "5.7.350", "message content detected as spam", false},
		{250, "2.0.0", "spamhaus", false},
		{0, "4.4.1", "blocked using our own words", false},
	} {
		if got := reputation(Reply{c.code, c.status, c.text}); got != c.want {
			t.Errorf("%d %s %s: %v", c.code, c.status, c.text, got)
		}
	}
}
