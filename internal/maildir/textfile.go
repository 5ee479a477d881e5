package maildir

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of the files kurir-mailbox, kurir-account and kurir-uidl.
var (
	// ErrNewer: the file was written by a later release with a format that this one can't read.
	ErrNewer = errors.New("written by a newer kurir")
	// ErrCorrupt: the file is cut short or says nonsense.
	ErrCorrupt = errors.New("corrupt file")
)

// maxTextFile is the longest kurir-mailbox or kurir-account file that is read, in bytes.
const maxTextFile = 64 << 10

// A text file begins with a line "<kind> <version>", ends in a line "end" (so that a file cut
// short is noticed), and has lines "<key> <value>" between.

// parseText calls each for every line between the first and the last.
func parseText(kind string, version uint64, data []byte, each func(key, value string) error) error {
	if len(data) > maxTextFile {
		return fmt.Errorf("%s: %w: %d bytes", kind, ErrCorrupt, len(data))
	}
	head, rest, _ := strings.Cut(string(data), "\n")
	num, ok := strings.CutPrefix(head, kind+" ")
	v, isNum := parseDecimal(num, 1<<31)
	if !ok || !isNum || v == 0 {
		return fmt.Errorf("%s: %w: first line %.40q", kind, ErrCorrupt, head)
	}
	if v > version {
		return fmt.Errorf("%s: %w: format %d, this release reads up to %d", kind, ErrNewer, v, version)
	}
	body, ok := strings.CutSuffix("\n"+rest, "\nend\n")
	if !ok {
		return fmt.Errorf("%s: %w: no line \"end\"", kind, ErrCorrupt)
	}
	seen := make(map[string]bool)
	for line := range strings.SplitSeq(strings.TrimPrefix(body, "\n"), "\n") {
		if line == "" && body == "" {
			break
		}
		key, value, _ := strings.Cut(line, " ")
		if key == "" || key == "end" || seen[key] {
			return fmt.Errorf("%s: %w: line %.40q", kind, ErrCorrupt, line)
		}
		seen[key] = true
		if err := each(key, value); err != nil {
			return fmt.Errorf("%s: %s: %w", kind, key, err)
		}
	}
	return nil
}

// textWriter writes such a file.
type textWriter struct{ b []byte }

func newText(kind string, version int) *textWriter {
	return &textWriter{fmt.Appendf(nil, "%s %d\n", kind, version)}
}

// line writes one line; a value without content is left out.
func (w *textWriter) line(key, value string) {
	if value != "" {
		w.b = append(append(append(append(w.b, key...), ' '), value...), '\n')
	}
}

func (w *textWriter) number(key string, v uint64) { w.line(key, strconv.FormatUint(v, 10)) }

func (w *textWriter) end() []byte { return append(w.b, "end\n"...) }

// setNumber reads a canonical number of at most max into dst.
func setNumber[T uint32 | uint64](dst *T, value string, max uint64) error {
	v, ok := parseDecimal(value, max)
	if !ok {
		return fmt.Errorf("%w: %.40q is no number up to %d", ErrCorrupt, value, max)
	}
	*dst = T(v)
	return nil
}

// oneLine reports whether a value can stand on a line.
func oneLine(s string) bool { return !strings.ContainsAny(s, "\n\r\x00") }
