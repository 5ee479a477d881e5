package arc

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// Sealer adds sets to chains. It may be used by several goroutines if Key may.
type Sealer struct {
	Domain   string           // d=, A-labels
	Selector string           // s=; the public key is published at Selector._domainkey.Domain
	Key      crypto.Signer    // *rsa.PrivateKey, which others can be sure to know, or ed25519.PrivateKey
	Now      func() time.Time // nil means time.Now
}

// oversigned are the fields that people see or that say how to read the rest. They are
// signed as often as they are there and once more, so that none can be added unnoticed:
// whoever changes a message on its way, as a mailing list does, seals it anew and leaves this
// signature to history, so that nothing is lost by signing much.
var oversigned = []string{
	"from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references",
	"mime-version", "content-type", "content-transfer-encoding",
}

// signed are signed as often as they are there. Fields of the journey are not, nor
// Authentication-Results, which the next server may remove (RFC 8617 section 4.1.2).
var signed = []string{
	"sender", "resent-from", "resent-to", "resent-date", "resent-message-id", "autocrypt",
	"list-id", "list-unsubscribe", "list-unsubscribe-post", "list-post", "dkim-signature",
}

// maxSigned is how many fields of a name are signed.
const maxSigned = 20

// Seal makes the ARC Set that says what this server found in the message msg: chain is what
// Verify found in it and results the value of an Authentication-Results field, which may be
// folded. The three fields come in CRLF lines, to be put above all of msg, which must not be
// changed any more.
//
// A chain that failed gets one last set with cv=fail that covers itself alone (RFC 8617
// section 5.1.2). Nothing, and no error, comes back where no set can follow: after cv=fail,
// after the 50th set, above a header that is too long, and for a chain that could not be judged.
//
// Possible errors: those of msg and Key; results that are no field's value, and a chain that
// is not that of msg.
func (s *Sealer) Seal(msg io.Reader, chain Chain, results string) (header []byte, err error) {
	results, err = checkResults(results)
	if err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(msg, 32<<10)
	raw, err := message.ReadHeader(br, maxHeader)
	if errors.Is(err, message.ErrHeaderTooLong) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sets, cv, err := before(raw, chain)
	if err != nil || cv == "" {
		return nil, err
	}
	bodies := bodies{}
	bodies.want(sig.Relaxed)
	if err := bodies.read(br); err != nil {
		return nil, err
	}
	i := len(sets) + 1
	if cv == "fail" {
		i, sets = nextInstance(raw), nil
	}
	if i > maxSets {
		return nil, nil
	}
	set := arcSet{aar: fmt.Appendf(nil, "ARC-Authentication-Results: i=%d; %s\r\n", i, results)}
	if set.ams.raw, err = s.signMessage(i, sig.NewHeader(raw), bodies[sig.Relaxed].sum); err != nil {
		return nil, err
	}
	if set.as.raw, err = s.sign(i, append(sets, set), cv); err != nil {
		return nil, err
	}
	return slices.Concat(set.as.raw, set.ams.raw, set.aar), nil
}

// before finds the sets to build upon and what to say of them, cv "" for nothing at all.
func before(raw []byte, chain Chain) (sets []arcSet, cv string, err error) {
	sets, err = collect(raw)
	switch chain.Result {
	case mailauth.None, mailauth.Pass:
		if err == nil && len(sets) != len(chain.Sets) || err != nil {
			return nil, "", errors.New("arc: the chain is not that of this message")
		}
		cv = "pass"
		if len(sets) == 0 {
			cv = "none"
		}
	case mailauth.Fail:
		if cv = "fail"; hasFailed(raw) {
			cv = ""
		}
	}
	return sets, cv, nil
}

// hasFailed reports whether any seal says cv=fail, however broken the chain is.
func hasFailed(raw []byte) bool {
	for _, f := range sig.NewHeader(raw).Named(nameSeal) {
		if tags, err := sig.ParseTags(value(f.Raw)); err == nil && strings.EqualFold(tags["cv"], "fail") {
			return true
		}
	}
	return false
}

