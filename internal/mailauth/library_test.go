package mailauth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"kurir/internal/mailauth/sig"
)

// tenfold is a message with ten signatures, all alike.
func tenfold(t testing.TB, tags, text string) string {
	t.Helper()
	text = made(t, "d=example.org; s=s; h=From"+tags, text)
	return strings.Repeat(text[:strings.Index(text, "\r\n")+2], 9) + text
}

// dear are messages made to cost, with bodies of size octets: each is at a bound, or beyond it.
func dear(t testing.TB, size int) []struct {
	name, text string
	want       Result
} {
	run := func(s string, octets int) string { return strings.Repeat(s, octets/len(s)) }
	const simple, relaxed = "; c=simple/simple", "; c=relaxed/relaxed"
	line := "A line of text as people write it, with some words in it, and no more.\r\n"
	breaks := strings.Repeat("\r\n", maxBreaks-1) + "x\r\n"
	return []struct {
		name, text string
		want       Result
	}{
		{"text, simple", tenfold(t, simple, letterHeader+run(line, size)), Pass},
		{"text, relaxed", tenfold(t, relaxed, letterHeader+run(line, size)), Pass},
		{"spaces", tenfold(t, relaxed, letterHeader+run(" ", size)+"x\r\n"), Pass},
		{"tabs", tenfold(t, simple, letterHeader+run("\t ", size)+"x\r\n"), Pass},
		{"empty lines, simple", tenfold(t, simple, letterHeader+run("\r\n", size)+"x\r\n"), Policy},
		{"empty lines, relaxed", tenfold(t, relaxed, letterHeader+run("\r\n", size)+"x\r\n"), Policy},
		{"empty lines at the end, simple", tenfold(t, simple, letterHeader+"x"+run("\r\n", size)), Pass},
		{"empty lines at the end, relaxed", tenfold(t, relaxed, letterHeader+"x"+run("\n", size)), Pass},
		{"empty lines at the bound, simple", tenfold(t, simple, letterHeader+run(breaks, size)), Pass},
		{"empty lines at the bound, relaxed", tenfold(t, relaxed, letterHeader+run(breaks, size)), Pass},
		{"lines of white space", tenfold(t, relaxed, letterHeader+run(" \r\n", size)+"x\r\n"), Policy},
		{"CRs", tenfold(t, relaxed, letterHeader+run("\r", size)), Policy},
		{"CRs and spaces", tenfold(t, relaxed, letterHeader+run("\r \t", size)+"x\r\n"), Policy},
		{"fields", tenfold(t, ":a", strings.Repeat("a:\r\n", 250_000)+letterHeader), Pass},
		{"fields at the bound", tenfold(t, strings.Repeat(":a", 1500), strings.Repeat("a:\r\n", 1500)+letterHeader), Pass},
		{"fields beyond it", tenfold(t, strings.Repeat(":a", 1600), strings.Repeat("a:\r\n", 1600)+letterHeader), Policy},
		{"names", tenfold(t, strings.Repeat(":a", 20_000), letterHeader), Pass},
		{"white space at the bound", tenfold(t, strings.Repeat(":a", 500), "a:"+run(" ", 130_000)+"\r\n"+letterHeader), Pass},
		{"white space beyond it", tenfold(t, strings.Repeat(":a", 500), "a:"+run(" ", 140_000)+"\r\n"+letterHeader), Policy},
		{"white space behind a name", tenfold(t, strings.Repeat(":a", 500), "a"+run(" ", 140_000)+":\r\n"+letterHeader), Policy},
		{"a field of lines at the bound", tenfold(t, ":a", "a:x\r\n"+strings.Repeat(" \r\n", 9300)+letterHeader), Pass},
		{"a field of lines beyond it", tenfold(t, ":a", "a:x\r\n"+strings.Repeat(" \r\n", 9600)+letterHeader), Policy},
		{"b= everywhere", tenfold(t, "; n="+strings.Repeat("b = ", 20_000), letterHeader), Fail},
	}
}

