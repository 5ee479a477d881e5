package smtpd

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// answer takes what go-smtp writes. Its replies are passed on once whole, after being
// put right.
func (w *wire) answer(p []byte) {
	w.reply = append(w.reply, p...)
	for {
		n := replyLength(w.reply)
		if n == 0 {
			return
		}
		whole := string(w.reply[:n])
		w.reply = append(w.reply[:0], w.reply[n:]...)
		w.pass(whole)
	}
}

// replyLength is the length of the whole reply at the front of b; 0: not whole yet. The
// last line of a reply has a space behind its code (RFC 5321 section 4.2.1).
func replyLength(b []byte) int {
	for n := 0; ; {
		i := bytes.IndexByte(b[n:], '\n')
		if i < 0 {
			return 0
		}
		last := i < 4 || b[n+3] != '-'
		if n += i + 1; last {
			return n
		}
	}
}

// pass sends one reply of go-smtp on.
func (w *wire) pass(reply string) {
	if w.dead {
		return
	}
	if w.mute || w.banner {
		w.mute, w.banner = false, false
		return
	}
	if w.passEach() {
		return
	}
	code, _ := strconv.Atoi(reply[:min(3, len(reply))])
	switch w.verb {
	case "EHLO", "HELO", "LHLO":
		if code == 250 {
			reply = w.greeting(reply)
		}
	case "AUTH":
		w.sasl = code == 334
	case "BDAT":
		if code == 354 {
			return // the chunk follows without being asked for
		}
		if c := w.chunk; c != nil { // refused: it follows all the same
			w.skip, w.chunk = c.size, nil
		}
	}
	reply, code = correct(reply, code)
	w.noteSender(code, reply)
	if strings.Count(reply, "\n") == 1 {
		reply = fitLine(reply, 0)
	}
	w.count(code)
	if w.dead {
		return
	}
	w.out = append(w.out, reply...)
	if len(w.out) > maxOut {
		w.flush()
	}
	if code == 421 {
		w.flush()
		w.dead = true
	}
}

// greeting puts the reply to EHLO right: it begins with our name (RFC 5321 section
// 4.1.1.1), STARTTLS is offered where it can be had (RFC 3207 section 4), and
// REQUIRETLS once it is there (RFC 8689 section 2).
func (w *wire) greeting(reply string) string {
	lines := strings.SplitAfter(reply, "\r\n")
	first := w.srv.Hostname + " greets you\r\n"
	if isASCII(w.helo) { // RFC 6531 section 3.7.4: no other text in a reply to EHLO
		first = w.srv.Hostname + " greets " + w.helo + "\r\n"
	}
	first = fitLine(first, len("250-"))
	if w.verb == "HELO" {
		return "250 " + first
	}
	var b strings.Builder
	b.WriteString("250-" + first)
	if w.tls == nil && w.hasTLS() {
		b.WriteString("250-STARTTLS\r\n")
	}
	if w.offersRequireTLS() {
		b.WriteString("250-REQUIRETLS\r\n")
	}
	for _, l := range lines[1:] {
		if strings.HasPrefix(l, "250 ") {
			l = w.lastLines(l)
		}
		b.WriteString(l)
	}
	return b.String()
}

// maxReplyLine is what a client must be able to read, code and line end included
// (RFC 5321 section 4.5.3.1.5).
const maxReplyLine = 512

// fitLine cuts a line that ends in CRLF to what may follow n octets. A long address, said
// again to the client, would be too much.
func fitLine(line string, n int) string {
	if len(line) <= maxReplyLine-n {
		return line
	}
	return strings.ToValidUTF8(line[:maxReplyLine-n-len("...\r\n")], "") + "...\r\n"
}

// correct changes codes of go-smtp that are not the RFCs'. Its texts stay.
func correct(reply string, code int) (string, int) {
	switch {
	case code == 502 && strings.HasPrefix(reply, "502 5.5.1 "): // RFC 5321 section 4.2.4: a known command, but not now
		if strings.Contains(reply, "introduce yourself") || strings.Contains(reply, "Missing ") ||
			strings.Contains(reply, "not allowed during") {
			return "503" + reply[3:], 503
		}
	case strings.HasPrefix(reply, "502 5.5.4 "): // AUTH without a mechanism
		return "501" + reply[3:], 501
	case strings.HasPrefix(reply, "454 4.7.0 Invalid base64"): // RFC 4954 section 4
		return "501 5.5.2" + reply[9:], 501
	case strings.HasPrefix(reply, "235 2.0.0 "): // RFC 4954 section 6
		return "235 2.7.0" + reply[9:], 235
	}
	return reply, code
}

// refuse answers a command that go-smtp is not shown.
func (w *wire) refuse(r *Reply) {
	w.count(r.Code)
	if w.dead {
		return
	}
	w.put(r)
	if len(w.out) > maxOut {
		w.flush()
	}
	if r.Code == 421 {
		w.flush()
		w.dead = true
	}
}

// count takes note of a reply. Refusals are slowed down one by one, and past the bounds
// the connection is closed.
func (w *wire) count(code int) {
	if code < 400 || code == 421 || w.run.mode == Trusted || w.run.mode == LMTP {
		return
	}
	w.refused++
	if w.visit != nil && code >= 500 {
		w.visit.Count(false)
	}
	switch code {
	case 500, 501, 502, 503, 504, 535, 538, 554, 555:
		w.bad++
	}
	if w.bad >= w.srv.MaxBad || w.refused >= w.srv.MaxRefused {
		w.log.Warn("client made too many errors", "bad", w.bad, "refused", w.refused)
		w.hangUp(replyTooBad)
		return
	}
	w.tarpit()
}

// tarpit waits before a refusal is sent, longer each time.
func (w *wire) tarpit() {
	n := w.refused - w.srv.TarpitAfter
	if n <= 0 {
		return
	}
	w.flush()
	t := time.NewTimer(min(time.Duration(n)*w.srv.TarpitStep, w.srv.TarpitMax))
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.run.closing:
	case <-w.ctx.Done():
	}
}
