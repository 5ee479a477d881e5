package signing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"

	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// Bounds of a message that is signed: what of it waits in memory, in a header and in the
// library, which keeps the empty lines of a body until something follows them.
const (
	maxHeader = 1 << 20
	maxBlank  = 1 << 20
)

// ErrHeader: the message's header is longer than 1 MiB.
var ErrHeader = errors.New("signing: the header is too long")

// errBlank: the body has more than 1 MiB of white space in a row.
var errBlank = errors.New("signing: the body has too much white space in a row")

// readHeader reads the header and the blank line, as they are on the wire. Errors: ErrHeader, those of br.
func readHeader(br *bufio.Reader) (*sig.Header, error) {
	raw, err := message.ReadHeader(br, maxHeader)
	if errors.Is(err, message.ErrHeaderTooLong) {
		return nil, ErrHeader
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, _ = (&wire{to: &b}).Write(raw) // neither fails
	return sig.NewHeader(b.Bytes()), nil
}

// maxSame is how many fields of a name are signed: h= is to fit into a line.
const maxSame = 2

// choose chooses the names for h=, and writes the fields that they stand for as a header of
// its own, each field in one line. Names of sealed are there once more than their fields,
// then with a space in front: no field has that name, and the line may be folded there.
func choose(h *sig.Header) (names []string, header []byte) {
	for i, name := range slices.Concat(sealed, signed) {
		fields := h.Named(name)
		some := fields[max(len(fields)-maxSame, 0):]
		for _, f := range some {
			names = append(names, name)
			_, value, _ := bytes.Cut(f.Raw, []byte{':'})
			header = append(append(header, name...), ':')
			header = append(append(header, oneLine(value)...), "\r\n"...)
		}
		if i < len(sealed) && len(some) == len(fields) {
			names = append(names, " "+name)
		}
	}
	return names, append(header, "\r\n"...)
}

// oneLine unfolds the value of a field. Each line end has white space behind it, so that in
// the relaxed form it may be white space itself.
func oneLine(value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	return bytes.ReplaceAll(bytes.ReplaceAll(value, []byte{'\r'}, []byte{' '}), []byte{'\n'}, []byte{' '})
}

// wire gives a message the form in which it leaves as far as that counts here: a CR alone
// becomes a space (RFC 5321 section 2.3.8; internal/smtpclient). An LF alone is a line end
// to the canonical form, too. A CR at the very end is dropped, as the line ends there.
type wire struct {
	to    io.Writer
	out   []byte // reused
	cr    bool   // the last octet was a CR, which is not written yet
	blank int    // octets of white space since the last piece with text, and those at its end
}

// pieceSize bounds what is written at a time.
const pieceSize = 32 << 10

// Write passes octets on. Errors: errBlank, those of the writer below.
func (w *wire) Write(p []byte) (int, error) {
	for piece := range slices.Chunk(p, pieceSize) {
		if err := w.write(piece); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *wire) write(p []byte) error {
	out := w.out[:0]
	if w.cr {
		out = append(out, '\r')
	}
	out = append(out, p...)
	if w.cr = out[len(out)-1] == '\r'; w.cr {
		out = out[:len(out)-1]
	}
	w.out = out
	for i := bytes.IndexByte(out, '\r'); i >= 0; {
		if i+1 == len(out) || out[i+1] != '\n' {
			out[i] = ' '
		}
		next := bytes.IndexByte(out[i+1:], '\r')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	text := bytes.TrimRight(out, " \t\r\n")
	if len(text) > 0 {
		w.blank = 0
	}
	if w.blank += len(out) - len(text); w.blank > maxBlank {
		return errBlank
	}
	_, err := w.to.Write(out)
	return err
}
