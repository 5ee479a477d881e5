// Package arc verifies and seals the Authenticated Received Chain of a message (RFC 8617):
// the ARC Sets by which the servers that passed a message on say what they found when it
// reached them. It knows nothing of what a verdict makes of a chain, and asks the DNS for
// keys alone, through the resolver that it is given.
//
// All that a stranger can make large is bounded: a header of more than 512 KiB or a chain of
// more than 50 sets has failed, a body is read once and never held, a key is asked for once,
// and never for a chain whose form is wrong already.
package arc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

const (
	maxSets   = 50               // RFC 8617 section 4.2.1
	maxHeader = 512 << 10        // what of a header is held
	maxKeys   = 60               // key records that one chain may ask for
	maxTime   = 20 * time.Second // for all of them
)

// TXTResolver looks TXT records up as *net.Resolver does: its errors are *net.DNSError, and
// IsNotFound says that there is no such record; any other error is one that may pass.
type TXTResolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Chain is what Verify found.
type Chain struct {
	// Result is None for a message without ARC fields, Pass, Fail, or TempError when a key
	// could not be asked for and nothing else was wrong so far.
	Result mailauth.Result
	// Sets are the sets of a chain whose form is right, the first instance first. What they
	// say is worth something only when Result is Pass, and then as much as the domains are.
	Sets []Set
	// OldestPass is, for a chain that passed, 0 if the message is still as the first sealer
	// had it, else the lowest instance from which on nothing that was signed has changed
	// (RFC 8617 section 5.2, steps 5 to 7).
	OldestPass int
	Reason     string // one sentence for people, "" for None and Pass
}

// Set is one server's contribution to a chain.
type Set struct {
	Instance int    // 1 to 50
	Domain   string // that sealed it: d= of ARC-Seal, in lower case
	Results  string // of ARC-Authentication-Results, what stands behind the instance: a value as RFC 8601 has it, unfolded
}

// Verify judges the chain of the message msg (RFC 8617 section 5.2). The body is read to its
// end, unless the header has shown already how it ends. The error says that msg could not be
// read; whatever a message holds is no error but a Chain.
func Verify(ctx context.Context, r TXTResolver, msg io.Reader) (Chain, error) {
	br := bufio.NewReaderSize(msg, 32<<10)
	raw, err := message.ReadHeader(br, maxHeader)
	if errors.Is(err, message.ErrHeaderTooLong) {
		return Chain{Result: mailauth.Fail, Reason: fmt.Sprintf("the header has more than %d octets", maxHeader)}, nil
	}
	if err != nil {
		return Chain{}, err
	}
	sets, err := collect(raw)
	if err != nil {
		return Chain{Result: mailauth.Fail, Reason: err.Error()}, nil
	}
	if len(sets) == 0 {
		return Chain{Result: mailauth.None}, nil
	}
	bodies := bodies{}
	for i := range sets {
		bodies.want(sets[i].ams.body)
	}
	if err := bodies.read(br); err != nil {
		return Chain{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	v := &verifier{ctx: ctx, keys: keyring{resolver: r}, header: sig.NewHeader(raw), bodies: bodies, sets: sets}
	return v.chain(), nil
}

// verifier has what the signatures of one message are checked with.
type verifier struct {
	ctx    context.Context
	keys   keyring
	header *sig.Header
	bodies bodies
	sets   []arcSet
}

// chain checks the newest message signature and then each seal, the newest first: a chain
// that was broken on its way here shows it at once, for two keys at most.
func (v *verifier) chain() Chain {
	c := Chain{Result: mailauth.Pass}
	for i := range v.sets {
		c.Sets = append(c.Sets, v.sets[i].public())
	}
	err := v.message(len(v.sets) - 1)
	for i := len(v.sets) - 1; i >= 0 && err == nil; i-- {
		err = v.seal(i)
	}
	var temp *temporaryError
	switch {
	case errors.As(err, &temp):
		c.Result, c.Reason = mailauth.TempError, err.Error()
	case err != nil:
		c.Result, c.Reason = mailauth.Fail, err.Error()
	default:
		c.OldestPass = v.oldestPass()
	}
	return c
}

// message checks the message signature of set i.
func (v *verifier) message(i int) error {
	s := &v.sets[i].ams
	err := s.sound()
	if err == nil && !bytes.Equal(v.bodies[s.body].sum, s.bodyHash) {
		err = errors.New("the body is not as it was when it was signed")
	}
	if err == nil {
		err = v.keys.verify(v.ctx, &s.signature, messageDigest(v.header, s), "the header is not as it was when it was signed")
	}
	return about(err, "ARC-Message-Signature", &s.signature)
}

// seal checks the seal of set i, which covers all sets up to it.
func (v *verifier) seal(i int) error {
	s := &v.sets[i].as
	err := s.sound()
	if err == nil {
		err = v.keys.verify(v.ctx, s, sealDigest(v.sets[:i+1]), "the ARC fields are not as they were when they were sealed")
	}
	return about(err, "ARC-Seal", s)
}

// oldestPass finds the value of that name for a chain that passed. A message signature
// whose key can't be had counts as one that no longer matches.
func (v *verifier) oldestPass() int {
	for i := len(v.sets) - 2; i >= 0; i-- {
		if v.message(i) != nil {
			return i + 2
		}
	}
	return 0
}

func about(err error, field string, s *signature) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s i=%d of %s: %w", field, s.instance, s.domain, err)
}
