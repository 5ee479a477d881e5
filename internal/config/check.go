package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// check looks at the values, fills in those that depend on others, and notes mistakes.
func (l *loader) check() {
	c := l.c
	l.checkHostname()
	l.checkAddresses()
	l.checkNumbers()
	if c.Data == "" {
		l.wrong("data", "must be a directory")
	}
	if c.Control == "" {
		c.Control = filepath.Join(c.Data, "control.sock")
	}
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		l.wrong("tls.cert", "needs tls.key as well (it may be the same file)")
	case c.TLS.Cert == "" && c.TLS.Key != "":
		l.wrong("tls.key", "needs tls.cert as well (it may be the same file)")
	}
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "text", "json")
	l.oneOf("web.mta_sts", c.Web.MTASTS, "enforce", "testing", "none")
	l.checkReserve()
	l.checkLMTP()
	l.checkInbound()
	l.checkTrust()
	l.checkACME()
	l.checkLogins()
	l.checkOutbound()
}

// bad tells whether a mistake in the value of key was noted before.
func (l *loader) bad(key string) bool {
	return slices.ContainsFunc(l.mistakes, func(err error) bool { return err.(Mistake).Key == key })
}

func (l *loader) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		l.wrong(key, "%q is none of %q", value, allowed)
	}
}

func (l *loader) checkHostname() {
	c := l.c
	c.Hostname = strings.TrimSuffix(strings.ToLower(c.Hostname), ".")
	switch {
	case l.bad("hostname"), c.Hostname == "" && l.cut:
	case c.Hostname == "":
		l.wrong("hostname", "is missing: the name other servers know this one by, such as \"mail.example.com\"")
	case !isHostname(c.Hostname) || !strings.Contains(c.Hostname, "."):
		l.wrong("hostname", "%q is not a full host name, such as \"mail.example.com\"", c.Hostname)
	}
}

// isHostname tells whether s is a name by RFC 1123 section 2.1, and not an address.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// checkAddresses looks at each address to listen on, and that no two are the same.
func (l *loader) checkAddresses() {
	type taken struct {
		key, addr, host string
		port            uint64
	}
	var all []taken
	for _, f := range l.fields {
		list, ok := f.target.(*[]string)
		if !ok || !f.listen || l.bad(f.key) {
			continue
		}
		for _, addr := range *list {
			if f.key == "lmtp.address" && strings.HasPrefix(addr, unixPrefix) {
				continue
			}
			host, port, err := splitAddress(addr)
			if err != nil {
				l.wrong(f.key, "%v", err)
				continue
			}
			for _, t := range all {
				if port != 0 && port == t.port && (host == t.host || host == "" || t.host == "") {
					l.wrong(f.key, "%s is taken by %s in %s", addr, t.addr, t.key)
					break
				}
			}
			all = append(all, taken{f.key, addr, host, port})
		}
	}
}

// splitAddress splits host:port; the host of all addresses of this machine is "".
func splitAddress(addr string) (host string, port uint64, err error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf(`%q is not host:port, such as ":25", "192.0.2.1:25" or "[2001:db8::1]:25"`, addr)
	}
	if port, err = strconv.ParseUint(portText, 10, 16); err != nil {
		return "", 0, fmt.Errorf("%q: the port must be a number up to 65535", addr)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Unmap().IsUnspecified():
		host = ""
	case err == nil:
		host = ip.String()
	case host != "" && !isHostname(host):
		return "", 0, fmt.Errorf("%q: %q is neither an address nor a host name", addr, host)
	}
	return host, port, nil
}

// checkNumbers looks at the ranges of numbers and times. All have a least value that
// leaves a server of use.
func (l *loader) checkNumbers() {
	for _, f := range l.fields {
		switch v := f.target.(type) {
		case *int:
			if least := max(cmp.Or(f.least, 1), 0); int64(*v) < least {
				l.wrong(f.key, "must be %d or more", least)
			}
		case *Size:
			if *v < 64<<10 { // RFC 5321 section 4.5.3.1.7
				l.wrong(f.key, "must be 64KiB or more, which any server must take")
			}
		case *time.Duration:
			least := time.Duration(f.least)
			if strings.HasSuffix(f.key, "_timeout") {
				least = time.Second
			}
			if *v < least {
				l.wrong(f.key, "must be %s or more", formatDuration(least))
			}
		}
	}
	if l.c.SMTP.EarlyTalk > time.Minute {
		l.wrong("smtp.early_talk", "must be 1m or less: other servers give up waiting for the greeting")
	}
	l.within("limits.connections_per_address", &l.c.Limits.ConnectionsPerAddress, "limits.connections", l.c.Limits.Connections)
	l.within("limits.connections_per_account", &l.c.Limits.ConnectionsPerAccount, "limits.connections", l.c.Limits.Connections)
	l.within("relay.connections_per_destination", &l.c.Relay.ConnectionsPerDestination, "relay.connections", l.c.Relay.Connections)
}

// within sees that part, the value of key, is not more than whole; a default gives way.
func (l *loader) within(key string, part *int, wholeKey string, whole int) {
	if *part <= whole {
		return
	}
	if l.given(key) {
		l.wrong(key, "must be %s (%d) or less", wholeKey, whole)
	}
	*part = whole
}
