package mailauth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/mailauth/sig"
)

// made signs a letter with exactly the tags given, v, a, bh and b added where they are
// missing.
func made(t testing.TB, tags, message string) string {
	t.Helper()
	_, body, _ := strings.Cut(message, "\r\n\r\n")
	given, err := sig.ParseTags(tags)
	if err != nil {
		t.Fatal(err)
	}
	headerForm, bodyForm, _ := sig.ParseCanon(given.Compact("c"))
	hashed := sig.NewBody(bodyForm)
	hashed.Write([]byte(body))
	for _, d := range [][2]string{{"v", "1"}, {"a", "ed25519-sha256"}, {"bh", base64.StdEncoding.EncodeToString(hashed.Sum())}} {
		if _, has := given[d[0]]; !has {
			tags = d[0] + "=" + d[1] + "; " + tags
		}
	}
	field := "DKIM-Signature: " + tags + "; b="
	h := sha256.New()
	sig.NewHeader([]byte(message)).Write(h, headerForm, given.List("h"), nil)
	h.Write(headerForm.Field(nil, []byte(field)))
	value := ed25519.Sign(keys()["ed25519"].(ed25519.PrivateKey), h.Sum(nil))
	return field + base64.StdEncoding.EncodeToString(value) + "\r\n" + message
}

const letter = letterHeader + "text\r\n"

func TestDKIMTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix() // 2000-01-01
		good := published(keys()["ed25519"])
		long := strings.Repeat("s", 63) // RFC 6376 section 3.1: selectors are sub-domains, of labels up to 63 octets
		z := texts("s._domainkey.example.org", good, "s._domainkey.xn--mnchen-3ya.example", good, long+".s._domainkey.example.org", good)
		for _, c := range []struct {
			tags  string
			want  Result
			words string
		}{
			{"d=example.org; s=s; h=From", Pass, ""},
			{"d=EXAMPLE.org; s=S; h=FROM : to; c=relaxed; q=dns/txt", Pass, ""},
			{"d=example.org; s=s; h=From; q=other:dns/txt; x_new=1", Pass, ""},
			{"d=m\u00fcnchen.example; s=s; h=From", Pass, ""}, // RFC 8616 section 4
			{"d=example.org; s=s; h=From; i=joe@sub.example.org", Pass, ""},
			{"d=example.org; s=s; h=From; i=joe@Example.org", PermError, "it cannot be verified: domain mismatch"}, // the library compares letters
			{"d=example.org; s=s; h=From; i=@example.org", Pass, ""},
			{"d=example.org; s=" + long + ".s; h=From", Pass, ""},
			{"d=example.org; s=s; h=From; i=joe@example.com", PermError, "i= is not at example.org"},
			{"d=example.org; s=s; h=From; i=joe@notexample.org", PermError, "i= is not at example.org"},
			{"d=example.org; s=s; h=From; i=example.org", PermError, "i= is not at example.org"},
			{fmt.Sprintf("d=example.org; s=s; h=From; t=%d; x=%d", now-9, now+9), Pass, ""},
			{fmt.Sprintf("d=example.org; s=s; h=From; x=%d", now-1), PermError, "it expired at 1999-12-31 23:59:59"},
			{"d=example.org; s=s; h=From; x=999999999999", Pass, ""},
			{"d=example.org; s=s; h=From; x=99999999999999999999999", PermError, "x= is no time"},
			{"d=example.org; s=s; h=From; t=x", PermError, "t= is no time"},
			{"d=example.org; s=s; h=From; x=-1", PermError, "x= is no time"},
			{fmt.Sprintf("d=example.org; s=s; h=From; t=%d; x=%d", now+9, now+9), PermError, "it expires (x=) before it was made"},
			{"d=example.org; s=s; h=From; l=5", Policy, "only a part of the body is signed"},
			{"d=example.org; s=s; h=From; l=0; x=1", PermError, "it expired"},
			{"a=rsa-sha1; d=example.org; s=s; h=From", PermError, "SHA-1"},
			{"a=rsa-sha256; d=example.org; s=s; h=From", PermError, "the key is one for ed25519"},
			{"a=ed448-sha512; d=example.org; s=s; h=From", PermError, "its algorithm is not known: ed448-sha512"},
			{"v=2; d=example.org; s=s; h=From", PermError, "a version that is not known"},
			{"d=example.org; s=s; h=Subject:To", PermError, "From is not signed"},
			{"d=example.org; s=s; h=From; c=relaxed/strict", PermError, "its canonical form is not known"},
			{"d=example.org; s=s; h=From; q=https", PermError, "its key is not in the DNS"},
			{"d=example.org; h=From", PermError, "the tag s= is missing"},
			{"s=s; h=From", PermError, "the tag d= is missing"},
			{"d=example.org; s=s", PermError, "the tag h= is missing"},
			{"d=not a_domain!; s=s; h=From", PermError, "d= is no domain"},
			{"d=example.org; s=..; h=From", PermError, "s= is no selector"},
			{"d=example.org; s=" + strings.Repeat("s", 300) + "; h=From", PermError, "s= is no selector"},
			{"bh=AAAA; d=example.org; s=s; h=From", PermError, "bh= is no hash"},
			{"d=example.org; s=none; h=From", PermError, "there is no key at none._domainkey.example.org"},
		} {
			text := made(t, c.tags, letter)
			d := verified(t, z, text)
			wantResult(t, c.tags, d.Result, c.want, d.Reason, c.words)
		}
		for i, want := range map[string]string{strings.Repeat("i", 64) + "@example.org": strings.Repeat("i", 64) + "@example.org", "\u00fc@example.org": "", strings.Repeat("i", 400) + "@example.org": ""} {
			if d := verified(t, z, made(t, "d=example.org; s=s; h=From; i="+i, letter)); d.Identity != want || d.Result != Pass {
				t.Errorf("i=%s is told as %q: %s (%s)", i, d.Identity, d.Result, d.Reason)
			}
		}
		d := verified(t, z, "DKIM-Signature: v=1; x\r\n"+letter)
		wantResult(t, "no tags", d.Result, PermError, d.Reason, `"x" is no tag`)
		d = verified(t, z, "DKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=s; h=From; bh="+strings.Repeat("A", 43)+"; b=!!\r\n"+letter)
		wantResult(t, "no base64", d.Result, PermError, d.Reason, "b= is no signature")
	})
}

