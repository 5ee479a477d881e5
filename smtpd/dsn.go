package smtpd

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"kurir/internal/relay"
)

// Bounds in octets of ENVID (RFC 3461 section 4.4) and ORCPT (section 4.2).
const (
	maxEnvID = 100
	maxORCPT = 500
)

// parseRet reads the value of RET (RFC 3461 section 4.3).
func parseRet(value string) (string, bool) {
	value = strings.ToUpper(value)
	return value, value == "FULL" || value == "HDRS"
}

// parseNotify reads the value of NOTIFY (RFC 3461 section 4.1): NEVER alone, or others
// in a row.
func parseNotify(value string) (n relay.Notify, ok bool) {
	if strings.EqualFold(value, "NEVER") {
		return relay.NotifyNever, true
	}
	for one := range strings.SplitSeq(strings.ToUpper(value), ",") {
		switch one {
		case "SUCCESS":
			n |= relay.NotifySuccess
		case "FAILURE":
			n |= relay.NotifyFailure
		case "DELAY":
			n |= relay.NotifyDelay
		default:
			return 0, false
		}
	}
	return n, true
}

// validEnvID tells whether a value of ENVID can be passed on as it is.
func validEnvID(value string) bool { return len(value) <= maxEnvID && isXtext(value) }

// validORCPT tells whether a value of ORCPT, "type;address", can be passed on as it is.
func validORCPT(value string) bool {
	kind, address, ok := strings.Cut(value, ";")
	if !ok || len(value) > maxORCPT || !isAtom(kind) {
		return false
	}
	if strings.EqualFold(kind, "utf-8") {
		return isUTF8Address(address)
	}
	return isXtext(address)
}

func isAtom(s string) bool {
	for i := range len(s) {
		if !isAtext(s[i]) || s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return s != ""
}

// isXtext tells xtext (RFC 3461 section 4) for printable ASCII: "+" and two hexadecimal
// digits, in capitals, stand for an octet that cannot stand for itself.
func isXtext(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+3 > len(s) || strings.Trim(s[i+1:i+3], "0123456789ABCDEF") != "" {
				return false
			}
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err != nil || n < ' ' || n > '~' {
				return false
			}
			i += 2
		case c <= ' ' || c > '~' || c == '=':
			return false
		}
	}
	return s != ""
}

// isUTF8Address tells utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3), in
// which \x{hex} stands for a character. Control characters are no part of an address.
func isUTF8Address(s string) bool {
	whole := s != ""
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1, r <= ' ', r == 0x7f, isDeceptive(r), r == '+', r == '=':
			return false
		case r == '\\':
			hex, rest, ok := strings.Cut(s, "}")
			if hex, found := strings.CutPrefix(hex, `\x{`); !ok || !found || !isHexPoint(hex) {
				return false
			}
			s = rest
		default:
			s = s[n:]
		}
	}
	return whole
}

// isHexPoint tells HEXPOINT of RFC 6533 section 3.
func isHexPoint(s string) bool {
	n, err := strconv.ParseUint(s, 16, 32)
	return err == nil && len(s) >= 2 && len(s) <= 6 && (len(s) == 2 || s[0] != '0') &&
		n >= ' ' && n != 0x7f && utf8.ValidRune(rune(n)) && !isDeceptive(rune(n))
}
