package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"kurir/internal/admin"
	"kurir/internal/dsn"
)

// sendOptions say what to send and to whom.
type sendOptions struct {
	to         []string // as typed
	fromHeader bool     // recipients are in the header too
	from       string   // as typed; meant only if fromGiven
	fromGiven  bool
	name       string // of the sender
	subject    string // meant only if subjectGiven: the input is text then
	hasSubject bool
	notify     string
	ret        string
	envid      string
	server     string // host:port; empty: the control socket
}

func sendCommand(e *env) *cobra.Command {
	var o sendOptions
	var file string
	c := &cobra.Command{
		Use:   "send [RECIPIENT...]",
		Short: "Send a message",
		Long: `Send a message from standard input, and print its id. It is a whole message with its
header; or with --subject it is text, which gets a header. From, Date and Message-ID are
added where they are missing, Bcc is taken out.

It is handed to the running server through the control socket. A recipient without a
domain is an account of this server there or else, as root and other users of this
machine, the administrator.

A user who may not use the control socket, as most programs may not, sends by SMTP to
127.0.0.1:25 or --server, and to whole addresses only. Mail to other domains is taken
there only if the configuration has a [[device]] with that network, and from addresses
of its account alone: --from. Linked under the name sendmail, the program understands
the usual options of sendmail(8).`,
		Example: `  kurir send bob@example.net < message.eml
  kurir send -t < message.eml                    # to those in the header
  df -h | kurir send --to admin@example.org --subject "disks of $(hostname)"
  ln -s $(which kurir) /usr/sbin/sendmail`,
	}
	f := c.Flags()
	f.StringArrayVar(&o.to, "to", nil, "recipient `ADDRESS`, also more than once")
	f.BoolVarP(&o.fromHeader, "read-recipients", "t", false, "send to whom To, Cc and Bcc in the header name")
	f.StringVar(&o.from, "from", "", "sender `ADDRESS` (default: that of From, else user@host); \"\" is none, as in notices")
	f.StringVar(&o.subject, "subject", "", "make a message with this `SUBJECT` of text")
	f.StringVar(&file, "file", "", "read the message from `FILE`")
	f.StringVar(&o.notify, "notify", "", "reports to ask for, as `WHEN`: some of success,failure,delay, or never")
	f.StringVar(&o.ret, "ret", "", "what reports return, as `WHAT`: full or hdrs")
	f.StringVar(&o.envid, "envid", "", "an `ID` of your own for reports")
	f.StringVar(&o.server, "server", "", "send by SMTP to `HOST:PORT` (default: $KURIR_SEND_SERVER)")
	c.MarkFlagFilename("file")
	asJSON := addJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		o.to = append(o.to, args...)
		o.fromGiven, o.hasSubject = f.Changed("from"), f.Changed("subject")
		in, done, err := e.messageInput(file)
		if err != nil {
			return err
		}
		defer done()
		sent, err := e.send(c.Context(), o, in)
		if err != nil {
			return err
		}
		return e.printSent(sent, *asJSON)
	}
	return c
}

// messageInput is where the message is read from.
func (e *env) messageInput(file string) (in io.Reader, done func(), err error) {
	if file == "" || file == "-" {
		if e.terminal() {
			fmt.Fprintln(e.stderr, "Type the message and end it with Ctrl-D, or Ctrl-C to send nothing.")
		}
		return e.stdin, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("the message: %w", err)
	}
	return f, func() { f.Close() }, nil
}

// printSent prints the id of a message, and fails if some do not get it.
func (e *env) printSent(sent admin.Sent, asJSON bool) error {
	switch {
	case asJSON:
		if err := e.printJSON(sent); err != nil {
			return err
		}
	case sent.ID != "":
		e.printf("%s\n", plain(sent.ID))
		if sent.Held != "" {
			fmt.Fprintf(e.stderr, "kurir: the message waits for the administrator (%s): kurir queue release %s\n", plain(sent.Held), plain(sent.ID))
		}
	}
	return refusedSome(sent)
}

// partError says that some recipients do not get a message that others get.
type partError struct{ refused []admin.Refused }

func (p *partError) Error() string {
	lines := []string{"the message was sent, but not to:"}
	for _, r := range p.refused {
		lines = append(lines, plain(r.String()))
	}
	return strings.Join(lines, "\n")
}

func refusedSome(sent admin.Sent) error {
	if len(sent.Refused) == 0 {
		return nil
	}
	return &partError{sent.Refused}
}

// send reads a message from r and sends it.
func (e *env) send(ctx context.Context, o sendOptions, r io.Reader) (admin.Sent, error) {
	in := &input{r: r}
	envelope, d, err := e.prepare(o, in)
	if err != nil {
		return admin.Sent{}, err
	}
	sent, err := e.handIn(ctx, envelope, d.reader(), o.server)
	if failed := in.err.Load(); err != nil && failed != nil {
		err = failed
	}
	return sent, err
}

// input is a message that is being read, by others too.
type input struct {
	r   io.Reader
	err atomic.Pointer[inputError]
}

// inputError is a message that could not be read to its end.
type inputError struct{ error }

func (i *inputError) Error() string { return "reading the message: " + i.error.Error() }

func (i *inputError) Unwrap() error { return i.error }

func (i *input) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		failed := &inputError{err}
		i.err.Store(failed)
		err = failed
	}
	return n, err
}

