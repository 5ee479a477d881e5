package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"kurir/internal/admin"
	"kurir/internal/auth"
	"kurir/internal/setup"
)

// typist is the person at the terminal.
type typist struct {
	*env
	lines chan string   // what is typed, line by line; closed at the end of input
	want  chan struct{} // a line is to be read
}

// maxTyped bounds an answer, in bytes.
const maxTyped = 1000

// newTypist reads no further than to the end of the line that is asked for, so that
// secrets can be read from the same terminal.
func newTypist(e *env) *typist {
	t := &typist{env: e, lines: make(chan string), want: make(chan struct{}, 1)}
	go func() { // ends with the process, or with the input
		defer close(t.lines)
		for range t.want {
			line, err := typedLine(e.stdin)
			if err != nil && line == "" {
				return
			}
			t.lines <- line
		}
	}()
	return t
}

// typedLine reads to the end of a line, byte by byte.
func typedLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := r.Read(b[:])
		switch {
		case n > 0 && b[0] == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case n > 0 && len(line) < maxTyped:
			line = append(line, b[0])
		case err != nil:
			return string(line), err
		}
	}
}

// errNobody ends a conversation whose other side has gone.
var errNobody = errors.New("the input ended in the middle of the questions; nothing was changed")

// ask shows a question with its default, and returns what valid makes of the answer. It
// asks again until valid has no error.
func (t *typist) answer(ctx context.Context, question, otherwise string, valid func(string) (string, error)) (string, error) {
	for {
		prompt := question
		if otherwise != "" {
			prompt += " [" + otherwise + "]"
		}
		t.printf("%s: ", prompt)
		select {
		case t.want <- struct{}{}:
		default: // the one before is still being read; that is the answer, or the end
		}
		select {
		case line, ok := <-t.lines:
			if !ok {
				t.printf("\n")
				return "", errNobody
			}
			if line = strings.TrimSpace(line); line == "" {
				line = otherwise
			}
			value, err := valid(line)
			if err == nil {
				return value, nil
			}
			t.prose("  ", "  ", upperFirst(err.Error())+".")
		case <-ctx.Done():
			t.printf("\n")
			return "", ctx.Err()
		}
	}
}

// hidden reads a password unseen. When ctx ends, the terminal shows again what is typed.
func (t *typist) hidden(ctx context.Context, prompt string) (string, error) {
	type answer struct {
		text string
		err  error
	}
	restore := func() {}
	if f, ok := t.stdin.(*os.File); ok {
		if state, err := term.GetState(int(f.Fd())); err == nil {
			restore = func() { term.Restore(int(f.Fd()), state) }
		}
	}
	t.printf("%s: ", prompt)
	got := make(chan answer, 1)
	go func() { // ends with the line, or with the process
		text, err := t.secret()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		t.printf("\n")
		return a.text, a.err
	case <-ctx.Done():
		restore()
		t.printf("\n")
		return "", ctx.Err()
	}
}

// upperFirst begins a sentence; addresses stay as they are.
func upperFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if s == "" || strings.Contains(word, "@") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// typedYes understands an answer.
func typedYes(s string) (string, error) {
	switch strings.ToLower(s) {
	case "y", "yes":
		return "yes", nil
	case "n", "no":
		return "no", nil
	}
	return "", errors.New("please answer yes or no")
}

// ask gets all answers: from the flags, from the person, or from the defaults.
func (r *setupRun) ask(ctx context.Context) error {
	p := &r.result
	if r.typing != nil {
		r.prose("", "", fmt.Sprintf("kurir becomes the mail server of %s. Return takes what is in brackets; Ctrl-C ends, and you can begin again at any time.", showDomain(p.Domain)))
		r.printf("\n")
	}
	if err := r.askHostname(ctx); err != nil {
		return err
	}
	if err := r.askAccount(ctx); err != nil {
		return err
	}
	if err := r.askPassword(ctx); err != nil {
		return err
	}
	if err := r.askACME(ctx); err != nil {
		return err
	}
	if err := r.askTest(ctx); err != nil {
		return err
	}
	r.defaultEmail()
	return nil
}

// question gives a flag's value, or asks for it, or takes the default.
func (r *setupRun) question(ctx context.Context, flag, given, text, otherwise string, valid func(string) (string, error)) (string, error) {
	if given == "" && r.typing != nil {
		return r.typing.answer(ctx, text, otherwise, valid)
	}
	if given == "" {
		given = otherwise
	}
	value, err := valid(given)
	if err != nil {
		return "", usagef("--%s: %v", flag, err)
	}
	return value, nil
}

