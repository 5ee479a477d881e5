package smtpd

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Path is the mailbox of a reverse-path or forward-path (RFC 5321 section 4.1.2, with
// RFC 6531 section 3.3); a source route before it is ignored (appendix C).
// The zero Path is the null reverse-path.
type Path struct {
	Local  string // unquoted
	Domain string // as written; an address literal with its brackets; "" for <postmaster>
}

// Bounds in octets. RFC 5321 section 4.5.3.1 has 64 for a local part; bounce addresses of
// large senders are longer.
const (
	maxLocal  = 255
	maxDomain = 255
)

var (
	errPath    = errors.New("smtpd: no path")
	errMailbox = errors.New("smtpd: no mailbox")
)

// IsNull tells the null reverse-path, <>.
func (p Path) IsNull() bool { return p == Path{} }

// String is the mailbox in its shortest valid form, quoted only if it must be; "" for
// the null path.
func (p Path) String() string {
	switch {
	case p.IsNull():
		return ""
	case p.Domain == "":
		return quoteLocal(p.Local)
	}
	return quoteLocal(p.Local) + "@" + p.Domain
}

// same tells whether two paths are one mailbox for anybody: local parts differ by case
// elsewhere (RFC 5321 section 2.4).
func (p Path) same(q Path) bool { return p.Local == q.Local && strings.EqualFold(p.Domain, q.Domain) }

// ASCII tells whether the path needs no SMTPUTF8.
func (p Path) ASCII() bool { return isASCII(p.Local) && isASCII(p.Domain) }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isText tells UTF-8 without what would fool a reader of a header or a log.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, isDeceptive)
}

// isDeceptive tells control characters, separators of lines, and marks that turn the
// direction of the text around them (Unicode UAX 9), beyond those of ASCII.
func isDeceptive(r rune) bool {
	return r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// parsePath takes a path in angle brackets off the front of s. reverse allows <>,
// otherwise <postmaster> in any case is allowed.
func parsePath(s string, reverse bool) (p Path, rest string, err error) {
	if reverse && strings.HasPrefix(s, "<>") {
		return Path{}, s[2:], nil
	}
	s, ok := strings.CutPrefix(s, "<")
	if !ok {
		return Path{}, "", errPath
	}
	if strings.HasPrefix(s, "@") {
		if s, ok = cutRoute(s); !ok {
			return Path{}, "", errPath
		}
	}
	local, s, ok := cutLocal(s)
	if !ok {
		return Path{}, "", errMailbox
	}
	p.Local = local
	if after, ok := strings.CutPrefix(s, ">"); ok && !reverse && strings.EqualFold(local, "postmaster") {
		p.Local = "postmaster"
		return p, after, nil
	}
	if s, ok = strings.CutPrefix(s, "@"); !ok {
		return Path{}, "", errMailbox
	}
	i := strings.IndexByte(s, '>')
	if i < 0 {
		return Path{}, "", errPath
	}
	if p.Domain, ok = parseDomain(s[:i]); !ok {
		return Path{}, "", errMailbox
	}
	return p, s[i+1:], nil
}

// cutRoute takes the source route "@a,@b:" off.
func cutRoute(s string) (string, bool) {
	route, rest, ok := strings.Cut(s, ":")
	if !ok {
		return "", false
	}
	for at := range strings.SplitSeq(route, ",") {
		d, ok := strings.CutPrefix(at, "@")
		if _, valid := parseDomain(d); !ok || !valid {
			return "", false
		}
	}
	return rest, true
}

// cutLocal takes a local part off and unquotes it. Dots where RFC 5321 has none, as in
// "a..b" and "a.", are let through: there are mailboxes of that kind.
func cutLocal(s string) (local, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s[1:])
	}
	i := 0
	for i < len(s) && (isAtext(s[i]) || s[i] == '.') {
		i++
	}
	local = s[:i]
	return local, s[i:], i > 0 && i <= maxLocal && isText(local)
}

// cutQuoted reads a Quoted-string after its first quote.
func cutQuoted(s string) (local, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			local = b.String()
			return local, s[i+1:], local != "" && len(local) <= maxLocal && isText(local)
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", false
			}
			c = s[i]
		case c < ' ' || c == 0x7f:
			return "", "", false
		}
		b.WriteByte(c)
	}
	return "", "", false
}

// isAtext tells atext of RFC 5322 section 3.2.3 and UTF-8 (RFC 6531 section 3.3).
func isAtext(c byte) bool {
	return c >= utf8.RuneSelf || isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quoteLocal writes a local part, as a Dot-string where it is one.
func quoteLocal(s string) string {
	dot := s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
	for i := range len(s) {
		dot = dot && (isAtext(s[i]) || s[i] == '.')
	}
	if dot {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// parseDomain checks a Domain or an address literal. Labels may begin with an underscore
// or have one: such hosts exist.
func parseDomain(s string) (string, bool) {
	if s == "" || len(s) > maxDomain || !isText(s) {
		return "", false
	}
	if s[0] == '[' {
		return parseLiteral(s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || !utf8Or(label[0], "_") || !utf8Or(label[len(label)-1], "_") ||
			len(label) > 63 && isASCII(label) {
			return "", false
		}
		for i := range len(label) {
			if !utf8Or(label[i], "-_") {
				return "", false
			}
		}
	}
	return s, true
}

func utf8Or(c byte, others string) bool {
	return c >= utf8.RuneSelf || isAlnum(c) || strings.IndexByte(others, c) >= 0
}

// parseLiteral checks an address literal: [192.0.2.1] or [IPv6:2001:db8::1].
func parseLiteral(s string) (string, bool) {
	in, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", false
	}
	if len(in) > 5 && strings.EqualFold(in[:5], "IPv6:") {
		a, err := netip.ParseAddr(in[5:])
		return s, err == nil && a.Is6() && a.Zone() == ""
	}
	a, err := netip.ParseAddr(in)
	return s, err == nil && a.Is4()
}
