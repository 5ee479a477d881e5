package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"kurir/internal/message"
)

// searchWindow is how much text is searched at once.
const searchWindow = 32 << 10

var searchWindows = sync.Pool{New: func() any { b := make([]byte, 0, 2*searchWindow); return &b }}

// needle is a text that is looked for, folded.
type needle struct{ folded []byte }

func newNeedle(s string) *needle {
	return &needle{message.Fold(nil, []byte(s))}
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
	return bytes.Contains(message.Fold(make([]byte, 0, len(s)+8), []byte(s)), n.folded)
}

// inHeader reports whether the needle is in a field of a header, name and all.
func (n *needle) inHeader(raw []byte) bool {
	for f := range message.Fields(raw) {
		if n.in(f.Name + ": " + message.DecodeHeader(f.Value())) {
			return true
		}
	}
	return false
}

// inText reports whether the needle is in what r gives: UTF-8, of which only a window is
// kept. Errors are those of r, and ctx's.
func (n *needle) inText(ctx context.Context, r io.Reader) (bool, error) {
	home := searchWindows.Get().(*[]byte)
	defer searchWindows.Put(home)
	in := (*home)[:searchWindow]
	var folded []byte
	kept := 0 // bytes at the start of in that were not folded: half a character
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		k, err := io.ReadAtLeast(r, in[kept:], 1)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return false, err
		}
		var used int
		folded, used = appendFolded(folded, in[:kept+k], end)
		if bytes.Contains(folded, n.folded) {
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
