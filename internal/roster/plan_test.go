package roster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// world is a server in memory that is as strict as a real one.
type world struct{ indexed }

func (w *world) state() (s State) {
	for name, d := range w.domains {
		d.Aliases = nil
		for alias, of := range w.domainAlias {
			if of == name {
				d.Aliases = append(d.Aliases, alias)
			}
		}
		slices.Sort(d.Aliases)
		s.Domains = append(s.Domains, d)
	}
	for _, a := range w.accounts {
		s.Accounts = append(s.Accounts, a)
	}
	for _, a := range w.aliases {
		s.Aliases = append(s.Aliases, a)
	}
	slices.SortFunc(s.Domains, func(a, b Domain) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Accounts, func(a, b Account) int { return strings.Compare(a.Address, b.Address) })
	slices.SortFunc(s.Aliases, func(a, b Alias) int { return strings.Compare(a.Address, b.Address) })
	return s
}

func (w *world) is(name string) bool {
	_, account := w.accounts[name]
	_, alias := w.aliases[name]
	return account || alias
}

// reaches tells whether an alias leads to a name.
func (w *world) reaches(from, to string, depth int) bool {
	for _, t := range w.aliases[from].To {
		t = withoutTag(t)
		if t == to || depth < 20 && w.reaches(t, to, depth+1) {
			return true
		}
	}
	return false
}

func (w *world) leadsHere(name string) bool {
	for a, x := range w.aliases {
		if a != name && slices.ContainsFunc(x.To, func(t string) bool { return withoutTag(t) == name }) {
			return true
		}
	}
	return false
}

// do carries out one change, or says why a server would refuse it.
func (w *world) do(c Change) error {
	_, known := w.domains[domainOf(c.Name)]
	switch c.Kind + " " + c.Action {
	case "domain add", "domain change":
		if _, is := w.domains[c.Name]; is != (c.Action == Modify) || w.domainAlias[c.Name] != "" {
			return fmt.Errorf("domain is there: %v", is)
		}
		w.domains[c.Name] = *c.Domain
	case "domain alias add":
		if _, is := w.domains[c.Domain.Name]; !is || w.domainAlias[c.Name] != "" {
			return fmt.Errorf("domain is there: %v", is)
		}
		w.domainAlias[c.Name] = c.Domain.Name
	case "domain alias remove":
		delete(w.domainAlias, c.Name)
	case "account add":
		if !known || w.is(c.Name) {
			return fmt.Errorf("domain is there: %v, name: %v", known, w.is(c.Name))
		}
		w.accounts[c.Name] = *c.Account
	case "account change":
		w.accounts[c.Name] = *c.Account
	case "account remove":
		if w.leadsHere(c.Name) {
			return fmt.Errorf("aliases lead there")
		}
		delete(w.accounts, c.Name)
	case "alias remove", "group remove":
		if w.leadsHere(c.Name) {
			return fmt.Errorf("aliases lead there")
		}
		delete(w.aliases, c.Name)
	default:
		if _, is := w.aliases[c.Name]; !known || is != (c.Action == Modify) || c.Action == Add && w.is(c.Name) {
			return fmt.Errorf("domain is there: %v, alias: %v", known, is)
		}
		w.aliases[c.Name] = *c.Alias
		for _, t := range c.Alias.To {
			if !w.is(withoutTag(t)) {
				return fmt.Errorf("no target %s", t)
			}
		}
		if w.reaches(c.Name, c.Name, 0) {
			return fmt.Errorf("a circle")
		}
	}
	return nil
}

// someState is a state at random, which may hold mistakes.
func someState(rnd *rand.Rand) (s State) {
	pick := func(all ...string) string { return all[rnd.IntN(len(all))] }
	yes := func() bool { return rnd.IntN(2) == 0 }
	seen := map[string]bool{}
	once := func(name string) bool { was := seen[name]; seen[name] = true; return !was }
	for _, name := range []string{"a.test", "b.test"} {
		if rnd.IntN(8) == 0 {
			continue
		}
		d := Domain{Name: name, Disabled: yes()}
		if alias := pick("c.test", "d.test", ""); alias != "" && once(alias) {
			d.Aliases = []string{alias}
		}
		s.Domains = append(s.Domains, d)
	}
	for range rnd.IntN(8) {
		if a := pick("ann", "bob", "cy", "dee") + "@" + pick("a.test", "b.test"); once(a) {
			s.Accounts = append(s.Accounts, Account{Address: a, Quota: int64(rnd.IntN(3)), Disabled: yes(), Verifier: pick("", "", "v", "w")})
		}
	}
	for range rnd.IntN(8) {
		x := Alias{Address: pick("info", "all", "team", "ann") + "@" + pick("a.test", "b.test"), MaySend: yes(), Post: pick("", "members")}
		if !once(x.Address) {
			continue
		}
		for range 1 + rnd.IntN(3) {
			t := pick("ann", "bob", "info", "all", "team") + pick("", "", "+x") + "@" + pick("a.test", "b.test", "a.test", "b.test", "c.test")
			if !slices.Contains(x.To, t) {
				x.To = append(x.To, t)
			}
		}
		s.Aliases = append(s.Aliases, x)
	}
	return s
}

