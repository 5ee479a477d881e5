// Package admin is what an administrator can do to a running or stopped kurir:
// domains, accounts, aliases, mailboxes, the queue, sending, health. Operations names the calls once;
// Service carries them out on a directory and a store, Server offers a Service on a
// unix socket (<data>/control.sock), and Client makes the same calls from another
// process. It owns the order of steps between directory and store, so that a crash
// between two of them is mended by repeating the command. It reads no configuration
// and prints nothing: that is the command line's part.
//
// On the socket each call is "POST /v1/<operation>" with a JSON body and a JSON answer;
// a refusal is {"error": text, "kind": name} with a status of 400 or above. Only "send" has
// a message for its body, and its envelope as JSON in the header Kurir-Envelope. The socket's
// file permissions are its only access control.
package admin

import (
	"context"
	"io"
	"time"
)

// Operations is what both Service (in the server's own process) and Client (through the
// control socket) can do. Errors are for people: their text says what to do. They match
// the errors of packages directory, store, auth and queue with errors.Is on both sides.
type Operations interface {
	AddDomain(ctx context.Context, name string) error
	// AddDomainAlias makes every address of d.AliasOf valid under d.Name too.
	AddDomainAlias(ctx context.Context, d Domain) error
	RemoveDomainAlias(ctx context.Context, name string) error
	// RemoveDomain removes a domain that nothing depends on: no account, alias or domain alias.
	RemoveDomain(ctx context.Context, name string) error
	ListDomains(ctx context.Context) ([]Domain, error)

	AddAccount(ctx context.Context, a NewAccount) (Added, error)
	// AddAccounts adds up to MaxBulk accounts, or none.
	AddAccounts(ctx context.Context, all []BulkAccount) ([]Added, error)
	// SetVerifier is SetPassword for one that was hashed before.
	SetVerifier(ctx context.Context, v Verifier) error
	// ListVerifiers returns the accounts' own passwords as they are kept, by address.
	ListVerifiers(ctx context.Context) (map[string]string, error)
	ListAccounts(ctx context.Context) ([]Account, error)
	// SetPassword replaces the account's password; the old one stops working at once.
	SetPassword(ctx context.Context, p Password) error
	// SetQuota takes effect with the next message; zero lifts the limit.
	SetQuota(ctx context.Context, q Quota) error
	// RenameAccount moves an account with its mail to another address.
	RenameAccount(ctx context.Context, r Rename) error
	// DisableAccount closes an account to logins, and for mail if that is asked for, or
	// opens it again.
	DisableAccount(ctx context.Context, d Disable) error
	// DisableDomain closes a domain with all its accounts, or opens it again.
	DisableDomain(ctx context.Context, d Disable) error
	RemoveAccount(ctx context.Context, r Remove) (Removed, error)

	// AddAppPassword makes a password for one app or device of an account; it is told this once.
	AddAppPassword(ctx context.Context, n NewAppPassword) (AddedAppPassword, error)
	// ListAppPasswords lists an account's, the oldest first.
	ListAppPasswords(ctx context.Context, address string) ([]AppPassword, error)
	// RevokeAppPassword makes one stop working at once; the sessions that it began end, others do not.
	RevokeAppPassword(ctx context.Context, r RevokeAppPassword) error

	// ListLogins lists who has logged in to an account, or tried to; the latest first.
	ListLogins(ctx context.Context, q LoginQuery) ([]LoginRecord, error)
	// InviteAccount makes a link by which the owner of an account signs in to the setup pages once.
	InviteAccount(ctx context.Context, address string) (Invited, error)
	// RevokeInvites makes the links of an account stop working.
	RevokeInvites(ctx context.Context, address string) (RevokedInvites, error)

	AddAlias(ctx context.Context, a Alias) error
	ListAliases(ctx context.Context) ([]Alias, error)
	// SetAlias replaces an alias that is there.
	SetAlias(ctx context.Context, a Alias) error
	RemoveAlias(ctx context.Context, address string) error

	ListMailboxes(ctx context.Context, address string) ([]Mailbox, error)
	// Fsck compares an account's index with its files, repairs what it can and says what it did.
	Fsck(ctx context.Context, f Fsck) (FsckReport, error)

	// ListDKIM lists the DKIM keys of a domain, or of all with "", and asks the DNS for their records.
	ListDKIM(ctx context.Context, domain string) ([]DKIMKey, error)
	// DKIMRecords is ListDKIM of one domain without asking the DNS: what has to be published.
	DKIMRecords(ctx context.Context, domain string) ([]DKIMKey, error)
	// RotateDKIM makes new keys for a domain, which sign when the DNS shows their records.
	RotateDKIM(ctx context.Context, r RotateDKIM) (RotatedDKIM, error)

	// ListCertificates lists what the running server shows with TLS, or wants to.
	ListCertificates(ctx context.Context) ([]Certificate, error)
	// RenewCertificates fetches new ones from the CA now, and waits for them.
	RenewCertificates(ctx context.Context, r RenewCertificates) ([]Certificate, error)

	// ListQueue lists the recipients that wait, one entry each.
	ListQueue(ctx context.Context, f QueueFilter) ([]QueueEntry, error)
	// ShowQueue tells all about one message, for as long as its history is kept.
	ShowQueue(ctx context.Context, id string) (QueueDetail, error)
	// ChangeQueue tries, holds, releases, drops or bounces what waits.
	ChangeQueue(ctx context.Context, c QueueChange) (Changed, error)
	// ListSuppressed lists the addresses elsewhere that do not exist, as was found out.
	ListSuppressed(ctx context.Context) ([]Suppressed, error)
	// Unsuppress takes addresses off that list.
	Unsuppress(ctx context.Context, u Unsuppress) (Unsuppressed, error)
	// Send hands in a message as a program of this machine, in the form of RFC 5322 with
	// LF or CRLF. It is durable when Send returns. The error is a *NotSent if all was refused.
	Send(ctx context.Context, o Outgoing, message io.Reader) (Sent, error)

	// Reload reads the configuration again and puts it into service. An error lists its
	// mistakes; nothing has changed then.
	Reload(ctx context.Context) (Reloaded, error)
	// Trace tells what became of messages.
	Trace(ctx context.Context, q TraceQuery) ([]TracedMessage, error)
	Health(ctx context.Context) (Health, error)
	Version(ctx context.Context) (Version, error)
}