// nextInstance is one more than the highest instance that any ARC field claims.
func nextInstance(raw []byte) int {
	highest := 0
	for f := range message.Fields(raw) {
		switch strings.ToLower(f.Name) {
		case nameResults, nameMessage, nameSeal:
			if i, err := instance(f); err == nil {
				highest = max(highest, i)
			}
		}
	}
	return highest + 1
}

// checkResults lets nothing through that would begin a field of its own.
func checkResults(results string) (string, error) {
	results = strings.Trim(results, " \t\r\n")
	unfolded := strings.NewReplacer("\r\n ", " ", "\r\n\t", "\t").Replace(results)
	if results == "" || strings.ContainsAny(unfolded, "\r\n\x00") {
		return "", errors.New("arc: the results are not the value of a header field")
	}
	return results, nil
}

// signMessage makes the ARC-Message-Signature.
func (s *Sealer) signMessage(i int, header *sig.Header, bodyHash []byte) ([]byte, error) {
	m := messageSignature{header: sig.Relaxed, body: sig.Relaxed, headers: headersToSign(header)}
	head, err := s.head("ARC-Message-Signature", i)
	if err != nil {
		return nil, err
	}
	m.raw = fmt.Appendf(nil, "%s\r\n\tc=relaxed/relaxed;\r\n\th=%s;\r\n\tbh=%s;\r\n\tb=\r\n", head,
		fold(strings.Join(m.headers, ":"), ":"), base64.StdEncoding.EncodeToString(bodyHash))
	return s.finish(m.raw, messageDigest(header, &m))
}

// headersToSign is h= for a header.
func headersToSign(header *sig.Header) []string {
	var h []string
	for _, name := range oversigned {
		for range min(len(header.Named(name))+1, maxSigned) {
			h = append(h, name)
		}
	}
	for _, name := range signed {
		for range min(len(header.Named(name)), maxSigned) {
			h = append(h, name)
		}
	}
	return h
}

// sign makes the ARC-Seal over the sets, the last of which is the one without a seal.
func (s *Sealer) sign(i int, sets []arcSet, cv string) ([]byte, error) {
	head, err := s.head("ARC-Seal", i)
	if err != nil {
		return nil, err
	}
	raw := fmt.Appendf(nil, "%s cv=%s;\r\n\tb=\r\n", head, cv)
	sets[len(sets)-1].as.raw = raw
	return s.finish(raw, sealDigest(sets))
}

// head is how both signatures begin.
func (s *Sealer) head(name string, i int) (string, error) {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	algorithm := "rsa-sha256"
	switch key := s.Key.Public().(type) {
	case ed25519.PublicKey:
		algorithm = "ed25519-sha256"
	case *rsa.PublicKey:
	default:
		return "", fmt.Errorf("arc: no signatures are made with keys of type %T", key)
	}
	return name + ": i=" + strconv.Itoa(i) + "; a=" + algorithm + "; t=" + strconv.FormatInt(now().Unix(), 10) +
		";\r\n\td=" + s.Domain + "; s=" + s.Selector + ";", nil
}

// finish puts the signature of digest behind the empty b= that raw ends with.
func (s *Sealer) finish(raw, digest []byte) ([]byte, error) {
	opts := crypto.SignerOpts(crypto.SHA256)
	if _, ok := s.Key.Public().(ed25519.PublicKey); ok {
		opts = crypto.Hash(0) // RFC 8463 section 3: the hash is the message
	}
	signed, err := s.Key.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSuffix(raw, []byte("\r\n"))
	return fmt.Appendf(raw, "%s\r\n", fold(base64.StdEncoding.EncodeToString(signed), "")), nil
}

// fold breaks s into lines of some 70 octets, behind sep where there is one.
func fold(s, sep string) string {
	var b strings.Builder
	for len(s) > 70 {
		n := 70
		if sep != "" {
			n = strings.LastIndex(s[:70], sep) + 1
		}
		b.WriteString(s[:n] + "\r\n\t ")
		s = s[n:]
	}
	return b.String() + s
}
