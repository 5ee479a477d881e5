package imapd

import (
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/message"
)

// errUnknownCTE is the answer for a part that can't be decoded (RFC 3516 section 4.3).
var errUnknownCTE = no(imap.ResponseCodeUnknownCTE, "A part can't be decoded")

// binary sends BINARY[…]: a part with its Content-Transfer-Encoding undone, as literal8
// (RFC 9051 section 6.4.5). Its length has to be counted before: it is decoded twice.
func (f *fetcher) binary(m *fetched, it *fetchItem) error {
	if len(it.section.Part) == 0 || identity(m, it) {
		s := findSection(m, &it.section)
		if s == nil {
			f.out.Write([]byte("NIL"))
			return nil
		}
		return f.literal(slice(s, it.section.Partial), "~{")
	}
	size, ok := decodedSize(m, it)
	if !ok {
		f.out.Write([]byte("NIL"))
		f.undecoded = true
		return nil
	}
	from, n := int64(0), size
	if p := it.section.Partial; p != nil {
		from = min(p.Offset, size)
		n = min(p.Size, size-from)
	}
	b := appendNumber(append(f.out.buf(), "~{"...), n)
	f.out.set(append(b, "}\r\n"...))
	r := decoded(m, it)
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return f.broken(err)
	}
	if _, err := io.CopyN(&f.out, r, n); err != nil {
		return f.broken(err)
	}
	return nil
}

// binarySize sends BINARY.SIZE[…].
func (f *fetcher) binarySize(m *fetched, it *fetchItem) error {
	var size int64
	ok := true
	if s := findSection(m, &it.section); s != nil && (len(it.section.Part) == 0 || identity(m, it)) {
		size = s.Size()
	} else if s != nil {
		size, ok = decodedSize(m, it)
	}
	if !ok {
		f.undecoded = true
	}
	f.out.set(appendNumber(f.out.buf(), size))
	return nil
}

// identity reports whether a part is not encoded. Multiparts and messages never are.
func identity(m *fetched, it *fetchItem) bool {
	p := m.part.Find(it.section.Part)
	return p == nil || p.IsMultipart() || p.IsMessage() || transferEncoding(p) == ""
}

// transferEncoding is a part's Content-Transfer-Encoding in lower case, "" for one that changes
// nothing.
func transferEncoding(p *message.Part) string {
	switch e := strings.ToLower(p.Encoding); e {
	case "7bit", "8bit", "binary":
		return ""
	default:
		return e
	}
}

// decodedSize counts the bytes of a part without its encoding; false if that is not known
// or the content is broken.
func decodedSize(m *fetched, it *fetchItem) (int64, bool) {
	r := decoded(m, it)
	if r == nil {
		return 0, false
	}
	n, err := io.Copy(io.Discard, r)
	return n, err == nil
}

// decoded reads a part without its encoding, nil if that is not known.
func decoded(m *fetched, it *fetchItem) io.Reader {
	p := m.part.Find(it.section.Part)
	r := m.body.Range(p.BodyOff, p.EndOff).Reader()
	switch transferEncoding(p) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return nil
}
