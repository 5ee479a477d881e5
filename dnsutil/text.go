package dnsutil

import (
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// textOf is the text of a TXT record, its strings put together without anything between
// (RFC 7208 section 3.3, RFC 6376 section 3.6.2.2); "" of another record.
func textOf(rr dns.RR) string {
	txt, ok := rr.(*dns.TXT)
	if !ok {
		return ""
	}
	return unescaped(strings.Join(txt.Txt, ""))
}

// unescaped undoes what the dns package does to octets that are special in zone files:
// `\"`, `\\` and `\DDD`.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}
