package roster

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

// MaxFile bounds a file, in bytes.
const MaxFile = 32 << 20

// Sizes reads sizes such as "5GiB"; empty and "none" are 0.
type Sizes func(string) (int64, error)

// file is the TOML as it is written.
type file struct {
	Domain  []fileDomain
	Account []fileAccount
	Alias   []fileAlias
	Group   []fileGroup
}

type fileDomain struct {
	Name     string
	Aliases  []string
	Disabled bool
	Message  string
}

type fileAccount struct {
	Address      string
	PasswordHash string `toml:"password_hash"`
	Quota        string
	Disabled     bool
	Mail         string
	Message      string
}

type fileAlias struct {
	Address string
	To      []string
	Forward []string
	MaySend bool `toml:"may_send"`
}

type fileGroup struct {
	Address       string
	Members       []string
	RemoteMembers []string `toml:"remote_members"`
	Post          string
	MaySend       bool `toml:"may_send"`
}

// Read reads the TOML of kurir apply. It finds all mistakes at once that need no look at a
// server; with any, the state is not to be used.
func Read(text []byte, sizes Sizes) (State, []Mistake) {
	var f file
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // which some editors put in front
	dec := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if mistakes := decodeMistakes(dec.Decode(&f)); len(mistakes) > 0 {
		return State{}, mistakes
	}
	r := reader{sizes: sizes, seen: map[string]string{}}
	for _, d := range f.Domain {
		r.domain(d)
	}
	for _, a := range f.Account {
		r.account(a)
	}
	for _, a := range f.Alias {
		r.alias("alias", Alias{Address: a.Address, To: a.To, Forward: a.Forward, MaySend: a.MaySend})
	}
	for _, g := range f.Group {
		if g.Post == "" {
			g.Post = string(directory.PostMembers)
		}
		r.alias("group", Alias{Address: g.Address, To: g.Members, Forward: g.RemoteMembers, MaySend: g.MaySend, Post: g.Post})
	}
	return r.State, r.mistakes
}

// decodeMistakes puts an error of the decoder into our words.
func decodeMistakes(err error) (all []Mistake) {
	var strict *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		for _, e := range strict.Errors {
			line, _ := e.Position()
			all = append(all, Mistake{Line: line, Text: fmt.Sprintf("unknown key %q", strings.Join(e.Key(), "."))})
		}
		return all
	case errors.As(err, &bad):
		line, _ := bad.Position()
		return []Mistake{{Line: line, Text: strings.TrimPrefix(bad.Error(), "toml: ")}}
	}
	return []Mistake{{Text: strings.TrimPrefix(err.Error(), "toml: ")}}
}

// reader checks what was read, entry by entry.
type reader struct {
	State
	sizes    Sizes
	seen     map[string]string // names, and what has them
	mistakes []Mistake
}

func (r *reader) wrong(name, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{Name: name, Text: fmt.Sprintf(format, args...)})
}

// once notes a name, and tells whether it is there for the first time.
func (r *reader) once(kind, name string) bool {
	if was, ok := r.seen[name]; ok {
		r.wrong(name, "is there twice, as %s and as %s", was, kind)
		return false
	}
	r.seen[name] = kind
	return true
}

func (r *reader) domain(f fileDomain) {
	name, err := directory.ParseDomain(f.Name)
	if err != nil {
		r.wrong("", "domain: %v", err)
		return
	}
	d := Domain{Name: name, Disabled: f.Disabled}
	if !r.once("domain", name) {
		return
	}
	d.Message = r.message(name, f.Disabled, f.Message)
	for _, s := range f.Aliases {
		alias, err := directory.ParseDomain(s)
		if err != nil {
			r.wrong(name, "aliases: %v", err)
		} else if r.once("domain alias", alias) {
			d.Aliases = append(d.Aliases, alias)
		}
	}
	r.Domains = append(r.Domains, d)
}

// message checks the text of what is disabled.
func (r *reader) message(name string, disabled bool, text string) string {
	clean, err := directory.CleanMessage(text)
	switch {
	case err != nil:
		r.wrong(name, "message: %v", err)
	case clean != "" && !disabled:
		r.wrong(name, "a message is for what is disabled: add disabled = true, or take the message away")
	}
	return clean
}

func (r *reader) account(f fileAccount) {
	address, err := directory.ParseAddress(f.Address)
	if err != nil {
		r.wrong("", "account: %v", err)
		return
	}
	a := Account{Address: address.String(), Disabled: f.Disabled, Defer: f.Mail == "defer"}
	if !r.once("account", a.Address) {
		return
	}
	if f.PasswordHash != "" {
		if a.Verifier, err = auth.ReadVerifier(f.PasswordHash); err != nil {
			r.wrong(a.Address, "%v", err)
		}
	}
	if a.Quota, err = r.sizes(f.Quota); err != nil {
		r.wrong(a.Address, "quota: %v", err)
	}
	switch {
	case f.Mail != "" && f.Mail != "keep" && f.Mail != "defer":
		r.wrong(a.Address, `mail: %q is neither "keep" nor "defer"`, f.Mail)
	case a.Defer && !f.Disabled:
		r.wrong(a.Address, `mail = "defer" is for an account that is disabled: add disabled = true`)
	}
	a.Message = r.message(a.Address, f.Disabled, f.Message)
	r.Accounts = append(r.Accounts, a)
}

func (r *reader) alias(kind string, a Alias) {
	address, err := parseAlias(a.Address)
	if err != nil {
		r.wrong("", "%s: %v", kind, err)
		return
	}
	a.Address = address.String()
	if !r.once(kind, a.Address) {
		return
	}
	post, err := directory.ParsePost(a.Post)
	switch {
	case err != nil:
		r.wrong(a.Address, "post: %v", err)
	case address.Local == "" && post != directory.PostAnyone:
		r.wrong(a.Address, "a catch-all is for mail from anyone: make it an alias")
	}
	a.Post = string(post)
	if len(a.To)+len(a.Forward) == 0 {
		r.wrong(a.Address, "it leads to nobody")
	}
	a.To, a.Forward = r.targets(a.Address, a.To), r.targets(a.Address, a.Forward)
	r.Aliases = append(r.Aliases, a)
}

// targets are addresses with their domain in canonical form. What stands before the @ stays
// as it was written: it is another server's to read.
func (r *reader) targets(of string, all []string) (targets []string) {
	for _, s := range all {
		a, err := directory.ParseAddress(s)
		if err != nil {
			r.wrong(of, "target: %v", err)
			continue
		}
		targets = append(targets, s[:strings.LastIndexByte(s, '@')+1]+a.Domain)
	}
	return targets
}
