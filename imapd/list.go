package imapd

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/store"
)

const (
	maxPatterns     = 100
	maxPattern      = 1024    // octets, the reference included; the store's names are shorter
	maxPatternsSize = 8 << 10 // octets of all patterns: each is held against each mailbox
)

// listing is a LIST command as it was read (RFC 9051 section 6.3.9).
type listing struct {
	imap.ListOptions
	extended bool
	patterns []string
	size     int  // of the patterns as they came, in octets
	probe    bool // one empty pattern: only the separator is asked for
	lsub     bool
}

// list is LIST: RFC 3501's, with the extensions of RFC 5258, RFC 5819 and RFC 6154.
func (s *session) list(c *command) error {
	l, err := parseList(&c.args)
	if err != nil {
		return err
	}
	if l.probe {
		s.out.line(`* LIST (\Noselect) "/" ""`)
		return nil
	}
	return s.sendListing(l)
}

// lsub is LSUB (RFC 3501 section 6.3.9): the subscribed names.
func (s *session) lsub(c *command) error {
	l := listing{lsub: true}
	l.SelectSubscribed = true
	ref := c.args.sp().astring("reference")
	l.add(&c.args, ref, c.args.sp().pattern())
	if err := c.args.end(); err != nil {
		return err
	}
	return s.sendListing(&l)
}

// parseList reads the arguments of LIST.
func parseList(p *parser) (*listing, error) {
	l := &listing{}
	if p.sp().peek() == '(' {
		l.extended = true
		p.list(func() { l.selectOption(p) })
		p.sp()
	}
	if l.SelectRecursiveMatch && !l.SelectSubscribed && !l.SelectSpecialUse {
		return nil, badf("RECURSIVEMATCH wants another selection option")
	}
	ref := p.astring("reference")
	if p.sp().peek() == '(' {
		l.extended = true
		p.list(func() {
			if len(l.patterns) == maxPatterns {
				p.fail("Too many patterns")
			}
			l.add(p, ref, p.pattern())
		})
	} else {
		pattern := p.pattern()
		l.probe = pattern == "" && !l.extended
		l.add(p, ref, pattern)
	}
	if p.peek() == ' ' && len(p.rest()) > 1 {
		l.extended, l.probe = true, false
		if p.sp().word("RETURN") != "RETURN" {
			p.fail("RETURN is wanted here")
		}
		p.sp().list(func() { l.returnOption(p) })
	}
	return l, p.end()
}

// add notes a pattern behind a reference. One that is not valid modified UTF-7 can't match
// anything.
func (l *listing) add(p *parser, ref, pattern string) {
	l.size += len(ref) + len(pattern)
	if len(ref)+len(pattern) > maxPattern || l.size > maxPatternsSize {
		p.fail("Pattern too long")
		return
	}
	if pattern, ok := decodeName(ref+pattern, p.utf8); ok && pattern != "" {
		l.patterns = append(l.patterns, pattern)
	}
}

// pattern reads a list-mailbox: like astring, but the wildcards may stand in it.
func (p *parser) pattern() string {
	var s string
	if c := p.peek(); c == '"' || c == '{' {
		s = p.str("pattern")
	} else {
		s = p.while("pattern", func(c byte) bool { return atomChar(c) || c == ']' || c == '%' || c == '*' })
	}
	return s
}

func (l *listing) selectOption(p *parser) {
	switch p.word("selection option") {
	case "SUBSCRIBED":
		l.SelectSubscribed, l.ReturnSubscribed = true, true // RFC 5258 section 3.1
	case "REMOTE":
		l.SelectRemote = true // as well as local ones, and there are none
	case "RECURSIVEMATCH":
		l.SelectRecursiveMatch = true
	case "SPECIAL-USE":
		l.SelectSpecialUse = true
	default:
		p.fail("Unknown selection option")
	}
}

func (l *listing) returnOption(p *parser) {
	switch p.word("return option") {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN":
		l.ReturnChildren = true
	case "SPECIAL-USE":
		l.ReturnSpecialUse = true
	case "STATUS":
		l.ReturnStatus = p.sp().statusItems()
	default:
		p.fail("Unknown return option")
	}
}

// sendListing sends the mailboxes that a listing asks for, each with its status behind it,
// if that is wanted (RFC 5819 section 2).
func (s *session) sendListing(l *listing) error {
	boxes, err := s.account.Mailboxes(s.ctx)
	if err != nil {
		return err
	}
	if l.SelectSubscribed {
		if boxes, err = s.addSubscribed(boxes); err != nil {
			return err
		}
	}
	if l.ReturnStatus != nil && l.ReturnStatus.HighestModSeq {
		s.enableCondstore()
	}
	chosen := make([]bool, len(boxes))
	for i, m := range boxes {
		chosen[i] = l.chooses(m)
	}
	for i, m := range boxes {
		if !l.matches(m.Name) {
			continue
		}
		below := (l.SelectRecursiveMatch || l.lsub) && l.childInfo(boxes, chosen, i)
		if !chosen[i] && !below {
			continue
		}
		s.out.set(s.appendListLine(s.out.buf(), l, m, chosen[i], below))
		if l.ReturnStatus != nil && m.Exists && chosen[i] {
			if err := s.sendStatus(m.Name, l.ReturnStatus); err != nil {
				s.log.Debug("no status in LIST", "mailbox", m.Name, "error", err) // RFC 5819: it is left out
			}
		}
	}
	return nil
}

