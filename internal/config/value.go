package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. Its text form is a number with or without a unit, as in
// "50MiB" (powers of 1024) or "50MB" (powers of 1000).
type Size int64

// units of Size, largest first.
var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// String is the shortest exact form; ParseSize reads it.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.size == 0 && u.size != 1 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseSize reads a Size; upper and lower case are the same, "K", "M", "G" and "T"
// alone mean powers of 1024.
func ParseSize(text string) (Size, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	name := text[len(number):]
	unit := int64(0)
	for _, u := range units {
		if name == "" || strings.EqualFold(name, u.name) || strings.EqualFold(name+"iB", u.name) {
			unit = u.size
			if name == "" {
				unit = 1
			}
			break
		}
	}
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 63)
	if err != nil || unit == 0 || n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf(`%q is not a size: a whole number with B, KiB, MiB, GiB or TiB, such as "50MiB"`, text)
	}
	return Size(n) * Size(unit), nil
}

// maxDays is the longest time in days.
const maxDays = 36500

// ParseDuration reads what time.ParseDuration does, or a whole number of days: "7d".
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n <= maxDays {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf(`%q is not a time, such as "90s", "1h30m" or "7d"`, text)
	}
	return d, nil
}

// formatDuration writes d without zero units: "5m", not "5m0s"; whole days as "5d".
func formatDuration(d time.Duration) string {
	if n := d / day; n > 0 && n <= maxDays && d%day == 0 {
		return strconv.FormatInt(int64(n), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// parsePrefix reads a network, or an address, which stands for itself alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	switch {
	case err != nil:
		return p, fmt.Errorf(`%q is neither a network nor an address, such as "192.0.2.0/24", "192.0.2.7" or "2001:db8::/32"`, text)
	case p.Masked() != p:
		return p, fmt.Errorf("%q has bits set beyond its length: is %q meant?", text, p.Masked())
	}
	return p, nil
}

// parseAddr reads an IP address; "" is none.
func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, fmt.Errorf(`%q is not an address, such as "192.0.2.1" or "2001:db8::1"`, text)
	}
	return ip.Unmap(), nil
}

// set gives the field a value: a string, bool, int64 or []string out of the file, or
// anything else, which is described by kind; or envText.
func (f *field) set(v any) error {
	if text, ok := v.(envText); ok {
		return f.setEnv(string(text))
	}
	switch target := f.target.(type) {
	case *string:
		if s, ok := v.(string); ok {
			*target = s
			return nil
		}
	case *Secret:
		if s, ok := v.(string); ok {
			*target = Secret{s}
			return nil
		}
	case *netip.Addr:
		if s, ok := v.(string); ok {
			return parseTo(target, s, parseAddr)
		}
	case *bool:
		if b, ok := v.(bool); ok {
			*target = b
			return nil
		}
	case *int:
		if n, ok := v.(int64); ok {
			if n < math.MinInt32 || n > math.MaxInt32 {
				return fmt.Errorf("%d is out of range", n)
			}
			*target = int(n)
			return nil
		}
	case *Size:
		switch v := v.(type) {
		case int64:
			*target = Size(v)
			return nil
		case string:
			return parseTo(target, v, ParseSize)
		}
	case *time.Duration:
		if s, ok := v.(string); ok {
			return parseTo(target, s, ParseDuration)
		}
	case *[]string:
		if list, ok := v.([]string); ok {
			*target = list
			return nil
		}
	case *[]netip.Prefix:
		if list, ok := v.([]string); ok {
			return setPrefixes(target, list)
		}
	}
	return fmt.Errorf("must be %s, not %s", f.wants(), kindOf(v))
}

// envText is a value out of the environment.
type envText string

func (f *field) setEnv(text string) error {
	switch f.target.(type) {
	case *bool:
		switch strings.ToLower(text) {
		case "true", "1", "yes":
			return f.set(true)
		case "false", "0", "no":
			return f.set(false)
		}
		return fmt.Errorf("must be %s, not %q", f.wants(), text)
	case *int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("must be %s, not %q", f.wants(), text)
		}
		return f.set(n)
	case *[]string, *[]netip.Prefix:
		return f.set(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }))
	}
	return f.set(text)
}

func parseTo[T any](target *T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err == nil {
		*target = v
	}
	return err
}

func setPrefixes(target *[]netip.Prefix, list []string) error {
	var all []netip.Prefix
	for _, s := range list {
		p, err := parsePrefix(s)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	*target = all
	return nil
}

// wants describes what the field's value must be.
func (f *field) wants() string {
	switch f.target.(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *Size:
		return `a size, such as "50MiB"`
	case *time.Duration:
		return `a time in quotes, such as "90s"`
	case *[]string:
		if f.listen {
			return `a list, such as [":25"]`
		}
		return `a list of texts, such as ["one", "two"]`
	case *[]netip.Prefix:
		return `a list, such as ["192.0.2.0/24"]`
	}
	return "text in quotes"
}

// otherKind is a value of a kind that no field wants; it says which.
type otherKind string

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64:
		return "a number"
	case []string:
		return "a list"
	case otherKind:
		return string(v)
	}
	return "something else"
}
