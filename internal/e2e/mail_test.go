package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// letter is a plain message with CRLF line ends, found again by its subject.
func letter(from, to, subject string, lines ...string) string {
	h := []string{
		"From: " + from, "To: " + to, "Subject: " + subject, "Date: Fri, 21 Nov 2025 10:00:00 +0000",
		"Message-ID: <" + strings.ReplaceAll(subject, " ", ".") + "@elsewhere.test>", "",
	}
	return strings.Join(append(h, lines...), "\r\n") + "\r\n"
}

// dialIMAP logs in without TLS.
func (s *server) dialIMAP(address string, o *imapclient.Options) *imapclient.Client {
	s.t.Helper()
	c, err := imapclient.DialInsecure(s.at(imapPort), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if err := c.Login(address, password).Wait(); err != nil {
		s.t.Fatalf("LOGIN: %v", err)
	}
	return c
}

// wholeBody is BODY.PEEK[].
func wholeBody() *imap.FetchItemBodySection { return &imap.FetchItemBodySection{Peek: true} }

// fetched is one message as IMAP shows it.
type fetched struct {
	uid    imap.UID
	modseq uint64
	flags  []imap.Flag
	body   []byte
}

// mailbox is one mailbox as a new session sees it.
type mailbox struct {
	uidValidity uint32
	uidNext     imap.UID
	modseq      uint64
	messages    []fetched
}

// read selects a mailbox read-only and fetches all of it.
func read(c *imapclient.Client, name string) (mailbox, error) {
	var m mailbox
	sel, err := c.Select(name, &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait()
	if err != nil {
		return m, fmt.Errorf("EXAMINE %s: %w", name, err)
	}
	m.uidValidity, m.uidNext, m.modseq = sel.UIDValidity, sel.UIDNext, sel.HighestModSeq
	if sel.NumMessages == 0 {
		return m, nil
	}
	section := wholeBody()
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, Flags: true, ModSeq: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section},
	}).Collect()
	if err != nil {
		return m, fmt.Errorf("FETCH in %s: %w", name, err)
	}
	for _, f := range all {
		body := f.FindBodySection(section)
		if f.RFC822Size != int64(len(body)) {
			return m, fmt.Errorf("%s UID %d: RFC822.SIZE %d, but %d bytes came", name, f.UID, f.RFC822Size, len(body))
		}
		m.messages = append(m.messages, fetched{uid: f.UID, modseq: f.ModSeq, flags: f.Flags, body: body})
	}
	if len(m.messages) != int(sel.NumMessages) {
		return m, fmt.Errorf("%s: %d messages were announced, %d came", name, sel.NumMessages, len(m.messages))
	}
	return m, nil
}

// mailboxOf is what an account has in a mailbox at this moment.
func (s *server) mailboxOf(address, name string) mailbox {
	s.t.Helper()
	c := s.dialIMAP(address, nil)
	defer c.Close()
	m, err := read(c, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// find returns the one message of an account's INBOX that has a subject.
func (s *server) find(address, subject string) fetched {
	s.t.Helper()
	return findIn(s.t, s.mailboxOf(address, "INBOX"), subject)
}

func findIn(t *testing.T, m mailbox, subject string) fetched {
	t.Helper()
	var found []fetched
	for _, f := range m.messages {
		if bytes.Contains(f.body, []byte("Subject: "+subject+"\r\n")) {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d messages %q among %d", len(found), subject, len(m.messages))
	}
	return found[0]
}

// traced fails unless body is sent with nothing but trace header fields in front.
func traced(t *testing.T, body []byte, sent string) {
	t.Helper()
	if err := checkTraced(body, sent); err != nil {
		t.Error(err)
	}
}

func checkTraced(body []byte, sent string) error {
	head, ok := strings.CutSuffix(string(body), sent)
	if !ok {
		return fmt.Errorf("the message does not end as it was sent\n got %s\nwant %s", clip(fmt.Sprintf("%q", body)), clip(fmt.Sprintf("%q", sent)))
	}
	if !strings.Contains(head, "Received: ") {
		return fmt.Errorf("there is no Received in front: %q", head)
	}
	for line := range strings.Lines(head) {
		switch name, _, _ := strings.Cut(line, ":"); {
		case !strings.HasSuffix(line, "\r\n"):
			return fmt.Errorf("in front of the message: %q", head)
		case strings.HasPrefix(line, "\t"), strings.HasPrefix(line, " "):
		case name == "Received", name == "Return-Path", name == "Delivered-To", name == "DKIM-Signature":
		default:
			return fmt.Errorf("in front of the message: %q", line)
		}
	}
	return nil
}

// appendTo puts messages into a mailbox, many at a time, and returns their UIDs.
func appendTo(c *imapclient.Client, name string, o *imap.AppendOptions, texts ...string) ([]imap.UID, error) {
	const together = 50
	var uids []imap.UID
	for len(texts) > 0 {
		n := min(together, len(texts))
		var cmds []*imapclient.AppendCommand
		for _, text := range texts[:n] {
			cmd := c.Append(name, int64(len(text)), o)
			_, err := cmd.Write([]byte(text))
			if err == nil {
				err = cmd.Close()
			}
			if err != nil {
				return uids, err
			}
			cmds = append(cmds, cmd)
		}
		for _, cmd := range cmds {
			d, err := cmd.Wait()
			if err != nil {
				return uids, err
			}
			uids = append(uids, d.UID)
		}
		texts = texts[n:]
	}
	return uids, nil
}
