package smtpd

import (
	"io"
	"sync"
)

// input is what has been read and not yet used. Its buffer is small while commands are
// read and comes from the pool while a message is.
type input struct {
	pool *sync.Pool // of *[dataBuffer]byte
	big  *[dataBuffer]byte
	buf  []byte
	r, w int
}

// bytes are the unused octets; valid until the next fill, small or large.
func (in *input) bytes() []byte { return in.buf[in.r:in.w] }

// skip marks n octets as used.
func (in *input) skip(n int) { in.r += n }

// drop forgets everything that has been read.
func (in *input) drop() { in.r, in.w = 0, 0 }

// fill reads once. The buffer grows to what an AUTH line needs, no further: callers use
// what is there before that.
func (in *input) fill(c io.Reader) error {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.w == len(in.buf) {
		if in.r > 0 {
			in.w = copy(in.buf, in.buf[in.r:in.w])
			in.r = 0
		} else {
			grown := make([]byte, max(1024, min(2*len(in.buf), 2*maxAuthLine)))
			copy(grown, in.buf[:in.w])
			in.buf = grown
		}
	}
	n, err := c.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// large changes to a big buffer.
func (in *input) large() {
	if in.big != nil {
		return
	}
	big := in.pool.Get().(*[dataBuffer]byte)
	in.w = copy(big[:], in.bytes())
	in.r = 0
	in.big, in.buf = big, big[:]
}

// small changes back as soon as little is left.
func (in *input) small() {
	if in.big == nil || in.w-in.r > maxLine {
		return
	}
	rest := append(make([]byte, 0, max(1024, in.w-in.r)), in.bytes()...)
	in.pool.Put(in.big)
	in.big = nil
	in.r, in.w, in.buf = 0, len(rest), rest[:cap(rest)]
}

// release gives the big buffer back at the end.
func (in *input) release() {
	if in.big != nil {
		in.pool.Put(in.big)
	}
	in.big, in.buf = nil, nil
	in.drop()
}