// prepare makes the envelope of a message and puts its header right.
func (e *env) prepare(o sendOptions, in io.Reader) (admin.Outgoing, *draft, error) {
	var out admin.Outgoing
	err := o.parameters(&out)
	if err != nil {
		return out, nil, err
	}
	for _, to := range o.to {
		some, err := parseRecipients(to)
		if err != nil {
			return out, nil, usagef("%v", err)
		}
		out.To = append(out.To, some...)
	}
	if len(out.To) == 0 && !o.fromHeader {
		return out, nil, usagef("to whom? Name recipients, or take those in the header with -t")
	}
	d := compose(out.To, o.subject, in)
	switch {
	case o.hasSubject && o.fromHeader:
		return out, nil, usagef("--subject makes a header, -t wants one that is there: leave out one of them")
	case !o.hasSubject:
		if d, err = readDraft(in); err != nil {
			return out, nil, err
		}
	}
	if o.fromHeader {
		some, err := d.recipients()
		if err != nil {
			return out, nil, &dataError{err}
		}
		out.To = append(out.To, some...)
	}
	if out.To = unique(out.To); len(out.To) == 0 {
		return out, nil, &dataError{errors.New("the message has no recipients: neither arguments nor To, Cc or Bcc in its header")}
	}
	if out.From, err = e.sender(o, d); err != nil {
		return out, nil, err
	}
	d.signFrom(o.name, cmp.Or(out.From, e.localSender()))
	out.UTF8 = !isASCII(string(d.head)) || !isASCII(out.From+strings.Join(out.To, ""))
	return out, d, nil
}

// dataError is a message that cannot be sent as it is.
type dataError struct{ error }

func (d *dataError) Unwrap() error { return d.error }

// sender is the reverse-path: as given, or the author, or this user at this host.
func (e *env) sender(o sendOptions, d *draft) (string, error) {
	if !o.fromGiven {
		return cmp.Or(d.author(), e.localSender()), nil
	}
	text := strings.TrimSpace(o.from)
	if text == "" || text == "<>" {
		return "", nil
	}
	all, err := parseRecipients(text)
	if err != nil || len(all) != 1 {
		return "", usagef("the sender %q is not an address, such as alice@example.org", o.from)
	}
	if !strings.Contains(all[0], "@") { // a user of this machine
		all[0] += "@" + e.hostname()
	}
	return all[0], nil
}

// localSender is this user at this host.
func (e *env) localSender() string {
	name := cmp.Or(e.getenv("LOGNAME"), e.getenv("USER"))
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	return quoteLocal(cmp.Or(name, "nobody")) + "@" + e.hostname()
}

// hostname is the name that the configuration gives this host, or the system.
func (e *env) hostname() string {
	if cfg, err := e.settings(); err == nil && cfg.Hostname != "" {
		return cfg.Hostname
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return strings.ToLower(name)
}

// parameters checks what is asked of reports (RFC 3461).
func (o sendOptions) parameters(out *admin.Outgoing) error {
	out.Notify = strings.ToUpper(strings.ReplaceAll(o.notify, " ", ""))
	for word := range strings.SplitSeq(out.Notify, ",") {
		if out.Notify != "" && (!slices.Contains([]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}, word) || word == "NEVER" && out.Notify != word) {
			return usagef("--notify %q: it has to be never, or some of success,failure,delay", o.notify)
		}
	}
	switch out.Ret = strings.ToUpper(o.ret); out.Ret {
	case "", "FULL", "HDRS":
	default:
		return usagef("--ret %q: it has to be full or hdrs", o.ret)
	}
	for _, c := range o.envid {
		if c < ' ' || c > '~' {
			return usagef("--envid %q: only printable ASCII characters can be in it", o.envid)
		}
	}
	if out.EnvID = o.envid; len(dsn.AppendXtext(nil, o.envid)) > 100 { // RFC 3461 section 4.4
		return usagef("--envid is longer than 100 characters")
	}
	return nil
}

// handIn sends a message through the control socket or, where this user may not use it
// or the caller says so, by SMTP.
func (e *env) handIn(ctx context.Context, o admin.Outgoing, in io.Reader, server string) (admin.Sent, error) {
	if server = cmp.Or(server, e.getenv(sendServerVariable)); server != "" {
		return e.sendBySMTP(ctx, o, in, server, nil)
	}
	if e.config == "" && e.data == "" {
		if _, err := e.settings(); err != nil && (e.unconfigured() || errors.Is(err, fs.ErrPermission)) {
			return e.sendBySMTP(ctx, o, in, defaultServer, err)
		}
	}
	var sent admin.Sent
	err := e.with(ctx, func(ctx context.Context, op admin.Operations) (err error) {
		sent, err = op.Send(ctx, o, in)
		return err
	})
	if errors.Is(err, fs.ErrPermission) {
		return e.sendBySMTP(ctx, o, in, defaultServer, err)
	}
	return sent, err
}

const (
	// sendServerVariable names the server that messages go to by SMTP.
	sendServerVariable = "KURIR_SEND_SERVER"
	defaultServer      = "127.0.0.1:25"
)

// unconfigured tells whether this user has no configuration at all.
func (e *env) unconfigured() bool {
	return e.configFile() == "" && e.getenv("KURIR_HOSTNAME") == "" && e.getenv("KURIR_DATA") == ""
}

// unique drops what is there before.
func unique(all []string) (once []string) {
	for _, s := range all {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}
	return once
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
