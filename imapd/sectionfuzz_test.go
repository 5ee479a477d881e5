package imapd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"kurir/internal/message"
)

// naiveSections are the sections of a message, which is given as it is on the wire, made
// from the whole of it in memory: what FETCH streams from a file that may be stored with
// other line ends.
func naiveSections(t *testing.T, wire []byte) map[string][]byte {
	t.Helper()
	root, err := message.Parse(bytes.NewReader(wire), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"": wire, "HEADER": wire[:root.BodyOff], "TEXT": wire[root.BodyOff:]}
	var walk func(p *message.Part, number string)
	inside := func(p *message.Part, number string) {
		for i, c := range p.Children {
			walk(c, strings.TrimPrefix(fmt.Sprintf("%s.%d", number, i+1), "."))
		}
	}
	walk = func(p *message.Part, number string) {
		all[number] = wire[p.BodyOff:p.EndOff]
		all[number+".MIME"] = wire[p.HeaderOff:p.BodyOff]
		switch {
		case p.IsMultipart():
			inside(p, number)
		case p.IsMessage() && len(p.Children) == 1:
			inner := p.Children[0]
			all[number+".HEADER"] = wire[inner.HeaderOff:inner.BodyOff]
			all[number+".TEXT"] = wire[inner.BodyOff:inner.EndOff]
			if inner.IsMultipart() {
				inside(inner, number)
			} else {
				walk(inner, number+".1")
			}
		}
	}
	if root.IsMultipart() {
		inside(root, "")
	} else {
		walk(root, "1")
	}
	return all
}

// FuzzSections appends a message, which may be stored with other line ends than it came
// with, and fetches every section of it: whole, and in two pieces.
func FuzzSections(f *testing.F) {
	for _, m := range oddMessages {
		f.Add([]byte(m), uint16(3))
		f.Add([]byte(strings.ReplaceAll(m, "\n", "\r\n")), uint16(70))
	}
	f.Add([]byte("a: b\r\n\r\nmixed\nline\r\r\nends\r"), uint16(12))
	s := newServer(f).start()
	f.Cleanup(s.stop)
	f.Fuzz(func(t *testing.T, text []byte, cut uint16) {
		if len(text) == 0 || len(text) > 4<<10 {
			return // APPEND refuses the empty one
		}
		c := s.raw(t, "alice")
		defer c.conn.Close()
		text = bytes.ReplaceAll(text, []byte{0}, []byte{'0'})
		c.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
		c.do("SELECT INBOX")
		at := fmt.Sprintf("<%d.", cut)
		for name, want := range naiveSections(t, text) {
			_, got := c.do(fmt.Sprintf("FETCH * (BODY.PEEK[%s] BODY.PEEK[%s]<0.%d> BODY.PEEK[%s]%s100000>)", name, name, int(cut)+1, name, at))
			if len(got) != 3 || !bytes.Equal(got[0], want) {
				t.Fatalf("%q\nBODY[%s] is %q, want %q", text, name, got, want)
			}
			head, tail := want[:min(len(want), int(cut)+1)], want[min(len(want), int(cut)):]
			if !bytes.Equal(got[1], head) || !bytes.Equal(got[2], tail) {
				t.Fatalf("%q\nBODY[%s] from or up to %d: %q, %q", text, name, cut, got[1], got[2])
			}
		}
		c.do("STORE 1:* +FLAGS.SILENT (\\Deleted)")
		c.do("EXPUNGE")
	})
}
