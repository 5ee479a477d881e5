package sevenbit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"

	"kurir/internal/message"
)

func opener(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// crlf is a message written with LF.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestNeeded(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		in          string
		eight, utf8 bool
		longest     int
	}{
		{"", false, false, 0},
		{"Subject: x\r\n\r\nhello\r\n", false, false, 10},
		{"Subject: x\n\nhellöö there\n", true, false, 14},
		{"Subject: ü\n\nx", true, true, 11},
		{"Subject: x\n ü\n\nx", true, true, 10},
		{"\r\nü", true, false, 2},
		{"\nSubject: ü\n", true, false, 11},
		{"Subject: x\nü", true, true, 10},
		{"A: " + long + "\n\n\r" + long + "ü", true, false, 100_003},
		{"A: b\n\n" + long + "\r\n", false, false, 100_000},
		{"\r\r\nü", true, true, 2},
	} {
		eight, utf8, longest, err := Needed(iotest.HalfReader(strings.NewReader(tt.in)))
		if err != nil || eight != tt.eight || utf8 != tt.utf8 || longest != tt.longest {
			t.Errorf("%.30q = %v %v %d %v, want %v %v %d", tt.in, eight, utf8, longest, err, tt.eight, tt.utf8, tt.longest)
		}
	}
	stop := errors.New("stop")
	if _, _, _, err := Needed(io.MultiReader(strings.NewReader("a\n\nb"), iotest.ErrReader(stop))); err != stop {
		t.Error(err)
	}
}

