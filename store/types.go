package store

import (
	"errors"
	"fmt"
	"time"
)

// UID names a message within a mailbox for good (RFC 9051 section 2.3.1.1). 0 is none.
type UID uint32

// UIDRange is all UIDs from one to another, both included.
type UIDRange struct{ First, Last UID }

// ModSeq numbers the changes of a mailbox (RFC 7162). The first is 1.
type ModSeq uint64

// NoModSeq is the condition that always holds: see [Mailbox.Store].
const NoModSeq = ^ModSeq(0)

// Flags are the flags of one message. Bits 6 to 31 are the mailbox's keywords: the
// keyword with index i of [Mailbox.Keywords] is the bit KeywordFlag(i).
type Flags uint32

// The flags that every mailbox has.
const (
	Seen Flags = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	Forwarded // $Forwarded

	systemFlags Flags = 1<<6 - 1
)

// MaxKeywords is how many keywords a mailbox can have.
const MaxKeywords = 26

// KeywordFlag is the bit of the keyword with index i, 0 to 25.
func KeywordFlag(i int) Flags { return 1 << (6 + i) }

// FlagSet names flags for a change: bits of the flags that every mailbox has, and
// keywords by name ("$Junk"), which get a bit when they are first used.
type FlagSet struct {
	Flags    Flags
	Keywords []string
}

// FlagOp says what [Mailbox.Store] does with a FlagSet.
type FlagOp int

// The operations of STORE: +FLAGS, -FLAGS and FLAGS.
const (
	AddFlags FlagOp = iota
	RemoveFlags
	SetFlags
)

// What the store reports. Front-ends translate them in one table each; they are told
// apart with errors.Is, and may be wrapped together with their cause.
var (
	ErrNoAccount        = errors.New("no such account")
	ErrAccountExists    = errors.New("account exists already")
	ErrNoMailbox        = errors.New("no such mailbox")
	ErrMailboxExists    = errors.New("mailbox exists already")
	ErrTooManyMailboxes = errors.New("no room for another mailbox or subscription")
	ErrMailboxGone      = errors.New("mailbox has been deleted")
	ErrOverQuota        = errors.New("over quota")
	ErrDiskFull         = errors.New("disk full")
	ErrTooManyKeywords  = errors.New("no more than 26 keywords in a mailbox")
	ErrInvalidKeyword   = errors.New("not a keyword")
	ErrNameTooLong      = errors.New("mailbox name too long")
	ErrInvalidName      = errors.New("not a mailbox name")
	ErrNotPermitted     = errors.New("not permitted on this mailbox")
	ErrExpunged         = errors.New("message is gone")
	ErrUnavailable      = errors.New("store unavailable")
	ErrNewer            = errors.New("written by a newer version of kurir")
	ErrClosed           = errors.New("store is closed")
)

// Status is a mailbox's counters.
type Status struct {
	ID            string
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq // at least 1
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // with the flag Deleted
	FirstUnseen   uint32 // sequence number, 0 if all are seen
	Size          int64  // bytes on the wire of all messages
}

// MailboxInfo is one line of a mailbox listing.
type MailboxInfo struct {
	Name        string // UTF-8, levels parted by "/"
	ID          string // "" if it does not exist
	SpecialUse  string // "Sent", "Drafts", "Trash", "Junk", "Archive" or ""
	Exists      bool   // false: only implied by a mailbox below it, or only subscribed
	Subscribed  bool
	HasChildren bool
}

// Quota is an account's use of its space, in bytes and messages.
type Quota struct {
	Used     int64
	Messages int64
	Limit    int64 // bytes; 0 is no limit
}

// Info is what a view knows of a message without opening it.
type Info struct {
	Seq    int // 1-based
	UID    UID
	ModSeq ModSeq
	Flags  Flags
	Size   int64 // bytes on the wire
}

// Delta is what changed in a mailbox since its view was last told: first Expunged
// holds, then Exists, then Keywords, then Changed.
type Delta struct {
	Expunged     []int // sequence numbers in the order to be sent: each counts those before it
	ExpungedUIDs []UID // the same messages, ascending
	Exists       int   // the new count; -1 if messages were neither added nor is the count otherwise to be told
	Keywords     []string
	Changed      []Info // flag changes, by sequence number; not for messages that Exists adds
}

// Appending is a message to append.
type Appending struct {
	Message *Staged
	Flags   FlagSet
	Date    time.Time // the internal date; zero is now
}

// CopyResult says what Copy or Move did: message Source[i] is now Dest[i] of the
// other mailbox. Messages that were gone are left out.
type CopyResult struct {
	UIDValidity  uint32
	Source, Dest []UID
}

// Target is where a message is delivered.
type Target struct {
	Address string // the account
	Mailbox string // "" is INBOX
	Junk    bool   // the account's mailbox for junk instead, or INBOX if it has none
	Detail  string // of user+detail: the mailbox of that name instead, or INBOX if there is none
	Flags   Flags  // without keywords
	Placed  string // set by Deliver: the mailbox that the message goes to
}

// TargetError is a target that did not get the message.
type TargetError struct {
	Target Target
	Err    error
}

func (e *TargetError) Error() string { return fmt.Sprintf("%s: %v", e.Target.Address, e.Err) }

func (e *TargetError) Unwrap() error { return e.Err }
