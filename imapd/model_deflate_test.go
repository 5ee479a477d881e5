package imapd

import (
	"bytes"
	"compress/flate"
	"io"
	"net"
	"sync/atomic"
)

// A deflateConn is a client's connection that can go over to COMPRESS=DEFLATE (RFC 4978).
type deflateConn struct {
	net.Conn
	on  atomic.Bool
	out *flate.Writer
	buf bytes.Buffer // what it has written: one packet on the wire
	in  *io.PipeReader
}

func newDeflateConn(conn net.Conn) *deflateConn {
	plain, toPlain := io.Pipe()
	packed, toPacked := io.Pipe()
	c := &deflateConn{Conn: conn, in: plain}
	go func() { // ends with the connection
		buf := make([]byte, 4<<10)
		for {
			n, err := conn.Read(buf)
			to := toPlain
			if c.on.Load() {
				to = toPacked
			}
			var werr error
			if n > 0 {
				_, werr = to.Write(buf[:n])
			}
			if err != nil || werr != nil {
				toPacked.Close()
				if !c.on.Load() {
					toPlain.Close()
				}
				return
			}
		}
	}()
	go func() { // ends with the other
		defer packed.Close()
		if _, err := io.Copy(toPlain, flate.NewReader(packed)); err != nil && c.on.Load() {
			toPlain.CloseWithError(err)
		}
		if c.on.Load() {
			toPlain.Close()
		}
	}()
	return c
}

// compress goes over; nothing may be on its way then.
func (c *deflateConn) compress() {
	c.out, _ = flate.NewWriter(&c.buf, flate.DefaultCompression)
	c.on.Store(true)
}

func (c *deflateConn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *deflateConn) Write(p []byte) (int, error) {
	if c.out == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.out.Write(p); err != nil {
		return 0, err
	}
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	_, err := c.buf.WriteTo(c.Conn)
	return len(p), err
}

func (c *deflateConn) Close() error {
	c.in.Close()
	return c.Conn.Close()
}
