package message

import (
	"fmt"
	"testing"
)

const findSample = "Content-Type: multipart/mixed; boundary=a\r\n\r\n" +
	"--a\r\n\r\none\r\n" +
	"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\ntwo.one\r\n--b\r\n\r\ntwo.two\r\n--b--\r\n\r\n" +
	"--a\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nthree.one\r\n" +
	"--c\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nthree.two.one\r\n--c--\r\n\r\n" +
	"--a--\r\n"

// RFC 9051 section 6.4.5.1: part numbers.
func TestFind(t *testing.T) {
	message := []byte(findSample)
	p := mustParse(t, message)
	for _, c := range []struct {
		path []int
		want string // the body, "" if there is no such part
	}{
		{[]int{1}, "one"},
		{[]int{1, 1}, "one"},
		{[]int{1, 1, 1}, ""},
		{[]int{1, 2}, ""},
		{[]int{2}, "--b\r\n\r\ntwo.one\r\n--b\r\n\r\ntwo.two\r\n--b--\r\n"},
		{[]int{2, 1}, "two.one"},
		{[]int{2, 2}, "two.two"},
		{[]int{2, 3}, ""},
		{[]int{3, 1}, "three.one"},
		{[]int{3, 2}, "Subject: x\r\n\r\nthree.two.one"},
		{[]int{3, 2, 1}, "three.two.one"},
		{[]int{3, 2, 1, 1}, ""},
		{[]int{3, 2, 2}, ""},
		{[]int{3, 3}, ""},
		{[]int{4}, ""},
		{[]int{0}, ""},
		{[]int{-1}, ""},
		{[]int{1, 0}, ""},
		{[]int{1 << 40}, ""},
	} {
		got := ""
		if q := p.Find(c.path); q != nil {
			got = string(message[q.BodyOff:q.EndOff])
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.path, got, c.want)
		}
	}
	if p.Find(nil) != p || p.Find([]int{}) != p {
		t.Error("an empty path is not the message")
	}
	three := p.Find([]int{3})
	if !three.IsMessage() || !three.Children[0].IsMultipart() {
		t.Error("3 is no message with a multipart")
	}
}

func TestFindInFlatMessages(t *testing.T) {
	for _, c := range []struct {
		message string
		path    []int
		want    string
	}{
		{"Subject: x\r\n\r\nbody", []int{1}, "body"},
		{"Subject: x\r\n\r\nbody", []int{1, 1}, ""},
		{"Subject: x\r\n\r\nbody", []int{2}, ""},
		{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", []int{1}, "A: b\r\n\r\nbody"},
		{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", []int{1, 1}, "body"},
		{"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\nbody", []int{1, 2}, ""},
		{"Content-Type: multipart/mixed\r\n\r\nbody", []int{1}, ""},
	} {
		got := ""
		if q := mustParse(t, []byte(c.message)).Find(c.path); q != nil {
			got = c.message[q.BodyOff:q.EndOff]
		}
		if got != c.want {
			t.Errorf("%q %v: %q, want %q", c.message, c.path, got, c.want)
		}
	}
	// A tree that Parse did not make.
	if q := (&Part{Type: "message", Subtype: "rfc822"}).Find([]int{1, 1}); q != nil && len(q.Children) != 0 {
		t.Errorf("%+v", q)
	}
}

func TestWireSizes(t *testing.T) {
	for message, want := range map[string]string{
		"A: b\r\n\r\nc\r\n": "8 3",
		"A: b\n\nc\n":       "8 3",
		"A: b\n\r\nc\nd":    "8 4",
		"A: b\r\n\nc\r":     "8 2",
		"\n":                "2 0",
		"":                  "0 0",
	} {
		p := mustParse(t, []byte(message))
		if got := fmt.Sprint(p.HeaderWire(), p.BodyWire()); got != want {
			t.Errorf("%q: %s, want %s", message, got, want)
		}
	}
}

func TestKinds(t *testing.T) {
	for typ, want := range map[string]string{
		"Text/Plain": "text", "multipart/x": "multipart", "MULTIPART/MIXED; boundary=a": "multipart",
		"message/rfc822": "message", "Message/Global": "message", "message/partial": "", "image/png": "",
	} {
		p := mustParse(t, []byte("Content-Type: "+typ+"\r\n\r\n"))
		got := ""
		switch {
		case p.IsText():
			got = "text"
		case p.IsMultipart():
			got = "multipart"
		case p.IsMessage():
			got = "message"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", typ, got, want)
		}
	}
}

func TestThreadID(t *testing.T) {
	env := func(fields string) *Envelope { return mustParse(t, []byte(fields+"\r\n")).Envelope }
	root := ThreadID(env("Message-ID: <root@x>\r\n"), "E1")
	if len(root) != 33 || root[0] != 'T' {
		t.Errorf("form %q", root)
	}
	for _, fields := range []string{
		"Message-ID: <root@x>\r\n",
		"Message-ID: <a@x>\r\nIn-Reply-To: <root@x>\r\n",
		"Message-ID: <a@x>\r\nIn-Reply-To: your mail <root@x> of today\r\n",
		"Message-ID: <a@x>\r\nReferences: <root@x> <b@x>\r\nIn-Reply-To: <b@x>\r\n",
		"Message-ID: <a@x>\r\nReferences:\r\n <root\r\n @x>\r\n <b@x>\r\n",
		"Message-ID: root@x\r\n",
		"References: <> <root@x>\r\n",
		"References: none\r\nMessage-ID: <root@x>\r\n",
	} {
		if got := ThreadID(env(fields), "E2"); got != root {
			t.Errorf("%q is another thread", fields)
		}
	}
	seen := map[string]string{root: "root"}
	for name, id := range map[string]string{
		"another id":      ThreadID(env("Message-ID: <other@x>\r\n"), "E1"),
		"no id":           ThreadID(env("Subject: x\r\n"), "E1"),
		"no id, other":    ThreadID(env("Subject: x\r\n"), "E2"),
		"no @ in the id":  ThreadID(env("Message-ID: <x\r\n"), "E3"),
		"unclosed with @": ThreadID(env("Message-ID: <unclosed@x\r\n"), "E3"),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[id] = name
	}
	if ThreadID(nil, "E1") != ThreadID(env("Subject: y\r\n"), "E1") {
		t.Error("no envelope is not as one without ids")
	}
}