// Whatever a message is made of, its signatures are done with soon, and none that cannot be
// is taken for good.
func TestDear(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	for _, m := range dear(t, 1<<20) {
		start := time.Now()
		results, err := VerifyDKIM(t.Context(), z, strings.NewReader(m.text))
		if took := time.Since(start); took > 30*time.Second || err != nil || len(results) != 10 {
			t.Errorf("%s: %d results, %v, in %s", m.name, len(results), err, took)
		}
		for _, d := range results {
			words := map[Result]string{Policy: "not looked at: ", Fail: "the signature does not fit"}[m.want]
			wantResult(t, m.name, d.Result, m.want, d.Reason, words)
		}
	}
}

// Of the signatures of a long body those of the author are verified, and of the others as
// many as there is time for.
func TestLongBody(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]), "s._domainkey.other.test", published(keys()["ed25519"]))
	for _, c := range []struct {
		size int
		want string
	}{{longBody, "pass pass pass pass pass pass"}, {longBody + longBody/2, "pass policy policy policy pass pass"}} {
		letter := letterHeader + strings.Repeat("A line of text.\r\n", c.size/18)
		sign := func(domain string) string {
			signed := made(t, "d="+domain+"; s=s; h=From", letter)
			return strings.TrimSuffix(signed, letter)
		}
		text := strings.Repeat(sign("other.test"), 4) + strings.Repeat(sign("example.org"), 2) + letter
		results, err := VerifyDKIM(t.Context(), z, strings.NewReader(text))
		var got []string
		for _, d := range results {
			got = append(got, string(d.Result))
			if d.Result == Policy && d.Reason != errLong.Error() {
				t.Error(d.Reason)
			}
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%d octets: %s, %v", c.size, got, err)
		}
	}
}

func BenchmarkDear(b *testing.B) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	for _, m := range dear(b, 8<<20) {
		b.Run(strings.ReplaceAll(m.name, " ", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if results, err := VerifyDKIM(b.Context(), z, strings.NewReader(m.text)); err != nil || len(results) != 10 {
					b.Fatal(len(results), err)
				}
			}
		})
	}
}

// A message that cannot be read to its end leaves nothing behind: a goroutine that waits
// would keep the bubble from ending.
func TestNothingLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
		text := tenfold(t, "", letterHeader+strings.Repeat("text\r\n", 50_000))
		for _, n := range []int{len(text) - 250_000, len(text) - 1} {
			results, err := VerifyDKIM(t.Context(), z, io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(errDisk)))
			if results != nil || !errors.Is(err, errDisk) {
				t.Errorf("%v, %v", results, err)
			}
		}
		// Nor do signatures that the library does not read the body for.
		d := verified(t, z, made(t, "d=example.org; s=s; h=From; i=@EXAMPLE.org", letterHeader+strings.Repeat("text\r\n", 50_000)))
		wantResult(t, "i=", d.Result, PermError, d.Reason, "domain mismatch")
	})
}

// Signatures may sign others, and themselves as little as they could when they were made;
// each is verified with all of the fields that it names, whichever are looked at.
func TestSignedSignatures(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	const other = "DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=s; h=From; bh=x; b=x\r\n"
	below := strings.Repeat(other, 12)
	text := made(t, "d=example.org; s=s; h=From:DKIM-Signature"+strings.Repeat(":DKIM-Signature", 11), below+letter)
	for what, want := range map[string]Result{
		text: Pass, other + text: Pass,
		strings.Replace(text, "d=other.test", "d=else.test", 1):                                   Fail,
		other + strings.Replace(text, "\r\nFrom: A", "\r\nDKIM-Signature: v=1; x=\r\nFrom: A", 1): Fail,
	} {
		results, err := VerifyDKIM(t.Context(), z, strings.NewReader(what))
		if err != nil || len(results) != 11 {
			t.Fatalf("%d results, %v", len(results), err)
		}
		for _, d := range results {
			if d.Domain == "example.org" {
				wantResult(t, what[:60], d.Result, want, d.Reason, "")
			}
		}
	}
}

