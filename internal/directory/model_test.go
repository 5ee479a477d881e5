package directory

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kurir/internal/sqldb"
)

// model is the directory as one would write it without a database: what TestModel
// compares the real one with. Its addresses are strings, its searches are loops.
type model struct {
	domains  []modelDomain // oldest first
	accounts []*Account    // oldest first
	aliases  map[string]*modelAlias
}

type modelDomain struct {
	name, target string
	closed       bool
}

type modelAlias struct {
	targets []modelTarget
	maySend bool
	post    Post
}

type modelTarget struct{ name, detail string }

func cut(address string) (local, detail, domain string) {
	local, domain, _ = strings.Cut(address, "@")
	local, detail, _ = strings.Cut(local, "+")
	return local, detail, domain
}

// real follows a domain alias; "" if the domain isn't there.
func (m *model) real(name string) string {
	for _, d := range m.domains {
		if d.name == name && d.target != "" {
			return d.target
		} else if d.name == name {
			return name
		}
	}
	return ""
}

// closed says whether a real domain is.
func (m *model) closed(name string) bool {
	return slices.ContainsFunc(m.domains, func(d modelDomain) bool { return d.name == name && d.closed })
}

func (m *model) closeDomain(name string, yes bool) error {
	for i, d := range m.domains {
		if d.name == name && d.target == "" {
			m.domains[i].closed = yes
			return nil
		}
	}
	return ErrNoDomain
}

// put off marks in an answer of follow those whose mail waits.
func (m *model) mark(all []string, everyone bool) string {
	for i, one := range all {
		name, _, _ := strings.Cut(one, "(")
		_, _, domain := cut(name)
		if everyone || m.closed(domain) || m.account(name).Own.Defer {
			all[i] += "~"
		}
	}
	return strings.Join(all, " ")
}

func (m *model) account(name string) *Account {
	for _, a := range m.accounts {
		if a.Address == name {
			return a
		}
	}
	return nil
}

// free says whether an account or alias can be added under this name.
func (m *model) free(name string) error {
	_, _, domain := cut(name)
	switch {
	case m.real(domain) != domain:
		return ErrNoDomain
	case m.account(name) != nil || m.aliases[name] != nil:
		return ErrExists
	}
	return nil
}

// find gives the account of an address under its domain or an alias of that.
func (m *model) find(address string) (*Account, error) {
	local, _, domain := cut(address)
	if domain = m.real(domain); domain == "" {
		return nil, ErrNoDomain
	}
	if a := m.account(local + "@" + domain); a != nil {
		return a, nil
	}
	return nil, ErrNoAccount
}

func (m *model) addDomain(name, target string) error {
	if m.real(name) != "" {
		return ErrExists
	}
	if target != "" {
		if target = m.real(target); target == "" {
			return ErrNoDomain
		}
	}
	m.domains = append(m.domains, modelDomain{name, target, false})
	return nil
}

func (m *model) removeDomain(name string) error {
	i := slices.IndexFunc(m.domains, func(d modelDomain) bool { return d.name == name })
	if i < 0 {
		return ErrNoDomain
	}
	for _, a := range m.accounts {
		if strings.HasSuffix(a.Address, "@"+name) {
			return ErrInUse
		}
	}
	for a := range m.aliases {
		if strings.HasSuffix(a, "@"+name) {
			return ErrInUse
		}
	}
	for _, d := range m.domains {
		if d.target == name {
			return ErrInUse
		}
	}
	m.domains = slices.Delete(m.domains, i, i+1)
	return nil
}

func (m *model) addAccount(name string) error {
	if err := m.free(name); err != nil {
		return err
	}
	m.accounts = append(m.accounts, &Account{Address: name})
	return nil
}

func (m *model) rename(from, to string) error {
	a, err := m.find(from)
	if err == nil {
		err = m.free(to)
	}
	if err != nil {
		return err
	}
	for _, x := range m.aliases {
		for i, t := range x.targets {
			if t.name == a.Address {
				x.targets[i].name = to
			}
		}
	}
	a.Address = to
	return nil
}

