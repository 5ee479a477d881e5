package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
)

// commands says who handles a verb (RFC 5321 section 4.1). A handler answers by itself,
// or leaves in w.feed what go-smtp is to run.
func commands(verb string) func(w *wire, arg string) {
	switch verb {
	case "EHLO", "HELO", "LHLO":
		return (*wire).doHelo
	case "MAIL":
		return (*wire).doMail
	case "RCPT":
		return (*wire).doRcpt
	case "DATA", "RSET", "QUIT":
		return (*wire).doPlain
	case "BDAT": // RFC 3030
		return (*wire).doBdat
	case "AUTH": // RFC 4954
		return (*wire).doAuth
	case "STARTTLS": // RFC 3207
		return (*wire).doStartTLS
	case "NOOP":
		return func(w *wire, _ string) { w.put(replyOK) }
	case "VRFY":
		return func(w *wire, _ string) { w.put(replyVerify) }
	case "HELP":
		return func(w *wire, _ string) { w.put(replyHelp) }
	case "EXPN":
		return func(w *wire, _ string) { w.refuse(replyNoExpand) }
	case "GET", "POST", "PUT", "CONNECT": // a web client sent here by somebody else
		return func(w *wire, _ string) { w.refuse(replyNotSMTP); w.end() }
	}
	return nil
}

// split parts a command into its verb, in capitals, and the rest. White space at the end
// is tolerated (RFC 5321 section 4.1.1).
func split(line []byte) (verb, arg string) {
	verb, arg, _ = strings.Cut(strings.TrimRight(string(line), " \t"), " ")
	if len(verb) > 8 || !isASCII(verb) {
		return "", ""
	}
	return strings.ToUpper(verb), strings.TrimLeft(arg, " ")
}

// command runs one command line.
func (w *wire) command(line []byte) {
	verb, arg := split(line)
	do := commands(verb)
	if do == nil {
		w.refuse(replyUnknownCommand)
		return
	}
	w.verb = verb
	do(w, arg)
}

// pass on to go-smtp.
func (w *wire) give(line string) { w.feed = append(w.feed[:0], line+"\r\n"...) }

func (w *wire) doPlain(arg string) {
	if arg != "" {
		w.refuse(replyNoArgument)
		return
	}
	w.give(w.verb)
}

// doHelo takes any name: what a client calls itself says little, and RFC 5321 section
// 4.1.4 forbids to refuse mail for it.
func (w *wire) doHelo(arg string) {
	name, _, _ := strings.Cut(arg, " ")
	if name == "" || len(name) > maxDomain || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
		w.refuse(replyHelo)
		return
	}
	if (w.verb == "LHLO") != (w.run.mode == LMTP) {
		w.refuse(wrongHello(w.run.mode))
		return
	}
	w.helo, w.esmtp = name, w.verb != "HELO"
	w.give(strings.Replace(w.verb, "LHLO", "EHLO", 1) + " " + name)
}

// grammar is what this client may say. What a mail program or a printer gets wrong is
// forgiven, as there is nobody who would mend it; a mail server is held to the RFC.
func (w *wire) grammar() grammar {
	return grammar{spaces: w.run.mode != Inbound || w.device != nil, dsn: w.run.offersDSN(), schedule: w.run.offersDSN(), requireTLS: w.offersRequireTLS(), maxSize: w.srv.MaxSize}
}

// doMail understands the command by itself and hands the address alone to go-smtp, in a
// form that it reads; the session takes w.mail.
func (w *wire) doMail(arg string) {
	m, r := parseMail(arg, w.grammar())
	if r != nil {
		w.noteClient(m.From.String(), r.Code, r.line())
		w.refuse(r)
		return
	}
	w.mail = m
	w.give("MAIL FROM:<" + m.From.String() + ">")
}

// doRcpt does likewise; <postmaster> gets our own domain, since go-smtp wants one.
func (w *wire) doRcpt(arg string) {
	c, r := parseRcpt(arg, w.grammar())
	if r != nil {
		w.refuse(r)
		return
	}
	w.rcpt = c
	to := c.To
	if to.Domain == "" {
		to.Domain = w.srv.Hostname
	}
	w.give("RCPT TO:<" + to.String() + ">")
}

// doStartTLS throws away all that it knows of the client, and what the client has sent
// in the clear behind the command (RFC 3207 section 4.2).
func (w *wire) doStartTLS(arg string) {
	switch {
	case arg != "":
		w.refuse(replyNoArgument)
		return
	case w.tls != nil:
		w.refuse(replyTLSTwice)
		return
	case !w.hasTLS():
		w.refuse(replyNoTLS)
		return
	}
	w.put(replyReadyTLS)
	w.flush()
	if n := len(w.in.bytes()); n > 0 {
		w.log.Warn("client sent commands behind STARTTLS, dropped", "octets", n)
	}
	w.in.drop()
	if w.dead {
		return
	}
	if err := w.handshake(tls.Server(w.conn, w.srv.TLS)); err != nil {
		w.log.Info("TLS handshake failed", "error", err)
		w.dead = true
		return
	}
	w.helo, w.esmtp, w.verb = "", false, ""
	w.mail, w.rcpt = mailCommand{}, rcptCommand{}
	w.upgraded = true
}

// hasTLS tells whether STARTTLS can be had, on a listener of this kind at all.
func (w *wire) hasTLS() bool { return w.srv.TLS != nil && w.run.mode != Trusted && !w.isUnix() }

// handshake begins TLS within HandshakeTimeout.
func (w *wire) handshake(t *tls.Conn) error {
	w.shaking.Store(true)
	defer w.shaking.Store(false)
	ctx, cancel := context.WithTimeoutCause(w.ctx, w.srv.HandshakeTimeout, errors.New("took too long"))
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		err = errors.Join(err, context.Cause(ctx))
		if w.srv.TLSFailed != nil {
			w.srv.TLSFailed(w.ip, err)
		}
		return err
	}
	w.conn, w.tls = t, t
	return nil
}
