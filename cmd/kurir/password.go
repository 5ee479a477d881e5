package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"kurir/internal/auth"
)

// maxPassword bounds what is read from stdin as a password, in bytes.
const maxPassword = 1024

// passwordFlags are the ways to give a password. It is never an argument: those are
// seen by everyone who lists the processes.
type passwordFlags struct{ stdin, generate bool }

func addPasswordFlags(c *cobra.Command) *passwordFlags {
	var p passwordFlags
	c.Flags().BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input, its first line")
	c.Flags().BoolVar(&p.generate, "generate", false, "make a password and print it once")
	return &p
}

// check refuses what can be known to fail before anything else is done.
func (p *passwordFlags) check(e *env) error {
	switch {
	case p.stdin && p.generate:
		return usagef("--password-stdin and --generate exclude each other")
	case !p.stdin && !p.generate && !e.terminal():
		return usagef("there is no terminal to ask for a password: use --password-stdin or --generate")
	}
	return nil
}

// asks reports whether a person will be asked.
func (p *passwordFlags) asks() bool { return !p.stdin && !p.generate }

// leastPassword is the least number of characters of a password.
const leastPassword = 8

// tooWeak refuses passwords that are guessed at once: a mail server's are tried from all
// over the world.
func tooWeak(password, address string) error {
	local, _, _ := strings.Cut(address, "@")
	switch n := utf8.RuneCountInString(password); {
	case n < leastPassword:
		return fmt.Errorf("the password has %s, %d at least are needed: take a few words, or --generate; nothing was changed", count(n, "character"), leastPassword)
	case strings.EqualFold(password, address), strings.EqualFold(password, local):
		return errors.New("the password is the address, which everyone guesses first: take a few words, or --generate; nothing was changed")
	}
	return nil
}

// get returns the password, and whether it was made here and must be shown.
func (p *passwordFlags) get(e *env, address string) (password string, generated bool, err error) {
	switch {
	case p.generate:
		return auth.GeneratePassword(), true, nil
	case p.stdin:
		if password, err = firstLine(e.stdin); err == nil {
			err = tooWeak(password, address)
		}
		return password, false, err
	}
	password, err = e.askPassword(address)
	return password, false, err
}

// firstLine reads a password from r, without its line end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword+2)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	switch {
	case line == "":
		return "", errors.New("standard input holds no password")
	case len(line) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return line, nil
}

// askPassword asks for a new password twice.
func (e *env) askPassword(address string) (string, error) {
	first, err := e.ask(fmt.Sprintf("New password for %s: ", address))
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errors.New("no password was typed; nothing was changed")
	}
	if err := tooWeak(first, address); err != nil {
		return "", err
	}
	again, err := e.ask("The same once more: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// ask shows a prompt on stderr, so that stdout can be a file, and reads a line unseen.
func (e *env) ask(prompt string) (string, error) {
	fmt.Fprint(e.stderr, prompt)
	s, err := e.secret()
	fmt.Fprintln(e.stderr)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return s, nil
}

// confirm asks a question that only "yes" or "y" answers.
func (e *env) confirm(question string) error {
	if !e.terminal() {
		return usagef("there is no terminal to ask for confirmation: add --yes")
	}
	fmt.Fprint(e.stderr, question, " [y/N] ")
	line, err := bufio.NewReader(io.LimitReader(e.stdin, 100)).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed; nothing was changed")
}