// targeted says whether an alias other than name itself leads to name.
func (m *model) targeted(name string) bool {
	for address, x := range m.aliases {
		if address != name && slices.ContainsFunc(x.targets, func(t modelTarget) bool { return t.name == name }) {
			return true
		}
	}
	return false
}

func (m *model) removeAccount(address string) error {
	a, err := m.find(address)
	if err != nil {
		return err
	}
	if m.targeted(a.Address) {
		return ErrInUse
	}
	m.accounts = slices.DeleteFunc(m.accounts, func(b *Account) bool { return a == b })
	return nil
}

// putAlias is AddAlias and SetAlias.
func (m *model) putAlias(address string, targets []string, maySend, add bool, post Post) error {
	old := m.aliases[address]
	wrong := strings.HasPrefix(address, "@") && post != PostAnyone
	if add && wrong {
		return ErrInvalidAddress
	}
	if add {
		if err := m.free(address); err != nil {
			return err
		}
	} else {
		local, _, domain := cut(address)
		if domain = m.real(domain); domain == "" {
			return ErrNoDomain
		}
		address = local + "@" + domain
		if old = m.aliases[address]; old == nil {
			return ErrNoAlias
		}
		if wrong {
			return ErrInvalidAddress
		}
	}
	x := &modelAlias{maySend: maySend, post: post}
	m.aliases[address] = x
	err := func() error {
		for _, t := range targets {
			local, detail, domain := cut(t)
			if domain = m.real(domain); domain == "" {
				return ErrNoDomain
			}
			name := local + "@" + domain
			if m.account(name) == nil && m.aliases[name] == nil {
				return ErrNoAccount
			}
			x.targets = append(x.targets, modelTarget{name, detail})
		}
		if m.reaches(address, address, map[string]bool{}) {
			return ErrLoop
		}
		return nil
	}()
	if err != nil {
		if m.aliases[address] = old; old == nil {
			delete(m.aliases, address)
		}
	}
	return err
}

func (m *model) reaches(from, to string, seen map[string]bool) bool {
	if x := m.aliases[from]; x != nil && !seen[from] {
		seen[from] = true
		for _, t := range x.targets {
			if t.name == to || m.reaches(t.name, to, seen) {
				return true
			}
		}
	}
	return false
}

func (m *model) removeAlias(address string) error {
	local, _, domain := cut(address)
	if domain = m.real(domain); domain == "" {
		return ErrNoDomain
	}
	address = local + "@" + domain
	switch {
	case m.aliases[address] == nil:
		return ErrNoAlias
	case m.targeted(address):
		return ErrInUse
	}
	delete(m.aliases, address)
	return nil
}

// follow appends what a name leads to, in the form of resolved, each account once.
func (m *model) follow(name, detail string, all []string) []string {
	if x := m.aliases[name]; x != nil {
		for _, t := range x.targets {
			d := t.detail
			if d == "" {
				d = detail
			}
			all = m.follow(t.name, d, all)
		}
		return all
	}
	for _, have := range all {
		if h, _, _ := strings.Cut(have, "("); h == name {
			return all
		}
	}
	if detail != "" {
		name += "(" + detail + ")"
	}
	return append(all, name)
}

func (m *model) resolve(address string) string {
	if address == "postmaster" {
		for _, closed := range []bool{false, true} {
			for _, d := range m.domains {
				if d.target == "" && d.closed == closed {
					return m.resolve("postmaster@" + d.name)
				}
			}
		}
	}
	local, detail, domain := cut(address)
	if domain = m.real(domain); domain == "" {
		return "! " + ErrNoDomain.Error()
	}
	if name := local + "@" + domain; m.account(name) != nil || m.aliases[name] != nil {
		return m.mark(m.follow(name, detail, nil), m.closed(domain))
	}
	if m.aliases["@"+domain] != nil {
		return m.mark(m.follow("@"+domain, "", nil), m.closed(domain))
	}
	if local == "postmaster" || local == "abuse" {
		for _, suffix := range []string{"@" + domain, ""} {
			for _, disabled := range []bool{false, true} {
				for _, a := range m.accounts {
					_, _, of := cut(a.Address)
					if strings.HasSuffix(a.Address, suffix) && (a.Own.Disabled || suffix == "" && m.closed(of)) == disabled {
						return m.mark(m.follow(a.Address, detail, nil), m.closed(domain))
					}
				}
			}
		}
	}
	return "! " + ErrNoAccount.Error()
}

