package config

import (
	"reflect"
	"strings"
)

// fixed are the keys, and with a dot at the end the sections, that a running server cannot
// change: what lies on disk under its lock, and the name that others know it by.
var fixed = []string{"hostname", "data", "control", "confine", "store.", "trace.", "lmtp.socket_mode"}

// IsFixed tells whether a change of the key waits for a restart of the server.
func IsFixed(key string) bool {
	for _, f := range fixed {
		if key == f || strings.HasSuffix(f, ".") && strings.HasPrefix(key, f) {
			return true
		}
	}
	return false
}

// Changed are the keys whose values differ between a and b, in the order of Example; the
// tables that may be there several times come last, as "route", "device", "destination".
func Changed(a, b *Config) []string {
	var keys []string
	was, is := fields(a), fields(b)
	for i := range was {
		if differ(was[i].target, is[i].target) {
			keys = append(keys, was[i].key)
		}
	}
	for _, l := range []struct {
		name string
		was  any
		is   any
	}{
		{"route", &a.Routes, &b.Routes}, {"device", &a.Devices, &b.Devices}, {"destination", &a.Destinations, &b.Destinations},
	} {
		if differ(l.was, l.is) {
			keys = append(keys, l.name)
		}
	}
	return keys
}

// differ compares what two pointers of the same type point to. An empty list is like none.
func differ(a, b any) bool {
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 {
		return false
	}
	return !reflect.DeepEqual(x.Interface(), y.Interface())
}

// KeepFixed gives c the values of from for all keys that IsFixed, and returns those of them
// that c had otherwise.
func (c *Config) KeepFixed(from *Config) (differed []string) {
	was, is := fields(from), fields(c)
	for i := range was {
		if IsFixed(was[i].key) && differ(was[i].target, is[i].target) {
			differed = append(differed, was[i].key)
			reflect.ValueOf(is[i].target).Elem().Set(reflect.ValueOf(was[i].target).Elem())
		}
	}
	return differed
}
