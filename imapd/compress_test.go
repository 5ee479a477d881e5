package imapd

import (
	"compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// deflated is a connection as a client has it behind COMPRESS.
type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (d *deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err == nil {
		err = d.w.Flush()
	}
	return n, err
}

// stepWriter writes a few octets at a time.
type stepWriter struct {
	net.Conn
	step int
}

func (w stepWriter) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = w.Conn.Write(p[n:min(n+w.step, len(p))])
		n += m
	}
	return n, err
}

// untilLine reads from c, octet by octet so that none behind it is lost, to the end of the
// line that begins with prefix.
func untilLine(t testing.TB, c net.Conn, prefix string) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			t.Fatalf("waiting for %s: %v", prefix, err)
		}
		if line = append(line, b[0]); b[0] != '\n' {
			continue
		}
		if strings.HasPrefix(string(line), prefix) {
			return string(line)
		}
		line = line[:0]
	}
}

// rawCompressed logs alice in and begins compression; what the connection carries from now on
// is the caller's.
func (s *server) rawCompressed() net.Conn {
	c := s.l.dial()
	untilLine(s.t, c, "* OK")
	for _, command := range []string{"l LOGIN alice secret", "c COMPRESS DEFLATE"} {
		fmt.Fprint(c, command, "\r\n")
		untilLine(s.t, c, command[:1]+" OK")
	}
	return c
}

// compressed is a client behind COMPRESS that sends step octets at a time.
func (s *server) compressed(step int) *client {
	c := s.rawCompressed()
	w, _ := flate.NewWriter(stepWriter{c, step}, 6)
	return dial(s.t, &deflated{Conn: c, r: flate.NewReader(c), w: w})
}

// RFC 4978 section 3: both sides compress, and each flush can be read whole: a client that
// waits for the answer to one command gets it, in however small pieces it sends.
func TestCompressed(t *testing.T) {
	for _, step := range []int{1, 3, 1 << 20} {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t).start()
				defer s.stop()
				c := s.compressed(step)
				defer c.conn.Close()
				for i := range 5 {
					c.do(fmt.Sprint("n", i), "NOOP")
				}
				for _, l := range c.do("a1", "CAPABILITY") {
					if strings.Contains(l, "COMPRESS") {
						t.Error("RFC 4978 section 3: offered while active: ", l)
					}
				}
				c.send("a2 COMPRESS DEFLATE\r\n")
				c.expect("a2 NO [COMPRESSIONACTIVE] …")

				body := "Subject: x\r\n\r\n" + strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 3000)
				c.send(fmt.Sprintf("a3 APPEND INBOX {%d+}\r\n%s\r\n", len(body), body))
				c.expect("a3 OK …")
				c.do("a4", "SELECT INBOX")
				got := strings.Join(c.do("a5", "FETCH 1 BODY.PEEK[]"), "\r\n")
				if !strings.Contains(got, body) {
					t.Error("the body came out as another")
				}
				c.send("a6 IDLE\r\n")
				c.expect("+ idling")
				s.deliver("alice@example.org", "INBOX", testMessage)
				c.expect("* 2 EXISTS")
				c.send("DONE\r\na7 NOOP\r\n") // in one packet
				c.expect("a6 OK …")
				c.expect("a7 OK …")
				io.WriteString(c.conn, "a8 LOGOUT\r\n") // it may be understood, and the end be there, before all of its flush is sent
				c.expect("* BYE …")
				c.expect("a8 OK …")
				c.expect(closedLine)
			})
		})
	}
}

// Mail apps flush as zlib's Z_PARTIAL_FLUSH does, without an empty stored block behind: the
// command is answered all the same, though the client now waits.
func TestCompressedPartialFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		conn := s.rawCompressed()
		defer conn.Close()
		data, _ := hex.DecodeString("4a3454f0f3f70fe0e50208") // "a1 NOOP\r\n", zlib 1.2 at level 6
		conn.Write(data)
		dial(t, &deflated{Conn: conn, r: flate.NewReader(conn)}).expect("a1 OK Done")
	})
}

// What comes together with COMPRESS is compressed already, or it is damaged.
func TestCompressedPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		conn := s.l.dial()
		defer conn.Close()
		untilLine(t, conn, "* OK")
		var behind strings.Builder
		w, _ := flate.NewWriter(&behind, 6)
		io.WriteString(w, "a1 NOOP\r\n")
		w.Flush()
		fmt.Fprint(conn, "l LOGIN alice secret\r\nc COMPRESS DEFLATE\r\n", behind.String())
		untilLine(t, conn, "c OK")
		c := dial(t, &deflated{Conn: conn, r: flate.NewReader(conn)})
		c.expect("a1 OK Done")
		io.WriteString(conn, "\a2 LOGOUT\r\n")
		c.expect("* BYE What came is not valid DEFLATE data")
		c.expect(closedLine)
	})
}

// Bounds hold for what is decompressed: a line without an end costs the client its command.
func TestCompressedBomb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t).start()
		defer s.stop()
		c := s.compressed(1 << 20)
		defer c.conn.Close()
		c.send("a1 " + strings.Repeat("x", 8<<20) + "\r\n")
		c.expect("a1 BAD Command line too long")
		c.do("a2", "NOOP")
	})
}

// An idle session that compresses costs little more than one that does not: here 20 KiB are
// allowed for both sides' buffers and windows, where a compressor alone takes 800 KiB.
func TestCompressedMemory(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	const n = 40
	conns := make([]net.Conn, n)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range conns {
		conns[i] = s.l.dial()
		untilLine(t, conns[i], "* OK")
		fmt.Fprint(conns[i], "l LOGIN alice secret\r\n")
		untilLine(t, conns[i], "l OK")
	}
	before := heap()
	for _, c := range conns {
		fmt.Fprint(c, "c COMPRESS DEFLATE\r\n")
		untilLine(t, c, "c OK")
		data, _ := hex.DecodeString("4a3454f0f3f70fe0e50208")
		c.Write(data)
		io.ReadFull(flate.NewReader(c), make([]byte, len("a1 OK Done\r\n")))
	}
	if each := (heap() - before) / n; each > 20<<10 {
		t.Errorf("%d octets for a session that waits", each)
	} else {
		t.Logf("%d octets for a session that waits", each)
	}
}

func heap() int64 {
	time.Sleep(20 * time.Millisecond)
	for range 3 { // pools give up what they hold in the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