// From any state to any other: each step is one that a server takes, afterwards nothing is
// left to do, and with prune nothing is there that the file does not name. A plan that was
// interrupted anywhere is made anew and gets there too.
func TestPlansWork(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	worked, wrong := 0, 0
	w := &world{index(State{})}
	for i := range 4000 {
		want, o := someState(rnd), Options{Prune: rnd.IntN(2) == 0, Size: size}
		have := w.state()
		plan := Make(have, want, o)
		if len(plan.Mistakes) > 0 {
			wrong++
			continue
		}
		stop := rnd.IntN(2 * (len(plan.Changes) + 1))
		for n, c := range plan.Changes {
			if n == stop {
				plan = Make(w.state(), want, o)
				if len(plan.Mistakes) > 0 {
					t.Fatalf("plan %d, after it was interrupted: %v", i, plan.Mistakes)
				}
				for _, c := range plan.Changes {
					if err := w.do(c); err != nil {
						t.Fatalf("plan %d, made anew: %+v: %v", i, c, err)
					}
				}
				break
			}
			if err := w.do(c); err != nil {
				t.Fatalf("plan %d of %+v: %+v: %v\nfrom %+v\nto %+v", i, plan.Changes, c, err, have, want)
			}
		}
		if again := Make(w.state(), want, o); len(again.Changes)+len(again.Mistakes) > 0 || o.Prune && len(again.Left) > 0 {
			t.Fatalf("plan %d: afterwards %+v", i, again)
		}
		if len(plan.Changes) > 0 {
			worked++
		}
		if rnd.IntN(20) == 0 {
			w = &world{index(State{})}
		}
	}
	if worked < 200 || wrong < 200 {
		t.Errorf("%d plans changed something, %d were refused", worked, wrong)
	}
}

// What cannot be meant is refused, in words that say what to do.
func TestPlanMistakes(t *testing.T) {
	have := State{
		Domains:  []Domain{{Name: "a.test", Aliases: []string{"c.test"}}, {Name: "b.test"}},
		Accounts: []Account{{Address: "ann@a.test"}, {Address: "bob@b.test"}},
		Aliases:  []Alias{{Address: "info@a.test", To: []string{"ann@a.test"}}, {Address: "boss@b.test", To: []string{"ann@a.test"}}},
	}
	a := []Domain{{Name: "a.test", Aliases: []string{"c.test"}}}
	for _, c := range []struct {
		name string
		want State
		text string
	}{
		{"domain alias as domain", State{Domains: []Domain{{Name: "c.test"}}}, "c.test: is an alias of a.test now; remove that first: kurir domain alias remove c.test"},
		{"domain as alias", State{Domains: []Domain{{Name: "a.test", Aliases: []string{"b.test"}}}}, "kurir domain remove b.test"},
		{"alias of another", State{Domains: []Domain{{Name: "b.test", Aliases: []string{"c.test"}}}}, "c.test is an alias of a.test now"},
		{"no domain", State{Accounts: []Account{{Address: "x@no.test"}}}, "x@no.test: there is no domain no.test"},
		{"account under a domain alias", State{Accounts: []Account{{Address: "x@c.test"}}}, "c.test is an alias of a.test; use that"},
		{"account for alias", State{Accounts: []Account{{Address: "info@a.test"}}}, "kurir alias remove info@a.test"},
		{"alias for account", State{Aliases: []Alias{{Address: "ann@a.test", To: []string{"bob@b.test"}}}}, "ann@a.test: is an account"},
		{"nobody", State{Aliases: []Alias{{Address: "x@a.test", To: []string{"no@a.test"}}}}, "x@a.test: there is no account or alias no@a.test"},
		{"elsewhere", State{Aliases: []Alias{{Address: "x@a.test", To: []string{"x@else.test"}}}}, "say so with forward"},
		{"circle", State{Aliases: []Alias{{Address: "x@a.test", To: []string{"y@a.test"}}, {Address: "y@a.test", To: []string{"x@a.test"}}}}, "in a circle"},
		{"still needed", State{Domains: a, Accounts: nil}, "boss@b.test: it leads to ann@a.test, which would be removed"},
	} {
		p := Make(have, c.want, Options{Prune: true, Size: size})
		if len(p.Mistakes) == 0 || !strings.Contains(p.Mistakes[0].Error(), c.text) {
			t.Errorf("%s: %v", c.name, p.Mistakes)
		}
	}
}

// Other spellings of the same are no change, and what the file is silent about stays.
func TestPlanNothing(t *testing.T) {
	have := State{
		Domains:  []Domain{{Name: "a.test", Aliases: []string{"c.test"}}},
		Accounts: []Account{{Address: "ann@a.test", Verifier: "v"}, {Address: "bob@a.test"}},
		Aliases:  []Alias{{Address: "info@a.test", To: []string{"ann+News@a.test", "bob@a.test"}, Forward: []string{"Friend@else.test"}}},
	}
	want := State{
		Accounts: []Account{{Address: "ann@a.test"}},
		Aliases:  []Alias{{Address: "info@a.test", To: []string{"bob@c.test"}, Forward: []string{"friend@else.test", "ann+news@a.test"}}},
	}
	if p := Make(have, want, Options{Prune: true, Size: size}); !reflect.DeepEqual(p, Plan{}) {
		t.Errorf("%+v", p)
	}
	want.Domains = []Domain{{Name: "a.test"}}
	p := Make(have, want, Options{Size: size})
	if len(p.Changes)+len(p.Mistakes) > 0 || !slices.Equal(p.Left, []string{"domain alias c.test", "account bob@a.test"}) {
		t.Errorf("%+v", p)
	}
}
