package smtpd

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// maxHeader bounds the header of a submitted message, which waits in memory.
const maxHeader = 256 << 10

// rewriter is the headerReader of submission (RFC 6409 section 8): lone LFs become CRLF,
// Bcc and Return-Path go, Date, Message-ID and From come if they are missing, and every
// address in the fields that say who has sent the message must be the user's own.
type rewriter struct {
	to     Staged
	s      *session
	head   []byte // the header so far, lines ending in CRLF
	line   int    // where the current line begins in head
	cr     bool   // the last octet was CR
	done   bool   // the header is written
	out    []byte // reused
	traces traces
}

func (h *rewriter) seen() *traces { return &h.traces }

// write gives lone LFs their CR.
func (h *rewriter) write(p []byte) error {
	whole := h.cr && p[0] == '\n'
	if i := bytes.IndexByte(p, '\n'); i < 0 || hasOnlyCRLF(p, whole) {
		h.cr = p[len(p)-1] == '\r'
		return h.take(p)
	}
	h.out = h.out[:0]
	for _, c := range p {
		if c == '\n' && !h.cr {
			h.out = append(h.out, '\r')
		}
		h.out = append(h.out, c)
		h.cr = c == '\r'
	}
	return h.take(h.out)
}

// hasOnlyCRLF tells whether each LF in p comes after a CR; first says so of p[0].
func hasOnlyCRLF(p []byte, first bool) bool {
	for i := 0; ; i++ {
		j := bytes.IndexByte(p[i:], '\n')
		if j < 0 {
			return true
		}
		if i += j; i == 0 && !first || i > 0 && p[i-1] != '\r' {
			return false
		}
	}
}

// take collects the header; what follows goes straight on.
func (h *rewriter) take(p []byte) error {
	if h.done {
		_, err := h.to.Write(p)
		return err
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n') + 1
		n := i
		if i == 0 {
			n = len(p)
		}
		if len(h.head)+n > maxHeader {
			return replyBigHeader
		}
		h.head = append(h.head, p[:n]...)
		p = p[n:]
		if i == 0 {
			return nil
		}
		line := h.head[h.line:]
		if isFieldLine(line, h.line == 0) {
			h.line = len(h.head)
			continue
		}
		// The blank line, or a line of the body that none precedes.
		var body []byte
		if len(line) > 2 {
			body = bytes.Clone(line)
		}
		h.head = h.head[:h.line]
		if err := h.endHeader(); err != nil {
			return err
		}
		if _, err := h.to.Write(append(body, p...)); err != nil {
			return err
		}
		return nil
	}
	return nil
}

// finish writes a header that nothing follows.
func (h *rewriter) finish() error {
	if h.done {
		return nil
	}
	if line := h.head[h.line:]; len(line) > 0 { // a last line without CRLF
		if err := h.write([]byte("\r\n")); err != nil || h.done {
			return err
		}
	}
	return h.endHeader()
}

// isFieldLine tells whether a line is a header field or goes on with one.
func isFieldLine(line []byte, first bool) bool {
	if line[0] == ' ' || line[0] == '\t' {
		return !first && len(line) > 2
	}
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return false
	}
	for _, c := range bytes.TrimRight(line[:i], " \t") {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// field is one header field: its name in small letters and all of its lines.
type field struct {
	name string
	raw  []byte
}

// fields parts a header.
func fields(head []byte) (fs []field) {
	for len(head) > 0 {
		n := bytes.IndexByte(head, '\n') + 1
		for n > 0 && n < len(head) && (head[n] == ' ' || head[n] == '\t') {
			k := bytes.IndexByte(head[n:], '\n') + 1
			if k == 0 {
				k = len(head) - n
			}
			n += k
		}
		if n == 0 {
			n = len(head)
		}
		name, _, _ := bytes.Cut(head[:n], []byte(":"))
		fs = append(fs, field{strings.ToLower(string(bytes.TrimRight(name, " \t"))), head[:n]})
		head = head[n:]
	}
	return fs
}

// value is the text behind the colon, unfolded.
func (f field) value() string {
	_, v, _ := bytes.Cut(f.raw, []byte(":"))
	return strings.TrimSpace(strings.NewReplacer("\r\n", "").Replace(string(v)))
}

// endHeader writes the header in its new form, and the blank line.
func (h *rewriter) endHeader() error {
	if bytes.Count(h.head, []byte{'\r'}) != bytes.Count(h.head, []byte{'\n'}) {
		return replyHeaderCR // to some programs it ends a line, and a second From begins
	}
	has := map[string]bool{}
	var out []byte
	for _, f := range fields(h.head) {
		h.traces.add(f.raw[:min(len(f.raw), maxScanLine)])
		switch f.name {
		case "bcc", "resent-bcc":
			continue
		case "return-path": // it is the last server's to add (RFC 5321 section 4.4)
			continue
		case "from", "sender", "resent-from", "resent-sender":
			if r := h.s.mayWriteAs(f.name, f.value()); r != nil {
				return r
			}
			if has[f.name] && !strings.HasPrefix(f.name, "resent-") && h.s.by.role != trusted {
				return replyTwoSenders // RFC 5322 section 3.6; programs differ in which of them they show
			}
		}
		if isOurs(f.name, []byte(f.value()), false, h.s.wire.srv.Hostname) {
			out = append(out, renamed...)
		}
		if f.name == "from" && h.traces.author == "" {
			h.traces.author = authorDomain(f.value())
		}
		has[f.name] = true
		out = append(out, f.raw...)
	}
	srv := h.s.wire.srv
	if !has["date"] {
		out = fmt.Appendf(out, "Date: %s\r\n", srv.Now().Format(time.RFC1123Z))
	}
	if !has["message-id"] {
		h.traces.messageID = fmt.Sprintf("<%s@%s>", strings.ToLower(rand.Text()), srv.Hostname)
		out = fmt.Appendf(out, "Message-ID: %s\r\n", h.traces.messageID)
	}
	if !has["from"] {
		from := h.s.author()
		h.traces.author = authorDomain(from)
		out = fmt.Appendf(out, "From: %s\r\n", from)
	}
	h.done, h.head = true, nil
	_, err := h.to.Write(append(out, "\r\n"...))
	return err
}
