package arc

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kurir/internal/mailauth"
	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// heads are the tags of one set, all but b=. An empty one is that of an honest server; in a
// message signature bh=$ stands for the hash of the body.
type heads struct{ aar, ams, as string }

const honestAMS = "a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=r; t=1700000000; h=from:subject; bh=$"

// forge puts sets above msg whose signatures fit, whatever the tags say, so that only the
// rules about the tags are tried.
func forge(t testing.TB, s *Sealer, msg string, all ...heads) string {
	t.Helper()
	var sets []arcSet
	for n, h := range all {
		i := n + 1
		if h.aar == "" {
			h.aar = fmt.Sprintf("i=%d; mx.example.net; spf=pass", i)
		}
		if h.ams == "" {
			h.ams = fmt.Sprintf("i=%d; %s", i, honestAMS)
		}
		if h.as == "" {
			h.as = fmt.Sprintf("i=%d; a=rsa-sha256; d=example.net; s=r; cv=%s", i, []string{"none", "pass"}[min(n, 1)])
		}
		set := arcSet{aar: []byte("ARC-Authentication-Results: " + h.aar + "\r\n")}
		_, body, _ := strings.Cut(msg, "\r\n\r\n")
		tags, _ := sig.ParseTags(h.ams)
		m := messageSignature{headers: tags.List("h")}
		m.header, m.body, _ = sig.ParseCanon(tags["c"])
		hash := base64.StdEncoding.EncodeToString(hashOf(m.body, body))
		m.raw = []byte("ARC-Message-Signature: " + strings.Replace(h.ams, "$", hash, 1) + "; b=\r\n")
		set.ams.raw = forgeSign(t, s, m.raw, messageDigest(sig.NewHeader([]byte(string(set.aar)+msg)), &m))
		set.as.raw = []byte("ARC-Seal: " + h.as + "; b=\r\n")
		sets = append(sets, set)
		sets[n].as.raw = forgeSign(t, s, set.as.raw, sealDigest(sets))
		msg = string(slices.Concat(sets[n].as.raw, sets[n].ams.raw, sets[n].aar)) + msg
	}
	return msg
}

