package store

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"kurir/internal/message"
)

// searchWindow is how much text is searched at once.
const searchWindow = 32 << 10

var searchWindows = sync.Pool{New: func() any { b := make([]byte, 0, 2*searchWindow); return &b }}

// needle is a text that is looked for, folded.
type needle struct {
	folded []byte
	rare   int  // the place of the byte of folded that texts have least of
	lines  bool // it has line ends
}

func newNeedle(s string) *needle {
	n := &needle{folded: message.Fold(nil, []byte(s)), lines: strings.ContainsAny(s, "\r\n")}
	for i, c := range n.folded {
		if frequency(c) < frequency(n.folded[n.rare]) {
			n.rare = i
		}
	}
	return n
}

// frequency orders bytes of folded text by how often they come, roughly.
func frequency(c byte) int {
	if i := strings.IndexByte("ZQXJKVBPYGFWMUCLDRHSNIOATE ", c); i >= 0 {
		return i + 1
	}
	if c < utf8.RuneSelf {
		return 0
	}
	return 20 // where there are some there are many
}

// found reports whether the needle is in a folded text. It looks for the rare byte first:
// as the needle's first byte may be among the most frequent, that is much quicker.
func (n *needle) found(text []byte) bool {
	if len(n.folded) == 0 {
		return true
	}
	last := len(text) - len(n.folded) + n.rare // the last place where the rare byte may be
	for i, tries := n.rare, 0; i <= last; i++ {
		j := bytes.IndexByte(text[i:last+1], n.folded[n.rare])
		if j < 0 {
			return false
		}
		i += j
		if bytes.Equal(text[i-n.rare:i-n.rare+len(n.folded)], n.folded) {
			return true
		}
		if tries++; tries > 16+i/16 { // it is not that rare here
			return bytes.Contains(text[i-n.rare+1:], n.folded)
		}
	}
	return false
}

func (n *needle) empty() bool { return len(n.folded) == 0 }

// in reports whether the needle is in s.
func (n *needle) in(s string) bool {
	if n.empty() {
		return true
	}
	if len(s) == 0 {
		return false
	}
	return n.found(message.Fold(make([]byte, 0, len(s)+8), []byte(s)))
}

// inHeader reports whether the needle is in a field of a header, name and all, or in a line
// that is none.
func (n *needle) inHeader(raw []byte) bool {
	for f := range message.Fields(raw) {
		text := message.DecodeHeader(f.Unfolded())
		if f.Name != "" {
			text = f.Name + ": " + text
		}
		if n.in(text) {
			return true
		}
	}
	return false
}

// inText reports whether the needle is in what r gives: UTF-8, of which only a window is
// kept. Before each window it calls pause. Errors are those of r and of pause.
func (n *needle) inText(pause func() error, r io.Reader) (bool, error) {
	home := searchWindows.Get().(*[]byte)
	defer searchWindows.Put(home)
	in := (*home)[:searchWindow]
	var folded []byte
	kept := 0 // bytes at the start of in that were not folded: half a character
	for {
		if err := pause(); err != nil {
			return false, err
		}
		k, err := io.ReadAtLeast(r, in[kept:], 1)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return false, err
		}
		var used int
		folded, used = appendFolded(folded, in[:kept+k], end)
		if n.found(folded) {
			return true, nil
		}
		if end {
			return false, nil
		}
		kept = copy(in, in[used:kept+k])
		tail := min(len(n.folded)-1, len(folded))
		folded = append(folded[:0], folded[len(folded)-tail:]...)
	}
}

// appendFolded appends p folded (message.Fold), and says how much of p it took: all, but
// for the bytes of a character that is not whole yet and may be before the end.
func appendFolded(b, p []byte, end bool) ([]byte, int) {
	n := len(p)
	for i := max(n-utf8.UTFMax+1, 0); i < n && !end; i++ {
		if utf8.RuneStart(p[i]) && !utf8.FullRune(p[i:]) {
			n = i
		}
	}
	return message.Fold(b, p[:n]), n
}
