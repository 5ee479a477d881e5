// Package srs rewrites the senders of mail that is forwarded, and their bounces back: the
// Sender Rewriting Scheme. A server that passes on another's mail under the other's name is
// refused by whoever looks at SPF; so the envelope gets an address here that has the true
// one in it, signed and dated:
//
//	joe@example.com         SRS0=k3Tr9q=TL=example.com=joe@our.example
//	SRS0=..@first.example   SRS1=Wf0xLa=first.example==..@our.example
//
// The form is that of Mail::SRS, libsrs2 and postsrsd, which read what is made here with
// the same secret. No RFC has it; its paper is "The Sender Rewriting Scheme" by Shevek (2004).
// Nothing is kept: an address says all, and who can't sign can't make one.
package srs

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Why an address is not rewritten, or not taken back.
var (
	ErrSender  = errors.New("srs: the sender is no address with a domain")
	ErrTooLong = errors.New("srs: the rewritten sender would be too long for an address")
	ErrSecret  = errors.New("srs: there is no secret to sign with")
	ErrForeign = errors.New("srs: not an address that was rewritten here")
	ErrForged  = errors.New("srs: the signature does not fit")
	ErrExpired = errors.New("srs: the address is too old")
)

const (
	// hashLength is how many of the signature's characters an address has: others have 4 at
	// least. With 6, capitals lost, one guess in a thousand million hits.
	hashLength = 6
	maxLocal   = 255 // octets; RFC 5321 section 4.5.3.1 has 64, which bounce addresses pass anyhow
	maxAddress = 254 // octets; RFC 5321 section 4.5.3.1.3, without the brackets
	day        = 24 * time.Hour
	stamps     = 1024 // days until a stamp comes again
)

// Rewriter makes addresses of Domain and reads them. Its zero options are the defaults.
type Rewriter struct {
	Secret []byte           // some 32 random octets, the same as long as bounces may come
	Domain string           // ours, whose mail comes to us
	MaxAge time.Duration    // how long bounces are taken, in whole days; zero means 21 days, more than 1000 days are 1000
	Now    func() time.Time // nil means time.Now
}

// Is reports whether a local part has the form of a rewritten address, ours or not. Quotes
// around it and lost capitals do not matter.
func Is(local string) bool {
	local, err := unquote(local)
	if err != nil {
		return false
	}
	_, zero := cutTag(local, "SRS0")
	_, one := cutTag(local, "SRS1")
	return zero || one
}

// Forward gives the address under which mail from sender is passed on. The null sender ""
// and senders in Domain are as they were: the one needs no answer, the others are here
// already. An address that another server has rewritten becomes one with both servers'
// names and no more, however long the way.
//
// Possible errors: ErrSender, ErrTooLong, ErrSecret.
func (w *Rewriter) Forward(sender string) (string, error) {
	if sender == "" {
		return "", nil
	}
	local, domain, err := split(sender)
	if err != nil {
		return "", ErrSender
	}
	if strings.EqualFold(domain, w.Domain) {
		return sender, nil
	}
	if len(w.Secret) == 0 {
		return "", ErrSecret
	}
	stamp := w.stamp()
	rewritten := "SRS0=" + w.hash(stamp, domain, local) + "=" + stamp + "=" + domain + "=" + local
	if first, rest, ok := wrapped(local); ok {
		rewritten = "SRS1=" + w.hash(first, rest) + "=" + first + "=" + rest
	} else if rest, ok := cutTag(local, "SRS0"); ok {
		rewritten = "SRS1=" + w.hash(domain, rest) + "=" + domain + "=" + rest
	}
	address := quote(rewritten) + "@" + w.Domain
	if len(rewritten) > maxLocal || len(address) > maxAddress {
		return "", ErrTooLong
	}
	return address, nil
}

// Reverse gives the address that a rewritten one stands for: the first sender, or for SRS1
// the address at the first server that rewrote it, which knows the sender.
//
// Possible errors: ErrForeign for what is not of our form or Domain, ErrForged, ErrExpired.
func (w *Rewriter) Reverse(address string) (string, error) {
	local, domain, err := split(address)
	if err != nil || !strings.EqualFold(domain, w.Domain) || len(address) > 2*maxAddress {
		return "", ErrForeign
	}
	if rest, ok := cutTag(local, "SRS1"); ok {
		return w.reverse1(rest[1:])
	}
	rest, ok := cutTag(local, "SRS0")
	if !ok {
		return "", ErrForeign
	}
	parts := strings.SplitN(rest[1:], "=", 4)
	if len(parts) < 4 || !isHost(parts[2]) || parts[3] == "" {
		return "", ErrForeign
	}
	hash, stamp, host, user := parts[0], parts[1], parts[2], parts[3]
	if !w.fits(hash, stamp, host, user) {
		return "", ErrForged
	}
	if !w.fresh(stamp) {
		return "", ErrExpired
	}
	return quote(user) + "@" + host, nil
}