func (r *setupRun) askHostname(ctx context.Context) (err error) {
	p := &r.result
	if p.configThere && r.flags.hostname == "" {
		p.Hostname = r.cfg.Hostname
		return nil
	}
	p.Hostname, err = r.question(ctx, "hostname", r.flags.hostname, "Name of this server", "mail."+p.Domain,
		func(s string) (string, error) { return setup.ParseHostname(s, p.Domain) })
	return err
}

func (r *setupRun) askAccount(ctx context.Context) (err error) {
	p := &r.result
	there := r.accounts(ctx)
	otherwise := "admin@" + p.Domain
	for _, a := range there {
		if strings.HasSuffix(a, "@"+p.Domain) {
			otherwise = a // the first one of an earlier run
			break
		}
	}
	text := "Your mail address in " + showDomain(p.Domain)
	p.Account, err = r.question(ctx, "account", r.flags.account, text, otherwise,
		func(s string) (string, error) { return setup.ParseAccount(s, p.Domain) })
	for _, a := range there {
		p.accountThere = p.accountThere || a == p.Account
	}
	return err
}

// accounts are those of the data, as far as this user can see them now.
func (r *setupRun) accounts(ctx context.Context) (all []string) {
	if !r.configThere() || !r.dataThere() || r.openAsOwner(ctx) != nil {
		return nil
	}
	_ = r.with(ctx, func(ctx context.Context, o admin.Operations) error { // what is wrong is said when they are made
		list, err := o.ListAccounts(ctx)
		for _, a := range list {
			all = append(all, a.Address)
		}
		return err
	})
	return all
}

func (r *setupRun) askPassword(ctx context.Context) error {
	switch {
	case r.result.accountThere:
		return nil
	case r.flags.passwordFile == "-":
		return r.takePassword(r.stdin)
	case r.flags.passwordFile != "":
		f, err := os.Open(r.flags.passwordFile)
		if err != nil {
			return fmt.Errorf("--password-file: %w", err)
		}
		defer f.Close()
		return r.takePassword(f)
	}
	for r.typing != nil {
		first, err := r.typing.hidden(ctx, "Password for "+r.result.Account+" [one is made for you]")
		if err != nil {
			return err
		}
		if first == "" {
			break
		}
		if err := tooWeak(first, r.result.Account); err != nil {
			text, _, _ := strings.Cut(err.Error(), ": ") // what follows is about flags
			r.prose("  ", "  ", upperFirst(text)+".")
			continue
		}
		again, err := r.typing.hidden(ctx, "The same once more")
		if err != nil {
			return err
		}
		if first == again {
			r.result.Password = first
			return nil
		}
		r.printf("  The two differ.\n")
	}
	r.result.Password, r.result.passwordMade = auth.GeneratePassword(), true
	return nil
}

// takePassword reads the first account's password.
func (r *setupRun) takePassword(from io.Reader) (err error) {
	if r.result.Password, err = firstLine(from); err != nil {
		return fmt.Errorf("--password-file: %w", err)
	}
	return tooWeak(r.result.Password, r.result.Account)
}

func (r *setupRun) askACME(ctx context.Context) error {
	p := &r.result
	p.acmeEmail, p.acmeDirectory, p.acmeCA = r.flags.acmeEmail, r.flags.acmeDirectory, r.flags.acmeCA
	switch {
	case r.flags.noACME:
		return nil
	case r.configThere() || r.flags.acmeEmail != "" || r.flags.acmeDirectory != "" || r.typing == nil:
		p.acme = true
	default:
		text := "Get certificates from Let's Encrypt, free of charge (you agree to its terms, letsencrypt.org/repository)"
		answer, err := r.typing.answer(ctx, text, "yes", typedYes)
		if err != nil {
			return err
		}
		p.acme = answer == "yes"
	}
	return nil
}

// configThere tells whether a configuration was there before.
func (r *setupRun) configThere() bool { return r.result.configThere }

func (r *setupRun) askTest(ctx context.Context) (err error) {
	if r.typing == nil && r.flags.testTo == "" {
		return nil
	}
	r.flags.testTo, err = r.question(ctx, "test-to", r.flags.testTo, "An address of yours elsewhere, for a test message (empty: none)", "",
		func(s string) (string, error) { return s, setup.CheckElsewhere(s, r.result.Domain) })
	return err
}

// defaultEmail is where the CA writes to if nobody says: better an address elsewhere, which
// is there when this server is not.
func (r *setupRun) defaultEmail() {
	if p := &r.result; p.acme && p.acmeEmail == "" {
		p.acmeEmail = cmp.Or(r.flags.testTo, p.Account)
	}
}
