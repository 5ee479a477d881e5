package message

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// RFC 2045 section 6: the transfer encodings, and what breaks their rules.
func TestUndo(t *testing.T) {
	for _, c := range []struct{ encoding, in, want string }{
		{"7bit", "a=3D\r\n", "a=3D\r\n"},
		{"8BIT", "\xe9", "\xe9"},
		{"Binary", "\x00", "\x00"},
		{"base64", "QUJD\r\n", "ABC"},
		{"BASE64", "QU\r\nJD\r\n\r\nRA\r\n==\r\n", "ABCD"},
		{"base64", " QU JD\t\r\n", "ABC"},
		{"base64", "", ""},
		{"base64", "QUJDRA", "broken"},
		{"base64", "QUJDRA==QUJD", "broken"},
		{"base64", "QU*JD", "broken"},
		{"base64", "Q", "broken"},
		{"quoted-printable", "a=3Db=c3=A9 \t\r\nc", "a=b\u00e9\r\nc"},
		{"Quoted-Printable", "soft=\r\nbreak=  \r\n=", "softbreak"},
		{"quoted-printable", "=00\x01\xe9", "\x00\x01\xe9"},
		{"quoted-printable", strings.Repeat("x", 100_000) + "=\r\ny", strings.Repeat("x", 100_000) + "y"},
		{"quoted-printable", "a=4", "broken"},
		{"quoted-printable", "a=XY", "broken"},
		{"quoted-printable", "a= x", "broken"},
		{"quoted-printable", "a==\r\n", "broken"},
		{"x-uuencode", "x", "unknown"},
		{"", "x", "unknown"},
	} {
		for name, in := range map[string]io.Reader{"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in))} {
			got := "unknown"
			if r := Undo(in, c.encoding); r != nil {
				b, err := io.ReadAll(r)
				if got = string(b); err != nil {
					got = "broken"
				}
			}
			if got != c.want {
				t.Errorf("%s, %s, %.40q: %.40q, want %.40q", c.encoding, name, c.in, got, c.want)
			}
		}
	}
	bad := errors.New("bad disk")
	for _, encoding := range []string{"8bit", "base64", "quoted-printable"} {
		if _, err := io.ReadAll(Undo(iotest.ErrReader(bad), encoding)); !errors.Is(err, bad) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
}