// convert converts a message by both ways in.
func convert(t *testing.T, in string) (string, error) {
	t.Helper()
	p, err := message.Parse(strings.NewReader(in), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = Convert(&out, opener(in), p)
	opened, size, oerr := Open(opener(in))
	if (err == nil) != (oerr == nil) {
		t.Fatalf("Convert: %v, Open: %v", err, oerr)
	}
	if err != nil {
		if out.Len() > 0 {
			t.Errorf("%q was written before %v", out.String(), err)
		}
		return "", err
	}
	r, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != out.String() {
		t.Fatalf("Open gives %q (%v), Convert %q", got, err, out.String())
	}
	onWire := int64(len(strings.ReplaceAll(strings.ReplaceAll(out.String(), "\r\n", "\n"), "\n", "\r\n")))
	if onWire > 0 && !strings.HasSuffix(out.String(), "\n") {
		onWire += 2
	}
	if size != onWire {
		t.Errorf("size %d, want %d", size, onWire)
	}
	return out.String(), nil
}

var conversions = []struct{ name, in, out string }{
	{"nothing to do", "Subject: x\n\nhello\n", "Subject: x\n\nhello\n"},
	{"text",
		"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nSubject: x\n\nCafé = gut\n",
		"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nSubject: x\n\nCaf=C3=A9 =3D gut\n"},
	{"the field is folded, and there twice",
		"MIME-Version: 1.0\ncontent-transfer-encoding :\n 8bit\nContent-Type: text/plain;\n charset=utf-8\nContent-Transfer-Encoding: 7bit\n\té\n\né\n", ""},
	{"the same without",
		"MIME-Version: 1.0\ncontent-transfer-encoding :\n 8bit\nContent-Type: text/plain;\n charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n\xc3\xa9\n",
		"MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain;\n charset=utf-8\n\n=C3=A9\n"},
	// RFC 1428 section 3: a message without MIME.
	{"no MIME, UTF-8", "Subject: x\n\nCafé\n",
		"Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nCaf=C3=A9\n"},
	{"no MIME, something else", "Subject: x\nContent-Transfer-Encoding: 8bit\n\nCaf\xe9\n",
		"Subject: x\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n\nCaf=E9\n"},
	{"no header", "\nCafé", "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nCaf=C3=A9"},
	{"label without need", "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\nhello\n",
		"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 7bit\n\nhello\n"},
	// RFC 2045 section 6.4: a multipart says 7bit when its parts do.
	{"multipart",
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 8bit\n\npré\n" +
			"--b\nContent-Type: text/plain\n\nplain\n" +
			"--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n<p>é</p>\n" +
			"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n" +
			"--b\nContent-Transfer-Encoding: binary\nContent-Type: application/x\n\n\xff\x00\n" +
			"--b\nContent-Type: application/json\nContent-Transfer-Encoding: 8bit\n\n{é}\n\n" +
			"--b\n\nstill é\n--b--\népilogue\n",
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\n\npr??\n" +
			"--b\nContent-Type: text/plain\n\nplain\n" +
			"--b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n<p>=C3=A9</p>\n" +
			"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAA\n" +
			"--b\nContent-Transfer-Encoding: base64\nContent-Type: application/x\n\n/wA=\n" +
			"--b\nContent-Type: application/json\nContent-Transfer-Encoding: base64\n\ne8OpfQ0K\n" +
			"--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nstill =C3=A9\n--b--\n??pilogue\n"},
	{"a message inside",
		"MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: y\nMIME-Version: 1.0\nContent-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: 8bit\n\n\xe9\n",
		"MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: y\nMIME-Version: 1.0\nContent-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n"},
	{"an internationalised message inside",
		"MIME-Version: 1.0\nContent-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nSubject: ü\n\nx\n",
		"MIME-Version: 1.0\nContent-Type: message/global\nContent-Transfer-Encoding: quoted-printable\n\nSubject: =C3=BC\n\nx\n"},
	{"a notice in UTF-8 (RFC 6533 section 6)",
		"MIME-Version: 1.0\nContent-Type: message/global-delivery-status\n\nFinal-Recipient: utf-8; ü@x\n",
		"MIME-Version: 1.0\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: quoted-printable\n\nFinal-Recipient: utf-8; =C3=BC@x\n"},
	{"signed, with 7 bits",
		"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\nContent-Transfer-Encoding: 8bit\n\n--b\nContent-Transfer-Encoding: 8bit\n\nx\n--b\n\nsig\n--b--\n",
		"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\nContent-Transfer-Encoding: 7bit\n\n--b\nContent-Transfer-Encoding: 8bit\n\nx\n--b\n\nsig\n--b--\n"},
	// RFC 2045 section 6.7.
	{"white space", "MIME-Version: 1.0\nContent-Type: text/plain\n\né \t\n x\t\n \n", "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9 =09\n x=09\n=20\n"},
	{"long line",
		"MIME-Version: 1.0\nContent-Type: text/plain\n\n" + strings.Repeat("x", 80) + "é" + strings.Repeat("-", 80) + "\n",
		"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat("x", 75) + "=\n" +
			"xxxxx=C3=A9" + strings.Repeat("-", 64) + "=\n=2D" + strings.Repeat("-", 15) + "\n"},
	{"like a delimiter", "MIME-Version: 1.0\nContent-Type: text/plain\n\n-- \né\n", "MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=2D-=20\n=C3=A9\n"},
	{"only too long",
		"MIME-Version: 1.0\nContent-Type: text/plain\n\n" + strings.Repeat("x", 999) + "\n",
		"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n" +
			strings.Repeat(strings.Repeat("x", 75)+"=\n", 13) + strings.Repeat("x", 24) + "\n"},
	{"just long enough", "MIME-Version: 1.0\nContent-Type: text/plain\n\n" + strings.Repeat("x", 998) + "\n", "MIME-Version: 1.0\nContent-Type: text/plain\n\n" + strings.Repeat("x", 998) + "\n"},
}

func TestConvert(t *testing.T) {
	for _, tt := range conversions {
		got, err := convert(t, crlf(tt.in))
		if tt.out == "" {
			if !errors.Is(err, ErrCannot) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if want := crlf(tt.out); err != nil || got != want {
			t.Errorf("%s: %v\n%q\nwant\n%q", tt.name, err, got, want)
		}
		// Lines ending in LF stay so; those that are added end in CRLF.
		if got, err := convert(t, tt.in); err != nil || strings.ReplaceAll(got, "\r", "") != strings.ReplaceAll(tt.out, "\r", "") {
			t.Errorf("%s with LF: %v\n%q\nwant\n%q", tt.name, err, got, tt.out)
		}
	}
}

var impossible = []string{
	"Subject: ü\n\nx\n",
	"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment; filename=ü\n\nx\n--b--\n",
	"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\n\né\n--b\n\nsig\n--b--\n",
	"MIME-Version: 1.0\nContent-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b\nContent-Type: application/octet-stream\n\n\xff\n--b--\n",
	"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\né\n--c--\n--b--\n",
	"MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\npré\n--b\n\nx\n--b--\n",
	"MIME-Version: 1.0\nContent-Type: message/rfc822\n\nSubject: ü\n\nx\n",
	"MIME-Version: 1.0\nContent-Type: message/partial; id=1\n\né\n",
	"MIME-Version: 1.0\nContent-Type: message/delivery-status\n\né\n",
	"MIME-Version: 1.0\nContent-Type: multipart/mixed\n\né\n",
	"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\né\n",
	"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\né\n",
	"MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\né\n",
	"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + nested(49) + "é\n",
}

// nested is the beginning of multiparts within each other.
func nested(n int) string {
	var b strings.Builder
	b.WriteString("--b\n")
	for range n {
		b.WriteString("Content-Type: multipart/mixed; boundary=b\n\n--b\n")
	}
	return b.String() + "Content-Type: text/plain\n\n"
}

func TestCannot(t *testing.T) {
	for _, in := range impossible {
		if got, err := convert(t, in); !errors.Is(err, ErrCannot) {
			t.Errorf("%.200q became %q, %v", in, got, err)
		}
	}
}

// A message that is another than the one that was looked at, or cannot be read.
func TestConvertErrors(t *testing.T) {
	in := "MIME-Version: 1.0\nContent-Type: text/plain\n\né\n"
	p, _ := message.Parse(strings.NewReader(in), message.Limits{})
	if err := Convert(io.Discard, opener(in[:len(in)-2]), p); err != io.ErrUnexpectedEOF {
		t.Errorf("short: %v", err)
	}
	stop := errors.New("stop")
	for fail := 1; fail <= 5; fail++ {
		for _, late := range []bool{false, true} {
			n := 0
			open := func() (io.ReadCloser, error) {
				if n++; n != fail {
					return opener(in)()
				}
				if !late {
					return nil, stop
				}
				return io.NopCloser(io.MultiReader(strings.NewReader(in[:20]), iotest.ErrReader(stop))), nil
			}
			opened, _, err := Open(open)
			if err == nil {
				var r io.ReadCloser
				if r, err = opened(); err == nil {
					_, err = io.ReadAll(r)
				}
			}
			if fail <= 4 && !errors.Is(err, stop) || fail > 4 && err != nil {
				t.Errorf("opening %d: %v", fail, err)
			}
		}
	}
}

// A reader that is closed before the end leaves nothing running.
func TestOpenClose(t *testing.T) {
	opened, _, err := Open(opener("\n" + strings.Repeat("é", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// decoded is the body of a part as it is meant, its line ends CRLF.
func decoded(t *testing.T, in string, p *message.Part) string {
	t.Helper()
	var r io.Reader = strings.NewReader(in[p.BodyOff:p.EndOff])
	switch p.Encoding {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v in %q", p.Encoding, err, in[p.BodyOff:p.EndOff])
	}
	return strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
}

// same compares a message before and after.
func same(t *testing.T, in, out string, a, b *message.Part) {
	t.Helper()
	if a.Type != b.Type || a.Subtype != b.Subtype || len(a.Children) != len(b.Children) {
		t.Fatalf("a %s/%s with %d parts became a %s/%s with %d\n%q\n%q", a.Type, a.Subtype, len(a.Children), b.Type, b.Subtype, len(b.Children), in, out)
	}
	identity := strings.EqualFold(a.Encoding, "7bit") || strings.EqualFold(a.Encoding, "8bit") || strings.EqualFold(a.Encoding, "binary")
	if a.Encoding != b.Encoding && identity && (b.Encoding == "quoted-printable" || b.Encoding == "base64") {
		if x, y := decoded(t, in, a), decoded(t, out, b); x != y {
			t.Fatalf("%q became %q (%s)\n%q\n%q", x, y, b.Encoding, in, out)
		}
		return
	}
	if len(a.Children) == 0 {
		if x, y := in[a.BodyOff:a.EndOff], out[b.BodyOff:b.EndOff]; x != y {
			t.Fatalf("%q became %q", x, y)
		}
	}
	for i := range a.Children {
		same(t, in, out, a.Children[i], b.Children[i])
	}
}

// FuzzConvert: a message that can be converted has 7 bits then, and says what it said.
func FuzzConvert(f *testing.F) {
	for _, c := range conversions {
		f.Add(c.in)
		f.Add(crlf(c.in))
	}
	for _, in := range impossible {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := convert(t, in)
		if err != nil {
			if !errors.Is(err, ErrCannot) {
				t.Fatal(err)
			}
			return
		}
		if strings.ContainsFunc(out, func(r rune) bool { return r >= 0x80 || r == 0 }) {
			t.Fatalf("8 bits in %q", out)
		}
		a, _ := message.Parse(strings.NewReader(in), message.Limits{})
		b, _ := message.Parse(strings.NewReader(out), message.Limits{})
		same(t, in, out, a, b)
	})
}

func BenchmarkConvert(b *testing.B) {
	in := "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + strings.Repeat("Grüße aus Köln und anderswo, viele schöne Zeilen Text.\n", 20_000)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		p, _ := message.Parse(strings.NewReader(in), message.Limits{})
		if err := Convert(io.Discard, opener(in), p); err != nil {
			b.Fatal(err)
		}
	}
}
