package smtpclient

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"
)

func readReply(s string, bufSize int) (Reply, error) {
	rr := replyReader{r: bufio.NewReaderSize(strings.NewReader(s), bufSize), maxOctets: 64 << 10, maxLines: 200}
	r, err := rr.read()
	r.finish()
	return r, err
}

// wantReplies also seeds FuzzReply.
var wantReplies = []struct {
	in     string
	code   int
	status string
	text   string
}{
	// RFC 5321 section 4.2: a code, a space, text.
	{"250 ok\r\n", 250, "2.0.0", "ok"},
	{"250-one\r\n250-two\r\n250 three\r\n", 250, "2.0.0", "one\ntwo\nthree"},
	{"354 go ahead\r\n", 354, "", "go ahead"},
	// Section 4.2: the text may be missing, and with it the space.
	{"250\r\n", 250, "2.0.0", ""},
	{"250 \r\n", 250, "2.0.0", ""},
	{"250-\r\n250-\r\n250 x\r\n", 250, "2.0.0", "x"},
	{"250-\n250\n", 250, "2.0.0", ""},
	{"451 line feed alone\n", 451, "4.0.0", "line feed alone"},
	{"250\ttab\r\n", 250, "2.0.0", "tab"},
	// RFC 2034 section 4: the enhanced code begins the text, of each line.
	{"550 5.1.1 no such user\r\n", 550, "5.1.1", "no such user"},
	{"550-5.1.1 The account\r\n550 5.1.1 does not exist\r\n", 550, "5.1.1", "The account\ndoes not exist"},
	{"550-5.1.1\r\n550 5.1.1\r\n", 550, "5.1.1", ""},
	{"450 4.2.100\r\n", 450, "4.2.100", ""},
	{"250 2.1.5 fine\r\n", 250, "2.1.5", "fine"},
	// Its class says what the code says; of two that differ the code counts.
	{"550 4.7.1 come back\r\n", 550, "5.7.1", "come back"},
	{"450 5.7.1 come back\r\n", 450, "4.7.1", "come back"},
	{"250 5.7.1 come back\r\n", 250, "2.0.0", "5.7.1 come back"},
	{"550 2.0.0 come back\r\n", 550, "5.0.0", "2.0.0 come back"},
	// What only looks like one is text.
	{"554 5.6.7.8 is on a list\r\n", 554, "5.0.0", "5.6.7.8 is on a list"},
	{"554 5.1 x\r\n", 554, "5.0.0", "5.1 x"},
	{"554 5.1.x\r\n", 554, "5.0.0", "5.1.x"},
	{"554 5.1000.1 x\r\n", 554, "5.0.0", "5.1000.1 x"},
	{"554 3.1.1 x\r\n", 554, "5.0.0", "3.1.1 x"},
	{"554-first\r\n554 5.7.1 second\r\n", 554, "5.0.0", "first\nsecond"},
	// Lines of one reply that differ: what sounds worse counts.
	{"250-ok\r\n550 5.7.1 no\r\n", 550, "5.0.0", "ok\nno"},
	{"550-no\r\n250 ok\r\n", 550, "5.0.0", "no\nok"},
	// Strangers' octets are made fit to be shown.
	{"550 caf\xc3\xa9 \xff\x00\x1b[2Jx\u202e\r\n", 550, "5.0.0", "café ���[2Jx�"},
	{"550   spaces \t \r\n", 550, "5.0.0", "spaces"},
	{"550 a\rb\r\r\n", 550, "5.0.0", "a�b�"},
}

func TestReply(t *testing.T) {
	for _, tt := range wantReplies {
		for _, size := range []int{16, 4096} {
			r, err := readReply(tt.in, size)
			if err != nil || r.Code != tt.code || r.Status != tt.status || r.Text() != tt.text {
				t.Errorf("%q (buffer %d) = %d %q %q, %v; want %d %q %q", tt.in, size, r.Code, r.Status, r.Text(), err, tt.code, tt.status, tt.text)
			}
		}
	}
}

