package mailauth

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-msgauth/dkim"

	"kurir/internal/mailauth/sig"
	"kurir/internal/message"
)

// Bounds of what the library is given: what it takes more than a time in proportion for,
// or keeps in memory.
const (
	maxWork   = 1 << 28  // octets of a header that it moves, or what takes as long
	maxBreaks = 32 << 10 // line ends in a body with nothing but white space between them
)

// The library goes through the body once for each signature: a long one it gets for the few
// that are worth most.
const (
	longBody      = 4 << 20
	forLongBodies = 3
)

// errLong ends a long body early.
var errLong = errors.New("not looked at: the body is long, and there are signatures that matter more")

// errBreaks ends a body with more than maxBreaks line ends in a row.
var errBreaks = errors.New("not looked at: the body has too many empty lines in a row")

// pick makes the part of the header that the library is given for a signature: the
// signature and, of the other fields, those that it names, as often as it names them, from
// the last one up (RFC 6376 section 5.4.2). If they would take it too long, the signature is
// Policy. It tells whether the signature is still open.
func (s *signature) pick(header *sig.Header) bool {
	var part headerPart
	part.add(s.raw) // the first: the only one that is verified
	wanted := map[string]int{}
	for _, name := range s.names {
		wanted[strings.ToLower(name)]++
	}
	for _, name := range s.names {
		n := wanted[strings.ToLower(name)]
		if n == 0 || name == "" {
			continue
		}
		wanted[strings.ToLower(name)] = 0
		fields := slices.DeleteFunc(slices.Clone(header.Named(name)), func(f message.Field) bool { return &f.Raw[0] == &s.raw[0] })
		for _, f := range fields[max(len(fields)-n, 0):] {
			part.add(f.Raw)
		}
	}
	if part.moved+len(s.names)*part.seen > maxWork {
		s.fail(Policy, "not looked at: it signs too many fields and lines of the header")
		return false
	}
	s.header = append(part.text, "\r\n"...)
	return true
}

// headerPart is a header for the library, and what it costs there.
type headerPart struct {
	text  []byte
	moved int // octets that are moved while the lines of fields are put together
	seen  int // what is looked at for each name, in what would be moved in the time
}

func (p *headerPart) add(raw []byte) {
	name, value, _ := bytes.Cut(raw, []byte{':'})
	p.text = append(p.text, raw...)
	if raw[len(raw)-1] != '\n' {
		p.text = append(p.text, "\r\n"...)
	}
	p.moved += len(raw) * bytes.Count(raw, []byte{'\n'})
	p.seen += 100 + 4*(len(raw)-len(bytes.TrimSpace(name))-len(bytes.TrimSpace(value)))
}

// verifyAll has the library verify each signature by itself, while the body is read once for
// all of them. The error is that of the body; signatures that the library has not concluded
// by then stay open.
func verifyAll(body io.Reader, signatures []*signature) error {
	if len(signatures) == 0 {
		return nil
	}
	var all sync.WaitGroup
	b := &bodyPipes{}
	signatures = slices.SortedStableFunc(slices.Values(signatures), func(s, o *signature) int { return cmp.Compare(s.rank, o.rank) })
	for _, s := range signatures {
		r, w := io.Pipe()
		b.pipes = append(b.pipes, w)
		all.Go(func() {
			s.verify(r)
			r.Close() // it may not want all
		})
	}
	_, err := io.Copy(b, body)
	b.close(err)
	all.Wait()
	if errors.Is(err, errBreaks) {
		return nil
	}
	return err
}

// verify concludes a signature with what the library says, unless the body ends in an error.
// Its key was asked for before, and is the only one that the library gets to see.
func (s *signature) verify(body io.Reader) {
	all, err := dkim.VerifyWithOptions(io.MultiReader(bytes.NewReader(s.header), body), &dkim.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{s.key.Record}, nil },
		MaxVerifications: 1,
	})
	switch {
	case errors.Is(err, errBreaks), errors.Is(err, errLong):
		s.fail(Policy, err.Error())
	case err != nil && !errors.Is(err, dkim.ErrTooManySignatures): // verifyAll tells of it
		s.fail(TempError, err.Error())
	case len(all) == 0:
		s.fail(PermError, "it is not found")
	case all[0].Err == nil:
		s.Result = Pass
		if s.key.Testing {
			s.Reason = "the domain is only testing DKIM (t=y)"
		}
	case dkim.IsPermFail(all[0].Err):
		s.fail(PermError, fmt.Sprintf("it cannot be verified: %s", sig.Shown(strings.TrimPrefix(all[0].Err.Error(), "dkim: "))))
	case strings.Contains(all[0].Err.Error(), "body hash"):
		s.failKey("the body was changed on the way")
	default:
		s.failKey("the signature does not fit: the header was changed on the way, or the key is another one")
	}
}

// bodyPipes passes a body on to the library, once for each signature. Line ends wait until
// something follows them: those at the end of a body do not count in any canonical form
// (RFC 6376 section 3.4). They become CRLF, which is what all forms make of them.
type bodyPipes struct {
	pipes []*io.PipeWriter // those that matter most first
	size  int64            // octets that were passed on
	out   []byte           // to be passed on
	cr    bool             // a CR waits: the next octet says whether it is one of a line end
	ends  int              // line ends that wait
	kept  int              // line ends and bare CRs since the last octet that is no white space
	err   error            // errBreaks
}

// pieceSize bounds what is passed on at a time.
const pieceSize = 32 << 10

// Write passes octets on to all that still read. The error is errBreaks.
func (b *bodyPipes) Write(p []byte) (int, error) {
	for piece := range slices.Chunk(p, pieceSize) {
		for len(piece) > 0 {
			line, rest, ended := bytes.Cut(piece, []byte{'\n'})
			b.line(line, ended)
			piece = rest
		}
		if b.pass(); b.err != nil {
			return 0, b.err
		}
	}
	return len(p), nil
}

// close ends the body: with an error, or as a whole.
func (b *bodyPipes) close(err error) {
	if b.cr {
		b.text([]byte{'\r'})
		b.pass()
	}
	for _, w := range b.pipes {
		w.CloseWithError(err)
	}
}

// line takes a piece of a line, and its end if it ended.
func (b *bodyPipes) line(s []byte, ended bool) {
	if b.cr && len(s) > 0 {
		b.text([]byte{'\r'})
	}
	if n := len(s) - 1; n >= 0 {
		if b.cr = s[n] == '\r'; b.cr {
			s = s[:n]
		}
		b.text(s)
	}
	if ended {
		b.cr = false
		b.ends++
		b.kept++
	}
}

// text takes octets that are no line end, behind those that wait.
func (b *bodyPipes) text(s []byte) {
	if len(s) == 0 {
		return
	}
	if b.kept > maxBreaks {
		b.err = errBreaks
		return
	}
	for ; b.ends > 0; b.ends-- {
		b.out = append(b.out, "\r\n"...)
	}
	b.out = append(b.out, s...)
	if len(bytes.TrimLeft(s, " \t\r")) > 0 {
		b.kept = 0
	} else {
		b.kept += bytes.Count(s, []byte{'\r'})
	}
}

// pass passes on what there is.
func (b *bodyPipes) pass() {
	if b.size += int64(len(b.out)); b.size > longBody && len(b.pipes) > forLongBodies {
		for _, w := range b.pipes[forLongBodies:] {
			w.CloseWithError(errLong)
		}
		b.pipes = b.pipes[:forLongBodies]
	}
	for _, w := range b.pipes {
		_, _ = w.Write(b.out)
	}
	b.out = b.out[:0]
}
