package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// readTOML sets what the file says. Text that is no TOML is one mistake, and what
// stands before it is still looked at.
func (l *loader) readTOML(text []byte) {
	walk := walker{l: l, p: &unstable.Parser{}, text: text}
	walk.p.Reset(text)
	var table []string
	skip := false // in a table that is no section
	for walk.p.NextExpression() {
		switch e := walk.p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, skip = walk.header(e)
		case unstable.KeyValue:
			if !skip {
				walk.keyValue(table, e)
			}
		}
	}
	if walk.doubled {
		return // the decoder would complain of the same
	}
	var all map[string]any
	var bad *toml.DecodeError
	if errors.As(toml.Unmarshal(text, &all), &bad) {
		line, column := bad.Position()
		l.cut = true
		if slices.ContainsFunc(l.mistakes, func(err error) bool { return err.(Mistake).Line == line }) {
			return // the same seen with our eyes
		}
		l.mistakes = append(l.mistakes, Mistake{Source: l.path, Line: line, Column: column, Problem: problem(bad)})
	}
}

// problem is what is wrong with text that is no TOML, with a hint for the mistakes that
// everyone makes once.
func problem(bad *toml.DecodeError) string {
	text := strings.TrimPrefix(bad.Error(), "toml: ")
	hint := ""
	switch {
	case strings.Contains(text, "at start of value"):
		hint = `; text needs straight quotes around it: "text"`
	case strings.Contains(text, "cannot have new lines"):
		hint = `; is the closing quote " missing?`
	case strings.Contains(text, "expected '=' after key"):
		hint = `; write: key = "value"`
	}
	return "not TOML: " + text + hint
}

// walker visits the expressions of a file.
type walker struct {
	l       *loader
	p       *unstable.Parser
	text    []byte
	doubled bool // a key was there twice
}

// at is the place of a node.
func (w *walker) at(n *unstable.Node, key string) Mistake {
	start := w.p.Shape(n.Raw).Start
	return Mistake{Source: w.l.path, Line: start.Line, Column: start.Column, Key: key}
}

func (w *walker) wrong(n *unstable.Node, key, format string, args ...any) {
	m := w.at(n, key)
	m.Problem = fmt.Sprintf(format, args...)
	w.l.mistakes = append(w.l.mistakes, m)
}

// names are the parts of a key, and the node of the first.
func names(it unstable.Iterator) (path []string, first *unstable.Node) {
	for it.Next() {
		if first == nil {
			first = it.Node()
		}
		path = append(path, string(it.Node().Data))
	}
	return path, first
}

// header enters a [table]; skip says that its keys mean nothing.
func (w *walker) header(e *unstable.Node) (table []string, skip bool) {
	table, first := names(e.Key())
	key := strings.Join(table, ".")
	li := listNamed(key)
	switch {
	case li != nil && e.Kind == unstable.ArrayTable:
		return []string{w.l.addEntry(li, w.at(first, key))}, false
	case li != nil:
		w.wrong(first, key, "may be there several times: write [[%s]], not [%s]", key, key)
		return table, true
	case !w.l.isSection(key):
		w.wrong(first, key, "unknown section%s", w.l.suggest(key, true))
		return table, true
	case e.Kind == unstable.ArrayTable:
		w.wrong(first, key, "is there once only: write [%s], not [[%s]]", key, key)
		return table, true
	}
	return table, false
}

func (w *walker) keyValue(table []string, e *unstable.Node) {
	path, first := names(e.Key())
	path = slices.Concat(table, path)
	key, value := strings.Join(path, "."), e.Value()
	f := w.l.byKey[key]
	switch {
	case f == nil && listNamed(path[0]) != nil && len(table) == 0:
		w.inlineList(path, first, value)
		return
	case f == nil && w.l.isSection(key) && value.Kind == unstable.InlineTable:
		for it := value.Children(); it.Next(); {
			w.keyValue(path, it.Node())
		}
		return
	case f == nil && w.l.isSection(key):
		w.wrong(first, key, "is a section: write [%s] on a line of its own", key)
		return
	case f == nil:
		w.wrong(first, key, "unknown key%s", w.l.suggest(key, false))
		return
	}
	from := w.at(first, key)
	if was, ok := w.l.origin[key]; ok {
		w.doubled = true
		w.wrong(first, key, "is there twice, first in line %d", was.Line)
		return
	}
	v, from := w.value(value, from)
	w.l.set(f, v, from, w.l.dir)
}

// inlineList reads the rare form name = [{…}, {…}].
func (w *walker) inlineList(path []string, first, value *unstable.Node) {
	li := listNamed(path[0])
	var entries []*unstable.Node
	ok := len(path) == 1 && value.Kind == unstable.Array
	for it := value.Children(); ok && it.Next(); {
		ok = it.Node().Kind == unstable.InlineTable
		entries = append(entries, it.Node())
	}
	if !ok {
		w.wrong(first, path[0], "is a table that may be there several times: write [[%s]] on a line of its own", path[0])
		return
	}
	for _, e := range entries {
		name := w.l.addEntry(li, w.at(first, path[0]))
		for it := e.Children(); it.Next(); {
			w.keyValue([]string{name}, it.Node())
		}
	}
}

// value converts a node for field.set, and gives its place if it has one.
func (w *walker) value(n *unstable.Node, from Mistake) (any, Mistake) {
	if n.Raw.Length > 0 {
		from = w.at(n, from.Key)
	}
	switch n.Kind {
	case unstable.String:
		return string(n.Data), from
	case unstable.Integer:
		i, err := strconv.ParseInt(string(n.Data), 0, 64)
		if err != nil {
			return otherKind("a number so large"), from
		}
		return i, from
	case unstable.Array:
		list := []string{}
		for it := n.Children(); it.Next(); {
			if it.Node().Kind != unstable.String {
				return otherKind("a list with something else than text in quotes"), w.at(it.Node(), from.Key)
			}
			list = append(list, string(it.Node().Data))
		}
		return list, from
	case unstable.Bool:
		return n.Data[0] == 't', from
	case unstable.Float:
		return otherKind("a number with a fraction"), from
	case unstable.InlineTable:
		return otherKind("a table"), from
	}
	return otherKind("a date or time of day"), from
}

// isSection tells whether some key begins with name and a dot.
func (l *loader) isSection(name string) bool {
	return slices.ContainsFunc(l.fields, func(f field) bool { return strings.HasPrefix(f.key, name+".") })
}

// readEnv sets what the environment says. An unknown variable is only a warning:
// container platforms make up some that begin like ours.
func (l *loader) readEnv(env []string) {
	byEnv := make(map[string]*field)
	for i, f := range l.fields {
		if !f.entry {
			byEnv[f.env()] = &l.fields[i]
		}
	}
	dir, err := filepath.Abs(".")
	if err != nil {
		dir = "."
	}
	for _, e := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || notOurs(name) {
			continue
		}
		f := byEnv[name]
		if f == nil {
			l.c.warnings = append(l.c.warnings, unknownVariable(name, byEnv))
			continue
		}
		l.set(f, envText(value), Mistake{Source: name, Key: f.key}, dir)
	}
}

// notOurs tells whether a variable is none of the configuration's: one that
// Kubernetes makes for a service that is called kurir, or of a command.
func notOurs(name string) bool {
	rest := strings.TrimPrefix(name, envPrefix)
	return rest == "SEND_SERVER" || // of the command send, which no server reads
		slices.Contains(SetupVariables(), name) ||
		rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_")
}
