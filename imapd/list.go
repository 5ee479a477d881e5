package imapd

import (
	"errors"
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
	oldName  string // OLDNAME of the response, "" for none
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
				p.refuse(no(imap.ResponseCodeLimit, "Too many patterns"))
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

// add notes a pattern behind a reference. Those that can't match anything are passed over
// (RFC 9051 section 6.3.9): an empty one, one that is too long or no valid modified UTF-7.
func (l *listing) add(p *parser, ref, pattern string) {
	if pattern == "" || len(ref)+len(pattern) > maxPattern {
		return
	}
	if l.size += len(ref) + len(pattern); l.size > maxPatternsSize {
		p.refuse(no(imap.ResponseCodeLimit, "Too many patterns"))
		return
	}
	if pattern, ok := decodeName(ref+pattern, p.utf8); ok {
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
	l.extended = l.extended || s.rev2
	ch := l.choose(boxes)
	for i, m := range boxes {
		if !ch[i].matches || !ch[i].chosen && !ch[i].below {
			continue
		}
		var status []byte
		if l.ReturnStatus != nil && m.Exists && ch[i].chosen {
			status = s.statusInListing(l, &m)
		}
		b := s.appendListLine(s.out.buf(), l, m, ch[i].chosen, ch[i].below)
		s.out.set(append(b, status...))
		if s.out.err != nil {
			return s.out.err
		}
	}
	return nil
}

// statusInListing gives the STATUS response that follows a mailbox's line of a listing. If it
// can't be had it is left out, and if there is no such mailbox any more, the line says so
// (RFC 5819 section 2).
func (s *session) statusInListing(l *listing, m *store.MailboxInfo) []byte {
	b, err := s.appendStatus(nil, m.Name, l.ReturnStatus)
	switch {
	case errors.Is(err, store.ErrNoMailbox), errors.Is(err, store.ErrMailboxGone):
		m.Exists = false
	case err != nil:
		s.log.Warn("no status in LIST", "mailbox", m.Name, "error", err)
	}
	return b
}

// choice says what a listing makes of a mailbox.
type choice struct {
	matches bool // a pattern
	chosen  bool // by the selection options
	below   bool // it must be listed for what is chosen below it
}

// choose applies patterns and selection options to all mailboxes.
func (l *listing) choose(boxes []store.MailboxInfo) []choice {
	all := make([]choice, len(boxes))
	for i, m := range boxes {
		all[i].matches = l.matches(m.Name, false)
		all[i].chosen = l.chooses(m)
	}
	if !l.SelectRecursiveMatch && !l.lsub {
		return all
	}
	// LSUB lists a level for a child that no pattern would list itself (RFC 3501 section 6.3.9).
	// So does RECURSIVEMATCH, and where the level is chosen, CHILDINFO tells of any child (RFC
	// 9051 section 6.3.9.6).
	anyBelow, hiddenBelow := map[string]bool{}, map[string]bool{}
	for i, m := range boxes {
		if !all[i].chosen {
			continue
		}
		for up := strings.LastIndexByte(m.Name, '/'); up > 0; up = strings.LastIndexByte(m.Name[:up], '/') {
			anyBelow[m.Name[:up]] = true
			if !all[i].matches {
				hiddenBelow[m.Name[:up]] = true
			}
		}
	}
	for i, m := range boxes {
		all[i].below = hiddenBelow[m.Name] || all[i].chosen && anyBelow[m.Name]
	}
	return all
}

// chooses reports whether the selection options choose a mailbox. A level that is no mailbox
// is listed where "%" is the last character of a pattern (RFC 9051 section 6.3.9).
func (l *listing) chooses(m store.MailboxInfo) bool {
	if l.SelectSubscribed && !m.Subscribed || l.SelectSpecialUse && m.SpecialUse == "" {
		return false
	}
	return m.Exists || l.SelectSubscribed || l.matches(m.Name, true)
}

// matches reports whether a pattern matches name; with level, only those count that end in "%".
func (l *listing) matches(name string, level bool) bool {
	for _, p := range l.patterns {
		if (!level || p[len(p)-1] == '%') && matchPattern(p, name) {
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
	slices.Sort(names) // a name comes before those below it
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
	if l.oldName != "" {
		b = append(b, ` ("OLDNAME" (`...)
		b = append(appendMailbox(b, l.oldName, s.utf8), "))"...)
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
