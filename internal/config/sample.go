package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Setting is one key of the configuration with a value, written as an environment variable
// has it: lists are separated by commas.
type Setting struct {
	Key   string
	Value string
}

// Difference is a key that a configuration gives another value than a Setting does. Both
// values are as TOML has them.
type Difference struct {
	Key   string
	Has   string // what the configuration says, by itself or as the default
	Wants string
}

// Known tells whether key is one of the configuration, outside its tables that may be there
// several times.
func Known(key string) bool {
	return slices.ContainsFunc(fields(Default()), func(f field) bool { return f.key == key })
}

// IsSecret tells whether key is one that holds a password or a token.
func IsSecret(key string) bool {
	all := fields(Default())
	i := indexOf(all, key)
	if i < 0 {
		return false
	}
	_, is := all[i].target.(*Secret)
	return is
}

// Sample is a configuration file with the chosen settings, each below the comment that says
// what it means, and the keys of hints as comments with their defaults. The order is that of
// Example. Secrets stand in it as they are. Keys that are not known and values that do not fit are errors, joined; what keys
// mean together is for Load.
func Sample(chosen []Setting, hints ...string) (string, error) {
	all := fields(Default())
	var errs []error
	picked := map[string]bool{}
	for _, s := range chosen {
		errs = append(errs, assign(all, s))
		picked[s.Key] = true
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	var b strings.Builder
	section := ""
	for _, f := range all {
		if !picked[f.key] && !slices.Contains(hints, f.key) {
			continue
		}
		name, last, _ := cutLast(f.key)
		if name != section {
			section = name
			fmt.Fprintf(&b, "\n# %s\n[%s]\n", sections[name], name)
		} else {
			b.WriteString("\n")
		}
		comment(&b, f.doc)
		value := f.format()
		if secret, ok := f.target.(*Secret); ok {
			value = strconv.Quote(secret.Reveal())
		}
		line := last + " = " + value + "\n"
		if !picked[f.key] {
			line = "# " + line
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// Differences compares what c says with settings, in their order; keys whose values are
// equal are left out. Errors are those of Sample.
func (c *Config) Differences(settings []Setting) ([]Difference, error) {
	wanted := fields(Default())
	var errs []error
	for _, s := range settings {
		errs = append(errs, assign(wanted, s))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	is := fields(c)
	var all []Difference
	for _, s := range settings {
		i := indexOf(wanted, s.Key)
		if has, wants := is[i].format(), wanted[i].format(); has != wants {
			all = append(all, Difference{Key: s.Key, Has: has, Wants: wants})
		}
	}
	return all, nil
}

// SetKeys are the keys that the file at path, or the environment, gives a value; what is
// wrong with them is for Load.
func SetKeys(path string, env []string) (map[string]bool, error) {
	l := newLoader(path)
	if path != "" {
		text, _, err := readFile(path)
		if err != nil {
			return nil, err
		}
		l.readTOML(text)
	}
	l.readEnv(env)
	set := make(map[string]bool, len(l.origin))
	for key := range l.origin {
		set[key] = true
	}
	return set, nil
}

// SetupVariables are the environment variables by which a server sets itself up when it
// begins; they are no keys of the configuration.
func SetupVariables() []string {
	return []string{envPrefix + "SETUP_DOMAIN", envPrefix + "SETUP_ACCOUNT", envPrefix + "SETUP_PASSWORD_FILE"}
}

// assign gives a field the value of a setting.
func assign(all []field, s Setting) error {
	i := indexOf(all, s.Key)
	if i < 0 {
		return fmt.Errorf("%s is no key of the configuration", s.Key)
	}
	if err := all[i].set(envText(s.Value)); err != nil {
		return fmt.Errorf("%s: %w", s.Key, err)
	}
	if p, ok := all[i].target.(*string); ok && all[i].path && *p != "" {
		*p = filepath.Clean(*p)
	}
	return nil
}

// indexOf is the place of the field with a key, -1 if there is none.
func indexOf(all []field, key string) int {
	return slices.IndexFunc(all, func(f field) bool { return f.key == key })
}
