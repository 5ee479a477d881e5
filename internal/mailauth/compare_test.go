package mailauth

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// Of messages with an octet changed, lost or added anywhere, the library alone and what is
// around it here take the same for good.
func TestDKIMAgainstLibrary(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	random := rand.New(rand.NewPCG(1, 2))
	good := 0
	for _, canon := range []string{"simple/simple", "relaxed/relaxed", "simple/relaxed", "relaxed/simple"} {
		text := signed(t, "ed25519", canon, letterHeader+"a line \r\n\r\n another\tone\r\n\r\n")
		for range 1000 {
			changed := mutated(random, text)
			ours, err := VerifyDKIM(t.Context(), z, strings.NewReader(changed))
			if err != nil {
				t.Fatal(err)
			}
			pass := len(ours) == 1 && ours[0].Result == Pass
			if other := passes(z, changed); pass != other && !judgedApart(changed) {
				t.Errorf("%s: ours %+v, the library %v, of\n%q", canon, ours, other, changed)
			}
			if pass {
				good++
			}
		}
	}
	if good < 150 {
		t.Errorf("only %d changes that do no harm: the test says little", good)
	}
}

// mutated is a text with one octet changed, lost or added.
func mutated(random *rand.Rand, text string) string {
	const octets = " \t\r\n;=:aB@\x00\xff"
	i := random.IntN(len(text))
	c := octets[random.IntN(len(octets)):][:1]
	switch random.IntN(3) {
	case 0:
		return text[:i] + c + text[i+1:]
	case 1:
		return text[:i] + text[i+1:]
	}
	return text[:i] + c + text[i:]
}

// passes tells what the library alone says of a message's only signature.
func passes(z *zone, text string) bool {
	all, err := dkim.VerifyWithOptions(strings.NewReader(text), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if strings.EqualFold(name, "s._domainkey.example.org") {
			return z.txt["s._domainkey.example.org"], nil
		}
		return nil, errDisk
	}})
	return err == nil && len(all) == 1 && all[0].Err == nil
}

// judgedApart tells of changes that the two see differently: here, a header does not begin
// with white space, and a CR is no part of what stands around a name.
func judgedApart(changed string) bool {
	return changed[0] == ' ' || changed[0] == '\t' || strings.Contains(changed, "\r:")
}
