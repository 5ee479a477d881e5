package smtpd

import (
	"strconv"
	"strings"
)

// chunk is one BDAT command (RFC 3030 section 2).
type chunk struct {
	size int64
	last bool
}

// parseBdat reads what follows "BDAT ". The size may be larger than any message.
func parseBdat(arg string) (*chunk, bool) {
	f := strings.Fields(arg)
	if len(f) == 0 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		return nil, false
	}
	n, err := strconv.ParseUint(f[0], 10, 63)
	return &chunk{int64(n), len(f) == 2}, err == nil
}

// doBdat runs the first chunk of a message as DATA: go-smtp's own BDAT takes a chunk cut
// off by the end of the connection for a whole one. Later chunks are read by
// receiveChunks. What follows a BDAT that was not understood may be commands or message,
// so nothing is.
func (w *wire) doBdat(arg string) {
	c, ok := parseBdat(arg)
	if !ok {
		w.hangUpRefused(replyBdatSyntax)
		return
	}
	w.chunk = c
	w.give("DATA")
}

// hangUpRefused sends a refusal and lets the session end.
func (w *wire) hangUpRefused(r *Reply) {
	w.refuse(r)
	w.flush()
	w.dead = true
}

// receiveChunks reads the chunks of a message until the last, or until the message is
// lost: by a refusal, which go-smtp gives as the answer to that chunk, or by RSET and
// its like, when err is errAborted.
func (w *wire) receiveChunks(m *incoming) error {
	for {
		c := w.chunk
		w.chunk, m.partial = nil, !c.last
		if c.size > w.srv.MaxSize-m.d.size {
			m.tooBig = true
			return w.discard(c.size)
		}
		for left := c.size; left > 0; {
			b := w.in.bytes()
			if len(b) == 0 {
				if err := w.fillMessage(m); err != nil {
					return err
				}
				continue
			}
			b = b[:min(left, int64(len(b)))]
			m.d.chunk(b, m.write)
			w.in.skip(len(b))
			left -= int64(len(b))
		}
		if c.last || m.refused() != nil {
			return nil
		}
		w.put(replyContinue)
		if err := w.nextChunk(); err != nil {
			return err
		}
	}
}

// nextChunk runs commands until the next BDAT, which it leaves in w.chunk.
func (w *wire) nextChunk() error {
	for {
		line, fault, err := w.nextLine()
		switch {
		case err != nil:
			return err
		case fault != nil:
			w.refuse(fault)
		default:
			verb, arg := split(line)
			switch verb {
			case "BDAT":
				c, ok := parseBdat(arg)
				if !ok {
					w.hangUpRefused(replyBdatSyntax)
					return errAborted
				}
				w.chunk = c
				return nil
			case "RSET", "QUIT", "EHLO", "HELO", "LHLO", "STARTTLS":
				w.backUp(line)
				return errAborted
			case "NOOP", "VRFY", "HELP", "EXPN", "":
				w.command(line)
			default:
				w.refuse(replyTransfer)
			}
		}
		if w.dead {
			return errAborted
		}
	}
}