func (m *model) maySendAs(account, address string) bool {
	a, err := m.find(account)
	local, _, domain := cut(address)
	domain = m.real(domain)
	if err != nil || domain == "" || m.closed(domain) {
		return false
	}
	name := local + "@" + domain
	if m.account(name) != nil {
		return name == a.Address
	}
	x := m.aliases[name]
	if x == nil {
		name = "@" + domain
		if x = m.aliases[name]; x == nil || !x.maySend {
			return false
		}
	}
	var among bool
	all := m.follow(name, "", nil)
	for _, who := range all {
		who, _, _ = strings.Cut(who, "(")
		among = among || who == a.Address
	}
	return among && (x.maySend || len(all) == 1)
}

// mayPost says whether an account may write to an address.
func (m *model) mayPost(account, address string) bool {
	local, _, domain := cut(address)
	name := local + "@" + m.real(domain)
	x := m.aliases[name]
	if x == nil || m.account(name) != nil || x.post == PostAnyone {
		return true
	}
	a, err := m.find(account)
	if err != nil {
		return false
	}
	for _, who := range m.follow(name, "", nil) {
		if who, _, _ = strings.Cut(who, "("); who == a.Address {
			return true
		}
	}
	_, _, of := cut(a.Address)
	return x.post == PostDomain && of == m.real(domain)
}

// doOne does one thing at random to both, and returns what was done and both outcomes.
func doOne(t *testing.T, rnd *rand.Rand, d *Directory, m *model) (what string, got, want error) {
	pick := func(all ...string) string { return all[rnd.IntN(len(all))] }
	domain := func() string { return pick("a.test", "b.test", "c.test", "a2.test", "b2.test") }
	address := func() string {
		return pick("ann", "bob", "cy", "dee", "info", "postmaster") + "@" + domain()
	}
	alias := func() string {
		if len(m.aliases) >= MaxDepth { // deeper nesting has a test of its own
			for name := range m.aliases {
				return name
			}
		}
		return pick("info", "sales", "team", "ann", "abuse", "") + "@" + domain()
	}
	targets := func() (all []string) {
		for range 1 + rnd.IntN(3) {
			s := pick("ann", "bob", "cy", "info", "sales", "team") + pick("", "", "+x", "+y") + "@" + domain()
			all = append(all, s)
		}
		return all
	}
	ctx, a, b, dom, dom2, yes := t.Context(), address(), address(), domain(), domain(), rnd.IntN(2) == 0
	post := Post(pick("", "", "members", "domain"))
	switch rnd.IntN(14) {
	case 0:
		_, got = d.AddDomain(ctx, dom)
		return "AddDomain " + dom, got, m.addDomain(dom, "")
	case 1:
		_, got = d.AddDomainAlias(ctx, dom, dom2)
		return "AddDomainAlias " + dom + " " + dom2, got, m.addDomain(dom, dom2)
	case 2:
		return "RemoveDomain " + dom, d.RemoveDomain(ctx, dom), m.removeDomain(dom)
	case 3, 4, 5:
		_, got = d.AddAccount(ctx, a, AccountOptions{})
		return "AddAccount " + a, got, m.addAccount(a)
	case 6:
		return "RenameAccount " + a + " " + b, d.RenameAccount(ctx, a, b), m.rename(a, b)
	case 7:
		acc, err := m.find(a)
		if err == nil {
			acc.Own = Closure{Disabled: true, Defer: yes}
		}
		return "CloseAccount " + a, d.CloseAccount(ctx, a, Closure{Disabled: true, Defer: yes}), err
	case 12:
		acc, err := m.find(a)
		if err == nil {
			acc.Own = Closure{}
		}
		return "open " + a, d.DisableAccount(ctx, a, false), err
	case 13:
		return fmt.Sprint("CloseDomain ", dom, yes), d.CloseDomain(ctx, dom, Closure{Disabled: yes, Message: "why"}), m.closeDomain(dom, yes)
	case 8:
		return "RemoveAccount " + a, d.RemoveAccount(ctx, a), m.removeAccount(a)
	case 9:
		x := alias()
		return "RemoveAlias " + x, d.RemoveAlias(ctx, x), m.removeAlias(x)
	case 10:
		x, to := alias(), targets()
		_, got = d.CreateAlias(ctx, x, AliasOptions{Targets: to, MaySend: yes, Post: post})
		return fmt.Sprint("CreateAlias ", x, to, yes, post), got, m.putAlias(x, to, yes, true, post)
	}
	x, to := alias(), targets()
	_, got = d.ReplaceAlias(ctx, x, AliasOptions{Targets: to, MaySend: yes, Post: post})
	return fmt.Sprint("ReplaceAlias ", x, to, yes, post), got, m.putAlias(x, to, yes, false, post)
}

