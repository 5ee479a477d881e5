package roster

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// head is what a written file begins with.
const head = `# Domains, accounts and aliases of this server. Change it, see what would be done with
#     kurir apply --dry-run FILE
# and have it done with
#     kurir apply FILE
`

// Write writes a state as the TOML that Read reads, in a fixed order, so that two files can
// be compared line by line. size is a quota as Read's Sizes reads it.
func Write(s State, size func(int64) string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	w := writer{&b}
	for _, d := range s.Domains {
		w.table("domain", "name", d.Name)
		w.list("aliases", slices.Sorted(slices.Values(d.Aliases)))
		w.flag("disabled", d.Disabled)
		w.text("message", d.Message)
	}
	for _, a := range s.Accounts {
		w.table("account", "address", a.Address)
		w.text("password_hash", a.Verifier)
		if a.Quota != 0 {
			w.text("quota", size(a.Quota))
		}
		w.flag("disabled", a.Disabled)
		if a.Defer {
			w.text("mail", "defer")
		}
		w.text("message", a.Message)
	}
	for _, a := range s.Aliases {
		to, forward := "to", "forward"
		if a.Post != "" {
			to, forward = "members", "remote_members"
		}
		w.table(a.Kind(), "address", a.Address)
		w.list(to, a.To)
		w.list(forward, a.Forward)
		w.text("post", a.Post)
		w.flag("may_send", a.MaySend)
	}
	return b.Bytes()
}

type writer struct{ b *bytes.Buffer }

func (w writer) table(name, key, value string) {
	fmt.Fprintf(w.b, "\n[[%s]]\n%s = %s\n", name, key, quote(value))
}

func (w writer) text(key, value string) {
	if value != "" {
		fmt.Fprintf(w.b, "%s = %s\n", key, quote(value))
	}
}

func (w writer) flag(key string, value bool) {
	if value {
		fmt.Fprintf(w.b, "%s = true\n", key)
	}
}

// list writes a short list in one line, a long one with a line for each entry.
func (w writer) list(key string, all []string) {
	if len(all) == 0 {
		return
	}
	var quoted []string
	n := 0
	for _, s := range all {
		quoted = append(quoted, quote(s))
		n += len(s) + 4
	}
	if n < 100 {
		fmt.Fprintf(w.b, "%s = [%s]\n", key, strings.Join(quoted, ", "))
		return
	}
	fmt.Fprintf(w.b, "%s = [\n    %s,\n]\n", key, strings.Join(quoted, ",\n    "))
}

// quote is a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