// A field is of a name only if its letters are: U+017F is a small s to those who fold case
// as Unicode has it.
func TestNamesAreASCII(t *testing.T) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	text := made(t, "d=example.org; s=s; h=From:Subject:Subject", letter)
	d := verified(t, z, strings.Replace(text, "\r\nX: y", "\r\n\u017fubject: x\r\nX: y", 1))
	wantResult(t, "a field of another name", d.Result, Pass, d.Reason, "")
	d = verified(t, z, strings.Replace(text, "\r\nX: y", "\r\nsubject: x\r\nX: y", 1))
	wantResult(t, "a second subject", d.Result, Fail, d.Reason, "")
}

// checkPipes has a body pass in pieces: what comes out is the same in both canonical forms.
func checkPipes(t *testing.T, body string, piece int) {
	t.Helper()
	r, w := io.Pipe()
	b := &bodyPipes{pipes: []*io.PipeWriter{w}}
	go func() {
		var err error
		for rest := body; len(rest) > 0 && err == nil; {
			n := min(max(piece, 1), len(rest))
			_, err = b.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		b.close(err)
	}()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%.60q: %v", body, err)
	}
	for _, c := range []sig.Canon{sig.Simple, sig.Relaxed} {
		before, after := sig.NewBody(c), sig.NewBody(c)
		before.Write([]byte(body))
		after.Write(out)
		if !bytes.Equal(before.Sum(), after.Sum()) {
			t.Errorf("form %d of %.60q in pieces of %d: %.60q", c, body, piece, out)
		}
	}
	if bytes.HasSuffix(out, []byte("\n")) {
		t.Errorf("%.60q ends in a line end", out)
	}
}

func TestBodyPipes(t *testing.T) {
	for _, body := range append([]string{"\r", "a\r", "a\rb\r\r\nc\r\r", "\r\r\n\r", "a\n\r\n\n b\n", " \r\n \r\n\t"}, letterBodies...) {
		for _, piece := range []int{1, 2, 3, 4096, 1 << 20} {
			if piece > 3 || len(body) < 1000 {
				checkPipes(t, body, piece)
			}
		}
	}
}

func FuzzBodyPipes(f *testing.F) {
	for i, body := range letterBodies {
		f.Add(body[:min(len(body), 100)], i%5)
	}
	f.Add("a\r\r\n\n\r\nb\r", 1)
	f.Fuzz(func(t *testing.T, body string, piece int) {
		if len(body) < maxBreaks {
			checkPipes(t, body, piece)
		}
	})
}

// FuzzVerifyDKIM: what verifies is signed by the one key that there is.
func FuzzVerifyDKIM(f *testing.F) {
	z := texts("s._domainkey.example.org", published(keys()["ed25519"]))
	text := made(f, "d=example.org; s=s; h=From:Subject; c=relaxed/simple", letter)
	f.Add(text)
	f.Add(tenfold(f, ":a:a; t=1; i=b=@example.org", letter))
	f.Add("DKIM-Signature: v=1; x\r\n" + letter)
	good := sha256.Sum256([]byte("text\r\n"))
	f.Fuzz(func(t *testing.T, text string) {
		results, err := VerifyDKIM(t.Context(), z, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range results {
			if d.Result == "" || d.Result == TempError || d.Result != Pass && d.Reason == "" {
				t.Errorf("%q: %+v", text, d)
			}
			if _, body, ok := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n"); d.Result == Pass && ok {
				if sha256.Sum256([]byte(strings.TrimRight(body, "\n")+"\r\n")) != good {
					t.Errorf("%q: %+v", text, d)
				}
			}
		}
	})
}
