package message

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// decodeCases are texts in encodings and charsets, broken ones among them.
var decodeCases = []struct{ text, encoding, charset string }{
	{"", "7bit", ""},
	{"plain\r\ntext\r\n", "7bit", "us-ascii"},
	{"gr\xfc\xdfe", "8bit", "iso-8859-1"},
	{"grüße \xff", "8bit", "utf-8"},
	{"no charset \xe9", "8bit", ""},
	{"Z3LDvMOfZQ==\r\nYW5k IG1v\r\ncmU", "BASE64", "utf-8"},
	{"Z3I=\nZ3I=****Z3\n", " base64 ", "utf-8"},
	{"Z", "base64", ""},
	{"a=C3=A9 b=\r\nc \t\r\nd=3D=3d=\n  e =  \r\nf=zz= g=\r=", "quoted-printable", "utf-8"},
	{"trailing   ", "quoted-printable", ""},
	{"trailing \r", "quoted-printable", ""},
	{"a \rb\n \n\n= ", "quoted-printable", ""},
	{strings.Repeat(" ", 700) + "\r\n" + strings.Repeat(" ", 256) + "\n=" + strings.Repeat("\t", 300) + "\n", "quoted-printable", ""},
	{"=8F=E3=83 =1B$B", "quoted-printable", "shift_jis"},
	{"\x1b$B$3$s\x1b(B plain \x1b$B", "7bit", "iso-2022-jp"},
	{"\xc1\x40\x81", "8bit", "ibm037"},
	{"\xfe\xff\x00a\x00b\x01", "8bit", "utf-16"},
	{"text", "x-unknown", "no-such-charset"},
	{"Gr\xfc\xdfe", "8bit", "windows-1250*de"},
}

func checkDecode(t *testing.T, d *TextDecoder, text []byte, encoding, charset string) {
	t.Helper()
	want, err := io.ReadAll(DecodeText(bytes.NewReader(text), encoding, charset))
	if err != nil {
		t.Fatalf("%q %q: %v", encoding, charset, err)
	}
	if got := d.Decode(text, encoding, charset); !bytes.Equal(got, want) {
		t.Errorf("%.200q in %q, %q:\n got %.200q\nwant %.200q", text, encoding, charset, got, want)
	}
}

func TestTextDecoder(t *testing.T) {
	var d TextDecoder
	for range 2 { // with fresh room, and with that of the others
		for _, c := range decodeCases {
			checkDecode(t, &d, []byte(c.text), c.encoding, c.charset)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 { // long ones, in lines of all lengths
		var b []byte
		for len(b) < 20_000 {
			for range rng.IntN(100) {
				b = append(b, "abcdefghABCDEFGH0123456789+/==== \t\xe9"[rng.IntN(35)])
			}
			b = append(b, "\r\n"[rng.IntN(2):]...)
		}
		for _, e := range []string{"base64", "quoted-printable", "8bit"} {
			checkDecode(t, &d, b, e, []string{"utf-8", "iso-8859-15", "gb18030"}[rng.IntN(3)])
		}
	}
	if len(d.charsets) > maxKeptCharsets {
		t.Errorf("%d charsets kept", len(d.charsets))
	}
}

// Names of charsets come from the mail: no more than a bound of them is remembered, and
// no more room than a bound.
func TestTextDecoderIsBounded(t *testing.T) {
	var d TextDecoder
	for i := range 1000 {
		d.Decode([]byte("\xe9"), "8bit", strings.Repeat("x", i))
	}
	if len(d.charsets) > maxKeptCharsets {
		t.Errorf("%d charsets kept", len(d.charsets))
	}
	d.Decode(bytes.Repeat([]byte("QUFB"), 4<<20/4), "base64", "")
	d.Decode([]byte("QUFB"), "base64", "")
	if cap(d.bytes) > maxKeptText {
		t.Errorf("%d bytes kept", cap(d.bytes))
	}
}

func FuzzTextDecoder(f *testing.F) {
	for _, c := range decodeCases {
		f.Add([]byte(c.text), c.encoding, c.charset)
	}
	var d TextDecoder
	f.Fuzz(func(t *testing.T, text []byte, encoding, charset string) {
		checkDecode(t, &d, text, encoding, charset)
	})
}
