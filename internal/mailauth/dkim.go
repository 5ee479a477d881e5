package mailauth

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// Bounds of what one message costs.
const (
	maxHeader     = 1 << 20          // octets of a header
	maxSignatures = 10               // that are verified
	maxTime       = 20 * time.Second // for all questions of one check
)

// DKIM is the outcome for one signature (RFC 6376, 8301, 8463).
type DKIM struct {
	Result    Result // Pass, Fail, Neutral, Policy, TempError or PermError
	Domain    string // d=, in A-labels and lower case, "" if there is none that is a name
	Selector  string // s=
	Identity  string // i=, or what stands for it; "" if it is too long or not in ASCII
	Algorithm string // a=: "rsa-sha256" or "ed25519-sha256", or what was asked for
	B         string // the first 8 characters of b=, to tell signatures apart (RFC 6008)
	Reason    string // in words for the admin, without a full stop; "" for a plain pass
	Bits      int    // of the key; 0 if it is not known
}

// VerifyDKIM verifies the signatures of a message, which is read once, its body to the end
// only if a signature needs it. Results come in the order of the signatures; none if there
// are none. Of many, ten are verified, three of them to the end of a body above 4 MiB, those
// whose domain is the author's or related to it first; a last result of Policy tells how
// many are left out.
//
// A signature that covers only a part of the body (l=) counts as none: Policy; so does one
// that would take too long to verify, see pick and verifyAll. One that expired, is made with
// SHA-1 or with a short key is PermError. If the domain is only testing (t=y), a signature
// that fails is Neutral. The error is that of msg.
func VerifyDKIM(ctx context.Context, r Resolver, msg io.Reader) ([]DKIM, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	in := bufio.NewReaderSize(msg, 32<<10)
	raw, err := message.ReadHeader(in, maxHeader)
	long := errors.Is(err, message.ErrHeaderTooLong)
	if err != nil && !long {
		return nil, err
	}
	header := sig.NewHeader(raw)
	fields := header.Named("DKIM-Signature")
	if len(fields) == 0 {
		return nil, nil
	}
	if long {
		return []DKIM{{Result: PermError, Reason: fmt.Sprintf("the header is longer than %d octets", maxHeader)}}, nil
	}
	author, _ := AuthorDomain(raw)
	signatures, left := choose(fields, author)
	findKeys(ctx, r, signatures)
	var open []*signature
	for _, s := range signatures {
		if s.readKey() && s.pick(header) {
			open = append(open, s)
		}
	}
	if err := verifyAll(in, open); err != nil {
		return nil, err
	}
	results := make([]DKIM, 0, len(signatures)+1)
	for _, s := range signatures {
		results = append(results, s.DKIM)
	}
	if left > 0 {
		results = append(results, DKIM{Result: Policy, Reason: fmt.Sprintf("%d more signatures are not looked at", left)})
	}
	return results, nil
}

// choose reads the signatures and takes those that are worth most, and says how many it
// leaves. They stay in their order.
func choose(fields []message.Field, author string) (chosen []*signature, left int) {
	at := map[*signature]int{}
	for i, f := range fields {
		s := readSignature(f.Raw)
		switch {
		case s.Result != "":
			s.rank = 4 // it is concluded, whatever the rest
		case s.Domain == author:
			s.rank = 1
		case author != "" && (inDomain(s.Domain, author) || inDomain(author, s.Domain)):
			s.rank = 2
		default:
			s.rank = 3
		}
		chosen, at[s] = append(chosen, s), i
	}
	slices.SortStableFunc(chosen, func(a, b *signature) int { return cmp.Compare(a.rank, b.rank) })
	left = max(len(chosen)-maxSignatures, 0)
	chosen = chosen[:len(chosen)-left]
	slices.SortFunc(chosen, func(a, b *signature) int { return cmp.Compare(at[a], at[b]) })
	return chosen, left
}

// findKeys asks for the records of all signatures that are not yet concluded, at the same
// time and each but once. The questions end with ctx.
func findKeys(ctx context.Context, r Resolver, signatures []*signature) {
	var all sync.WaitGroup
	asked := map[string]*answer{}
	for _, s := range signatures {
		if s.Result != "" {
			continue
		}
		name := s.Selector + "._domainkey." + s.Domain
		if asked[name] == nil {
			a := &answer{}
			asked[name] = a
			all.Go(func() { a.records, a.err = r.LookupTXT(ctx, name) })
		}
		s.answer = asked[name]
	}
	all.Wait()
}

// readKey takes the key out of the answer; without one that serves, the signature is
// concluded. It tells whether it is still open.
func (s *signature) readKey() bool {
	if s.Result != "" {
		return false
	}
	var err error
	switch {
	case s.answer.err != nil && notFound(s.answer.err):
		s.fail(PermError, fmt.Sprintf("there is no key at %s._domainkey.%s", s.Selector, s.Domain))
		return false
	case s.answer.err != nil:
		s.fail(TempError, fmt.Sprintf("the key at %s._domainkey.%s cannot be asked for: %v", s.Selector, s.Domain, s.answer.err))
		return false
	}
	s.key, err = sig.FindKey(s.answer.records, s.kind)
	s.Bits = s.key.Bits
	switch {
	case err != nil:
		s.fail(PermError, fmt.Sprintf("%v, at %s._domainkey.%s", err, s.Selector, s.Domain))
	case s.key.Strict && s.identityDomain != s.Domain:
		s.fail(PermError, "the key is for addresses at its very domain (t=s), i= has one below it")
	}
	return s.Result == ""
}

// failKey is that a signature does not verify, which is nothing if the domain is testing.
func (s *signature) failKey(reason string) {
	if s.key.Testing {
		s.fail(Neutral, reason+"; the domain is only testing DKIM (t=y)")
		return
	}
	s.fail(Fail, reason)
}
