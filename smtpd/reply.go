package smtpd

import (
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/gate"
	"kurir/internal/queue"
	"kurir/store"
)

// Reply is one answer to a client. It is an error for whoever refuses something.
type Reply struct {
	Code   int    // 200 to 599, RFC 5321 section 4.2
	Status string // RFC 3463, "" to omit
	Text   string // one line, safe to show a stranger
	Err    error  // cause: logged, never sent
}

// Error is what is logged.
func (r *Reply) Error() string {
	s := fmt.Sprintf("%d %s %s", r.Code, r.Status, r.Text)
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

// Unwrap is the cause.
func (r *Reply) Unwrap() error { return r.Err }

// because returns the reply with its cause.
func (r *Reply) because(err error) *Reply {
	c := *r
	c.Err = err
	return &c
}

// saying adds what the administrator says in err of an account that is closed.
func (r *Reply) saying(err error) *Reply {
	r.Text = auth.Disabled(r.Text, err)
	if d, ok := errors.AsType[*directory.DeferredError](err); ok && d.Message != "" {
		r.Text += ": " + directory.Plain(d.Message)
	}
	return r
}

// append writes the reply's line.
func (r *Reply) append(b []byte) []byte {
	if r.Status == "" {
		return fmt.Appendf(b, "%d %s\r\n", r.Code, r.Text)
	}
	return fmt.Appendf(b, "%d %s %s\r\n", r.Code, r.Status, r.Text)
}

// smtp is the reply in go-smtp's terms.
func (r *Reply) smtp() *smtp.SMTPError {
	e := &smtp.SMTPError{Code: r.Code, EnhancedCode: smtp.NoEnhancedCode, Message: r.Text}
	var c smtp.EnhancedCode
	if n, _ := fmt.Sscanf(r.Status, "%d.%d.%d", &c[0], &c[1], &c[2]); n == 3 {
		e.EnhancedCode = c
	}
	return e
}

// Answers to lines and commands.
var (
	replyLineTooLong      = &Reply{500, "5.5.2", "line too long", nil}
	replyBareLF           = &Reply{500, "5.5.2", "a line must end with CR LF", nil}
	replyBadOctet         = &Reply{500, "5.5.2", "NUL or CR within a line", nil}
	replyUnknownCommand   = &Reply{500, "5.5.2", "command not recognized", nil}
	replyNotSMTP          = &Reply{554, "5.5.2", "this is SMTP", nil}
	replyNoArgument       = &Reply{501, "5.5.4", "no argument allowed", nil}
	replyHelo             = &Reply{501, "5.5.4", "domain name or address literal expected", nil}
	replyMailSyntax       = &Reply{501, "5.5.4", "expected MAIL FROM:<address>", nil}
	replyRcptSyntax       = &Reply{501, "5.5.4", "expected RCPT TO:<address>", nil}
	replyPath             = &Reply{501, "5.5.4", "address must stand in <> right after the colon", nil}
	replySender           = &Reply{501, "5.1.7", "sender address not understood", nil}
	replyRecipient        = &Reply{501, "5.1.3", "recipient address not understood", nil}
	replyParameters       = &Reply{501, "5.5.4", "parameters not understood", nil}
	replyUnknownParameter = &Reply{555, "5.5.4", "parameter not supported", nil}
	replyNeedsUTF8        = &Reply{553, "5.6.7", "address needs SMTPUTF8", nil}
	replyTransfer         = &Reply{503, "5.5.1", "not during a message, finish it with BDAT LAST or RSET", nil}
	replyNested           = &Reply{503, "5.5.1", "MAIL was given already", nil}
	replyBdatSyntax       = &Reply{501, "5.5.4", "expected BDAT size [LAST], closing", nil}
	replyNoExpand         = &Reply{502, "5.5.1", "EXPN is not available", nil}
	replyHelp             = &Reply{214, "2.0.0", "RFC 5321, https://www.rfc-editor.org/info/rfc5321", nil}
	replyOK               = &Reply{250, "2.0.0", "OK", nil}
	replyVerify           = &Reply{252, "2.5.0", "cannot VRFY a user, but will accept a message and try", nil}
	replyContinue         = &Reply{250, "2.0.0", "Continue", nil}

	replyReadyTLS = &Reply{220, "2.0.0", "ready for TLS", nil}
	replyTLSTwice = &Reply{503, "5.5.1", "TLS is on already", nil}
	replyNoTLS    = &Reply{502, "5.5.1", "STARTTLS is not available", nil}

	replyShutdown = &Reply{421, "4.3.2", "server is going down, try again later", nil}
	replyIdle     = &Reply{421, "4.4.2", "idle for too long, closing", nil}
	replyTooBad   = &Reply{421, "4.7.0", "too many errors, closing", nil}
	replyTooMany  = &Reply{421, "4.7.0", "too many messages in one connection, open another", nil}
	replyEarly    = &Reply{550, "5.5.1", "you talked before our greeting, which no mail server does", nil}
)

// Answers to logins.
var (
	replyAuthTLS       = &Reply{538, "5.7.11", "encryption required: use STARTTLS first", nil}
	replyAuthNone      = &Reply{502, "5.5.1", "AUTH is not available here", nil}
	replyAuthMechanism = &Reply{504, "5.5.4", "this mechanism is not on offer here, see the answer to EHLO", nil}
	replyAuthNow       = &Reply{503, "5.5.1", "AUTH is not allowed within a message", nil}
	replyAuthSyntax    = &Reply{501, "5.5.2", "login not understood", nil}
	replyAuthLong      = &Reply{500, "5.5.6", "login is too long", nil}
	replyAuthFailed    = &Reply{535, "5.7.8", "user name or password is wrong", nil}
	replyAuthDisabled  = &Reply{535, "5.7.13", "this account is disabled", nil}
	replyAuthThrottled = &Reply{454, "4.7.0", "too many failed logins, try again later", nil}
	replyAuthLater     = &Reply{454, "4.7.0", "login is not possible at the moment, try again later", nil}
	replyMustTLS       = &Reply{530, "5.7.0", "must issue a STARTTLS command first", nil}
	replyMustAuth      = &Reply{530, "5.7.0", "authentication required", nil}
)

// Answers to senders, recipients and messages.
var (
	replyNotYours      = &Reply{553, "5.7.1", "you may not send with this sender address", nil}
	replyLoginOver     = &Reply{530, "5.7.0", "this login is not good any more: connect again and log in", nil}
	replyNoAccount     = &Reply{525, "5.7.13", "this account can't send any more", nil}
	replyNoUser        = &Reply{550, "5.1.1", "no such user here", nil}
	replyNoRelay       = &Reply{550, "5.7.1", "relaying denied: that domain's mail is not received here", nil}
	replyNoRemote      = &Reply{550, "5.7.1", "this server sends no mail to other domains", nil}
	replyShortDomain   = &Reply{550, "5.1.2", "the domain after the @ is not complete", nil}
	replyNoDomain      = &Reply{550, "5.1.2", "what is after the @ can't be a mail server's name or address", nil}
	replyAliasLoop     = &Reply{550, "5.4.6", "alias leads in a circle", nil}
	replyBadAddress    = &Reply{553, "5.1.3", "no address that mail can be kept for", nil}
	replyDeferred      = &Reply{450, "4.2.1", "this mailbox takes no mail at the moment", nil}
	replyOverQuota     = &Reply{452, "4.2.2", "mailbox is full", nil}
	replyManyTargets   = &Reply{452, "4.5.3", "too many recipients", nil}
	replyQueueFull     = &Reply{452, "4.3.1", "queue is full, try again later", nil}
	replyDiskFull      = &Reply{452, "4.3.1", "not enough disk space, try again later", nil}
	replyTooBig        = &Reply{552, "5.3.4", "message is too big", nil}
	replyBigHeader     = &Reply{552, "5.3.4", "header of the message is too big", nil}
	replyHeaderCR      = &Reply{554, "5.6.0", "header of the message has a CR without LF", nil}
	replyTwoSenders    = &Reply{554, "5.6.0", "header of the message has a second From or Sender field", nil}
	replySmuggling     = &Reply{554, "5.6.0", "message has what others take for its end: a dot on a line whose ends are not CR LF", nil}
	replyNUL           = &Reply{554, "5.6.0", "message has a NUL", nil}
	replyLongText      = &Reply{554, "5.6.0", "message has a line of more than 1 MiB", nil}
	replyTooManyClaims = &Reply{554, "5.6.0", "header of the message has more than 100 fields that pretend to be this server's", nil}
	replyLoop          = &Reply{554, "5.4.6", "message goes round in a circle", nil}
	replyUnavailable   = &Reply{451, "4.3.0", "local error, try again later", nil}
)

// replies is the one table of what others report and what the client is told.
func replies() []struct {
	is    error
	reply *Reply
} {
	return []struct {
		is    error
		reply *Reply
	}{
		{directory.ErrNoAccount, replyNoUser},
		{directory.ErrNoDomain, replyNoRelay},
		{directory.ErrInvalidAddress, replyBadAddress},
		{directory.ErrLoop, replyAliasLoop},
		{auth.ErrInvalid, replyAuthFailed},
		{auth.ErrSyntax, replyAuthSyntax},
		{auth.ErrDisabled, replyAuthDisabled},
		{auth.ErrThrottled, replyAuthThrottled},
		{auth.ErrUnavailable, replyAuthLater},
		{directory.ErrDeferred, replyDeferred},
		{store.ErrOverQuota, replyOverQuota},
		{store.ErrDiskFull, replyDiskFull},
		{queue.ErrFull, replyQueueFull},
	}
}

// replyTo translates an error. A Reply is itself; what is in no table is our own fault,
// of which a stranger learns nothing.
func replyTo(err error) *Reply {
	var r *Reply
	if errors.As(err, &r) {
		return r
	}
	var g *gate.Refusal
	if errors.As(err, &g) {
		return &Reply{g.Code, g.Status, g.Text, g.Err}
	}
	for _, m := range replies() {
		if errors.Is(err, m.is) {
			return m.reply.because(err).saying(err)
		}
	}
	return replyUnavailable.because(err)
}
