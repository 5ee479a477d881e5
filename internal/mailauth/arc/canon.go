package arc

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"hash"
	"io"
	"strings"

	"kurir/internal/message"
)

// canon is a way to make a header or a body canonical (RFC 6376 section 3.4).
type canon int

const (
	simple canon = iota
	relaxed
)

// parseCanon reads c=, simple/simple where it is missing (RFC 6376 section 3.5).
func parseCanon(value string) (header, body canon, err error) {
	words := map[string]canon{"": simple, "simple": simple, "relaxed": relaxed}
	h, b, both := strings.Cut(value, "/")
	header, ok1 := words[h]
	body, ok2 := words[b]
	if !ok1 || !ok2 || value != "" && h == "" || both && b == "" {
		return 0, 0, errors.New("c= names a canonicalization that there is not")
	}
	return header, body, nil
}

// appendField adds one header field, without a line end.
func (c canon) appendField(b, field []byte) []byte {
	field = withoutEnd(field)
	if c == simple {
		return appendCRLF(b, field)
	}
	name, value, _ := bytes.Cut(field, []byte{':'})
	b = append(b, lower(string(bytes.TrimRight(name, " \t")))...)
	b = append(b, ':')
	space, empty := false, true
	for i, ch := range value {
		switch ch {
		case ' ', '\t':
			space = true
			continue
		case '\n':
			continue
		case '\r':
			if i+1 < len(value) && value[i+1] == '\n' {
				continue
			}
		}
		if space && !empty {
			b = append(b, ' ')
		}
		space, empty = false, false
		b = append(b, ch)
	}
	return b
}

// withoutEnd is a field without the end of its last line.
func withoutEnd(field []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(field, []byte{'\n'}), []byte{'\r'})
}

// appendCRLF adds lines whose ends it makes CRLF, as they would travel.
func appendCRLF(b, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(b, text...)
		}
		b = append(b, bytes.TrimSuffix(text[:i], []byte{'\r'})...)
		b = append(b, '\r', '\n')
		text = text[i+1:]
	}
}

// fieldIndex has the fields of a header by their names in lower case, in their order.
type fieldIndex map[string][][]byte

func index(raw []byte) fieldIndex {
	x := fieldIndex{}
	for f := range message.Fields(raw) {
		if f.Name != "" {
			name := lower(f.Name)
			x[name] = append(x[name], f.Raw)
		}
	}
	return x
}

// messageDigest is what an ARC-Message-Signature signs: the fields that its h= names, each
// name once for one field from the last one up, and then itself (RFC 6376 sections 3.7 and 5.4.2).
func (x fieldIndex) messageDigest(s *messageSignature) []byte {
	h := sha256.New()
	taken := map[string]int{}
	var buf []byte
	for _, name := range s.headers {
		fields := x[name]
		for {
			taken[name]++
			i := len(fields) - taken[name]
			if i < 0 {
				break // it is signed that there is no more
			}
			if name == "arc-message-signature" && &fields[i][0] == &s.raw[0] {
				continue // itself comes last
			}
			buf = append(s.header.appendField(buf[:0], fields[i]), '\r', '\n')
			h.Write(buf)
			break
		}
	}
	h.Write(s.header.appendField(buf[:0], withoutB(s.raw)))
	return h.Sum(nil)
}

// sealDigest is what the seal of the last of the sets signs (RFC 8617 section 5.1.1).
func sealDigest(sets []arcSet) []byte {
	h := sha256.New()
	var buf []byte
	for i := range sets {
		for _, field := range [][]byte{sets[i].aar, sets[i].ams.raw} {
			buf = append(relaxed.appendField(buf[:0], field), '\r', '\n')
			h.Write(buf)
		}
		if i == len(sets)-1 {
			h.Write(relaxed.appendField(buf[:0], withoutB(sets[i].as.raw)))
			break
		}
		buf = append(relaxed.appendField(buf[:0], sets[i].as.raw), '\r', '\n')
		h.Write(buf)
	}
	return h.Sum(nil)
}

