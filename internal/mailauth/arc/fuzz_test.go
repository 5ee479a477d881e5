package arc

import (
	"crypto/ed25519"
	"testing"

	"kurir/internal/mailauth"
	"kurir/internal/message"
)

// FuzzVerify: whatever a message holds, the outcome is one of four, with a reason where it is
// bad; and what is sealed then is judged as the seal says.
func FuzzVerify(f *testing.F) {
	f.Add(suiteMessage(f, "cv_pass_i1_1"))
	f.Add(suiteMessage(f, "cv_pass_i2_2"))
	f.Add(crlf(suiteMessage(f, "cv_pass_i2_1_ams1_invalid")))
	f.Add("ARC-Seal: i=1; cv=fail\nARC-Message-Signature: i=1\nARC-Authentication-Results: i=1;\n\n")
	f.Add("ARC-Seal: i=(x\nARC-Authentication-Results: (i)i((=)1;;")
	s, r := suiteSealer(), suiteDNS()
	f.Fuzz(func(t *testing.T, msg string) {
		c := verifyText(t, r, msg)
		if ok := c.Result == mailauth.None || c.Result == mailauth.Pass; ok != (c.Reason == "") || !ok && c.Result != mailauth.Fail {
			t.Fatalf("%+v", c)
		}
		if c.Result == mailauth.Pass && (len(c.Sets) == 0 || c.OldestPass > len(c.Sets)) || c.Result == mailauth.None && len(c.Sets) > 0 {
			t.Fatalf("%+v", c)
		}
		header := sealText(t, s, r, msg)
		if header == "" {
			return
		}
		if n := len(fieldNames(header)); n != 3 {
			t.Fatalf("%d fields: %s", n, header)
		}
		if !startsField(msg) {
			return
		}
		want := mailauth.Pass
		if c.Result == mailauth.Fail {
			want = mailauth.Fail
		}
		if after := verifyText(t, r, header+msg); after.Result != want {
			t.Fatalf("%+v was sealed and became %+v", c, after)
		}
	})
}

func fieldNames(header string) (names []string) {
	for f := range message.Fields([]byte(header)) {
		names = append(names, f.Name)
	}
	return names
}

// suiteSealer has a key of Ed25519 that is always the same; its record is in suiteDNS.
func suiteSealer() *Sealer {
	return &Sealer{Domain: "example.org", Selector: "e", Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Now: at(12345)}
}

// startsField reports whether a message begins with a line that does not go on with the one
// that is put above it.
func startsField(msg string) bool {
	return msg == "" || msg[0] != ' ' && msg[0] != '\t'
}