func TestDKIMKeys(t *testing.T) {
	good := published(keys()["ed25519"])
	text := made(t, "d=example.org; s=s; h=From; i=@sub.example.org", letter)
	changed := strings.Replace(text, "text", "else", 1)
	for _, c := range []struct {
		record, text string
		want         Result
		words        string
	}{
		{good, text, Pass, ""},
		{good + "; t=y", text, Pass, "only testing"},
		{good + "; t=y", changed, Neutral, "only testing"},
		{good + "; t=s", text, PermError, "for addresses at its very domain"},
		{good + "; s=web", text, PermError, "the key is not for mail"},
		{"v=DKIM1; p=", text, PermError, "the key is revoked, at s._domainkey.example.org"},
		{"nothing", text, PermError, "there is no key record"},
	} {
		d := verified(t, texts("s._domainkey.example.org", c.record), c.text)
		wantResult(t, c.record, d.Result, c.want, d.Reason, c.words)
	}
	z := texts()
	z.fail["s._domainkey.example.org"] = true
	d := verified(t, z, text)
	wantResult(t, "no answer", d.Result, TempError, d.Reason, "the key at s._domainkey.example.org cannot be asked for")
}

// A hundred signatures cost ten questions and no more; the author's own is among the ten
// wherever it stands, and who reads the results is told of the others.
func TestManySignatures(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	mine := made(t, "d=example.org; s=s; h=From", letter)
	var b strings.Builder
	for i := range 99 {
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; d=x%d.test; s=s; h=From; bh=%s; b=AAAA\r\n", i, strings.Repeat("A", 43))
	}
	results, err := VerifyDKIM(t.Context(), z, strings.NewReader(b.String()+mine))
	if err != nil || len(results) != 11 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	if d := results[9]; d.Result != Pass || d.Domain != "example.org" {
		t.Errorf("the author's own: %+v", d)
	}
	if d := results[10]; d.Result != Policy || d.Reason != "90 more signatures are not looked at" {
		t.Errorf("the others: %+v", d)
	}
	if n := z.questions(); n != 10 {
		t.Errorf("%d questions", n)
	}
	// The same key, a hundred times: one question.
	b.Reset()
	for range 99 {
		b.WriteString(mine[:strings.Index(mine, "\r\n")+2])
	}
	results, err = VerifyDKIM(t.Context(), z, strings.NewReader(b.String()+mine))
	if err != nil || len(results) != 11 || results[9].Result != Pass || z.questions() != 1 {
		t.Errorf("%d results, %v", len(results), err)
	}
	// Signatures that cannot be read cost none and push no other out.
	broken := strings.Repeat("DKIM-Signature: nothing\r\n", 1000)
	results, err = VerifyDKIM(t.Context(), z, strings.NewReader(broken+mine))
	if err != nil || len(results) != 11 || results[9].Result != Pass || z.questions() != 1 {
		t.Errorf("behind broken ones: %d results, %v", len(results), err)
	}
}