// bodyHashes reads a body once for each canonicalization that is wanted of it.
type bodyHashes struct {
	by [2]*bodyHash
}

func (b *bodyHashes) want(c canon) {
	if b.by[c] == nil {
		b.by[c] = &bodyHash{hash: sha256.New(), relaxed: c == relaxed}
	}
}

// read takes the body to its end; the error is the reader's.
func (b *bodyHashes) read(r *bufio.Reader) error {
	for {
		_, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		part, _ := r.Peek(r.Buffered())
		for _, h := range b.by {
			if h != nil {
				h.write(part)
			}
		}
		_, _ = r.Discard(len(part)) // it is there
	}
	for _, h := range b.by {
		if h != nil {
			h.end()
		}
	}
	return nil
}

func (b *bodyHashes) equal(c canon, want []byte) bool {
	return subtle.ConstantTimeCompare(b.by[c].sum, want) == 1
}

// bodyHash hashes a body as it comes (RFC 6376 sections 3.4.3 and 3.4.4). A line end is LF
// with or without CR before it; a CR elsewhere is like any octet.
type bodyHash struct {
	hash    hash.Hash
	relaxed bool
	out     []byte // waits to be hashed
	ends    int    // line ends that count only if something follows
	space   bool   // white space that counts only if something follows on its line
	cr      bool   // the last octet was CR
	inside  bool   // something is on this line already
	some    bool   // something was hashed
	sum     []byte // once end was called
}

// special are the octets that write looks at.
var special = [256]bool{'\r': true, '\n': true, ' ': true, '\t': true}

func (b *bodyHash) write(p []byte) {
	for len(p) > 0 {
		if n := b.line(p); n > 0 {
			p = p[n:]
			continue
		}
		n := 0
		for n < len(p) && (!special[p[n]] || !b.relaxed && p[n] != '\r' && p[n] != '\n') {
			n++
		}
		if n > 0 {
			b.text(p[:n])
			p = p[n:]
			continue
		}
		switch c := p[0]; c {
		case '\n':
			b.cr, b.space, b.inside = false, false, false
			b.ends++
		case '\r':
			if b.cr {
				b.cr = false
				b.text([]byte{'\r'})
			}
			b.cr = true
		default:
			if b.cr {
				b.text(nil)
			}
			b.space = true
		}
		p = p[1:]
	}
}

// line takes a whole line that is canonical as it stands, as nearly all are, and says how
// many octets that were, 0 if there is no such line.
func (b *bodyHash) line(p []byte) int {
	if b.inside || b.space || b.cr {
		return 0
	}
	n := bytes.IndexByte(p, '\n')
	if n < 1 || p[n-1] != '\r' {
		return 0
	}
	if n > 1 {
		line := p[:n-1]
		if b.relaxed && (line[n-2] == ' ' || bytes.IndexByte(line, '\t') >= 0 || bytes.Contains(line, []byte("  "))) {
			return 0
		}
		b.text(line)
		b.inside = false
	}
	b.ends++
	return n + 1
}

// text hashes octets behind all that waited for them.
func (b *bodyHash) text(p []byte) {
	for ; b.ends > 0; b.ends-- {
		b.put('\r', '\n')
	}
	if b.space {
		b.put(' ')
		b.space = false
	}
	if b.cr {
		b.put('\r')
		b.cr = false
	}
	b.put(p...)
	b.inside = true
}

func (b *bodyHash) put(p ...byte) {
	b.some = true
	b.out = append(b.out, p...)
	if len(b.out) >= 16<<10 {
		b.hash.Write(b.out)
		b.out = b.out[:0]
	}
}

// end is the end of the body: one line end, but for a relaxed body of nothing.
func (b *bodyHash) end() {
	if b.cr {
		b.text(nil)
	}
	if b.some || !b.relaxed {
		b.put('\r', '\n')
	}
	b.hash.Write(b.out)
	b.out, b.sum = nil, b.hash.Sum(nil)
}