// reverse1 reads what follows SRS1 and its separator: hash=first.example==…
func (w *Rewriter) reverse1(rest string) (string, error) {
	parts := strings.SplitN(rest, "=", 3)
	if len(parts) < 3 || !isHost(parts[1]) || parts[2] == "" {
		return "", ErrForeign
	}
	if !w.fits(parts[0], parts[1], parts[2]) {
		return "", ErrForged
	}
	return quote("SRS0"+parts[2]) + "@" + parts[1], nil
}

// wrapped takes an SRS1 local part of any server apart: the first server's name, and what
// that one wrote behind SRS0.
func wrapped(local string) (first, rest string, ok bool) {
	body, ok := cutTag(local, "SRS1")
	if !ok {
		return "", "", false
	}
	parts := strings.SplitN(body[1:], "=", 3)
	if len(parts) < 3 || !isHost(parts[1]) || parts[2] == "" || !strings.ContainsRune("=+-", rune(parts[2][0])) {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// cutTag takes the tag from a local part whose next octet is a separator, which it leaves.
func cutTag(local, tag string) (rest string, ok bool) {
	if len(local) <= len(tag) || !strings.EqualFold(local[:len(tag)], tag) || !strings.ContainsRune("=+-", rune(local[len(tag)])) {
		return "", false
	}
	return local[len(tag):], true
}

// hash signs the parts as libsrs2 does: HMAC-SHA1 over all in lower case, in base64, of which
// the beginning is kept.
func (w *Rewriter) hash(parts ...string) string {
	mac := hmac.New(sha1.New, w.Secret)
	for _, p := range parts {
		mac.Write([]byte(lower(p)))
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))[:hashLength]
}

// fits compares a signature, without regard to capitals.
func (w *Rewriter) fits(hash string, parts ...string) bool {
	return len(w.Secret) > 0 && hmac.Equal([]byte(lower(hash)), []byte(lower(w.hash(parts...))))
}

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// stamp is today in two characters.
func (w *Rewriter) stamp() string {
	d := w.today()
	return string([]byte{base32[d/32], base32[d%32]})
}

func (w *Rewriter) today() int {
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	return int(now().Unix() / int64(day/time.Second) % stamps)
}

// fresh reports whether the day of a stamp is not too far behind. Tomorrow is taken too: a
// clock may have been wrong by little.
func (w *Rewriter) fresh(stamp string) bool {
	if len(stamp) != 2 {
		return false
	}
	stamp = strings.ToUpper(stamp)
	high, low := strings.IndexByte(base32, stamp[0]), strings.IndexByte(base32, stamp[1])
	if high < 0 || low < 0 {
		return false
	}
	maxAge := w.MaxAge
	if maxAge == 0 {
		maxAge = 21 * day
	}
	age := (w.today() - high*32 - low + stamps) % stamps
	return age <= int(min(maxAge/day, 1000)) || age == stamps-1
}

// lower is s with A to Z in lower case, octet by octet.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// split takes an address apart; the local part comes without quotes.
func split(address string) (local, domain string, err error) {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 || !isHost(address[at+1:]) {
		return "", "", ErrSender
	}
	domain = address[at+1:]
	local, err = unquote(address[:at])
	if err == nil && local == "" {
		err = ErrSender
	}
	return local, domain, err
}

// isHost reports whether s can be the domain of an address, an address literal among them.
func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>;@\,"=`, rune(c)) {
			return false
		}
	}
	return s != ""
}

// unquote reads a local part (RFC 5321 section 4.1.2), be it a quoted string or not.
func unquote(s string) (string, error) {
	if strings.ContainsAny(s, "\r\n\x00") {
		return "", ErrSender
	}
	if !strings.HasPrefix(s, `"`) {
		return s, nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && i == len(s)-1:
			return b.String(), nil
		case c == '"':
			return "", fmt.Errorf("%w: a quote in its midst", ErrSender)
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("%w: a quote is open", ErrSender)
}

// quote writes a local part, quoted only if it must be.
func quote(s string) string {
	plain := s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c > ' ' && c != 0x7f && !strings.ContainsRune(`()<>[]:;@\,"`, rune(c))
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
