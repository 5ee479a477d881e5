package imapd

import (
	"bufio"

	"github.com/emersion/go-imap/v2"

	"kurir/internal/deflate"
	"kurir/internal/listen"
)

// codeCompressionActive is RFC 4978 section 3's.
const codeCompressionActive imap.ResponseCode = "COMPRESSIONACTIVE"

// compress is COMPRESS (RFC 4978). From behind the OK all that is sent is compressed, each
// packet by itself, and so is all that is received, that which has come already included.
func (s *session) compress(c *command) error {
	mechanism := c.args.sp().word("mechanism")
	if err := c.args.end(); err != nil {
		return err
	}
	switch {
	case mechanism != "DEFLATE":
		return badf("The only mechanism is DEFLATE")
	case s.compressed:
		return no(codeCompressionActive, "Compression is active already")
	}
	s.answer(c, "OK", "", "Compressed from here on")
	c.answered = true
	if err := s.out.flush(); err != nil {
		return connError{err}
	}
	s.compressed = true
	s.out.dst = deflate.NewWriter(s.conn)
	// The reader of compressed octets keeps its place upon the connection, with its
	// buffer and the flush before each wait; that of commands is put upon it.
	s.in = bufio.NewReaderSize(deflate.NewReader(s.in), readBuffer)
	s.lines = listen.NewLineReader(s.in)
	return nil
}
