package arc

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// The names of the three fields of a set, in lower case.
const (
	nameResults = "arc-authentication-results"
	nameMessage = "arc-message-signature"
	nameSeal    = "arc-seal"
)

// arcSet is one ARC Set as it was found (RFC 8617 section 4.2).
type arcSet struct {
	aar     []byte // the whole field
	results string // its value behind the instance
	ams     messageSignature
	as      signature
}

// signature is what an ARC-Seal holds, and an ARC-Message-Signature too.
type signature struct {
	raw              []byte // the whole field
	instance         int
	algorithm        string // "rsa-sha256" or "ed25519-sha256"
	domain, selector string // in lower case
	cv               string // of a seal: "none", "pass" or "fail"
	sig              []byte
	bad              error // what is wrong with the tags; it matters for the newest message signature alone
}

// messageSignature is an ARC-Message-Signature (RFC 8617 section 4.1.2).
type messageSignature struct {
	signature
	header, body sig.Canon
	headers      []string // of h=, in lower case
	bodyHash     []byte
}

func (s *signature) sound() error { return s.bad }

func (s *arcSet) public() Set {
	return Set{Instance: s.as.instance, Domain: s.as.domain, Results: s.results}
}

// collect finds the ARC Sets of a header and tries their form (RFC 8617 section 5.2, steps
// 1 to 3). They come back in order; without any there is no chain.
func collect(raw []byte) ([]arcSet, error) {
	var results, messages, seals [maxSets + 1][]byte
	n, found := 0, 0
	for f := range message.Fields(raw) {
		var kind *[maxSets + 1][]byte
		switch strings.ToLower(f.Name) {
		case nameResults:
			kind = &results
		case nameMessage:
			kind = &messages
		case nameSeal:
			kind = &seals
		default:
			continue
		}
		if found++; found > 3*maxSets {
			return nil, fmt.Errorf("there are more than %d ARC sets", maxSets)
		}
		i, err := instance(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if kind[i] != nil {
			return nil, fmt.Errorf("there are two fields %s i=%d", f.Name, i)
		}
		kind[i], n = f.Raw, max(n, i)
	}
	sets := make([]arcSet, n)
	for i := range sets {
		if results[i+1] == nil || messages[i+1] == nil || seals[i+1] == nil {
			return nil, fmt.Errorf("the ARC set i=%d is not whole", i+1)
		}
		sets[i] = parseSet(results[i+1], messages[i+1], seals[i+1])
	}
	return sets, status(sets)
}

// status tries what the seals say of the chain before them.
func status(sets []arcSet) error {
	if n := len(sets); n > 0 && sets[n-1].as.cv == "fail" {
		return fmt.Errorf("%s (i=%d) found that the chain had failed before", sig.Shown(sets[n-1].as.domain), n)
	}
	for i := range sets {
		if err := sets[i].as.bad; err != nil {
			return fmt.Errorf("ARC-Seal i=%d: %w", i+1, err)
		}
		want := "pass"
		if i == 0 {
			want = "none"
		}
		if cv := sets[i].as.cv; cv != want {
			return fmt.Errorf("ARC-Seal i=%d says cv=%s where only %s can be", i+1, sig.Shown(cv), want)
		}
	}
	return nil
}

// instance reads i= of any of the three fields: first of all in ARC-Authentication-Results,
// anywhere in the others.
func instance(f message.Field) (int, error) {
	value := value(f.Raw)
	text, _, ok := cutInstance(value)
	if strings.ToLower(f.Name) != nameResults {
		tags, err := sig.ParseTags(value)
		if err != nil {
			return 0, err
		}
		text, ok = tags["i"]
	}
	if !ok {
		return 0, errors.New("it has no instance i=")
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 1 || i > maxSets || len(text) > 2 || text[0] == '+' {
		return 0, fmt.Errorf("its instance is %q, not 1 to %d", sig.Shown(text), maxSets)
	}
	return i, nil
}

// cutInstance takes the instance from the value of ARC-Authentication-Results (RFC 8617
// section 4.1.1): "i=1; the rest", with white space and comments between.
func cutInstance(value string) (number, rest string, ok bool) {
	head, rest, more := strings.Cut(value, ";")
	name, number, eq := strings.Cut(head, "=")
	return noComment(number), strings.TrimLeft(rest, " \t\r\n"), more && eq && noComment(name) == "i"
}

// noComment is s without white space and comments at its ends.
func noComment(s string) string {
	for {
		s = strings.Trim(s, " \t\r\n")
		if inner, ok := strings.CutPrefix(s, "("); ok {
			_, after, closed := strings.Cut(inner, ")")
			if !closed {
				return s
			}
			s = after
			continue
		}
		i := strings.LastIndexByte(s, '(')
		if i < 0 || !strings.HasSuffix(s, ")") {
			return s
		}
		s = s[:i]
	}
}

// value is what stands behind the colon of a field, folded as it is.
func value(field []byte) string {
	_, v, _ := strings.Cut(string(field), ":")
	return v
}

func parseSet(aar, ams, as []byte) arcSet {
	s := arcSet{aar: aar}
	_, s.results, _ = cutInstance(value(aar))
	s.results = strings.NewReplacer("\r\n", "", "\n", "").Replace(strings.TrimRight(s.results, " \t\r\n"))
	s.as.raw, s.ams.raw = as, ams
	s.as.bad = s.as.parseSeal()
	s.ams.bad = s.ams.parse()
	return s
}

// parse reads the tags that both kinds have.
func (s *signature) parse() (sig.Tags, error) {
	tags, err := sig.ParseTags(value(s.raw))
	if err != nil {
		return nil, err
	}
	s.instance, _ = strconv.Atoi(tags["i"])
	s.algorithm = tags["a"]
	s.domain, s.selector = strings.ToLower(tags["d"]), strings.ToLower(tags["s"])
	s.cv = strings.ToLower(tags["cv"])
	switch {
	case s.algorithm != "rsa-sha256" && s.algorithm != "ed25519-sha256":
		return tags, fmt.Errorf("a=%s is no algorithm that is accepted", sig.Shown(s.algorithm))
	case !isDomain(s.domain) || !strings.Contains(s.domain, "."):
		return tags, fmt.Errorf("d=%s is no domain", sig.Shown(s.domain))
	case !isDomain(s.selector):
		return tags, fmt.Errorf("s=%s is no selector", sig.Shown(s.selector))
	}
	if s.sig, err = sig.Base64(tags["b"]); err != nil || len(s.sig) == 0 {
		return tags, errors.New("b= is no signature")
	}
	return tags, nil
}

// parseSeal reads an ARC-Seal. A tag h= would let it cover less than all (RFC 8617 section 4.1.3).
func (s *signature) parseSeal() error {
	tags, err := s.parse()
	if err != nil {
		return err
	}
	for _, t := range []string{"h", "bh"} {
		if _, has := tags[t]; has {
			return fmt.Errorf("it has a tag %s=, as no seal may", t)
		}
	}
	if t, has := tags["t"]; has && !isNumber(t) {
		return errors.New("t= is no time")
	}
	return nil
}

// parse reads an ARC-Message-Signature. One that covers only the beginning of a body (l=) is
// not taken: anything could have been added.
func (s *messageSignature) parse() error {
	tags, err := s.signature.parse()
	if err != nil {
		return err
	}
	var ok bool
	if s.header, s.body, ok = sig.ParseCanon(tags["c"]); !ok {
		return errors.New("c= names a canonical form that there is not")
	}
	for _, name := range tags.List("h") {
		s.headers = append(s.headers, strings.ToLower(name))
	}
	switch {
	case len(s.headers) == 0 || slices.Contains(s.headers, ""):
		return errors.New("h= does not list header fields")
	case slices.Contains(s.headers, nameSeal):
		return errors.New("h= lists ARC-Seal, as it must not")
	case !slices.Contains(s.headers, "from"):
		return errors.New("h= does not list From")
	}
	if _, has := tags["l"]; has {
		return errors.New("it covers a part of the body alone (l=)")
	}
	if t, has := tags["t"]; has && !isNumber(t) {
		return errors.New("t= is no time")
	}
	s.bodyHash, err = sig.Base64(tags["bh"])
	if err != nil || len(s.bodyHash) != sha256.Size {
		return errors.New("bh= is no SHA-256 hash")
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 12 && strings.Trim(s, "0123456789") == ""
}

// isDomain reports whether s is labels with dots between, as A-labels.
func isDomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
