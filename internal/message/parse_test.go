package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// nested is a message of depth multiparts inside each other with a text in the last.
func nested(depth int) []byte {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d.\r\n\r\n--b%d.\r\n", i, i)
	}
	b.WriteString("\r\ntext\r\n")
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d.--\r\n", i)
	}
	return []byte(b.String())
}

func depthAndParts(p *Part) (depth, parts int) {
	for _, c := range p.Children {
		d, n := depthAndParts(c)
		depth, parts = max(depth, d), parts+n
	}
	return depth + 1, parts + 1
}

func TestMaxDepth(t *testing.T) {
	for _, c := range []struct{ depth, limit, want int }{
		{49, 0, 50}, {50, 0, 50}, {1000, 0, 50}, {10, 3, 3}, {10, 1, 1}, {2, 3, 3},
	} {
		message := nested(c.depth)
		p, err := Parse(bytes.NewReader(message), Limits{MaxDepth: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		depth, _ := depthAndParts(p)
		if depth != c.want {
			t.Errorf("%d levels, limit %d: depth %d, want %d", c.depth, c.limit, depth, c.want)
		}
		if err := invariants(p, message); err != nil {
			t.Errorf("%d levels: %v", c.depth, err)
		}
		last := p
		for len(last.Children) > 0 {
			last = last.Children[0]
		}
		if cut := c.depth >= c.want; cut != (last.Type == "application" && last.Subtype == "octet-stream" && last.Params == nil) {
			t.Errorf("%d levels, limit %d: the last is %s/%s", c.depth, c.limit, last.Type, last.Subtype)
		}
	}
}

func TestMaxDepthOfMessages(t *testing.T) {
	message := []byte(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 1000) + "Subject: x\r\n\r\ntext")
	p := mustParse(t, message)
	depth, parts := depthAndParts(p)
	if depth != 50 || parts != 50 {
		t.Errorf("depth %d, %d parts", depth, parts)
	}
	if err := invariants(p, message); err != nil {
		t.Error(err)
	}
	// Headers that end too early make no part beyond the limit either.
	message = []byte(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 49) + "Content-Type: message/rfc822\r\n")
	if depth, _ = depthAndParts(mustParse(t, message)); depth != 50 {
		t.Errorf("depth %d", depth)
	}
}

func TestMaxParts(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "--b\r\n\r\n%d\r\n", i)
	}
	b.WriteString("--b--\r\nepilogue\r\n")
	message := []byte(b.String())
	for _, c := range []struct{ limit, want int }{{0, 10_000}, {3, 3}, {30_000, 20_001}, {1, 1}} {
		p, err := Parse(bytes.NewReader(message), Limits{MaxParts: c.limit})
		if err != nil {
			t.Fatal(err)
		}
		if _, parts := depthAndParts(p); parts != c.want {
			t.Errorf("limit %d: %d parts, want %d", c.limit, parts, c.want)
		}
		if err := invariants(p, message); err != nil {
			t.Error(err)
		}
		if c.limit != 3 {
			continue
		}
		// The last part has the rest up to the close-delimiter, which still counts.
		last := p.Children[1]
		body := message[last.BodyOff:last.EndOff]
		if !bytes.HasPrefix(body, []byte("1\r\n--b\r\n\r\n2\r\n")) || !bytes.HasSuffix(body, []byte("\r\n19999")) {
			t.Errorf("the last part is %.40q … %q", body, body[len(body)-20:])
		}
	}
}

func TestMaxHeader(t *testing.T) {
	long := strings.Repeat("a@b, ", 1<<20/5)
	header := "To: " + long + "\r\nX-Long: " + long + "\r\nSubject: kept\r\n folded\r\nContent-Type: text/html\r\nCc: " + long + "\r\n " + long + "\r\nFrom: a@b\r\n\r\n"
	message := []byte(header + "text")
	p := mustParse(t, message)
	e := p.Envelope
	if e.To != nil || e.Cc != nil || e.Subject != "kept folded" || p.Subtype != "html" || len(e.From) != 1 {
		t.Errorf("To %d, Cc %d, Subject %q, %s, From %v", len(e.To), len(e.Cc), e.Subject, p.Subtype, e.From)
	}
	if p.BodyOff != int64(len(header)) {
		t.Errorf("the body is at %d, not %d", p.BodyOff, len(header))
	}
	p, err := Parse(bytes.NewReader(message), Limits{MaxHeader: 4 << 20})
	if err != nil || len(p.Envelope.To) < 60_000 || len(p.Envelope.To) > maxAddresses {
		t.Errorf("To has %d addresses, %v", len(p.Envelope.To), err)
	}
}

