package dsn

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"

	gomessage "github.com/emersion/go-message"
)

// parsed is a report as a mail program sees it.
type parsed struct {
	header mail.Header
	text   string // decoded
	status []textproto.MIMEHeader
	kinds  [3]string // types of the parts
	codes  [3]string // their encodings
	third  string    // decoded
	raw    string
}

// written writes the report and parses it, with what every report must fulfil.
func written(t testing.TB, r *Report) *parsed {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	p := &parsed{raw: b.String()}
	checkLines(t, p.raw)
	m, err := mail.ReadMessage(strings.NewReader(p.raw))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.raw)
	}
	p.header = m.Header
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatalf("content type %q: %v", m.Header.Get("Content-Type"), err)
	}
	mr := multipart.NewReader(m.Body, params["boundary"])
	var bodies [3]string
	for i := range 3 {
		part, err := mr.NextRawPart()
		if err != nil {
			t.Fatalf("part %d: %v\n%s", i, err, p.raw)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		p.kinds[i], _, _ = mime.ParseMediaType(part.Header.Get("Content-Type"))
		p.codes[i] = part.Header.Get("Content-Transfer-Encoding")
		bodies[i] = decoded(t, p.codes[i], body)
	}
	if _, err := mr.NextRawPart(); err != io.EOF {
		t.Fatalf("after three parts: %v", err)
	}
	if want := strings.TrimPrefix(p.kinds[1], "message/"); params["report-type"] != want {
		t.Errorf("report-type %q, want %q", params["report-type"], want) // RFC 6522 section 3
	}
	p.text, p.third = bodies[0], bodies[2]
	p.status = groupsOf(t, bodies[1])
	if len(p.status) != len(r.Recipients)+1 {
		t.Errorf("%d groups of fields for %d recipients:\n%s", len(p.status), len(r.Recipients), bodies[1])
	}
	p.checkEncodings(t)
	p.checkGoMessage(t)
	return p
}

func decoded(t testing.TB, encoding string, body []byte) string {
	t.Helper()
	switch encoding {
	case "7bit":
		if !isASCII(body) {
			t.Errorf("8-bit octets in a part of 7bit:\n%s", body)
		}
	case "quoted-printable":
		for line := range bytes.Lines(body) {
			if len(bytes.TrimRight(line, "\n")) > 76 {
				t.Errorf("quoted-printable line of %d octets", len(line))
			}
		}
		got, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
		if err != nil {
			t.Fatalf("quoted-printable: %v", err)
		}
		return string(got)
	case "8bit":
	default:
		t.Errorf("encoding %q", encoding)
	}
	return string(body)
}

// checkLines: what RFC 5322 section 2.1.1 and RFC 2045 section 2 allow.
func checkLines(t testing.TB, raw string) {
	t.Helper()
	if strings.ContainsAny(raw, "\r\x00") {
		t.Error("CR or NUL in the report")
	}
	for line := range strings.Lines(raw) {
		if len(line) > maxLine+1 {
			t.Errorf("line of %d octets: %.80q", len(line), line)
		}
	}
}

// groupsOf reads the fields of a message/delivery-status (RFC 3464 section 2.1).
func groupsOf(t testing.TB, body string) []textproto.MIMEHeader {
	t.Helper()
	var all []textproto.MIMEHeader
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(body + "\n")))
	for {
		h, err := r.ReadMIMEHeader()
		if len(h) > 0 {
			all = append(all, h)
		}
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("delivery status: %v\n%s", err, body)
		}
	}
}

// checkEncodings: the whole needs 8bit if a part does (RFC 2045 section 6.4), and has it
// only then.
func (p *parsed) checkEncodings(t testing.TB) {
	t.Helper()
	want := ""
	if p.codes[1] == "8bit" || p.codes[2] == "8bit" {
		want = "8bit"
	}
	if got := p.header.Get("Content-Transfer-Encoding"); got != want {
		t.Errorf("encoding of the whole is %q, want %q", got, want)
	}
	if _, body, _ := strings.Cut(p.raw, "\n\n"); want == "" && !isASCII(body) {
		t.Error("8-bit octets in a report of 7bit")
	}
	if p.codes[0] != "7bit" && p.codes[0] != "quoted-printable" {
		t.Errorf("encoding of the words is %q", p.codes[0])
	}
}

// checkGoMessage: a second parser sees three parts too.
func (p *parsed) checkGoMessage(t testing.TB) {
	t.Helper()
	e, err := gomessage.Read(strings.NewReader(p.raw))
	if err != nil && !gomessage.IsUnknownCharset(err) {
		t.Fatalf("go-message: %v", err)
	}
	mr := e.MultipartReader()
	if mr == nil {
		t.Fatal("go-message: no multipart")
	}
	for i := range p.kinds {
		part, err := mr.NextPart()
		if err != nil {
			t.Fatalf("go-message: part %d: %v", i, err)
		}
		if kind, _, _ := part.Header.ContentType(); kind != p.kinds[i] {
			t.Errorf("go-message: part %d is %q, not %q", i, kind, p.kinds[i])
		}
		if _, err := io.Copy(io.Discard, part.Body); err != nil {
			t.Fatalf("go-message: part %d: %v", i, err)
		}
	}
	if _, err := mr.NextPart(); err != io.EOF {
		t.Errorf("go-message: after three parts: %v", err)
	}
}