func forgeSign(t testing.TB, s *Sealer, raw, digest []byte) []byte {
	t.Helper()
	raw, err := s.finish(raw, digest)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fieldsOf are the first n fields of a message and what follows them.
func fieldsOf(msg string, n int) (fields []string, rest string) {
	for f := range message.Fields([]byte(msg)) {
		if len(fields) < n {
			fields = append(fields, string(f.Raw))
		}
	}
	return fields, strings.TrimPrefix(msg, strings.Join(fields, ""))
}

func hashOf(c sig.Canon, body string) []byte {
	b := sig.NewBody(c)
	b.Write([]byte(body))
	return b.Sum()
}

// tagCase is a set whose tags differ from those of an honest server.
type tagCase struct {
	name, old, new string
	reason         string // "" for a chain that passes
	asked          int    // keys
}

func (c tagCase) run(t *testing.T, honest string, make func(tags string) heads) {
	t.Run(c.name, func(t *testing.T) {
		by, r := sealers(t)
		tags := strings.Replace(honest, c.old, c.new, 1)
		if tags == honest && c.old != c.new {
			t.Fatal("nothing was changed")
		}
		chain := verifyText(t, r, forge(t, by["r"], crlf(plain), make(tags)))
		want := mailauth.Fail
		if c.reason == "" {
			want = mailauth.Pass
		}
		if chain.Result != want || !strings.Contains(chain.Reason, c.reason) || len(r.asked) != c.asked {
			t.Errorf("%s, %q, %d keys asked for; want %s, %q, %d", chain.Result, chain.Reason, len(r.asked), want, c.reason, c.asked)
		}
	})
}

// RFC 8617 section 4.1.2 and RFC 6376 section 3.5.
func TestMessageSignatureTags(t *testing.T) {
	for _, c := range []tagCase{
		{"honest", "", "", "", 1},
		{"simple", "relaxed/relaxed", "simple/simple", "", 1},
		{"header simple, body relaxed", "relaxed/relaxed", "simple/relaxed", "", 1},
		{"body simple where it is not said", "relaxed/relaxed", "relaxed", "", 1},
		{"no c= is simple", " c=relaxed/relaxed;", "", "", 1},
		{"an unknown tag", "t=17", "zz=?; t=17", "", 1},
		{"an expired signature counts in its chain", "t=17", "x=1; t=17", "", 1},
		{"no time", " t=1700000000;", "", "", 1},
		{"white space around names", "h=from:subject", "h = From :\r\n\t SUBJECT", "", 1},
		{"signed twice, there once", "h=from:subject", "h=from:from:subject:subject:x-none", "", 1},
		{"the domain in capitals", "d=example.net", "d=Example.NET", "", 1},
		{"older sets may be signed", "h=from", "h=arc-message-signature:arc-authentication-results:from", "", 1},

		{"instance missing", "i=1; ", "", "it has no instance", 0},
		{"instance empty", "i=1", "i=", `instance is ""`, 0},
		{"instance 0", "i=1", "i=0", `instance is "0"`, 0},
		{"instance 51", "i=1", "i=51", `instance is "51"`, 0},
		{"instance with a sign", "i=1", "i=+1", `instance is "+1"`, 0},
		{"instance with zeros", "i=1", "i=001", `instance is "001"`, 0},
		{"instance in words", "i=1", "i=one", `instance is "one"`, 0},
		{"instance of another set", "i=1", "i=2", "ARC set i=1 is not whole", 0},
		{"instance in a capital", "i=1", "I=1", "it has no instance", 0},
		{"a tag twice", "a=rsa", "d=example.net; a=rsa", "d= is there twice", 0},
		{"a tag without a value", "a=rsa", "zz; a=rsa", `"zz" is no tag`, 0},
		{"a tag that begins with a digit", "a=rsa", "1z=1; a=rsa", `"1z=1" is no tag`, 0},
		{"SHA-1", "rsa-sha256", "rsa-sha1", "a=rsa-sha1 is no algorithm", 0},
		{"no algorithm", "a=rsa-sha256; ", "", "a= is no algorithm", 0},
		{"algorithm of another key", "a=rsa-sha256", "a=ed25519-sha256", "the key is one for rsa, the signature says ed25519", 1},
		{"a canonicalization that there is not", "relaxed/relaxed", "relaxed/none", "c= names", 0},
		{"half a canonicalization", "relaxed/relaxed", "relaxed/", "c= names", 0},
		{"no domain", " d=example.net;", "", "d= is no domain", 0},
		{"a top level domain", "d=example.net", "d=net", "d=net is no domain", 0},
		{"a domain with a hole", "d=example.net", "d=example..net", "is no domain", 0},
		{"no selector", " s=r;", "", "s= is no selector", 0},
		{"a selector of a path", "s=r;", "s=../r;", "is no selector", 0},
		{"no h=", " h=from:subject;", "", "h= does not list header fields", 0},
		{"From not signed", "h=from:", "h=", "h= does not list From", 0},
		{"ARC-Seal signed", "h=from", "h=from:arc-seal", "h= lists ARC-Seal", 0},
		{"a part of the body", "t=17", "l=3; t=17", "a part of the body", 0},
		{"a time in words", "t=17", "t=now17", "t= is no time", 0},
		{"no hash", "; bh=$", "", "bh= is no SHA-256 hash", 0},
		{"a hash that is short", "bh=$", "bh=AAAA", "bh= is no SHA-256 hash", 0},
		{"another hash", "bh=$", "bh=" + strings.Repeat("A", 43) + "=", "the body is not as it was", 0},
		{"no key there", "s=r", "s=q", "q._domainkey.example.net: there is no key record", 1},
	} {
		c.run(t, "i=1; "+honestAMS, func(tags string) heads { return heads{ams: tags} })
	}
}

// RFC 8617 section 4.1.3.
func TestSealTags(t *testing.T) {
	for _, c := range []tagCase{
		{"honest", "", "", "", 1},
		{"cv in capitals", "cv=none", "cv=NONE", "", 1},
		{"a time", "cv=none", "t=12; cv=none", "", 1},
		{"an unknown tag", "cv=none", "zz=?; cv=none", "", 1},
		{"h=", "cv=none", "h=from; cv=none", "it has a tag h=", 0},
		{"bh=", "cv=none", "bh=AAAA; cv=none", "it has a tag bh=", 0},
		{"a time in words", "cv=none", "t=now; cv=none", "t= is no time", 0},
		{"no cv", "; cv=none", "", "says cv= where only none can be", 0},
		{"cv of a word of its own", "cv=none", "cv=maybe", "says cv=maybe where only none can be", 0},
		{"cv=pass in the first", "cv=none", "cv=pass", "says cv=pass where only none can be", 0},
		{"cv=fail in the first", "cv=none", "cv=fail", "found that the chain had failed before", 0},
		{"instance missing", "i=1; ", "", "it has no instance", 0},
		{"SHA-1", "rsa-sha256", "rsa-sha1", "a=rsa-sha1 is no algorithm", 0},
		{"no domain", "d=example.net", "d=", "d= is no domain", 0},
		{"another selector has no key", "s=r", "s=q", "q._domainkey.example.net: there is no key record", 2},
	} {
		c.run(t, "i=1; a=rsa-sha256; d=example.net; s=r; cv=none", func(tags string) heads { return heads{as: tags} })
	}
}

// RFC 8617 section 4.1.1: the instance comes first, with white space and comments.
func TestResultsInstance(t *testing.T) {
	for _, c := range []tagCase{
		{"honest", "", "", "", 1},
		{"comments", "i=1", "(a) i (b)\r\n\t= (c) 1 (d)(e)", "", 1},
		{"a zero before it", "i=1", "i=01", "", 1},
		{"nothing behind it", "; mx.example.net; spf=pass", ";", "", 1},
		{"no semicolon", "; mx.example.net; spf=pass", "", "it has no instance", 0},
		{"later", "i=1; mx.example.net", "mx.example.net; i=1", "it has no instance", 0},
		{"a capital", "i=1", "I=1", "it has no instance", 0},
		{"an open comment", "i=1", "i=1 (", "its instance is", 0},
		{"51", "i=1", "i=51", `its instance is "51"`, 0},
	} {
		c.run(t, "i=1; mx.example.net; spf=pass", func(tags string) heads { return heads{aar: tags} })
	}
}

// RFC 8617 section 5.2 step 3: what the seals of three sets may say, and nothing else.
func TestChainStatus(t *testing.T) {
	by, r := sealers(t)
	words := []string{"none", "pass", "fail"}
	for n := range 27 {
		cv := [3]string{words[n/9], words[n/3%3], words[n%3]}
		var all []heads
		for i, c := range cv {
			all = append(all, heads{as: fmt.Sprintf("i=%d; a=rsa-sha256; d=example.net; s=r; cv=%s", i+1, c)})
		}
		r.asked = nil
		c := verifyText(t, r, forge(t, by["r"], crlf(plain), all...))
		want := mailauth.Fail
		if cv == [3]string{"none", "pass", "pass"} {
			want = mailauth.Pass
		}
		if c.Result != want || want == mailauth.Fail && len(r.asked) != 0 {
			t.Errorf("%v: %+v, asked %v", cv, c, r.asked)
		}
	}
}

// A message signature of the past that makes no sense breaks nothing, but it is no longer
// known what the message was then.
func TestOldMessageSignature(t *testing.T) {
	by, r := sealers(t)
	msg := forge(t, by["r"], crlf(plain), heads{}, heads{ams: "i=2; " + strings.Replace(honestAMS, "from:", "", 1)}, heads{})
	if c := verifyText(t, r, msg); c.Result != mailauth.Pass || c.OldestPass != 3 {
		t.Errorf("%+v", c)
	}
}
