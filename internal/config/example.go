package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Example is a configuration file with every key, its meaning, its environment
// variable and its default; the tables that may be there several times come last, as
// comments. Loading it gives the defaults, with the hostname mail.example.com.
func Example() string {
	var b strings.Builder
	b.WriteString("# Configuration of kurir (TOML). Every key may be left out but hostname; the values\n" +
		"# here are the defaults. An environment variable, named beside each key, overrides it;\n" +
		"# lists there are separated by commas. Only the tables at the end have no variables.\n")
	section := ""
	for _, f := range fields(Default()) {
		name, last, _ := cutLast(f.key)
		if name != section {
			section = name
			fmt.Fprintf(&b, "\n# %s\n[%s]\n", sections[name], name)
		} else {
			b.WriteString("\n")
		}
		comment(&b, f.doc+"\n"+f.env())
		value := f.format()
		if f.sample != "" {
			value = strconv.Quote(f.sample)
		}
		b.WriteString(last + " = " + value + "\n")
	}
	exampleLists(&b)
	return b.String()
}

// format is the field's value in TOML.
func (f field) format() string {
	var list []string
	switch v := f.target.(type) {
	case *bool:
		return strconv.FormatBool(*v)
	case *int:
		return strconv.Itoa(*v)
	case *Size:
		return strconv.Quote(v.String())
	case *time.Duration:
		return strconv.Quote(formatDuration(*v))
	case *string:
		return strconv.Quote(*v)
	case *Secret:
		return strconv.Quote(v.String())
	case *netip.Addr:
		if !v.IsValid() {
			return `""`
		}
		return strconv.Quote(v.String())
	case *[]string:
		list = *v
	case *[]netip.Prefix:
		for _, p := range *v {
			list = append(list, p.String())
		}
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
