package message

import "strings"

// maxAddresses bounds the entries taken from one field, and from one message by Parse.
const maxAddresses = 1 << 16

// What stands in for the parts that an address lacks. None can be a real local part
// or domain of a host on the Internet (RFC 952 has no underscore).
const (
	missingMailbox = "MISSING_MAILBOX"
	missingDomain  = "MISSING_DOMAIN"
	syntaxError    = "SYNTAX_ERROR"
	invalidRoute   = "INVALID_ROUTE"
)

// ParseAddressList reads an address-list (RFC 5322 sections 3.4 and 4.4) from the
// value of a field. It never fails: what can't be read gets the stand-ins that Address
// tells of, and where no comma follows it the list ends; null members are left out. Groups
// are flattened as Address says. At most 65,536 entries are returned.
func ParseAddressList(s string) []Address { return parseAddresses(s, maxAddresses) }

// FirstAddress is the first entry of ParseAddressList; false if there is none.
func FirstAddress(s string) (Address, bool) {
	list := parseAddresses(s, 1)
	if len(list) == 0 {
		return Address{}, false
	}
	return list[0], true
}

// parseAddresses is ParseAddressList for at most max entries.
func parseAddresses(s string, max int) []Address {
	p := addressParser{lexer: lexer{s: unfold(s)}, max: max}
	if !p.nulls() || p.end() {
		return nil
	}
	for len(p.list) < max {
		if !p.group() {
			p.mailbox()
		}
		if !p.at(',') {
			break
		}
		p.i++
		if !p.nulls() {
			p.list = append(p.list, Address{Mailbox: missingMailbox, Host: missingDomain})
		}
		if p.end() {
			break
		}
	}
	return p.list
}

// nulls passes white space, comments and null members (RFC 5322 section 4.4).
func (p *addressParser) nulls() bool {
	for p.skip() {
		if !p.at(',') {
			return true
		}
		p.i++
	}
	return false
}

type addressParser struct {
	lexer
	list []Address
	max  int // how many entries list may get; a group's end may be one more
}

// group takes display-name ":" [mailbox-list] ";". It reports false, having taken
// nothing, if there is no group.
func (p *addressParser) group() bool {
	start := p.i
	name, ok := p.phrase()
	if !ok || !p.at(':') {
		p.i = start
		return false
	}
	p.i++
	p.nulls()
	p.list = append(p.list, Address{Mailbox: strings.Clone(name)})
	for !p.end() && !p.at(';') && len(p.list) < p.max {
		p.mailbox()
		if !p.at(',') {
			break
		}
		p.nulls()
	}
	if p.at(';') {
		p.i++
		p.skip()
	}
	p.list = append(p.list, Address{})
	return true
}

// mailbox takes a name-addr or an addr-spec and appends it.
func (p *addressParser) mailbox() {
	start := p.i
	var a Address
	if name, ok := p.phrase(); ok && p.at('<') {
		a.Name = strings.Clone(squeeze(name))
		if !p.angleAddr(&a) {
			a.Host = syntaxError
		}
	} else {
		p.i = start
		p.addrSpec(&a)
	}
	p.list = append(p.list, a)
}

// angleAddr takes "<" [route ":"] addr-spec ">" and fills what it finds into a.
func (p *addressParser) angleAddr(a *Address) bool {
	a.Mailbox, a.Host = missingMailbox, missingDomain
	p.i++
	if !p.skip() || p.end() {
		return false
	}
	if p.at('@') {
		route, ok := p.route()
		if ok && p.at(':') {
			a.Route = route
			p.i++
		} else {
			a.Route = invalidRoute
		}
		if !p.skip() || p.end() {
			return false
		}
	}
	if !p.at('>') {
		s, ok := p.localPart()
		if !ok {
			return false
		}
		a.Mailbox = s
		if p.at('@') {
			if s, ok = p.domain(); !ok {
				return false
			}
			a.Host = s
		}
	}
	if !p.at('>') {
		return false
	}
	p.i++
	return p.skip()
}

// route takes obs-domain-list (RFC 5322 section 4.4).
func (p *addressParser) route() (string, bool) {
	var route []string
	for p.at('@') {
		d, ok := p.domain()
		if !ok {
			return "", false
		}
		route = append(route, "@"+d)
		for p.at(',') {
			p.i++
			if !p.skip() {
				return "", false
			}
		}
	}
	return strings.Join(route, ","), true
}

// addrSpec takes local-part "@" domain and whatever else may stand in its place: a
// local part or a display name alone. A comment behind it is taken for the name.
func (p *addressParser) addrSpec(a *Address) {
	p.comment = ""
	start, isQuoted := p.i, p.at('"')
	local, ok := p.localPart()
	a.Mailbox, a.Host = missingMailbox, missingDomain
	if ok {
		a.Mailbox = local
	}
	hasDomain := p.at('@') && (ok || p.i == start)
	if hasDomain {
		if d, ok := p.domain(); ok {
			a.Host = d
		}
	}
	if c := p.lastComment(); c != "" {
		a.Name = strings.Clone(squeeze(c))
	} else if !hasDomain && p.at('<') && strings.Trim(local, ".") == "" { // behind a name of dots
		a.Mailbox = missingMailbox
	} else if !hasDomain {
		rest, _ := p.phrase()
		if rest != "" {
			local += " " + rest
		}
		if rest != "" || isQuoted && ok {
			a.Mailbox, a.Name = missingMailbox, strings.Clone(squeeze(local))
		}
	}
}