// chooses reports whether the selection options choose a mailbox.
func (l *listing) chooses(m store.MailboxInfo) bool {
	return (!l.SelectSubscribed || m.Subscribed) && (!l.SelectSpecialUse || m.SpecialUse != "")
}

func (l *listing) matches(name string) bool {
	for _, p := range l.patterns {
		if matchPattern(p, name) {
			return true
		}
	}
	return false
}

// childInfo reports whether a mailbox must be listed for what is chosen below it. LSUB
// wants that only where no pattern would list the child itself (RFC 3501 section 6.3.9),
// RECURSIVEMATCH for CHILDINFO always (RFC 5258 section 3.5).
func (l *listing) childInfo(boxes []store.MailboxInfo, chosen []bool, i int) bool {
	prefix := boxes[i].Name + "/"
	for j, m := range boxes {
		if chosen[j] && strings.HasPrefix(m.Name, prefix) && (chosen[i] || !l.matches(m.Name)) {
			return true
		}
	}
	return false
}

// addSubscribed adds the subscribed names, and those above them, that are no mailboxes.
func (s *session) addSubscribed(boxes []store.MailboxInfo) ([]store.MailboxInfo, error) {
	names, err := s.account.Subscriptions(s.ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(boxes))
	for _, m := range boxes {
		known[m.Name] = true
	}
	n := len(boxes)
	for _, name := range names {
		for subscribed := true; !known[name]; subscribed = false {
			known[name] = true
			boxes = append(boxes, store.MailboxInfo{Name: name, Subscribed: subscribed, HasChildren: !subscribed})
			i := strings.LastIndexByte(name, '/')
			if i <= 0 {
				break
			}
			name = name[:i]
		}
	}
	slices.SortStableFunc(boxes[n:], func(a, b store.MailboxInfo) int { return strings.Compare(a.Name, b.Name) })
	return boxes, nil
}

// appendListLine appends a LIST or LSUB response (RFC 9051 section 7.3.1).
func (s *session) appendListLine(b []byte, l *listing, m store.MailboxInfo, chosen, below bool) []byte {
	if l.lsub {
		b = append(b, "* LSUB ("...)
		if !chosen {
			b = append(b, `\Noselect`...)
		}
	} else {
		b = append(b, "* LIST ("...)
		b = appendAttrs(b, l, m)
	}
	b = append(b, `) "/" `...)
	b = appendMailbox(b, m.Name, s.utf8)
	if below && l.SelectRecursiveMatch {
		b = append(b, ` ("CHILDINFO" (`...)
		if l.SelectSubscribed {
			b = append(b, `"SUBSCRIBED" `...)
		}
		if l.SelectSpecialUse {
			b = append(b, `"SPECIAL-USE" `...)
		}
		b = append(b[:len(b)-1], "))"...)
	}
	return append(b, "\r\n"...)
}

// appendAttrs appends a mailbox's attributes. Whether it has children and its special use
// are always told: RFC 3348 and RFC 6154 section 2 permit it, and clients count on it.
func appendAttrs(b []byte, l *listing, m store.MailboxInfo) []byte {
	switch {
	case m.Exists:
	case l.extended:
		b = append(b, `\NonExistent `...)
	default:
		b = append(b, `\Noselect `...)
	}
	if m.HasChildren {
		b = append(b, `\HasChildren`...)
	} else {
		b = append(b, `\HasNoChildren`...)
	}
	if l.ReturnSubscribed && m.Subscribed {
		b = append(b, ` \Subscribed`...)
	}
	if m.SpecialUse != "" {
		b = append(append(b, ` \`...), m.SpecialUse...)
	}
	return b
}

// matchPattern reports whether a name matches a pattern of LIST: "*" stands for anything,
// "%" for anything without the separator. INBOX is matched in any case (RFC 3501 section
// 5.1). Its time is at most pattern times name.
func matchPattern(pattern, name string) bool {
	anyCase := 0 // how much of name is in any case
	if name == "INBOX" || strings.HasPrefix(name, "INBOX/") {
		anyCase = len("INBOX")
	}
	at := make([]bool, len(name)+1) // at[i]: the pattern so far matches name[:i]
	at[0] = true
	for i := range len(pattern) {
		c := pattern[i]
		if c == '*' || c == '%' {
			for j := 1; j <= len(name); j++ {
				at[j] = at[j] || at[j-1] && (c == '*' || name[j-1] != '/')
			}
			continue
		}
		for j := len(name); j > 0; j-- {
			at[j] = at[j-1] && (name[j-1] == c || j <= anyCase && c >= 'a' && name[j-1] == c&^0x20)
		}
		at[0] = false
	}
	return at[len(name)]
}
