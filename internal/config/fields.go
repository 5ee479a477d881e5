package config

import (
	"strings"
	"time"
)

// field is a key of the configuration.
type field struct {
	key    string
	target any    // *string, *bool, *int, *Size, *time.Duration, *netip.Addr, *Secret, *[]string, *[]netip.Prefix
	path   bool   // a *string that is a file name
	listen bool   // a *[]string of addresses to listen on
	entry  bool   // of a table that may be there several times: it has no variable
	least  int64  // least value of an *int or a *time.Duration; zero means 1, or no time
	doc    string // for Example
	sample string // for Example, in place of the default, where there is none
}

// env is the name of the key's environment variable.
func (f field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

const envPrefix = "KURIR_"

// none is field.least of numbers that may be 0.
const none = -1

// sections documents the tables of the file, for Example.
var sections = map[string]string{
	"smtp":        "SMTP: mail from other servers. STARTTLS is offered, and other servers need port 25.",
	"lmtp":        "LMTP: mail for mailboxes here from programs and servers of your own, such as a Postfix\n# in front. It is not judged, and goes elsewhere by aliases alone.",
	"submission":  "Submission: mail from the users' mail apps, with STARTTLS.",
	"submissions": "The same with TLS from the start, as mail apps prefer it (RFC 8314).",
	"imap":        "IMAP: mailboxes for mail apps, with STARTTLS.",
	"imaps":       "The same with TLS from the start.",
	"pop3":        "POP3: fetching mail, with STLS.",
	"pop3s":       "The same with TLS from the start.",
	"http":        "HTTP: /healthz and /metrics, and what [web] has, for a proxy. Anyone who can connect can read them.",
	"web":         "Web: pages for users and mail apps, and what a CA asks for. /metrics and /healthz are not here.",
	"tls":         "TLS: the certificate of this server.",
	"login":       "How people log in.",
	"acme":        "ACME: certificates from a CA such as Let's Encrypt (docs/certificates.md).",
	"limits":      "Limits on what clients may do. Sizes are numbers of bytes, or \"50MiB\", \"50MB\"; times are \"90s\", \"1h30m\", \"7d\".",
	"inbound":     "Inbound: what strangers meet on port 25 before their messages. Users who log in, and\n# devices, never do.",
	"trust":       "Trust: what becomes of strangers' mail that does not prove who sent it (docs/trust.md).",
	"accounts":    "What holds for all accounts (docs/accounts.md).",
	"proxy":       "Proxies in front of this server.",
	"store":       "How the mail is kept.",
	"trace":       "Trace: what became of each message (docs/monitoring.md).",
	"dns":         "DNS: whom kurir asks for the mail servers of other domains.",
	"relay":       "Relay: how mail to other domains leaves.",
	"dkim":        "DKIM: signatures by which other servers know that mail is from your domains.",
	"forward":     "Forward: mail that aliases pass on to other servers (kurir alias add --to).",
	"log":         "The log goes to standard error.",
}

// fields is every key, with its place in c, in the order of Example.
func fields(c *Config) []field {
	const address = "Addresses to listen on: host:port, or :port for all of this machine. [] turns it off."
	all := []field{
		{key: "hostname", target: &c.Hostname, sample: "mail.example.com",
			doc: "The name other servers know this one by. It must be set, and should be in the DNS\nin both directions. There is no default."},
		{key: "data", target: &c.Data, path: true,
			doc: "Directory of the mail and the database. Relative paths in this file start from its\nown directory."},
		{key: "control", target: &c.Control, path: true,
			doc: "Path of the socket by which the commands reach a running server.\n\"\" is control.sock in the data directory."},
		{key: "admin", target: &c.Admin,
			doc: "Mail address of who looks after this server, and is told of what needs a look.\n\"\" is postmaster of the domain that it is about."},

		{key: "confine", target: &c.Confine,
			doc: "Whether the server has the kernel (Landlock, Linux 5.13 and later) keep it to its own folders\nand to reading those of the system. Where the kernel cannot, nothing is lost."},

		{key: "smtp.address", target: &c.SMTP.Address, listen: true, doc: address},
		{key: "smtp.early_talk", target: &c.SMTP.EarlyTalk,
			doc: "How long to wait before the greeting for clients that talk first, as only spammers do.\n\"0s\" is not at all."},
		{key: "submission.address", target: &c.Submission.Address, listen: true, doc: address},
		{key: "submissions.address", target: &c.Submissions.Address, listen: true, doc: address},
		{key: "imap.address", target: &c.IMAP.Address, listen: true, doc: address},
		{key: "imaps.address", target: &c.IMAPS.Address, listen: true, doc: address},
		{key: "pop3.address", target: &c.POP3.Address, listen: true, doc: address},
		{key: "pop3s.address", target: &c.POP3S.Address, listen: true, doc: address},
		{key: "http.address", target: &c.HTTP.Address, listen: true, doc: address},
		webFields(c)[0],
		webFields(c)[1],
		webFields(c)[2],
		webFields(c)[3],

		{key: "tls.cert", target: &c.TLS.Cert, path: true,
			doc: "PEM file with the certificate and its chain. It is read again when it changes.\n\"\" is a certificate from a CA of kurir's own, which each device must be told to trust."},
		{key: "tls.key", target: &c.TLS.Key, path: true, doc: "PEM file with the certificate's key."},
		{key: "tls.plaintext_login_networks", target: &c.TLS.PlaintextLoginNetworks,
			doc: "Networks whose clients may log in without TLS, such as [\"127.0.0.0/8\", \"::1/128\"].\nTheir passwords can be read on the way."},

		{key: "tls.client_ca", target: &c.TLS.ClientCA, path: true,
			doc: "PEM file with CAs by whose certificates users may log in (SASL EXTERNAL), in place of a\npassword. \"\" is none."},
	}
	all = append(all, acmeFields(c)...)
	all = append(all, loginFields(c)...)
	all = append(all, []field{
		{key: "limits.message_size", target: &c.Limits.MessageSize, doc: "Size of one message."},
		{key: "limits.recipients", target: &c.Limits.Recipients, doc: "Recipients of one message; RFC 5321 asks for 100 at least."},
		{key: "limits.messages", target: &c.Limits.Messages, doc: "Messages in one SMTP connection."},
		{key: "limits.errors", target: &c.Limits.Errors, doc: "Bad commands in one SMTP connection, before it is closed."},
		{key: "limits.connections", target: &c.Limits.Connections, doc: "Connections open at once, for each protocol."},
		{key: "limits.connections_per_address", target: &c.Limits.ConnectionsPerAddress,
			doc: "Of these, from one IPv4 address or one IPv6 /64. Clients that have logged in to IMAP or POP3\ncount in connections_per_account instead: an office may have one address for all."},
		{key: "limits.connections_per_account", target: &c.Limits.ConnectionsPerAccount,
			doc: "Connections logged in to one account from one address, in IMAP and in POP3; from all addresses\ntogether it may have four times as many. Mail apps use up to ten each."},
		{key: "limits.smtp_timeout", target: &c.Limits.SMTPTimeout, doc: "A silent SMTP client is cut off after this time (RFC 5321: 5 minutes at least)."},
		{key: "limits.imap_timeout", target: &c.Limits.IMAPTimeout, doc: "A silent IMAP client is cut off after this time (RFC 9051: 30 minutes at least)."},
		{key: "limits.pop3_timeout", target: &c.Limits.POP3Timeout, doc: "A silent POP3 client is cut off after this time (RFC 1939: 10 minutes at least)."},
		{key: "limits.write_timeout", target: &c.Limits.WriteTimeout, doc: "A client that takes nothing of what is sent is cut off after this time."},

		{key: "limits.account_messages_hour", target: &c.Limits.AccountMessagesHour, least: none,
			doc: "Messages that an account may send to other domains within an hour; 0 is no limit. What is\nbeyond waits until the administrator has looked at it (kurir queue list)."},
		{key: "limits.account_messages_day", target: &c.Limits.AccountMessagesDay, least: none, doc: "The same within a day."},
		{key: "limits.account_recipients_hour", target: &c.Limits.AccountRecipientsHour, least: none,
			doc: "Recipients in other domains that an account may write to within an hour; 0 is no limit."},
		{key: "limits.account_recipients_day", target: &c.Limits.AccountRecipientsDay, least: none, doc: "The same within a day."},
	}...)
	all = append(all, inboundFields(c)...)
	all = append(all, trustFields(c)...)
	all = append(all, accountsFields(c)...)
	all = append(all, lmtpFields(c)...)
	return append(all, []field{
		{key: "store.expunged_keep", target: &c.Store.ExpungedKeep,
			doc: "How long expunged messages and deleted mailboxes stay on disk, so that they can be\nbrought back. \"0s\" is not at all."},
		reserveField(c),

		traceFields(c)[0],

		dnsFields(c)[0],
		dnsFields(c)[1],
		dnsFields(c)[2],

		{key: "relay.smarthost", target: &c.Relay.Smarthost.Address,
			doc: "A server that takes all mail to other domains, as host or host:port; the port is 587, or\n465 with TLS from the start. \"\" is each domain's own mail servers (MX)."},
		{key: "relay.smarthost_tls", target: &c.Relay.Smarthost.TLS,
			doc: "TLS with the smarthost: \"starttls\" or \"tls\" (from the start), both with a certificate that\nmust be valid; \"opportunistic\" (STARTTLS where offered, any certificate) or \"none\"."},
		{key: "relay.smarthost_username", target: &c.Relay.Smarthost.Username, doc: "Name for the login at the smarthost. \"\" is no login."},
		{key: "relay.smarthost_password", target: &c.Relay.Smarthost.Password,
			doc: "Its password: here, or in a file, of which smarthost_password_file is the name."},
		{key: "relay.smarthost_password_file", target: &c.Relay.Smarthost.PasswordFile, path: true, doc: "File that holds the password, on one line."},
		{key: "relay.fallback", target: &c.Relay.Fallback.Address,
			doc: "A smarthost for domains whose own servers refuse this one for its reputation, such as a\nblocklist. For a day their mail takes that way; then they are tried again. \"\" is none."},
		{key: "relay.fallback_tls", target: &c.Relay.Fallback.TLS, doc: "As relay.smarthost_tls."},
		{key: "relay.fallback_username", target: &c.Relay.Fallback.Username, doc: "Name for the login at the fallback. \"\" is no login."},
		{key: "relay.fallback_password", target: &c.Relay.Fallback.Password,
			doc: "Its password: here, or in a file, of which fallback_password_file is the name."},
		{key: "relay.fallback_password_file", target: &c.Relay.Fallback.PasswordFile, path: true, doc: "File that holds the password, on one line."},
		{key: "relay.ipv4", target: &c.Relay.IPv4, doc: "Whether other servers are reached by IPv4."},
		{key: "relay.ipv6", target: &c.Relay.IPv6, doc: "Whether they are reached by IPv6, which is tried first."},
		{key: "relay.source_ipv4", target: &c.Relay.SourceIPv4, doc: "IPv4 address that connections are made from. \"\" is the system's choice."},
		{key: "relay.source_ipv6", target: &c.Relay.SourceIPv6, doc: "IPv6 address that connections are made from. \"\" is the system's choice."},
		{key: "relay.ca_file", target: &c.Relay.CAFile, path: true,
			doc: "PEM file with certificates of CAs that are trusted for other servers, beside those that the\nsystem trusts. \"\" is no others."},
		{key: "relay.connections", target: &c.Relay.Connections, doc: "Connections to other servers at once, in all."},
		{key: "relay.connections_per_destination", target: &c.Relay.ConnectionsPerDestination, doc: "Of these, to one domain or smarthost."},
		{key: "relay.queue_messages", target: &c.Relay.QueueMessages,
			doc: "Messages that may wait. When there are as many, further ones are put off with 452."},
		{key: "relay.retry_first", target: &c.Relay.RetryFirst, least: int64(time.Second),
			doc: "Wait before the second try. It doubles from one try to the next, up to retry_most."},
		{key: "relay.retry_most", target: &c.Relay.RetryMost, least: int64(time.Second), doc: "Longest wait between two tries."},
		{key: "relay.give_up", target: &c.Relay.GiveUp, least: int64(time.Minute),
			doc: "Age at which a message is returned to its sender (RFC 5321: 4 to 5 days at least)."},
		{key: "relay.delay_notice", target: &c.Relay.DelayNotice, least: int64(time.Minute),
			doc: "Age at which a sender is told that a message is late. A time beyond give_up is never."},
		{key: "relay.history", target: &c.Relay.History, least: int64(day),
			doc: "How long is kept what became of each message, for: kurir queue show."},
		{key: "relay.suppress_for", target: &c.Relay.SuppressFor,
			doc: "Addresses that do not exist, as their own servers have said on two days, are refused to your\nusers at once for this time after the last (kurir suppression list). \"0s\" is not at all."},

		{key: "dkim.sign", target: &c.DKIM.Sign,
			doc: "Sign what users, devices and programs submit, and our own notices, with the domain's keys\n(kurir dkim list). Turn it off only where another server signs behind this one."},

		{key: "forward.copies_hour", target: &c.Forward.CopiesHour, least: none,
			doc: "Copies that one alias may pass on within an hour, one for each address and message; 0 is\nno limit. Senders of more are asked to come again later. The limits of accounts do not count\nhere."},

		{key: "log.level", target: &c.Log.Level, doc: "The least that is logged: \"debug\", \"info\", \"warn\" or \"error\"."},
		{key: "log.format", target: &c.Log.Format, doc: "\"text\" or \"json\"."},
	}...)
}
