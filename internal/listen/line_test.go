package listen

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll reads lines until an error other than ErrLineTooLong; "!" stands for that.
func readAll(in io.Reader, size, max int) (lines []string, err error) {
	l := NewLineReader(bufio.NewReaderSize(in, size))
	for {
		line, err := l.ReadLine(max)
		switch {
		case err == nil:
			lines = append(lines, string(line))
		case errors.Is(err, ErrLineTooLong):
			lines = append(lines, "!")
		default:
			return lines, err
		}
	}
}

func TestReadLine(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		in   string
		max  int
		want []string
		err  error
	}{
		{"", 10, nil, io.EOF},
		{"a\r\nb\nc\r\n", 10, []string{"a", "b", "c"}, io.EOF},
		{"\r\n\n\r\r\n", 10, []string{"", "", "\r"}, io.EOF},
		{"a\rb\r\n", 10, []string{"a\rb"}, io.EOF},
		{"a\x00b\xff\r\n", 10, []string{"a\x00b\xff"}, io.EOF},
		{"a\r\nhalf", 10, []string{"a"}, io.ErrUnexpectedEOF},
		{"\r", 10, nil, io.ErrUnexpectedEOF},
		{x(10) + "\r\nnext\r\n", 10, []string{x(10), "next"}, io.EOF},
		{x(10) + "\nnext\r\n", 10, []string{x(10), "next"}, io.EOF},
		{x(11) + "\r\nnext\r\n", 10, []string{"!", "next"}, io.EOF},
		{x(16) + "\r\n" + x(17) + "\r\n", 16, []string{x(16), "!"}, io.EOF},
		{x(100) + "\r\nnext\r\n", 100, []string{x(100), "next"}, io.EOF},
		{x(101) + "\r\nnext\r\n", 100, []string{"!", "next"}, io.EOF},
		{x(100000) + "\r\nnext\r\n", 100, []string{"!", "next"}, io.EOF},
		{x(100000), 100, nil, io.ErrUnexpectedEOF},
		{x(32), 100, nil, io.ErrUnexpectedEOF},
		{"\r\nx\r\n", 0, []string{"", "!"}, io.EOF},
	} {
		for name, in := range map[string]io.Reader{
			"whole": strings.NewReader(tt.in), "bytewise": iotest.OneByteReader(strings.NewReader(tt.in)),
		} {
			got, err := readAll(in, 16, tt.max)
			if strings.Join(got, "|") != strings.Join(tt.want, "|") || len(got) != len(tt.want) || err != tt.err {
				t.Errorf("%.20q max %d %s: %.40q, %v", tt.in, tt.max, name, got, err)
			}
		}
	}
}

func TestReadLineFails(t *testing.T) {
	broken := errors.New("broken")
	in := io.MultiReader(strings.NewReader("a\r\nb"), iotest.ErrReader(broken))
	if got, err := readAll(in, 16, 10); len(got) != 1 || err != broken {
		t.Errorf("%q, %v", got, err)
	}
}

// An endless line takes no memory, and a long one gives its buffer back.
func TestReadLineMemory(t *testing.T) {
	const size = 100 << 10
	l := NewLineReader(bufio.NewReader(io.MultiReader(
		io.LimitReader(zeros{}, 100<<20), strings.NewReader("\r\n"),
		io.LimitReader(zeros{}, size), strings.NewReader("\r\nshort\r\n"))))
	if _, err := l.ReadLine(1000); !errors.Is(err, ErrLineTooLong) || cap(l.long) > 4096 {
		t.Errorf("%v, %d bytes held", err, cap(l.long))
	}
	if line, err := l.ReadLine(size); err != nil || len(line) != size {
		t.Errorf("%d bytes, %v", len(line), err)
	}
	if line, err := l.ReadLine(size); err != nil || string(line) != "short" || cap(l.long) > keepLine {
		t.Errorf("%q, %v, %d bytes held", line, err, cap(l.long))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Between two lines the owner may read a literal from R.
func TestReadLineBesideReader(t *testing.T) {
	l := NewLineReader(bufio.NewReader(strings.NewReader("a {3}\r\nx\ny rest\r\n")))
	l.ReadLine(100)
	literal := make([]byte, 3)
	io.ReadFull(l.R, literal)
	if line, err := l.ReadLine(100); string(literal) != "x\ny" || string(line) != " rest" || err != nil {
		t.Errorf("%q %q %v", literal, line, err)
	}
}

// The reference: cut at each LF, drop one CR before it, compare the length.
func FuzzReadLine(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "\n\r\n\r\r\n", strings.Repeat("x", 40) + "\r\ny\n"} {
		f.Add([]byte(s), 5, 20)
	}
	f.Fuzz(func(t *testing.T, in []byte, max, size int) {
		if max < 0 || max > 1<<20 || size < 0 || size > 1<<16 {
			return
		}
		var want []string
		rest := in
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			if line = bytes.TrimSuffix(line, []byte("\r")); len(line) > max {
				line = []byte("!")
			}
			want, rest = append(want, string(line)), after
		}
		wantErr := io.EOF
		if len(rest) > 0 {
			wantErr = io.ErrUnexpectedEOF
		}
		got, err := readAll(bytes.NewReader(in), size, max)
		if strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) || err != wantErr {
			t.Errorf("%q, %v; want %q, %v", got, err, want, wantErr)
		}
	})
}
