package roster

import (
	"fmt"
	"slices"
	"strings"
)

// Actions of a Change.
const (
	Add    = "add"
	Modify = "change"
	Remove = "remove"
)

// Change is one step of a plan. Domain, Account or Alias is how it shall be; of what is
// removed, how it was.
type Change struct {
	Action string   `json:"action"`
	Kind   string   `json:"kind"` // "domain", "domain alias", "account", "alias", "group"
	Name   string   `json:"name"`
	What   []string `json:"what,omitempty"` // in words: "quota none → 5 GiB"

	Domain  *Domain  `json:"-"` // of a domain alias: whose it is
	Account *Account `json:"-"`
	Alias   *Alias   `json:"-"`

	Password, Quota, Closure bool `json:"-"` // of an account that changes: what does
}

// Plan is what has to be done, in an order in which it can be done: each step leaves a
// state that holds together, so that a plan that was interrupted is made anew and goes on.
type Plan struct {
	Changes  []Change
	Mistakes []Mistake // with any, nothing is to be done
	// Left are accounts and aliases of the file's domains that the file does not name, and
	// that stay, as Prune was not asked for.
	Left []string
}

// Options of a plan.
type Options struct {
	Prune bool               // remove what the file's domains have and the file has not
	Size  func(int64) string // a quota in words
}

// Make finds what has to be done for the state have to become want. What want does not
// name stays; with Prune accounts, aliases and domain aliases of the domains in
// want.Domains go, and never a domain.
func Make(have, want State, o Options) Plan {
	p := &planner{Options: o, have: index(have), want: index(want)}
	p.final = index(have)
	p.domains(want.Domains)
	p.accounts(want.Accounts)
	p.wantAliases(want.Aliases)
	p.prune(have)
	p.checkTargets()
	p.orderAliases()
	return Plan{
		Changes:  slices.Concat(p.first, p.aliases, p.last),
		Mistakes: p.mistakes, Left: p.left,
	}
}

// indexed is a state by name.
type indexed struct {
	domains     map[string]Domain
	domainAlias map[string]string // to the domain that it means
	accounts    map[string]Account
	aliases     map[string]Alias
}

func index(s State) indexed {
	x := indexed{map[string]Domain{}, map[string]string{}, map[string]Account{}, map[string]Alias{}}
	for _, d := range s.Domains {
		x.domains[d.Name] = d
		for _, a := range d.Aliases {
			x.domainAlias[a] = d.Name
		}
	}
	for _, a := range s.Accounts {
		x.accounts[a.Address] = a
	}
	for _, a := range s.Aliases {
		x.aliases[a.Address] = a
	}
	return x
}

// planner is a plan being made.
type planner struct {
	Options
	have, want, final    indexed // final: what will be
	first, aliases, last []Change
	mistakes             []Mistake
	left                 []string
}

func (p *planner) wrong(name, format string, args ...any) {
	p.mistakes = append(p.mistakes, Mistake{Name: name, Text: fmt.Sprintf(format, args...)})
}

// domains come first, as everything else is in one.
func (p *planner) domains(all []Domain) {
	for _, d := range all {
		was, is := p.have.domains[d.Name]
		if of := p.have.domainAlias[d.Name]; of != "" {
			p.wrong(d.Name, "is an alias of %s now; remove that first: kurir domain alias remove %s", of, d.Name)
			continue
		}
		state := closure(was.Disabled, false, was.Message, d.Disabled, false, d.Message)
		switch {
		case !is:
			p.first = append(p.first, Change{Action: Add, Kind: "domain", Name: d.Name, What: state, Domain: &d})
		case len(state) > 0:
			p.first = append(p.first, Change{Action: Modify, Kind: "domain", Name: d.Name, What: state, Domain: &d})
		}
		p.final.domains[d.Name] = d
		for _, alias := range d.Aliases {
			p.domainAlias(alias, d)
		}
		for _, alias := range was.Aliases {
			switch {
			case slices.Contains(d.Aliases, alias):
			case p.Prune:
				p.last = append(p.last, Change{Action: Remove, Kind: "domain alias", Name: alias, Domain: &d})
				delete(p.final.domainAlias, alias)
			default:
				p.left = append(p.left, "domain alias "+alias)
			}
		}
	}
}

func (p *planner) domainAlias(alias string, d Domain) {
	of, is := p.have.domainAlias[alias]
	_, own := p.have.domains[alias]
	switch {
	case own:
		p.wrong(d.Name, "aliases: %s is a domain of its own; remove that first: kurir domain remove %s", alias, alias)
	case is && of != d.Name:
		p.wrong(d.Name, "aliases: %s is an alias of %s now; remove that first: kurir domain alias remove %s", alias, of, alias)
	case !is:
		p.first = append(p.first, Change{Action: Add, Kind: "domain alias", Name: alias, What: []string{"of " + d.Name}, Domain: &d})
	}
	p.final.domainAlias[alias] = d.Name
}