// The inner message of a part that a delimiter cuts off, and the part that the delimiter
// begins, both count.
func TestMaxPartsOfCutOffMessages(t *testing.T) {
	message := []byte("Content-Type: multipart/digest; boundary=b\n\n" + strings.Repeat("--b\n", 100))
	for limit := 1; limit < 20; limit++ {
		p, err := Parse(bytes.NewReader(message), Limits{MaxParts: limit})
		if err != nil {
			t.Fatal(err)
		}
		if _, parts := depthAndParts(p); parts > limit || parts < limit-1 {
			t.Errorf("limit %d: %d parts", limit, parts)
		}
		if err := invariants(p, message); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

// All headers together may keep four times MaxHeader.
func TestMaxHeaderOfAllParts(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	field := "Content-Description: " + strings.Repeat("x", 900) + "\r\n"
	for range 100 {
		b.WriteString("--b\r\n" + field + "\r\n")
	}
	p, err := Parse(strings.NewReader(b.String()), Limits{MaxHeader: 1000})
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, c := range p.Children {
		if c.Description != "" {
			kept++
		}
	}
	if len(p.Children) != 100 || kept != 4 {
		t.Errorf("%d parts, %d descriptions", len(p.Children), kept)
	}
}

func TestReadErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, s := range []string{"", "Subject: x", "Subject: x\r\n\r\nbody", string(nested(3))} {
		_, err := Parse(io.MultiReader(strings.NewReader(s), iotest.ErrReader(broken)), Limits{})
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := Parse(stuck{}, Limits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that never reads: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestLongLines(t *testing.T) {
	for _, size := range []int{minBuffer - 1, minBuffer, minBuffer + 1, maxBuffer - 1, maxBuffer, maxBuffer + 1, 3*maxBuffer + 7} {
		for _, eol := range []string{"\r\n", "\n"} {
			long := strings.Repeat("y", size)
			message := []byte("X-Junk: " + long + eol + "Subject: s" + eol + "Content-Type: multipart/mixed; boundary=b" + eol + eol +
				long + "--b" + eol + "--b" + eol + eol + long + eol + "--b--" + long + eol + long)
			p := mustParse(t, message)
			if err := invariants(p, message); err != nil {
				t.Fatalf("%d %q: %v", size, eol, err)
			}
			if p.Envelope.Subject != "s" || len(p.Children) != 1 || p.Children[0].EndOff-p.Children[0].BodyOff != int64(size) {
				t.Errorf("%d %q: subject %q, %d parts", size, eol, p.Envelope.Subject, len(p.Children))
			}
		}
	}
}

// A CR at the end of a full buffer may be half of a line end, or none.
func TestCarriageReturnsAtTheEdge(t *testing.T) {
	for size := maxBuffer - 3; size <= maxBuffer+3; size++ {
		for _, end := range []string{"\r\n", "\n", "\r\r\n", "\rx\n", "\r"} {
			message := []byte("\n" + strings.Repeat("z", size) + end + "\n--b\r\n")
			p := mustParse(t, message)
			if err := invariants(p, message); err != nil {
				t.Fatalf("%d %q: %v", size, end, err)
			}
		}
	}
}

// repeat reads the same bytes n times over.
type repeat struct {
	s    string
	n, i int
}

func (r *repeat) Read(b []byte) (int, error) {
	if r.n == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.s[r.i:])
	if r.i += n; r.i == len(r.s) {
		r.i = 0
		r.n--
	}
	return n, nil
}

func TestMemoryIsBounded(t *testing.T) {
	for name, s := range map[string]string{
		"lines":         "Some text in a line that is as long as lines are.\r\n",
		"one line":      "abcdefgh",
		"blank lines":   "\n",
		"header":        "X-Spam: some text\r\n",
		"folded":        "  some text\r\n",
		"delimiters":    "--b\r\n",
		"recipients":    "To: a@b, c@d, e@f, g@h\r\n",
		"content types": "Content-Type: text/plain; a=b; c=d\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			r := io.MultiReader(strings.NewReader("Content-Type: multipart/mixed; boundary=b\r\n"+map[bool]string{true: "\r\n"}[len(name) > 10]),
				&repeat{s: s, n: 8 << 20 / len(s)})
			runtime.ReadMemStats(&before)
			p, err := Parse(r, Limits{MaxHeader: 64 << 10, MaxParts: 100})
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 6<<20 {
				t.Errorf("%d bytes allocated for a message of %d", n, p.EndOff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.message)
	}
	f.Add(nested(60))
	f.Add(sample(100, "\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		p := mustParse(t, message)
		if err := invariants(p, message); err != nil {
			t.Fatal(err)
		}
		small, err := Parse(iotest.HalfReader(bytes.NewReader(message)), Limits{MaxDepth: 3, MaxParts: 5, MaxHeader: 200})
		if err != nil {
			t.Fatal(err)
		}
		if depth, parts := depthAndParts(small); depth > 3 || parts > 5 {
			t.Fatalf("depth %d, %d parts", depth, parts)
		}
		if err := invariants(small, message); err != nil {
			t.Fatal(err)
		}
		roundTrip(t, p)
		buf := make([]byte, 1<<10)
		n := copy(buf, message)
		if q, err := ParseIn(buf, n, bytes.NewReader(message[n:]), Limits{}); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%v: with its head in memory it is\n%+v\nelse\n%+v", err, q, p)
		}
		before := bytes.Clone(message)
		q := ParseParts(message, Limits{})
		if dropEnvelopes(p); !reflect.DeepEqual(p, q) || !bytes.Equal(message, before) {
			t.Fatalf("in memory, without envelopes, it is\n%+v\nelse\n%+v", q, p)
		}
	})
}

func dropEnvelopes(p *Part) {
	p.Envelope = nil
	for _, c := range p.Children {
		dropEnvelopes(c)
	}
}
