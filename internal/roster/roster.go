// Package roster owns domains, accounts and aliases as files: the TOML that kurir apply
// reads and kurir export writes, the CSV that kurir account import reads, and the plan of
// what has to be done to get from one state to another. It is pure: it reads no file, asks
// no server and changes nothing.
package roster

import (
	"fmt"
	"strings"

	"kurir/internal/directory"
)

// State is who gets mail here, as far as a file says it or a server has it. Addresses are
// canonical, see directory.Address.
type State struct {
	Domains  []Domain
	Accounts []Account
	Aliases  []Alias
}

// Domain is a domain of its own.
type Domain struct {
	Name     string
	Aliases  []string // its other names
	Disabled bool
	Message  string
}

// Account is a mailbox with a login.
type Account struct {
	Address  string
	Verifier string // of its password, as auth.ReadVerifier gives it; "": the file has nothing to say of it
	Quota    int64  // bytes, 0 for none
	Disabled bool
	Defer    bool // its mail is put off while it is disabled
	Message  string
}

// Alias is an address that leads to others; a group if Post is not "".
type Alias struct {
	Address string   // "@domain" for a catch-all
	To      []string // accounts and aliases here
	Forward []string // addresses of other servers
	MaySend bool
	Post    string // as directory.Post
}

// Kind is the word for it in plans.
func (a Alias) Kind() string {
	if a.Post != "" {
		return "group"
	}
	return "alias"
}

// Mistake is something that a file cannot mean.
type Mistake struct {
	Name string // whom it is about: an address or a domain; "" for the file as a whole
	Line int    // in the file, from 1; 0 if that is not known
	Text string
}

func (m Mistake) Error() string {
	text := m.Text
	if m.Name != "" {
		text = m.Name + ": " + text
	}
	if m.Line > 0 {
		text = fmt.Sprintf("line %d: %s", m.Line, text)
	}
	return text
}

// parseAlias is directory.ParseAddress that takes "@domain" as well.
func parseAlias(s string) (directory.Address, error) {
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		name, err := directory.ParseDomain(domain)
		return directory.Address{Domain: name}, err
	}
	return directory.ParseAddress(s)
}

// domainOf is what stands behind the @.
func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// canonical is an address in the form in which names are compared.
func canonical(address string) string {
	if a, err := directory.ParseAddress(address); err == nil {
		return a.String()
	}
	return address
}

// withoutTag is an address without what stands behind the + of its local part.
func withoutTag(address string) string {
	a, err := directory.ParseAddress(address)
	if err != nil {
		return address
	}
	if i := strings.IndexByte(a.Local, '+'); i > 0 {
		a.Local = a.Local[:i]
	}
	return a.String()
}
