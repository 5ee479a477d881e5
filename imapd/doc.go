// Package imapd is the IMAP front-end: it reads commands, calls the store, and writes
// responses as RFC 3501 and its extensions say. The protocol on one page is the table in
// commands.go; each command or small family of commands has its own file.
//
// A session is one goroutine that reads a command, runs it and answers it. IDLE has a second
// one beside it, that waits for the mailbox, and so has a command that reads many contents,
// for its work, while the session serves others (beside.go). Replies gather in a buffer that is
// sent when it is full or when the session is about to wait for its client, so pipelined
// commands share packets, and a session that waits holds no buffer but its 4 KiB for reading.
//
// The package converts between IMAP's terms and the store's (flags, sets, search keys, names
// of mailboxes, errors); it knows nothing of files, and the store nothing of IMAP. The
// types of go-imap/v2 are its vocabulary and appear in no other package.
package imapd
