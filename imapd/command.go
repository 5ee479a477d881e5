package imapd

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"

	"kurir/internal/listen"
)

const (
	maxLine      = 64 << 10 // octets of a command line, each stretch between two literals
	maxLiterals  = 1 << 20  // octets of all literals of a command and of the lines before them, APPEND's message aside
	maxEarlyLine = 8 << 10  // the same before login
	maxEarly     = 16 << 10
	maxSASL      = 12 << 10 // octets of a line of AUTHENTICATE (RFC 4954 has 12288)
	maxUnwanted  = 64 << 20 // octets of an unwanted literal that are read to go on behind it
	maxTag       = 128      // octets
)

// command is one command as it was read.
type command struct {
	tag  string // "" if it had none
	name string // in capitals, "UID " in front of UID commands
	uid  bool
	spec spec
	err  error // why it must be refused unseen
	args parser
	lit  *literal // of APPEND: the message, which has not been read yet

	// What the handler adds to the tagged OK.
	code, text string
	after      error // ends the session after the reply
	answered   bool  // the handler has replied
	expunged   bool  // messages were: the OK tells HIGHESTMODSEQ to a client with QRESYNC
}

// literal is the announcement of a literal (RFC 9051 section 4.3, RFC 7888, RFC 3516).
type literal struct {
	size   int64
	sync   bool // the client waits for "+"
	binary bool // literal8
	utf8   bool // in "UTF8 (…)" (RFC 6855 section 4)
}

// literalAt finds the announcement at the end of a line.
func literalAt(line []byte) *literal {
	i := bytes.LastIndexByte(line, '{')
	if i < 0 || line[len(line)-1] != '}' {
		return nil
	}
	digits := line[i+1 : len(line)-1]
	lit := &literal{sync: true, binary: i > 0 && line[i-1] == '~'}
	if n := len(digits); n > 0 && digits[n-1] == '+' {
		digits, lit.sync = digits[:n-1], false
	}
	if len(digits) == 0 || bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return nil
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		n = math.MaxInt64 // too large in any case, but the client means to send it
	}
	lit.size = n
	return lit
}

// readCommand reads the next command with its literals, except that of APPEND's message.
// What it reads is valid until the next read. An error is one of the connection; what is
// wrong with the command is in its err.
func (s *session) readCommand() (*command, error) {
	limit, literals := maxLine, int64(maxLiterals)
	if s.state == notAuthenticated {
		limit, literals = maxEarlyLine, maxEarly
	}
	line, err := s.readLine(limit)
	if errors.Is(err, listen.ErrLineTooLong) {
		cmd, _ := parseCommand(line) // its tag came first, and the client waits for that
		return &command{tag: cmd.tag, err: badf("Command line too long")}, nil
	}
	if err != nil {
		return nil, err
	}
	cmd, at := parseCommand(line)
	s.admit(cmd)
	all, own := line, false // the command so far; line is its last stretch
	for {
		lit := literalAt(line)
		if lit == nil {
			break
		}
		if cmd.name == "APPEND" && cmd.err == nil && messageNext(all[at:], lit, s.utf8) {
			cmd.lit = lit
			break
		}
		// The stretches in front count too: there is no end to literals of 0 octets.
		if literals -= int64(len(line)) + lit.size; literals < 0 && cmd.err == nil {
			cmd.err = badf("Literal too large")
			all = nil
		}
		if cmd.err != nil && lit.sync {
			return cmd, nil // the client sees the reply in place of "+"
		}
		if cmd.err != nil {
			line, err = s.skip(lit.size, limit)
		} else {
			if !own { // it is still the reader's
				all, own = bytes.Clone(all), true
			}
			all, line, err = s.readLiteral(all, lit, limit)
		}
		if errors.Is(err, listen.ErrLineTooLong) {
			cmd.err = badf("Command line too long")
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if cmd.err == nil {
		cmd.args = parser{b: all[at:], utf8: s.utf8}
	}
	return cmd, nil
}

// readLine reads one line of at most limit octets, its end left out.
func (s *session) readLine(limit int) ([]byte, error) { return s.lines.ReadLine(limit) }

// readLiteral appends to all the line end that is missing there, a literal, and the line that
// follows it, which it returns too.
func (s *session) readLiteral(all []byte, lit *literal, limit int) (_, line []byte, err error) {
	if lit.sync {
		s.out.line("+ OK")
	}
	all = append(all, "\r\n"...)
	n := len(all)
	all = append(all, make([]byte, lit.size)...)
	if _, err := io.ReadFull(s.in, all[n:]); err != nil {
		return nil, nil, err
	}
	line, err = s.readLine(limit)
	return append(all, line...), line, err
}

// skip drops an unwanted literal, and returns the line behind it.
func (s *session) skip(size int64, limit int) ([]byte, error) {
	if size > maxUnwanted {
		s.out.line("* BYE [TOOBIG] Literal too large")
		return nil, errGoodbye
	}
	if _, err := io.CopyN(io.Discard, s.in, size); err != nil {
		return nil, err
	}
	return s.readLine(limit)
}

// parseCommand reads tag and name; at is where the arguments begin, the space in front
// of them included.
func parseCommand(line []byte) (cmd *command, at int) {
	cmd = &command{}
	p := parser{b: line}
	cmd.tag = p.while("tag", func(c byte) bool { return (atomChar(c) || c == ']') && c != '+' })
	if len(cmd.tag) > maxTag {
		p.fail("Tag too long")
	}
	if p.err != nil {
		cmd.tag, cmd.err = "", p.err
		return cmd, len(line)
	}
	cmd.name = p.sp().word("command")
	if cmd.name == "UID" {
		cmd.uid = true
		cmd.name = "UID " + p.sp().word("command")
	}
	cmd.err = p.err
	return cmd, p.i
}

// admit refuses a command that is unknown or not legal now.
func (s *session) admit(cmd *command) {
	if cmd.err != nil {
		return
	}
	var ok bool
	if cmd.spec, ok = lookup(cmd.name); !ok {
		cmd.err = badf("Unknown command")
		return
	}
	if cmd.spec.in&s.state != 0 {
		return
	}
	switch {
	case s.state == notAuthenticated:
		cmd.err = badf("Log in first")
	case cmd.spec.in == notAuthenticated:
		cmd.err = badf("Already logged in")
	default:
		cmd.err = badf("Select a mailbox first")
	}
	cmd.spec.tell = tellNothing
}

// messageNext reports whether the literal at the end of APPEND's arguments so far is
// the message: then they are a mailbox name, and perhaps flags and a date, each with a
// space behind it.
func messageNext(args []byte, lit *literal, utf8ok bool) bool {
	head := args[:bytes.LastIndexByte(args, '{')]
	if lit.binary {
		head = head[:len(head)-1]
	}
	p := parser{b: head, utf8: utf8ok}
	p.sp()
	if p.peek() == 0 {
		return false // the literal is the mailbox name
	}
	p.astring("mailbox name")
	return p.sp().err == nil
}
