package arc

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"

	"kurir/internal/mailauth/sig"
)

// messageDigest is what an ARC-Message-Signature signs: the fields that its h= names, each
// name once for one field from the last one up, and then itself (RFC 6376 sections 3.7 and 5.4.2).
func messageDigest(header *sig.Header, s *messageSignature) []byte {
	h := sha256.New()
	header.Write(h, s.header, s.headers, s.raw)
	h.Write(s.header.Field(nil, sig.WithoutB(s.raw)))
	return h.Sum(nil)
}

// sealDigest is what the seal of the last of the sets signs (RFC 8617 section 5.1.1).
func sealDigest(sets []arcSet) []byte {
	h := sha256.New()
	var buf []byte
	for i := range sets {
		last := i == len(sets)-1
		for _, field := range [][]byte{sets[i].aar, sets[i].ams.raw, sets[i].as.raw} {
			if last && &field[0] == &sets[i].as.raw[0] {
				h.Write(sig.Relaxed.Field(buf[:0], sig.WithoutB(field)))
				break
			}
			buf = append(sig.Relaxed.Field(buf[:0], field), '\r', '\n')
			h.Write(buf)
		}
	}
	return h.Sum(nil)
}

// bodies reads a body once for each canonical form that is wanted of it; sig.Simple and
// sig.Relaxed are the indexes.
type bodies [2]struct {
	hash *sig.Body
	sum  []byte // once it was read
}

func (b *bodies) want(c sig.Canon) {
	if b[c].hash == nil {
		b[c].hash = sig.NewBody(c)
	}
}

// read takes the body to its end; the error is the reader's.
func (b *bodies) read(r *bufio.Reader) error {
	for {
		_, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		part, _ := r.Peek(r.Buffered())
		for _, form := range b {
			if form.hash != nil {
				form.hash.Write(part)
			}
		}
		_, _ = r.Discard(len(part)) // it is there
	}
	for i := range b {
		if b[i].hash != nil {
			b[i].sum = b[i].hash.Sum()
		}
	}
	return nil
}