// A header as long as is allowed is looked at, a longer one is not.
func TestLongHeaders(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	text := made(t, "d=example.org; s=s; h=From", letterHeader+"text")
	for size, want := range map[int]Result{maxHeader: Pass, maxHeader + 1: PermError} {
		more := size - strings.Index(text, "\r\n\r\n") - 4
		d := verified(t, z, strings.Replace(text, "From: A", "a:"+strings.Repeat("x", more-4)+"\r\nFrom: A", 1))
		words := map[Result]string{PermError: "the header is longer than 1048576 octets"}[want]
		wantResult(t, fmt.Sprint(size), d.Result, want, d.Reason, words)
	}
	results, err := VerifyDKIM(t.Context(), z, strings.NewReader(strings.Repeat("a:\r\n", maxHeader/4)+letterHeader))
	if len(results) != 0 || err != nil {
		t.Errorf("too long, not signed: %v, %v", results, err)
	}
}

// stuck is a resolver that never answers.
type stuck struct{ Resolver }

func (stuck) LookupTXT(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (stuck) LookupAddr(ctx context.Context, _ string) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// DNS that never answers ends each check after its time, with an outcome that may pass.
func TestNoAnswerEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		mine := made(t, "d=example.org; s=s; h=From", letter)
		d := verified(t, stuck{}, strings.Repeat(mine[:strings.Index(mine, "\r\n")+2], 20)+mine)
		wantResult(t, "DKIM", d.Result, TempError, d.Reason, "cannot be asked for")
		s := CheckSPF(t.Context(), stuck{}, testIP, "mx.example.org", "a@example.org")
		wantResult(t, "SPF", s.Result, TempError, s.Reason, "cannot be worked out now")
		m := EvaluateDMARC(t.Context(), stuck{}, "example.org", s, nil)
		wantResult(t, "DMARC", m.Result, TempError, m.Reason, "cannot be asked for")
		wantResult(t, "iprev", CheckIPRev(t.Context(), stuck{}, testIP).Result, TempError, "", "")
		if took := time.Since(start); took != 4*maxTime {
			t.Errorf("all took %s", took)
		}
	})
}

func BenchmarkVerifyDKIM(b *testing.B) {
	for _, key := range []string{"ed25519", "2048"} {
		for _, size := range []int{10 << 10, 1 << 20} {
			z := texts("s._domainkey.example.org", published(keys()[key]))
			body := strings.Repeat("A line of text as people write it, with some words in it, and no more.\r\n", size/72)
			text := signed(b, key, "relaxed/relaxed", letterHeader+body)
			b.Run(fmt.Sprintf("%s/%dK", key, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					z.asked = nil
					if d := verified(b, z, text); d.Result != Pass {
						b.Fatal(d)
					}
				}
			})
		}
	}
}
