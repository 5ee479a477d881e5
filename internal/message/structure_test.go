package message

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// structureCase is one message of testdata/structure.txt and what a client sees of it.
type structureCase struct {
	line    int    // where it begins in the file
	comment string // what it proves
	message []byte
	want    string // lines of ENVELOPE, BODYSTRUCTURE and each part's number and body
}

// readCases reads testdata/structure.txt: comments begin with "#", lines of the message
// with ">" and are quoted as in Go; the other lines are wanted; a blank line ends a case.
func readCases(t testing.TB) (cases []structureCase) {
	t.Helper()
	data, err := os.ReadFile("testdata/structure.txt")
	if err != nil {
		t.Fatal(err)
	}
	var c structureCase
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case line == "" && c.line > 0:
			cases = append(cases, c)
			c = structureCase{}
		case line == "":
		case line[0] == '#':
			c.line, c.comment = i+1, line[2:]
		case line[0] == '>':
			s, err := strconv.Unquote(line[2:])
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			c.message = append(c.message, s...)
		default:
			c.want += line + "\n"
		}
	}
	return cases
}

// describeIMAP says what a client sees of a message.
func describeIMAP(message []byte, p *Part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ENVELOPE %s\nBODYSTRUCTURE %s\n", imapEnvelope(p.Envelope), imapBodyStructure(p))
	walk(p, "", func(number string, q *Part) {
		if number == "" {
			number = "TEXT"
		}
		fmt.Fprintf(&b, "%s %q\n", number, message[q.BodyOff:q.EndOff])
	})
	return b.String()
}

func TestStructure(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(fmt.Sprint("line ", c.line), func(t *testing.T) {
			p := mustParse(t, c.message)
			if got := describeIMAP(c.message, p); got != c.want {
				t.Errorf("# %s\n%q\ngot:\n%s\nwant:\n%s", c.comment, c.message, got, c.want)
			}
			if err := invariants(p, c.message); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same must come out however the bytes arrive.
func TestStructureInPieces(t *testing.T) {
	for _, c := range readCases(t) {
		for name, r := range map[string]io.Reader{
			"one byte": iotest.OneByteReader(bytes.NewReader(c.message)),
			"half":     iotest.HalfReader(bytes.NewReader(c.message)),
			"data err": iotest.DataErrReader(bytes.NewReader(c.message)),
		} {
			p, err := Parse(r, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got := describeIMAP(c.message, p); got != c.want {
				t.Errorf("line %d, %s: got:\n%s\nwant:\n%s", c.line, name, got, c.want)
			}
		}
	}
}

// A long line before a delimiter pushes it over every edge of the buffer.
func TestStructureAtBufferEdges(t *testing.T) {
	for _, eol := range []string{"\r\n", "\n"} {
		for pad := minBuffer - 400; pad < minBuffer+20; pad++ {
			message := []byte("Content-Type: multipart/mixed; boundary=foo" + eol + eol + strings.Repeat("x", pad) + eol +
				"--foo" + eol + eol + "one" + eol + "--foo--" + eol + "epilogue")
			p := mustParse(t, message)
			if len(p.Children) != 1 {
				t.Fatalf("pad %d, %q: %d parts", pad, eol, len(p.Children))
			}
			c := p.Children[0]
			if got := string(message[c.BodyOff:c.EndOff]); got != "one" {
				t.Fatalf("pad %d, %q: %q", pad, eol, got)
			}
			if err := invariants(p, message); err != nil {
				t.Fatalf("pad %d, %q: %v", pad, eol, err)
			}
		}
	}
}

func mustParse(t testing.TB, message []byte) *Part {
	t.Helper()
	p, err := Parse(bytes.NewReader(message), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// invariants checks what must be true of every result: parts lie inside each other and
// in order, counts are those of the bytes, and every byte belongs to one header, one
// leaf's body, or what a multipart has between its parts.
func invariants(p *Part, message []byte) error {
	if p.HeaderOff != 0 || p.EndOff != int64(len(message)) {
		return fmt.Errorf("message is [%d, %d), not [0, %d)", p.HeaderOff, p.EndOff, len(message))
	}
	covered, err := check(p, message)
	if err == nil && covered != len(message) {
		err = fmt.Errorf("%d bytes accounted for, not %d", covered, len(message))
	}
	return err
}

func check(p *Part, message []byte) (covered int, err error) {
	if !p.sound(0, int64(len(message))) {
		return 0, fmt.Errorf("unsound part %+v", p)
	}
	header, body := message[p.HeaderOff:p.BodyOff], message[p.BodyOff:p.EndOff]
	if n := bareLF(message, p.HeaderOff, p.BodyOff); p.HeaderNL != n {
		return 0, fmt.Errorf("header %q: NL %d, not %d", header, p.HeaderNL, n)
	}
	if n := bareLF(message, p.BodyOff, p.EndOff); p.BodyNL != n || p.Lines != int64(bytes.Count(body, []byte("\n"))) {
		return 0, fmt.Errorf("body %q: NL %d, not %d, lines %d", body, p.BodyNL, n, p.Lines)
	}
	covered = len(header)
	at := p.BodyOff
	for _, c := range p.Children {
		if c.HeaderOff < at || c.EndOff > p.EndOff {
			return 0, fmt.Errorf("part [%d, %d) outside [%d, %d)", c.HeaderOff, c.EndOff, at, p.EndOff)
		}
		between := message[at:c.HeaderOff]
		if p.IsMultipart() && !bytes.HasPrefix(bytes.TrimLeft(between, "\r\n"), []byte("--")) && !bytes.Contains(between, []byte("\n--")) {
			return 0, fmt.Errorf("no delimiter in %q", between)
		}
		n, err := check(c, message)
		if err != nil {
			return 0, err
		}
		covered += len(between) + n
		at = c.EndOff
	}
	if p.IsMessage() && (len(p.Children) != 1 || p.Children[0].HeaderOff != p.BodyOff || p.Children[0].EndOff != p.EndOff || p.Children[0].Envelope == nil) {
		return 0, fmt.Errorf("message part %+v", p)
	}
	return covered + int(p.EndOff-at), nil
}

// bareLF counts the line feeds in a range that have no CR before them.
func bareLF(message []byte, from, to int64) (n int64) {
	for i := from; i < to; i++ {
		if message[i] == '\n' && (i == 0 || message[i-1] != '\r') {
			n++
		}
	}
	return n
}
