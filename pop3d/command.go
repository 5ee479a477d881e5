package pop3d

import (
	"strings"
	"time"
)

// state is where a session stands (RFC 1939 section 3). The UPDATE state is QUIT itself.
type state uint8

const (
	authorization state = 1 << iota
	transaction
)

// command is one line of the protocol: in which states it is legal, and what does it.
type command struct {
	legal state
	run   func(*session, string) error // with all that follows the verb and one space
}

// commands is the protocol.
var commands = map[string]command{
	"CAPA": {authorization | transaction, (*session).capa}, // RFC 2449
	"STLS": {authorization, (*session).stls},               // RFC 2595
	"UTF8": {authorization, (*session).enableUTF8},         // RFC 6856
	"USER": {authorization, (*session).userName},
	"PASS": {authorization, (*session).password},
	"AUTH": {authorization, (*session).authenticate}, // RFC 5034

	"STAT": {transaction, (*session).stat},
	"LIST": {transaction, (*session).list},
	"UIDL": {transaction, (*session).uidl},
	"RETR": {transaction, (*session).retr},
	"TOP":  {transaction, (*session).top},
	"DELE": {transaction, (*session).dele},
	"RSET": {transaction, (*session).rset},
	"NOOP": {transaction, (*session).noop},

	"QUIT": {authorization | transaction, (*session).quit},
}

// dispatch runs one command line.
func (s *session) dispatch(line string) error {
	verb, arg, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	c, ok := commands[verb]
	if !ok {
		return syntax("Unknown command")
	}
	s.running = verb
	if c.legal&s.state == 0 {
		if s.state == authorization {
			return syntax("Log in first")
		}
		return syntax("Not after login")
	}
	begun := time.Now()
	err := c.run(s, arg)
	if s.srv.Observe != nil {
		s.srv.Observe(verb, time.Since(begun))
	}
	return err
}

// noArgument refuses what follows a command that takes nothing.
func noArgument(arg string) error {
	if strings.TrimSpace(arg) != "" {
		return syntax("This command takes no argument")
	}
	return nil
}
