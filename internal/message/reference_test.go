package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

// reference is a second reader of the rules of RFC 2046 section 5.1.1, which has the whole
// message and looks at each line again for each part it is in.
type reference struct {
	message    []byte
	lines      []int // where each line begins, and the message's end
	boundaries []string
}

func newReference(message []byte) *reference {
	r := &reference{message: message}
	for i := range message {
		if i == 0 || message[i-1] == '\n' {
			r.lines = append(r.lines, i)
		}
	}
	r.lines = append(r.lines, len(message))
	return r
}

func (r *reference) last() int { return len(r.lines) - 1 }

func (r *reference) blank(i int) bool { return isBlank(r.message[r.lines[i]:r.lines[i+1]]) }

// delimiter gives the place in boundaries of the one that line i is a delimiter of: of
// those that it begins with the longest, of equal ones the innermost; -1 if of none.
func (r *reference) delimiter(i int) (level int, closing bool) {
	level = -1
	rest, ok := strings.CutPrefix(string(r.message[r.lines[i]:]), "--")
	if !ok {
		return -1, false
	}
	for j, b := range r.boundaries {
		if strings.HasPrefix(rest, b) && (level < 0 || len(b) >= len(r.boundaries[level])) {
			level = j
		}
	}
	return level, level >= 0 && strings.HasPrefix(rest[len(r.boundaries[level]):], "--")
}

// next is the first line from i on that is a delimiter.
func (r *reference) next(i int) int {
	for ; i < r.last(); i++ {
		if level, _ := r.delimiter(i); level >= 0 {
			break
		}
	}
	return i
}

// before is where line i begins, without the line end before it.
func (r *reference) before(i int) int {
	before := strings.TrimSuffix(string(r.message[:r.lines[i]]), "\n")
	if len(before) < r.lines[i] {
		before = strings.TrimSuffix(before, "\r")
	}
	return len(before)
}

// part reads the part whose header begins with line i. It returns the line that ends it.
func (r *reference) part(i int, k kind) (*Part, int) {
	addresses := maxAddresses
	k.addresses = &addresses
	first, p := i, &Part{}
	for i < r.last() && !r.blank(i) && r.next(i) > i {
		i++
	}
	boundary := describe(p, r.message[r.lines[first]:r.lines[i]], k)
	stop, body := i, r.lines[i]
	cut := i == r.last() || r.next(i) == i
	if !cut {
		stop, body = i+1, r.lines[i+1]
	}
	switch {
	case cut:
	case boundary != nil:
		stop = r.multipart(p, string(boundary), stop)
	case p.IsMessage():
		var inner *Part
		inner, stop = r.part(stop, kind{message: true})
		p.Children = []*Part{inner}
	default:
		stop = r.next(stop)
	}
	end := r.lines[stop]
	if stop < r.last() && (k.message || stop > first) {
		end = r.before(stop)
	}
	if n := len(p.Children); n > 0 { // an empty part may lie behind its delimiter's line end
		end = max(end, int(p.Children[n-1].EndOff))
	}
	p.EndOff, p.BodyOff = int64(end), int64(min(body, end))
	p.HeaderOff = min(int64(r.lines[first]), p.BodyOff)
	if cut && p.IsMessage() {
		p.Children = []*Part{{HeaderOff: p.EndOff, BodyOff: p.EndOff, EndOff: p.EndOff}}
	}
	return p, stop
}

// multipart reads the parts of a multipart whose body begins with line i.
func (r *reference) multipart(p *Part, boundary string, i int) int {
	level := len(r.boundaries)
	r.boundaries = append(r.boundaries, boundary)
	i = r.next(i)
	for i < r.last() {
		at, closing := r.delimiter(i)
		if at != level {
			break
		}
		if closing {
			r.boundaries = r.boundaries[:level]
			return r.next(i + 1)
		}
		if !bytes.HasSuffix(r.message[:r.lines[i+1]], []byte("\n")) {
			i++
			break
		}
		var c *Part
		c, i = r.part(i+1, kind{digest: strings.EqualFold(p.Subtype, "digest")})
		p.Children = append(p.Children, c)
	}
	r.boundaries = r.boundaries[:level]
	return i
}

// shape shows where all parts lie.
func shape(p *Part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d-%d-%d", p.HeaderOff, p.BodyOff, p.EndOff)
	for _, c := range p.Children {
		b.WriteString(" (" + shape(c) + ")")
	}
	return b.String()
}

// compareReference reads a message both ways.
func compareReference(t *testing.T, message []byte) {
	t.Helper()
	want, _ := newReference(message).part(0, kind{message: true})
	lim := Limits{MaxDepth: 1 << 20, MaxParts: 1 << 20, MaxHeader: 1 << 30}
	got, err := Parse(iotest.OneByteReader(bytes.NewReader(message)), lim)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := shape(got), shape(want); a != b {
		t.Fatalf("%q\nread once %s\nreference %s", message, a, b)
	}
}

func TestReference(t *testing.T) {
	for _, c := range readCases(t) {
		compareReference(t, c.message)
	}
	compareReference(t, nested(60))
}

// FuzzReference compares Parse with the reference.
func FuzzReference(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.message)
	}
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\r\n--b--\n--bb--x\n--b"))
	f.Add([]byte("Content-Type: multipart/digest; boundary=\"\"\n\n--\n--\n\n----\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < 1<<12 {
			compareReference(t, message)
		}
	})
}
