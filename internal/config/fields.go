package config

import (
	"strings"
)

// field is a key of the configuration.
type field struct {
	key    string
	target any    // *string, *int, *Size, *time.Duration, *[]string, *[]netip.Prefix
	path   bool   // a *string that is a file name
	doc    string // for Example
	sample string // for Example, in place of the default, where there is none
}

// env is the name of the key's environment variable.
func (f field) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

const envPrefix = "KURIR_"

// sections documents the tables of the file, for Example.
var sections = map[string]string{
	"smtp":        "SMTP: mail from other servers. STARTTLS is offered, and other servers need port 25.",
	"submission":  "Submission: mail from the users' mail apps, with STARTTLS.",
	"submissions": "The same with TLS from the start, as mail apps prefer it (RFC 8314).",
	"imap":        "IMAP: mailboxes for mail apps, with STARTTLS.",
	"imaps":       "The same with TLS from the start.",
	"pop3":        "POP3: fetching mail, with STLS.",
	"pop3s":       "The same with TLS from the start.",
	"http":        "HTTP: /healthz and /metrics. Anyone who can connect can read them.",
	"tls":         "TLS: the certificate of this server.",
	"limits":      "Limits on what clients may do. Sizes are numbers of bytes, or \"50MiB\", \"50MB\"; times are \"90s\", \"1h30m\", \"7d\".",
	"store":       "How the mail is kept.",
	"log":         "The log goes to standard error.",
}

// fields is every key, with its place in c, in the order of Example.
func fields(c *Config) []field {
	const address = "Addresses to listen on: host:port, or :port for all of this machine. [] turns it off."
	return []field{
		{key: "hostname", target: &c.Hostname, sample: "mail.example.com",
			doc: "The name other servers know this one by. It must be set, and should be in the DNS\nin both directions. There is no default."},
		{key: "data", target: &c.Data, path: true,
			doc: "Directory of the mail and the database. Relative paths in this file start from its\nown directory."},
		{key: "control", target: &c.Control, path: true,
			doc: "Path of the socket by which the commands reach a running server.\n\"\" is control.sock in the data directory."},

		{key: "smtp.address", target: &c.SMTP.Address, doc: address},
		{key: "smtp.early_talk", target: &c.SMTP.EarlyTalk,
			doc: "How long to wait before the greeting for clients that talk first, as only spammers do.\n\"0s\" is not at all."},
		{key: "submission.address", target: &c.Submission.Address, doc: address},
		{key: "submissions.address", target: &c.Submissions.Address, doc: address},
		{key: "imap.address", target: &c.IMAP.Address, doc: address},
		{key: "imaps.address", target: &c.IMAPS.Address, doc: address},
		{key: "pop3.address", target: &c.POP3.Address, doc: address},
		{key: "pop3s.address", target: &c.POP3S.Address, doc: address},
		{key: "http.address", target: &c.HTTP.Address, doc: address},

		{key: "tls.cert", target: &c.TLS.Cert, path: true,
			doc: "PEM file with the certificate and its chain. It is read again when it changes.\n\"\" is a certificate from a CA of kurir's own, which each device must be told to trust."},
		{key: "tls.key", target: &c.TLS.Key, path: true, doc: "PEM file with the certificate's key."},
		{key: "tls.plaintext_login_networks", target: &c.TLS.PlaintextLoginNetworks,
			doc: "Networks whose clients may log in without TLS, such as [\"127.0.0.0/8\", \"::1/128\"].\nTheir passwords can be read on the way."},

		{key: "limits.message_size", target: &c.Limits.MessageSize, doc: "Size of one message."},
		{key: "limits.recipients", target: &c.Limits.Recipients, doc: "Recipients of one message; RFC 5321 asks for 100 at least."},
		{key: "limits.messages", target: &c.Limits.Messages, doc: "Messages in one SMTP connection."},
		{key: "limits.errors", target: &c.Limits.Errors, doc: "Bad commands in one SMTP connection, before it is closed."},
		{key: "limits.connections", target: &c.Limits.Connections, doc: "Connections open at once, for each protocol."},
		{key: "limits.connections_per_address", target: &c.Limits.ConnectionsPerAddress,
			doc: "Of these, from one IPv4 address or one IPv6 /64, and in IMAP also of one account."},
		{key: "limits.smtp_timeout", target: &c.Limits.SMTPTimeout, doc: "A silent SMTP client is cut off after this time (RFC 5321: 5 minutes at least)."},
		{key: "limits.imap_timeout", target: &c.Limits.IMAPTimeout, doc: "A silent IMAP client is cut off after this time (RFC 9051: 30 minutes at least)."},
		{key: "limits.pop3_timeout", target: &c.Limits.POP3Timeout, doc: "A silent POP3 client is cut off after this time (RFC 1939: 10 minutes at least)."},
		{key: "limits.write_timeout", target: &c.Limits.WriteTimeout, doc: "A client that takes nothing of what is sent is cut off after this time."},

		{key: "store.expunged_keep", target: &c.Store.ExpungedKeep,
			doc: "How long expunged messages and deleted mailboxes stay on disk, so that they can be\nbrought back. \"0s\" is not at all."},

		{key: "log.level", target: &c.Log.Level, doc: "The least that is logged: \"debug\", \"info\", \"warn\" or \"error\"."},
		{key: "log.format", target: &c.Log.Format, doc: "\"text\" or \"json\"."},
	}
}