// Domain is a domain that kurir takes mail for.
type Domain struct {
	Name    string `json:"name"`
	AliasOf string `json:"alias_of,omitempty"` // empty: a domain of its own
	// Accounts is how many there are in it; lists fill it.
	Accounts int    `json:"accounts"`
	Disabled bool   `json:"disabled,omitempty"` // nobody logs in there, all mail is put off
	Message  string `json:"message,omitempty"`  // why
}

// Account is one account as lists show it.
type Account struct {
	Address  string    `json:"address"`
	Disabled bool      `json:"disabled"`           // itself; its domain may be, too
	Deferred bool      `json:"deferred,omitempty"` // and its mail is put off
	Message  string    `json:"message,omitempty"`  // why
	Closed   bool      `json:"domain_disabled,omitempty"`
	Quota    int64     `json:"quota"` // bytes, 0 none
	Created  time.Time `json:"created"`
}

// NewAccount asks for an account.
type NewAccount struct {
	Address  string `json:"address"`
	Password string `json:"password"`
	Quota    int64  `json:"quota,omitempty"` // bytes, 0 none
}

// Added tells how an account came to be.
type Added struct {
	Address string `json:"address"` // in its canonical form
	// MailKept is true if a mail folder without an account was there already, from an
	// earlier attempt or put there by hand, and belongs to the account now.
	MailKept bool `json:"mail_kept"`
}

// Password is a new password for an account.
type Password struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

// Quota is a new limit for an account.
type Quota struct {
	Address string `json:"address"`
	Bytes   int64  `json:"bytes"` // 0 none
}

// Rename gives an account another address.
type Rename struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// Disable closes an account or a domain, or opens it again.
type Disable struct {
	Address  string `json:"address"` // or the domain
	Disabled bool   `json:"disabled"`
	Defer    bool   `json:"defer,omitempty"`   // its mail is put off, too; a domain's always is
	Message  string `json:"message,omitempty"` // why, for who logs in and for senders that are put off
}

// Remove asks for the end of an account.
type Remove struct {
	Address string `json:"address"`
	Purge   bool   `json:"purge"` // delete its mail instead of keeping it under <data>/removed
}

// Removed tells what became of a removed account's mail.
type Removed struct {
	Address string `json:"address"`
	MovedTo string `json:"moved_to,omitempty"` // empty: deleted, or there was none
}

// Alias is an address that stands for others.
type Alias struct {
	Address string   `json:"address"` // "@domain": all other addresses of the domain
	Targets []string `json:"targets"`
	Remote  []string `json:"remote,omitempty"` // those of Targets that may be, or are, of other servers
	MaySend bool     `json:"may_send"`         // the targets may use it as sender
	Post    string   `json:"post,omitempty"`   // who may write to it: "members", "domain", "" for anyone
}

// Mailbox is one mailbox of an account with its counts.
type Mailbox struct {
	Name        string `json:"name"`
	SpecialUse  string `json:"special_use,omitempty"`
	Subscribed  bool   `json:"subscribed"`
	Messages    uint32 `json:"messages"`
	Unseen      uint32 `json:"unseen"`
	Bytes       int64  `json:"bytes"`
	UIDValidity uint32 `json:"uid_validity"`
}

// Fsck asks for a check of an account.
type Fsck struct {
	Address string `json:"address"`
	// Restored says that the files come from a backup: all mailboxes get a new UIDVALIDITY,
	// so that clients drop what they remember.
	Restored bool `json:"restored"`
}

// FsckReport is what a check found and did.
type FsckReport struct {
	Address   string    `json:"address"`
	Mailboxes int       `json:"mailboxes"` // how many were looked at
	Messages  int       `json:"messages"`  // in all of them
	Findings  []Finding `json:"findings"`  // empty: all was well
}

// Finding is one thing that was not as it should be.
type Finding struct {
	Mailbox  string `json:"mailbox,omitempty"` // empty: the account as a whole
	What     string `json:"what"`              // a sentence
	Repaired bool   `json:"repaired"`
}

// Health is the state of a server.
type Health struct {
	OK       bool              `json:"ok"`
	Problems map[string]string `json:"problems,omitempty"` // check to reason
}

// Version is what the answering program is.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	PID     int    `json:"pid"`
}
