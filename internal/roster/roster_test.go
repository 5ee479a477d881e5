package roster

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// sizes reads plain numbers; "x" is wrong.
func sizes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errors.New("no size: " + s)
	}
	return n, nil
}

func size(n int64) string { return strconv.FormatInt(n, 10) }

const hash = "$2y$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

const whole = `
[[domain]]
name = "Bücher.example"
aliases = ["example.net"]
[[domain]]
name = "closed.example"
disabled = true
message = "why –  \"so\""
[[account]]
address = "Alice@bücher.example"
password_hash = "{BLF-CRYPT}` + hash + `"
quota = "5"
[[account]]
address = "bob@closed.example"
disabled = true
mail = "defer"
message = "away"
[[alias]]
address = "@closed.example"
to = ["bob+News@closed.example"]
may_send = true
[[alias]]
address = '"a b"@closed.example'
to = ["bob@closed.example"]
forward = ["Friend@Elsewhere.test"]
[[group]]
address = "team@closed.example"
members = ["bob@closed.example"]
remote_members = ["x@elsewhere.test"]
[[group]]
address = "all@closed.example"
members = ["team@closed.example"]
post = "domain"
`

func wholeState() State {
	return State{
		Domains: []Domain{{Name: "xn--bcher-kva.example", Aliases: []string{"example.net"}}, {Name: "closed.example", Disabled: true, Message: `why – "so"`}},
		Accounts: []Account{{Address: "alice@xn--bcher-kva.example", Verifier: hash, Quota: 5},
			{Address: "bob@closed.example", Disabled: true, Defer: true, Message: "away"}},
		Aliases: []Alias{
			{Address: "@closed.example", To: []string{"bob+News@closed.example"}, MaySend: true},
			{Address: `"a b"@closed.example`, To: []string{"bob@closed.example"}, Forward: []string{"Friend@elsewhere.test"}},
			{Address: "team@closed.example", To: []string{"bob@closed.example"}, Forward: []string{"x@elsewhere.test"}, Post: "members"},
			{Address: "all@closed.example", To: []string{"team@closed.example"}, Post: "domain"},
		},
	}
}

// What is read, and that what is written of it reads as the same.
func TestRead(t *testing.T) {
	s, mistakes := Read([]byte(whole), sizes)
	if want := wholeState(); len(mistakes) > 0 || !reflect.DeepEqual(s, want) {
		t.Fatalf("%v\n%+v\nwant\n%+v", mistakes, s, want)
	}
	again, mistakes := Read(append([]byte("\ufeff"), Write(s, size)...), sizes) // as an editor may leave it
	if len(mistakes) > 0 || !reflect.DeepEqual(s, again) {
		t.Errorf("%v\n%+v\nwant\n%+v", mistakes, again, s)
	}
	long := State{Aliases: []Alias{{Address: "x@y.test"}}}
	for i := range 50 {
		long.Aliases[0].To = append(long.Aliases[0].To, fmt.Sprintf("a%d@y.test", i))
	}
	if again, mistakes := Read(Write(long, size), sizes); len(mistakes) > 0 || !reflect.DeepEqual(long, again) {
		t.Errorf("%v %+v", mistakes, again)
	}
	if s, mistakes := Read(nil, sizes); len(mistakes) > 0 || !reflect.DeepEqual(s, State{}) {
		t.Errorf("nothing: %+v, %v", s, mistakes)
	}
}

// Each mistake is found, with its line or its name.
func TestReadMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[[domain]]\nname = \"a.test\"\nalises = []\n[[acount]]\n", `line 3: unknown key "domain.alises"; line 4: unknown key "acount"`},
		{"[[domain]]\nname = 5\n", "line 2: "},
		{"[[domain]\n", "line 1: "},
		{"[[domain]]\n", "domain: invalid address"},
		{"[[domain]]\nname = \"a.test\"\naliases = [\"no domain\", \"a.test\"]", `a.test: aliases: invalid address: "no domain" is no domain name; a.test: is there twice, as domain and as domain alias`},
		{"[[domain]]\nname = \"a.test\"\nmessage = \"x\"", "a.test: a message is for what is disabled"},
		{"[[account]]\naddress = \"a.test\"", "account: invalid address"},
		{"[[account]]\naddress = \"a@a.test\"\npassword_hash = \"{MD5}xyz\"\nquota = \"x\"\nmail = \"lose\"", "a@a.test: unusable password: hashes of the scheme {MD5}"},
		{"[[account]]\naddress = \"a@a.test\"\npassword_hash = \"{MD5}xyz\"\nquota = \"x\"\nmail = \"lose\"", `a@a.test: quota: no size: x; a@a.test: mail: "lose" is neither`},
		{"[[account]]\naddress = \"a@a.test\"\nmail = \"defer\"", "add disabled = true"},
		{"[[account]]\naddress = \"a@a.test\"\ndisabled = true\nmessage = \"a\\u202eb\"", "cannot be shown"},
		{"[[account]]\naddress = \"a@a.test\"\n[[account]]\naddress = \"A@A.test\"", "a@a.test: is there twice, as account and as account"},
		{"[[alias]]\naddress = \"a@a.test\"", "a@a.test: it leads to nobody"},
		{"[[alias]]\naddress = \"a\"", "alias: invalid address"},
		{"[[alias]]\naddress = \"a@a.test\"\nto = [\"b\"]\nforward = [\"c@\"]", `a@a.test: target: invalid address: "b" has no @; write user@domain; a@a.test: target: invalid address: "" is no`},
		{"[[group]]\naddress = \"@a.test\"\nmembers = [\"b@a.test\"]", "a catch-all is for mail from anyone"},
		{"[[group]]\naddress = \"a@a.test\"\nmembers = [\"b@a.test\"]\npost = \"some\"", "none of members, domain and anyone"},
	} {
		_, mistakes := Read([]byte(c.text), sizes)
		var all []string
		for _, m := range mistakes {
			all = append(all, m.Error())
		}
		if got := strings.Join(all, "; "); !strings.Contains(got, c.want) {
			t.Errorf("%s\ngot %s\nwant %s", c.text, got, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("[[alias]]\naddress = \"a@b.test\"\nto = [\"\\\"x+y\\\"@b.test\"]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, mistakes := Read(text, sizes)
		if len(mistakes) > 0 {
			return
		}
		written := Write(s, size)
		again, mistakes := Read(written, sizes)
		if len(mistakes) > 0 || string(Write(again, size)) != string(written) {
			t.Errorf("%v\n%s", mistakes, written)
		}
		Make(State{}, s, Options{Prune: true, Size: size})
	})
}