// closure is what changes in what is said of something that may be closed.
func closure(wasDisabled, wasDefer bool, wasMessage string, disabled, deferred bool, message string) []string {
	word := func(disabled, deferred bool, message string) string {
		s := "active"
		if disabled {
			s = "disabled"
		}
		if deferred {
			s += ", mail deferred"
		}
		if message != "" {
			s += " (" + message + ")"
		}
		return s
	}
	was, is := word(wasDisabled, wasDefer, wasMessage), word(disabled, deferred, message)
	if was == is {
		return nil
	}
	return []string{was + " → " + is}
}

// home checks that a name has a domain of its own.
func (p *planner) home(name string) bool {
	domain := domainOf(name)
	if of := p.final.domainAlias[domain]; of != "" {
		p.wrong(name, "%s is an alias of %s; use that", domain, of)
		return false
	}
	if _, ok := p.final.domains[domain]; !ok {
		p.wrong(name, "there is no domain %s: add it with [[domain]], or with kurir domain add %s", domain, domain)
		return false
	}
	return true
}

func (p *planner) accounts(all []Account) {
	for _, a := range all {
		if _, taken := p.have.aliases[a.Address]; taken {
			p.wrong(a.Address, "is an alias now; remove that first: kurir alias remove %s", a.Address)
			continue
		}
		if !p.home(a.Address) {
			continue
		}
		was, is := p.have.accounts[a.Address]
		c := Change{Action: Modify, Kind: "account", Name: a.Address, Account: &a}
		if !is {
			c.Action = Add
			if a.Verifier == "" {
				c.What = append(c.What, "no password yet")
			}
		} else if a.Verifier != "" && a.Verifier != was.Verifier {
			c.Password = true
			c.What = append(c.What, "another password")
		}
		if a.Quota != was.Quota {
			c.Quota = true
			c.What = append(c.What, "quota "+p.Size(was.Quota)+" → "+p.Size(a.Quota))
		}
		if state := closure(was.Disabled, was.Defer, was.Message, a.Disabled, a.Defer, a.Message); len(state) > 0 {
			c.Closure = true
			c.What = append(c.What, state...)
		}
		if !is || len(c.What) > 0 {
			p.first = append(p.first, c)
		}
		p.final.accounts[a.Address] = a
	}
}

// wantAliases notes the aliases; orderAliases makes changes of them.
func (p *planner) wantAliases(all []Alias) {
	for _, a := range all {
		if _, taken := p.final.accounts[a.Address]; taken {
			p.wrong(a.Address, "is an account, and cannot be an alias as well")
			continue
		}
		if p.home(a.Address) {
			p.final.aliases[a.Address] = p.settle(a)
		}
	}
}

// settle names targets as the directory does: under the domain that a domain alias means;
// one that was said to be elsewhere and is here is here.
func (p *planner) settle(a Alias) Alias {
	var to, forward []string
	for i, list := range [][]string{a.To, a.Forward} {
		for _, t := range list {
			domain := domainOf(t)
			if of := p.final.domainAlias[domain]; of != "" {
				t = strings.TrimSuffix(t, domain) + of
				domain = of
			}
			if _, here := p.final.domains[domain]; here {
				to = append(to, t)
			} else if forward = append(forward, t); i == 0 {
				p.wrong(a.Address, "target %s: no such domain here; if its mail is to be passed on to another server, say so with forward or remote_members", t)
			}
		}
	}
	a.To, a.Forward = to, forward
	return a
}

// prune finds what the file's domains have and the file has not.
func (p *planner) prune(have State) {
	for _, a := range have.Aliases {
		if _, named := p.want.aliases[a.Address]; p.inScope(a.Address) && !named {
			p.drop(Change{Action: Remove, Kind: a.Kind(), Name: a.Address, Alias: &a})
		}
	}
	for _, a := range have.Accounts {
		if _, named := p.want.accounts[a.Address]; p.inScope(a.Address) && !named {
			p.drop(Change{Action: Remove, Kind: "account", Name: a.Address, Account: &a, What: []string{"its mail is kept"}})
		}
	}
}

func (p *planner) inScope(name string) bool {
	_, ok := p.want.domains[domainOf(name)]
	return ok
}

func (p *planner) drop(c Change) {
	switch {
	case !p.Prune:
		p.left = append(p.left, c.Kind+" "+c.Name)
		return
	case c.Alias != nil:
		delete(p.final.aliases, c.Name)
	default:
		delete(p.final.accounts, c.Name)
	}
	p.last = append(p.last, c)
}
