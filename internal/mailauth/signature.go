package mailauth

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kurir/dnsutil"
	"kurir/internal/mailauth/sig"
)

// signature is a DKIM-Signature field as it was read.
type signature struct {
	DKIM // Result is set once it is concluded

	raw            []byte
	kind           string   // "rsa" or "ed25519"
	names          []string // h=
	identityDomain string   // of i=
	rank           int      // the least matters most
	answer         *answer
	key            sig.Key // once it is known
	header         []byte  // what of the header the library is given
}

// maxIdentity is how long i= may be to be told: a local part, "@" and a domain (RFC 5321
// section 4.5.3.1).
const maxIdentity = 64 + 1 + 255

// answer is what the DNS says to a question for a key.
type answer struct {
	records []string
	err     error
}

// fail concludes a signature.
func (s *signature) fail(result Result, reason string) { s.Result, s.Reason = result, reason }

// readSignature reads a field (RFC 6376 section 3.5). A signature that cannot be verified,
// whatever the DNS says, is concluded.
func readSignature(raw []byte) *signature {
	s := &signature{raw: raw}
	_, value, _ := strings.Cut(string(raw), ":")
	tags, err := sig.ParseTags(value)
	if err != nil {
		s.fail(PermError, err.Error())
		return s
	}
	if reason := s.read(tags, time.Now()); reason != "" {
		s.fail(PermError, reason)
		return s
	}
	if _, part := tags["l"]; part {
		s.fail(Policy, "only a part of the body is signed (l=), so it counts as not signed")
	}
	return s
}

// read takes the tags, and says in words what is wrong with them.
func (s *signature) read(tags sig.Tags, now time.Time) (reason string) {
	s.describe(tags)
	for _, tag := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if tags.Compact(tag) == "" {
			return fmt.Sprintf("the tag %s= is missing", tag)
		}
	}
	if tags["v"] != "1" {
		return fmt.Sprintf("it is of a version that is not known, %s", sig.Shown(tags["v"]))
	}
	if s.Domain == "" {
		return fmt.Sprintf("d= is no domain: %s", sig.Shown(tags["d"]))
	}
	if _, err := dnsutil.Name(s.Selector + "._domainkey." + s.Domain); err != nil {
		return fmt.Sprintf("s= is no selector: %s", sig.Shown(s.Selector))
	}
	for _, check := range []func(sig.Tags) string{s.readAlgorithm, s.readNames, s.readIdentity, checkValues} {
		if reason = check(tags); reason != "" {
			return reason
		}
	}
	return readTimes(tags, now)
}

// describe fills in what a result tells of the signature, right or wrong.
func (s *signature) describe(tags sig.Tags) {
	s.Domain, _ = dnsutil.Name(tags.Compact("d"))
	s.Selector = strings.ToLower(tags.Compact("s"))
	if ascii, err := dnsutil.Name(s.Selector); err == nil {
		s.Selector = ascii
	} else {
		s.Selector = sig.Shown(s.Selector)
	}
	s.Algorithm = sig.Shown(tags.Compact("a"))
	if i := tags.Compact("i"); len(i) <= maxIdentity && isPrintable(i) {
		s.Identity = i // as it is, or not at all: it is told to others
	}
	b := tags.Compact("b")
	s.B = sig.Shown(b[:min(len(b), 8)])
}

// isPrintable tells whether s is of printable ASCII characters.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func (s *signature) readAlgorithm(tags sig.Tags) string {
	switch a := tags.Compact("a"); a {
	case "rsa-sha256":
		s.kind = "rsa"
	case "ed25519-sha256":
		s.kind = "ed25519"
	case "rsa-sha1":
		return "it is made with SHA-1, which is too weak (RFC 8301)"
	default:
		return fmt.Sprintf("its algorithm is not known: %s", sig.Shown(a))
	}
	if _, _, ok := sig.ParseCanon(tags.Compact("c")); !ok {
		return fmt.Sprintf("its canonical form is not known: %s", sig.Shown(tags["c"]))
	}
	if q := tags.List("q"); q != nil && !slices.Contains(q, "dns/txt") {
		return fmt.Sprintf("its key is not in the DNS: %s", sig.Shown(tags["q"]))
	}
	return ""
}

func (s *signature) readNames(tags sig.Tags) string {
	s.names = tags.List("h")
	if !slices.ContainsFunc(s.names, func(name string) bool { return strings.EqualFold(name, "From") }) {
		return "From is not signed"
	}
	return ""
}

// readIdentity checks that i= is at d= or below it.
func (s *signature) readIdentity(tags sig.Tags) string {
	identity := tags.Compact("i")
	if identity == "" {
		s.identityDomain, s.Identity = s.Domain, "@"+s.Domain
		return ""
	}
	at := strings.LastIndexByte(identity, '@')
	domain, err := dnsutil.Name(identity[at+1:])
	if at < 0 || err != nil || !inDomain(domain, s.Domain) {
		return fmt.Sprintf("i= is not at %s: %s", s.Domain, sig.Shown(identity))
	}
	s.identityDomain = domain
	return ""
}

// checkValues checks bh= and b=.
func checkValues(tags sig.Tags) string {
	if hash, err := sig.Base64(tags["bh"]); err != nil || len(hash) != sha256.Size {
		return "bh= is no hash"
	}
	if _, err := sig.Base64(tags["b"]); err != nil {
		return "b= is no signature"
	}
	return ""
}

// readTimes checks t= and x=.
func readTimes(tags sig.Tags, now time.Time) string {
	made, hasMade, ok := seconds(tags, "t")
	if !ok {
		return "t= is no time"
	}
	ends, hasEnd, ok := seconds(tags, "x")
	switch {
	case !ok:
		return "x= is no time"
	case hasEnd && hasMade && ends <= made:
		return "it expires (x=) before it was made (t=)"
	case hasEnd && now.Unix() > ends:
		return fmt.Sprintf("it expired at %s", time.Unix(ends, 0).UTC().Format(time.DateTime))
	}
	return ""
}

// seconds reads a time.
func seconds(tags sig.Tags, name string) (at int64, has, ok bool) {
	value, has := tags[name]
	if !has {
		return 0, false, true
	}
	n, err := strconv.ParseUint(sig.Compact(value), 10, 63)
	return int64(n), true, err == nil
}