// Thousands of changes at random, half of them refused, with restarts in between: the
// directory gives the same errors and the same answers as the model.
func TestModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kurir.db")
	open := func() (*sqldb.DB, *Directory) {
		db, err := sqldb.Open(t.Context(), path, Migrations)
		if err != nil {
			t.Fatal(err)
		}
		unsynced(t, db)
		return db, New(db)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	m := &model{aliases: map[string]*modelAlias{}}
	db, d := open()
	var done []string
	changed := 0
	for i := range 1500 {
		what, got, want := doOne(t, rnd, d, m)
		done = append(done, what)
		if !errors.Is(got, want) {
			t.Fatalf("step %d: got %v, want %v; the last steps:\n%s", i, got, want, strings.Join(done[max(0, len(done)-30):], "\n"))
		}
		if got == nil {
			changed++
		}
		if i%500 == 499 {
			db.Close()
			db, d = open()
		}
		if i%10 == 0 {
			compare(t, d, m, done)
		}
	}
	db.Close()
	if changed < 300 {
		t.Errorf("only %d of the steps changed anything", changed)
	}
}

// unsynced spares a test of logic the fsyncs of thousands of changes.
func unsynced(t *testing.T, db *sqldb.DB) {
	t.Helper()
	db.SetMaxOpenConns(1) // the setting is the connection's
	if _, err := db.Exec(`PRAGMA synchronous = OFF`); err != nil {
		t.Fatal(err)
	}
}

// compare asks both every question that matters.
func compare(t *testing.T, d *Directory, m *model, done []string) {
	t.Helper()
	addresses := []string{"postmaster"}
	for _, domain := range []string{"a.test", "b.test", "c.test", "a2.test", "b2.test", "no.test"} {
		for _, local := range []string{"ann", "bob+t", "cy", "info", "sales+t", "team", "abuse", "postmaster+t"} {
			addresses = append(addresses, local+"@"+domain)
		}
	}
	if !slices.ContainsFunc(m.domains, func(d modelDomain) bool { return d.target == "" }) {
		addresses = addresses[1:]
	}
	for _, a := range addresses {
		if got, want := resolved(t, d, a), m.resolve(a); got != want {
			t.Fatalf("%s: got %s, want %s; after:\n%s", a, got, want, strings.Join(done, "\n"))
		}
		for _, acc := range []string{"ann@a.test", "bob@b.test", "cy@a2.test"} {
			posting, err := d.MayPost(t.Context(), acc, "", a)
			if want := a == "postmaster" || m.mayPost(acc, a); (posting == PostingAllowed) != want || err != nil {
				t.Fatalf("%s to %s: got %v, %v, want %v; after:\n%s", acc, a, posting, err, want, strings.Join(done, "\n"))
			}
			got, err := d.MaySendAs(t.Context(), acc, a)
			if want := m.maySendAs(acc, a); got != want || err != nil {
				t.Fatalf("%s as %s: got %v, %v, want %v; after:\n%s", acc, a, got, err, want, strings.Join(done, "\n"))
			}
		}
	}
}
