package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// Rows of input and result; all seed the fuzz target.
var wordTests = []struct{ in, want string }{
	{"", ""},
	{"plain text", "plain text"},
	// RFC 2047 section 8.
	{"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"},
	{"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"},
	{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=", "If you can read this you understand the example."},
	{"(=?ISO-8859-1?Q?a?=)", "(a)"},
	{"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
	{"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
	{"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
	{"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
	{"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
	// RFC 2231 section 5: a language.
	{"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
	// A character split over two words.
	{"=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"},
	{"=?utf-8?Q?=E2=82?= =?UTF-8?q?=AC?=", "€"},
	{"=?utf-8?Q?=E2=82?= x =?UTF-8?q?=AC?=", "â‚ x ¬"},
	{"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
	{"=?gb2312?B?xOO6ww==?= =?big5?B?p0Gmbg==?=", "你好你好"},
	{"=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?=", "Привет"},
	// Forgiven.
	{"=?utf-8?Q?with spaces in it?= x", "with spaces in it x"},
	{"=?utf-8?Q?a=3?=", "a=3"},
	{"=?utf-8?Q?a=zz?=", "a=zz"},
	{"=?utf-8?B?aGVsbG8?=", "hello"},
	{"=?utf-8?B?a G!V sbG8=?=", "hello"},
	{"=?utf-8?B?YQ==YQ==?=", "aa"},
	{"=?utf-8?B?a?=", ""},
	{"=?utf-8?Q??=", ""},
	{"x=?utf-8?q?y?=z", "xyz"},
	{"=?no-such-charset?Q?=E9?=", "é"},
	// No encoded words.
	{"=?", "=?"},
	{"=?utf-8?Q?unfinished", "=?utf-8?Q?unfinished"},
	{"=?utf-8?X?a?=", "=?utf-8?X?a?="},
	{"=??Q?a?=", "=??Q?a?="},
	{"=?utf 8?Q?a?=", "=?utf 8?Q?a?="},
	{"=?utf-8?Q", "=?utf-8?Q"},
	{"=?utf-8?QQ?a?=", "=?utf-8?QQ?a?="},
	{"=?=?utf-8?q?a?=", "=?a"},
	{"a =?= b =?utf-8?q?c?=", "a =?= b c"},
	// Raw 8-bit text.
	{"J\xc3\xbcrgen", "Jürgen"},
	{"J\xfcrgen \x80", "Jürgen €"},
	{"J\xfcrgen =?utf-8?q?=C3=BC?= \xfc", "Jürgen ü ü"},
}

func TestDecodeHeader(t *testing.T) {
	for _, c := range wordTests {
		if got := DecodeHeader(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzDecodeHeader(f *testing.F) {
	for _, c := range wordTests {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := DecodeHeader(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q: %q is not UTF-8", s, got)
		}
		if !strings.Contains(s, "=?") && utf8.ValidString(s) && got != s {
			t.Fatalf("%q: %q", s, got)
		}
	})
}

// Rows of encoded text; all seed the fuzz target.
var textTests = []struct{ encoding, charset, in, want string }{
	{"", "", "plain\r\ntext", "plain\r\ntext"},
	{"7bit", "us-ascii", "plain", "plain"},
	{"8bit", "utf-8", "J\xc3\xbcrgen", "Jürgen"},
	{"8bit", "us-ascii", "J\xc3\xbcrgen", "Jürgen"},
	{"8bit", "utf-8", "J\xfcrgen \xc3", "Jürgen Ã"},
	{"binary", "iso-8859-1", "J\xfcrgen", "Jürgen"},
	{"8bit", " ISO-8859-15 ", "\xa4", "€"},
	{"8bit", "cp850", "J\x81rgen", "Jürgen"},
	{"8bit", "cp-850", "J\x81rgen", "Jürgen"},
	{"8bit", "x-gbk", "\xc4\xe3", "你"},
	{"8bit", "ks_c_5601-1987", "\xc7\xd1", "한"},
	{"8bit", "no-such", "J\xfcrgen", "Jürgen"},
	{"8bit", "replacement", "J\xfcrgen", "Jürgen"},
	{"8bit", "utf-16", "\x00a\x00b", "ab"},
	{"8bit", "utf-16", "\xff\xfea\x00b\x00", "ab"},
	{"8bit", "utf-16le", "a\x00b\x00", "ab"},
	{"8bit", "utf-16be", "\x00a\x00b", "ab"},
	{"base64", "utf-8", "SsO8cmdlbg==", "Jürgen"},
	{"BASE64 ", "utf-8", "SsO8\r\ncmdl\r\n  bg==\r\n", "Jürgen"},
	{"base64", "utf-8", "SsO8cmdlbg", "Jürgen"},
	{"base64", "utf-8", "YQ==YmI=Y2Nj", "abbccc"},
	{"base64", "utf-8", "!Y#Q\x00=\x80=", "a"},
	{"base64", "utf-8", "YWJj====YWJj", "abcabc"},
	{"base64", "utf-8", "Y", ""},
	{"base64", "utf-8", "", ""},
	{"base64", "utf-16le", "YQBiAA==", "ab"},
	{"quoted-printable", "utf-8", "J=C3=BCrgen", "Jürgen"},
	{"Quoted-Printable", "utf-8", "J=c3=bcrgen=\r\n!", "Jürgen!"},
	{"quoted-printable", "utf-8", "soft =\r\nbreak=\nhere", "soft breakhere"},
	{"quoted-printable", "utf-8", "soft= \t\r\nbreak", "softbreak"},
	{"quoted-printable", "utf-8", "trailing \t \r\nspace ", "trailing\r\nspace"},
	{"quoted-printable", "utf-8", "in  between", "in  between"},
	{"quoted-printable", "utf-8", "bad =zz = =4", "bad =zz = =4"},
	{"quoted-printable", "utf-8", "end=", "end"},
	{"quoted-printable", "utf-8", "end=\r", "end"},
	{"quoted-printable", "utf-8", "a=\rb", "a=\rb"},
	{"quoted-printable", "utf-8", "a \rb", "a \rb"},
	{"quoted-printable", "utf-8", "=3D=3d=", "=="},
	{"quoted-printable", "iso-8859-1", "J=FCrgen", "Jürgen"},
	{"x-uuencode", "utf-8", "begin", "begin"},
}

func TestDecodeText(t *testing.T) {
	for _, c := range textTests {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data err": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(DecodeText(wrap(strings.NewReader(c.in)), c.encoding, c.charset))
			if err != nil || string(got) != c.want {
				t.Errorf("%s %s %q, %s: %q, %v, want %q", c.encoding, c.charset, c.in, name, got, err, c.want)
			}
		}
	}
}

func TestDecodeTextLarge(t *testing.T) {
	want := strings.Repeat("Grüße aus Köln, 100 % = alles.  \t\r\nZeile\r\n", 5000)
	var b64, qp bytes.Buffer
	e := base64.NewEncoder(base64.StdEncoding, &b64)
	io.WriteString(e, want)
	e.Close()
	q := quotedprintable.NewWriter(&qp)
	io.WriteString(q, want)
	q.Close()
	for encoding, in := range map[string]string{"base64": b64.String(), "quoted-printable": qp.String(), "8bit": want} {
		got, err := io.ReadAll(DecodeText(strings.NewReader(in), encoding, "utf-8"))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, want %d, %v", encoding, len(got), len(want), err)
		}
	}
	// Nothing but white space, and nothing but what is left out.
	got, err := io.ReadAll(DecodeText(strings.NewReader(strings.Repeat(" ", 100_000)+"x"), "quoted-printable", ""))
	if err != nil || len(got) != 100_001 {
		t.Errorf("%d spaces, %v", len(got), err)
	}
	got, err = io.ReadAll(DecodeText(strings.NewReader(strings.Repeat("\r\n", 100_000)+"YQ=="), "base64", ""))
	if err != nil || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDecodeTextPassesErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, encoding := range []string{"base64", "quoted-printable", "7bit"} {
		got, err := io.ReadAll(DecodeText(io.MultiReader(strings.NewReader("YWJj"), iotest.ErrReader(broken)), encoding, "utf-8"))
		if !errors.Is(err, broken) || len(got) == 0 {
			t.Errorf("%s: %q, %v", encoding, got, err)
		}
	}
}

func FuzzDecodeText(f *testing.F) {
	for _, c := range textTests {
		f.Add(c.encoding, c.charset, []byte(c.in))
	}
	f.Fuzz(func(t *testing.T, encoding, charset string, in []byte) {
		got, err := io.ReadAll(DecodeText(bytes.NewReader(in), encoding, charset))
		if err != nil || !utf8.Valid(got) {
			t.Fatalf("%q, %v", got, err)
		}
		pieces, err := io.ReadAll(DecodeText(iotest.OneByteReader(bytes.NewReader(in)), encoding, charset))
		if err != nil || !bytes.Equal(got, pieces) {
			t.Fatalf("whole %q, in pieces %q, %v", got, pieces, err)
		}
	})
}
