package maildir

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrBadAddress says that an address has no local part or no domain.
var ErrBadAddress = errors.New("not an address of the form local@domain")

// maxPathPart is the longest name of a file, in bytes; hashedPart is how much of a longer
// one stays readable before its hash.
const (
	maxPathPart = 255
	hashedPart  = 160
)

// AccountDir gives the directory of an account below the mail directory: "domain/localpart".
// Each part is a safe file name and different addresses have different ones, on file systems
// that do not tell case or Unicode normal forms apart as well: a leading dot, slash, percent,
// NUL, control character, capital ASCII letter, and everything in a part that isn't in NFC or
// has capitals beyond ASCII becomes %XX; a part that would exceed 255 bytes becomes its beginning,
// "%%" and a hash. The address is taken as it is: bring it to its canonical form before.
func AccountDir(address string) (string, error) {
	i := strings.LastIndexByte(address, '@')
	if i <= 0 || i == len(address)-1 {
		return "", ErrBadAddress
	}
	return encodePart(address[i+1:]) + "/" + encodePart(address[:i]), nil
}

func encodePart(s string) string {
	ascii := !utf8.ValidString(s) || !norm.NFC.IsNormalString(s) || strings.ContainsFunc(s, notFolded)
	var b strings.Builder
	first := true
	appendPercent(&b, s, func(c byte) bool {
		lead := first
		first = false
		return c > ' ' && c != 0x7f && c != '/' && c != '%' && c != '\\' &&
			!('A' <= c && c <= 'Z') && !(lead && c == '.') && !(ascii && c >= 0x80)
	})
	enc := b.String()
	if len(enc) <= maxPathPart {
		return enc
	}
	cut := hashedPart
	for !utf8.RuneStart(enc[cut]) {
		cut--
	}
	for i := 1; i <= 2; i++ { // not inside an escape
		if enc[cut-i] == '%' {
			cut -= i
			break
		}
	}
	sum := sha256.Sum256([]byte(s))
	return enc[:cut] + "%%" + hex.EncodeToString(sum[:])
}

// notFolded reports whether a file system that ignores case could take r for another character.
func notFolded(r rune) bool { return unicode.ToLower(unicode.ToUpper(r)) != r }

// AccountOf gives the address whose directory is dir ("domain/localpart"). It fails if dir is
// no account's, or one of those that end in a hash.
func AccountOf(dir string) (address string, ok bool) {
	domain, local, ok := strings.Cut(dir, "/")
	if !ok {
		return "", false
	}
	d, ok1 := parsePercent(domain)
	l, ok2 := parsePercent(local)
	if !ok1 || !ok2 {
		return "", false
	}
	address = l + "@" + d
	back, err := AccountDir(address)
	return address, err == nil && back == dir
}