func TestReplyErrors(t *testing.T) {
	for _, tt := range []struct {
		in  string
		err error
	}{
		{"", io.EOF},
		{"250 ok", io.EOF},
		{"250-ok\r\n", io.EOF},
		{"\r\n", ErrNotSMTP},
		{"25\r\n", ErrNotSMTP},
		{"2x0 ok\r\n", ErrNotSMTP},
		{"150 ok\r\n", ErrNotSMTP},
		{"650 ok\r\n", ErrNotSMTP},
		{"250ok\r\n", ErrNotSMTP},
		{"2500 ok\r\n", ErrNotSMTP},
		{" 250 ok\r\n", ErrNotSMTP},
		{"SSH-2.0-OpenSSH_9.6\r\n", ErrNotSMTP},
		{"250-ok\r\nHTTP/1.1 400 Bad Request\r\n", ErrNotSMTP},
		{"250 " + strings.Repeat("x", 64<<10) + "\r\n", ErrReplyTooLong},
		{strings.Repeat("x", 10<<20), ErrReplyTooLong},
		{strings.Repeat("250-x\r\n", 200) + "250 x\r\n", ErrReplyTooLong},
		{strings.Repeat("250-"+strings.Repeat("x", 996)+"\r\n", 66), ErrReplyTooLong},
	} {
		if r, err := readReply(tt.in, 4096); !errors.Is(err, tt.err) {
			t.Errorf("%.40q = %v, %v; want %v", tt.in, r, err, tt.err)
		}
	}
}

// A reply has all of its lines, and no more text than 4 KiB.
func TestReplyBounds(t *testing.T) {
	r, err := readReply(strings.Repeat("550-5.7.1 "+strings.Repeat("é", 100)+"\r\n", 100)+"550 5.7.1 end\r\n", 4096)
	if err != nil || r.Code != 550 || r.Status != "5.7.1" {
		t.Fatalf("%d %s %v", r.Code, r.Status, err)
	}
	if s := r.Text(); len(s) > maxText || len(s) < maxText-200 || !utf8.ValidString(s) {
		t.Errorf("%d octets of text", len(s))
	}
}

// The reader takes octets as they come, and leaves the next reply alone.
func TestReplyInPieces(t *testing.T) {
	in := strings.NewReader("250-one\r\n250 two\r\n550 5.1.1 next\r\n")
	rr := replyReader{r: bufio.NewReader(iotest.OneByteReader(in)), maxOctets: 1000, maxLines: 10}
	var got []string
	for {
		r, err := rr.read()
		if err != nil {
			break
		}
		r.finish()
		got = append(got, r.Error())
	}
	if want := []string{"250 2.0.0 one two", "550 5.1.1 next"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReplyClasses(t *testing.T) {
	for code, want := range map[int]string{0: "", 250: "+", 354: "c", 421: "tr!", 450: "tr", 550: "pr"} {
		r, got := &Reply{Code: code}, ""
		for _, m := range []struct {
			is   bool
			sign string
		}{{r.Positive(), "+"}, {r.Continue(), "c"}, {r.Temporary(), "t"}, {r.Permanent(), "p"}, {r.Refused(), "r"}, {r.Closing(), "!"}} {
			if m.is {
				got += m.sign
			}
		}
		if got != want {
			t.Errorf("%d: %s, want %s", code, got, want)
		}
	}
}

// FuzzReply: whatever comes, a reply is one with a valid code and printable, bounded text,
// no more than the limit is read, and a small buffer makes no difference.
func FuzzReply(f *testing.F) {
	for _, tt := range wantReplies {
		f.Add([]byte(tt.in))
	}
	f.Add([]byte("250-" + strings.Repeat("y", 5000) + "\r\n250 x\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 8 << 10
		read := func(buf int) (Reply, int, error) {
			src := strings.NewReader(string(in))
			rr := replyReader{r: bufio.NewReaderSize(src, buf), maxOctets: limit, maxLines: 20}
			r, err := rr.read()
			r.finish()
			return r, len(in) - src.Len(), err
		}
		r, _, err := read(4096)
		small, used, serr := read(16)
		if (err == nil) != (serr == nil) || r.Error() != small.Error() {
			t.Fatalf("%v %v with a large buffer, %v %v with a small one", r, err, small, serr)
		}
		if used > limit+16 {
			t.Fatalf("%d octets were read", used)
		}
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.Text()) > maxText || len(r.Lines) > 20 || (r.Status == "") != r.Continue() {
			t.Fatalf("%+v", r)
		}
		for _, l := range r.Lines {
			if l == "" || !utf8.ValidString(l) || strings.ContainsFunc(l, func(c rune) bool { return !unicode.IsPrint(c) && c != utf8.RuneError }) {
				t.Fatalf("line %q", l)
			}
		}
	})
}
