package dsn

import "strings"

// class is what a status means and what a sender can do once the message has failed,
// after RFC 3463 section 3 and the IANA registry of its details; code is the reply's, 0
// for none. It always knows something to say.
func class(code int, status string) (why, advice string) {
	_, detail, _ := strings.Cut(status, ".")
	subject, _, _ := strings.Cut(detail, ".")
	for _, key := range []string{detail, subject + "."} {
		for _, c := range classes {
			if c.detail == key {
				return c.why, c.advice
			}
		}
	}
	switch {
	case code == 552: // RFC 5321 section 4.2.2
		return "The mailbox of the recipient is full, or the message is too big for it.", adviceSmaller
	case code/100 == 5:
		return "The recipient's mail server refused the message.", adviceRead
	case code != 0:
		return "The recipient's mail server could not take the message.", adviceLater
	}
	return "The message could not be delivered.", adviceLater
}

const (
	adviceAddress = "Please look for a typing error in the address, or ask the recipient in another way (by phone, say) for the right one."
	adviceSmaller = "Please send it in smaller parts, or put the files where they can be fetched and send a link to them."
	adviceRead    = "What it said may tell you more; if not, please ask your administrator, or reach the recipient in another way."
	adviceLater   = "Please try again later, or reach the recipient in another way."
	adviceAdmin   = "Please tell your administrator; it does not help to send it again before that is put right."
	adviceAsk     = "Please reach the recipient in another way; they can ask their administrator to let your mail in."
)

// classes is by subject and detail; a row for "1." is for all other details of subject 1.
var classes = []struct{ detail, why, advice string }{
	{"1.1", "The recipient's mail server does not know this address.", adviceAddress},
	{"1.2", "The domain of the address (the part behind the @) does not exist or takes no mail.", adviceAddress},
	{"1.3", "The address is not in a form that the recipient's mail server understands.", adviceAddress},
	{"1.4", "The address could mean several mailboxes.", adviceAddress},
	{"1.6", "The recipient has moved to another address.", adviceAddress},
	{"1.7", "The recipient's mail server does not accept your own address as the sender.", adviceAdmin},
	{"1.8", "The recipient's mail server does not accept the domain of your own address.", adviceAdmin},
	{"1.10", "The domain of the address (the part behind the @) does not take mail at all.", adviceAddress},
	{"1.", "There is something wrong with the address.", adviceAddress},
	{"2.1", "The mailbox does not take mail any more.", adviceAddress},
	{"2.2", "The mailbox of the recipient is full.", "They need to make room before they can get mail; perhaps you can tell them in another way."},
	{"2.3", "The message is too big for the recipient's mailbox.", adviceSmaller},
	{"2.4", "The mailing list could not pass the message on.", "Please ask the people who run the list."},
	{"2.", "There is a difficulty with the recipient's mailbox.", adviceLater},
	{"3.1", "The recipient's mail server has no room for more mail.", adviceLater},
	{"3.2", "The recipient's mail server takes no mail at the moment.", adviceLater},
	{"3.4", "The message is too big for the recipient's mail server.", adviceSmaller},
	{"3.", "The recipient's mail server has a difficulty of its own.", adviceLater},
	{"4.1", "No mail server of the recipient could be reached.", adviceLater},
	{"4.2", "The connection to the recipient's mail server broke off.", adviceLater},
	{"4.3", "It could not be found out where mail for this address goes, since the directory of names (DNS) did not answer.", adviceLater},
	{"4.4", "It could not be found out where mail for this address goes.", adviceAddress},
	{"4.5", "The recipient's mail server is too busy.", adviceLater},
	{"4.6", "The message went round in a circle between mail servers.", "Please tell the recipient in another way: the forwarding of their mail has to be corrected. If the address is one of your own, please tell your administrator."},
	{"4.7", "The message could not be handed over for too long a time.", adviceLater},
	{"4.", "The message could not be handed over to the recipient's mail server.", adviceLater},
	{"5.3", "The message went to more recipients at once than the recipient's mail server allows.", "Please send it to fewer at a time."},
	{"5.", "The two mail servers did not understand each other.", adviceAdmin},
	{"6.3", "The message has characters that the recipient's mail server can't take, and it could not be changed without loss.", "Please send it again in a simpler form, for example as plain text, or not signed."},
	{"6.9", "The recipient's mail server can't take a subject or names with letters beyond the English ones in the way that the message has them.", "Please send it again with English letters in the subject and in names."}, // RFC 6531 section 3.5
	{"6.7", "The recipient's mail server can't take addresses or headers with letters beyond the English ones.", "Please use an address that has only English letters, if the recipient has one."},
	{"6.", "The recipient's mail server can't take a message of this form.", "Please send it again in a simpler form, for example as plain text without attachments."},
	{"7.8", "The next mail server did not accept our password.", adviceAdmin},
	{"7.10", "The next mail server wants an encrypted connection, and there was none.", adviceAdmin},
	{"7.20", notSigned, adviceAdmin}, // RFC 7372 section 3.1
	{"7.21", notSigned, adviceAdmin},
	{"7.22", notSigned, adviceAdmin},
	{"7.23", notNamed, adviceAdmin}, // RFC 7372 section 3.2
	{"7.24", notNamed, adviceAdmin},
	{"7.25", noPTR, adviceAdmin},         // RFC 7372 section 3.3
	{"7.26", notProved, adviceAdmin},     // RFC 7372 section 3.4
	{"7.27", noReplies, adviceAdmin},     // RFC 7505 section 4.2
	{"7.28", tooMuchOurs, adviceAdmin},   // RFC 5248 registry: mail flood detected
	{"7.30", noSecureRoute, adviceAdmin}, // RFC 8689
	{"7.", "The recipient's mail server has rules that keep the message out.", adviceAsk},
}

const (
	notSigned     = "The recipient's mail server takes only mail with a valid signature (DKIM) of the sender's domain, and this message had none."
	notNamed      = "The owner of your address's domain has not named our mail server as one that may send mail for it (SPF), so the recipient's mail server refused the message."
	notProved     = "The recipient's mail server wants proof that mail from your domain is genuine (SPF and DKIM), and did not find it."
	noPTR         = "The recipient's mail server refuses ours because the internet address of ours has no matching name in the DNS."
	noReplies     = "Your own address can't receive mail, so the recipient's mail server does not take mail from it."
	tooMuchOurs   = "The recipient's mail server finds that it gets too much mail from our mail server."
	noSecureRoute = "You have asked that the message travels over verified encryption only, and the recipient's mail server does not offer that."
)
