package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"kurir/internal/admin"
	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/queue"
	"kurir/internal/smtpclient"
	"kurir/store"
)

// Exit codes of sendmail(8), from sysexits(3).
const (
	exUsage       = 64 // the command line is wrong
	exDataErr     = 65 // the message is
	exNoUser      = 67 // a recipient does not exist
	exUnavailable = 69 // refused
	exSoftware    = 70 // our own fault
	exIOErr       = 74 // the message could not be read
	exTempFail    = 75 // it may work later
	exNoPerm      = 77 // this user, or this sender, may not
	exConfig      = 78 // the configuration is wrong
)

// sendmailName tells whether the program was called under a name of sendmail(8), by
// argv[0], and under which.
func sendmailName(argv0 string) (name string, ok bool) {
	name = strings.TrimSuffix(filepath.Base(argv0), ".exe")
	switch name {
	case "sendmail", "mailq", "newaliases":
		return name, true
	}
	return "", false
}

// sendmailOptions are the options of sendmail(8) that mean something here.
type sendmailOptions struct {
	mode      string // 'm' send, 'p' list the queue, 'i' aliases; others are refused
	send      sendOptions
	ignoreDot bool
	flush     bool // -q: work on the queue, which the server does by itself
}

// sendmailMain is sendmail(8), mailq(1) and newaliases(1), and returns the exit code.
func sendmailMain(ctx context.Context, e *env, name string, args []string) int {
	o, err := parseSendmail(args)
	if err == nil {
		switch mode := cmp.Or(map[string]string{"mailq": "p", "newaliases": "i"}[name], o.mode, "m"); mode {
		case "m":
			err = e.sendmail(ctx, o)
		case "p":
			err = e.with(ctx, func(ctx context.Context, op admin.Operations) error {
				return e.listQueue(ctx, op, admin.QueueFilter{}, false)
			})
		case "i":
			e.printf("Aliases need no rebuilding; see them with: kurir alias list\n")
		case "s":
			err = usagef("-bs: SMTP on standard input is not spoken here; connect to port 25, or send a message with: sendmail -t")
		default:
			err = usagef("-b%s: this mode does not exist here; the server itself is: kurir serve", mode)
		}
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(e.stderr, name+":", strings.ReplaceAll(err.Error(), "\n", "\n"+name+": "))
	return sysexit(err)
}

// sendmail sends the message on stdin.
func (e *env) sendmail(ctx context.Context, o sendmailOptions) error {
	if o.flush && len(o.send.to) == 0 && !o.send.fromHeader {
		return nil
	}
	in := e.stdin
	if !o.ignoreDot {
		in = newDotReader(in)
	}
	sent, err := e.send(ctx, o.send, in)
	if err != nil {
		return err
	}
	return refusedSome(sent)
}

// sendmailValues are the options that take a value, behind them or as the next argument.
const sendmailValues = "fFrNRVBhOLpXCAbo"

// parseSendmail reads a command line of sendmail(8): options may be joined, as in -ti,
// and be between recipients. What is about delivery, which the server does, is ignored.
func parseSendmail(args []string) (o sendmailOptions, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			o.send.to = append(o.send.to, args...)
			return o, nil
		}
		letters, ok := strings.CutPrefix(arg, "-")
		if !ok || letters == "" {
			o.send.to = append(o.send.to, arg)
			continue
		}
		for letters != "" {
			letter := letters[0]
			letters = letters[1:]
			value := ""
			switch {
			case strings.IndexByte(sendmailValues, letter) >= 0:
				if value, letters = letters, ""; value == "" {
					if len(args) == 0 {
						return o, usagef("-%c: its value is missing", letter)
					}
					value, args = args[0], args[1:]
				}
			case letter == 'q' || letter == 'e' || letter == 'd': // -q30m, -em, -d8.99
				letters = ""
			}
			if err := o.set(letter, value); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// set takes one option.
func (o *sendmailOptions) set(letter byte, value string) error {
	switch letter {
	case 't':
		o.send.fromHeader = true
	case 'i':
		o.ignoreDot = true
	case 'f', 'r':
		o.send.from, o.send.fromGiven = value, true
	case 'F':
		o.send.name = value
	case 'N':
		o.send.notify = value
	case 'R':
		o.send.ret = value
	case 'V':
		o.send.envid = value
	case 'b':
		o.mode = value
	case 'I':
		o.mode = "i"
	case 'o':
		o.ignoreDot = o.ignoreDot || value == "i" // -oi; -oem, -odb and others are of no matter
	case 'q':
		o.flush = true
	case 'O', 'B', 'h', 'L', 'p', 'X', 'C', 'A', 'e', 'd', 'v', 'G', 'U', 'n', 'm', 's':
	default:
		return usagef("there is no option -%c", letter)
	}
	return nil
}

// sysexit is the exit code of sendmail(8) for an error.
func sysexit(err error) int {
	var not *admin.NotSent
	var part *partError
	switch {
	case isUsage(err):
		return exUsage
	case errors.As(err, &part):
		return refusedCode(part.refused)
	case errors.As(err, &not) && not.Temporary():
		return exTempFail
	case errors.As(err, &not):
		return refusedCode(not.Refused)
	}
	var mistake config.Mistake
	var data *dataError
	var envelope *smtpclient.EnvelopeError
	var in *inputError
	var network *net.OpError
	var owner *ownerError
	switch {
	case errors.As(err, &in):
		return exIOErr
	case errors.As(err, &data), errors.As(err, &envelope), errors.Is(err, errBigHead), errors.Is(err, smtpclient.ErrNotOffered):
		return exDataErr
	case errors.As(err, &mistake):
		return exConfig
	case isAny(err, admin.ErrNoServer, queue.ErrFull, fsx.ErrLocked, store.ErrDiskFull, store.ErrUnavailable, context.Canceled),
		isAny(err, smtpclient.ErrClosed, smtpclient.ErrTimeout), errors.As(err, &network), errors.As(err, &owner):
		return exTempFail
	case errors.Is(err, fs.ErrPermission):
		return exNoPerm
	}
	return exSoftware
}

func isAny(err error, all ...error) bool {
	for _, one := range all {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// refusedCode is the exit code for what a server has refused, the first for good that
// there is.
func refusedCode(all []admin.Refused) int {
	for _, r := range all {
		switch {
		case r.Code/100 != 5:
		case r.Recipient != "" && strings.HasPrefix(r.Status, "5.1."):
			return exNoUser // RFC 3463 section 3.2
		case strings.HasPrefix(r.Status, "5.7."):
			return exNoPerm
		case r.Recipient != "":
			return exNoUser
		}
	}
	return exUnavailable
}
