package queue

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"kurir/store"
)

// maxReturned bounds what is returned of a header.
const maxReturned = 64 << 10

// failure is a notice that a message could not be delivered (RFC 3464).
type failure struct {
	hostname   string
	now        time.Time
	to         string // the sender of the message
	recipient  string
	arrived    time.Time
	cause      error
	header     string // of the message, lines ending in LF
	returnPath bool   // it is delivered here, so that it gets one
}

// status is what a stranger may know of why delivery failed: a code of RFC 3463, and
// words for it.
func status(err error) (code, words string) {
	for _, m := range []struct {
		is          error
		code, words string
	}{
		{ErrNoRecipient, "5.1.1", "There is no such mailbox any more."},
		{store.ErrOverQuota, "5.2.2", "The mailbox is full."},
	} {
		if errors.Is(err, m.is) {
			return m.code, m.words
		}
	}
	return "5.4.7", "It could not be stored for too long a time."
}

// reader gives the notice, lines ending in LF alone.
func (f failure) reader() io.Reader {
	// RFC 6533: other types for what is not ASCII.
	report, headers, addrType, encoding := "message/delivery-status", "text/rfc822-headers", "rfc822", "7bit"
	if !isASCII(f.to + f.recipient + f.header) {
		report, headers, addrType, encoding = "message/global-delivery-status", "message/global-headers", "utf-8", "8bit"
	}
	code, words := status(f.cause)
	boundary := "kurir-" + strings.ToLower(rand.Text())
	date := f.now.Format(time.RFC1123Z)
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	if f.returnPath {
		p("Return-Path: <>\n")
	}
	p("From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: <%s>\n", f.hostname, f.to)
	p("Subject: Your message could not be delivered\nDate: %s\n", date)
	p("Message-ID: <%s@%s>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n", strings.ToLower(rand.Text()), f.hostname)
	p("Content-Type: multipart/report; report-type=%s;\n\tboundary=\"%s\"\n\n", strings.TrimPrefix(report, "message/"), boundary)

	p("--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: %s\n\n", boundary, encoding)
	p("This is the mail system of %s.\n\nYour message to\n\n    %s\n\ncould not be delivered. %s\n", f.hostname, f.recipient, words)
	p("Other recipients of the same message may have got it.\n\n")

	p("--%s\nContent-Type: %s\nContent-Transfer-Encoding: %s\n\n", boundary, report, encoding)
	p("Reporting-MTA: dns; %s\nArrival-Date: %s\n\n", f.hostname, f.arrived.Format(time.RFC1123Z))
	p("Final-Recipient: %s; %s\nAction: failed\nStatus: %s\nLast-Attempt-Date: %s\n\n", addrType, f.recipient, code, date)

	p("--%s\nContent-Type: %s\nContent-Transfer-Encoding: %s\n\n%s\n--%s--\n", boundary, headers, encoding, f.header, boundary)
	return &b
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// header reads the header of a waiting message. What is too long is cut at a line end;
// lines end in LF.
func (q *Queue) header(name string) (string, error) {
	f, err := q.o.FS.Open(q.path(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxReturned))
	if err != nil {
		return "", err
	}
	s := strings.ReplaceAll(string(b), "\r", "")
	if head, _, ok := strings.Cut(s, "\n\n"); ok {
		return head + "\n", nil
	}
	return s[:strings.LastIndexByte(s, '\n')+1], nil
}
