package signing

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"kurir/internal/mailauth/sig"
)

// maxHeader bounds the header of a message that is signed, which waits in memory.
const maxHeader = 1 << 20

// ErrHeader: the message's header is longer than 1 MiB.
var ErrHeader = errors.New("signing: the header is too long")

// content is what of a message is signed, as it is on the wire.
type content struct {
	header *sig.Header
	body   []byte // hash of it, relaxed
}

// readContent reads a message once, to its end. Errors: ErrHeader, those of r.
func readContent(r io.Reader) (*content, error) {
	br := bufio.NewReaderSize(r, 32<<10)
	raw, err := readHeader(br)
	if err != nil {
		return nil, err
	}
	body := sig.NewBody(sig.Relaxed)
	if _, err := io.Copy(&wire{to: body}, br); err != nil {
		return nil, err
	}
	return &content{sig.NewHeader(raw), body.Sum()}, nil
}

// readHeader reads the header and the blank line.
func readHeader(br *bufio.Reader) ([]byte, error) {
	var raw bytes.Buffer
	w := &wire{to: &raw}
	size, inside := 0, false // within a line
	for {
		piece, err := br.ReadSlice('\n')
		if size += len(piece); size > maxHeader {
			return nil, ErrHeader
		}
		if !inside && (string(piece) == "\r\n" || string(piece) == "\n") {
			return raw.Bytes(), nil
		}
		w.Write(piece)
		switch {
		case err == nil:
			inside = false
		case err == io.EOF:
			return raw.Bytes(), nil
		case errors.Is(err, bufio.ErrBufferFull):
			inside = true
		default:
			return nil, err
		}
	}
}

// wire gives a message the form in which it leaves as far as that counts here: a CR alone
// becomes a space (RFC 5321 section 2.3.8; internal/smtpclient). An LF alone is a line end
// to the canonical form, too. A CR at the very end is dropped, as the line ends there.
type wire struct {
	to io.Writer // never fails
	cr bool      // the last octet was a CR, which is not written yet
}

// Write passes octets on. It never fails.
func (w *wire) Write(p []byte) (int, error) {
	n := len(p)
	if w.cr && n > 0 {
		w.cr = false
		w.endCR(p[0])
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\r')
		for i >= 0 && i+1 < len(p) && p[i+1] == '\n' {
			next := bytes.IndexByte(p[i+1:], '\r')
			if next < 0 {
				i = -1
				break
			}
			i += 1 + next
		}
		if i < 0 {
			w.to.Write(p)
			break
		}
		w.to.Write(p[:i])
		if p = p[i+1:]; len(p) == 0 {
			w.cr = true
			break
		}
		w.endCR(p[0])
	}
	return n, nil
}

// endCR writes a CR that next follows.
func (w *wire) endCR(next byte) {
	if next == '\n' {
		w.to.Write([]byte{'\r'})
	} else {
		w.to.Write([]byte{' '})
	}
}
