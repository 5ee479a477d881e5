package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// ownSamples are messages of our own making: small ones that have one thing wrong or
// unusual each, large ones, and random ones.
func ownSamples() (all []sample) {
	for i, text := range oddMessages {
		all = append(all, sample{fmt.Sprintf("odd %d", i), text})
	}
	for i, field := range oddFields {
		all = append(all, sample{fmt.Sprintf("field %d", i), field + "\nMIME-Version: 1.0\nX-After: y\n\nbody\n"})
	}
	for i, value := range oddAddresses {
		all = append(all, sample{fmt.Sprintf("address %d", i), "From: " + value + "\nTo: x@y.example\nSubject: " + value + "\n\nbody\n"})
	}
	for i, value := range oddParams {
		all = append(all, sample{fmt.Sprintf("parameter %d", i),
			"Content-Type: text/plain" + value + "\nContent-Disposition: attachment" + value + "\n\nbody\n"})
	}
	for i, text := range oddEncoded {
		all = append(all, sample{fmt.Sprintf("encoded %d", i), "MIME-Version: 1.0\nContent-Type: text/plain\n" + text})
	}
	for i := range 300 {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		all = append(all, sample{fmt.Sprintf("random %d", i), randomMessage(r)})
		all = append(all, sample{fmt.Sprintf("random address %d", i), "From: " + randomWords(r, addressWords) + "\n\nbody\n"})
		all = append(all, sample{fmt.Sprintf("random parameter %d", i), "Content-Type: text/plain" + randomWords(r, paramWords) + "\n\nbody\n"})
	}
	for i, s := range all { // half of them with CRLF
		if i%2 == 1 && !strings.Contains(s.text, "\r\n") {
			all[i].text = strings.ReplaceAll(s.text, "\n", "\r\n")
		}
	}
	return append(all, largeSamples()...)
}

// largeSamples are at the edge of what a parser keeps.
func largeSamples() []sample {
	nested, inner := "", "Subject: inmost\n\nx\n"
	for i := range 40 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%dx\n\n--b%dx\n", i, i)
		inner = "Content-Type: message/rfc822\n\n" + inner
	}
	flat := "Content-Type: multipart/mixed; boundary=b\n\n"
	for i := range 300 {
		flat += fmt.Sprintf("--b\nContent-Id: <%d>\n\nx\n", i)
	}
	return []sample{
		{"nested multiparts", nested + "\ntext\n"},
		{"nested messages", inner},
		{"many parts", flat + "--b--\n"},
		{"a long line", "Subject: x\n\n" + strings.Repeat("0123456789", 60_000) + "\nend"},
		{"a long field", "Subject: " + strings.Repeat("word ", 3_000) + "\nTo: " + strings.Repeat("a@b.example, ", 500) + "c@d\n\nx"},
		{"a field of many lines", "Subject: x" + strings.Repeat("\n y", 2_000) + "\nReferences:" + strings.Repeat("\n <a@b>", 500) + "\n\nx"},
		{"a long boundary", "Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 70) + "\n\n--" + strings.Repeat("b", 70) + "\n\nx\n--" + strings.Repeat("b", 71) + "\n\ny\n"},
	}
}

// mimeWords are what random messages are made of.
var mimeWords = []string{
	"Subject: hello\n", "From: a@b.example (c)\n", "To: g: a@b, \"c d\" <e@f>;\n", "MIME-Version: 1.0\n", "\n", "\n", "\n",
	"Content-Type: multipart/mixed; boundary=b\n", "Content-Type: multipart/mixed; boundary=\"b b\"\n", "Content-Type: multipart/alternative;\n boundary=bc\n",
	"Content-Type: multipart/digest; boundary=d\n", "Content-Type: message/rfc822\n", "Content-Type: message/rfc822\n", "Content-Type: text/html; charset=utf-8\n",
	"Content-Type: multipart/mixed\n", "Content-Type: application/octet-stream; name=x\n", "Content-Transfer-Encoding: base64\n", "Content-Transfer-Encoding: quoted-printable\n",
	"--b\n", "--b\n", "--b\n", "--b--\n", "--b--\n", "--bc\n", "--bc\n", "--bc--\n", "--b b\n", "--b b--\n", "--d\n", "--d\n", "--d--\n", "--b", "--b--", "-- b\n", "--b-\n", "-b\n", "--b \n", "--b--x\n",
	"text\n", "text\n", "text", " folded\n", "\tfolded\n", "no colon\n", "=C3=BC=\n", "aGVsbG8=\n", "aGVs\n", ": no name\n", "X-Y : z\n", "Content-Disposition: inline\n", "Content-Language: en, de\n", "\xe9\n", "\x01\n",
}

// addressWords are what random addresses are made of.
var addressWords = []string{
	"a", "b.c", "@", "@d", "@e.f", "<", ">", "<g@h>", ",", ", ", ";", ":", " ", "  ", ".", "\"q\"", "\"r s\"", "(c)", "(c (d))", "\\", "[1.2]", "x:", "y@z,", "\n ", "\"", "(", ")", "=?utf-8?q?a?=",
}

// paramWords are what random parameters are made of.
var paramWords = []string{
	";", ";", "; ", "a", "b", "=", "=", "=c", "a=b", "; d=e", "\"q\"", "\"r;s\"", "*", "*0", "*1", "*0*=", "''", "%20", " ", "\n ", "(c)", "/", "\\", "\"", "; f*=g", "; h*0=i", ",", "?",
}

func randomWords(r *rand.Rand, words []string) string {
	var b strings.Builder
	for range 1 + r.IntN(9) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// randomMessage is a message that is often a multipart, and seldom a right one.
func randomMessage(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(4) > 0 {
		b.WriteString(mimeWords[7+r.IntN(8)])
	}
	for range 3 + r.IntN(40) {
		b.WriteString(mimeWords[r.IntN(len(mimeWords))])
	}
	return b.String()
}
