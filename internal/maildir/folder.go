package maildir

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxFolderDir is the longest directory name of a folder, in bytes.
const MaxFolderDir = 255

// Errors about folder names.
var (
	ErrNameTooLong = errors.New("folder name is too long")
	ErrBadName     = errors.New("folder name is not usable")
)

// invalidMark begins the displayed name of a directory whose name is no folder's.
const invalidMark = "\uFFFD"

// FolderDir gives the directory, below the account's, of the folder with an IMAP name:
// levels between slashes, in UTF-8. "Archive/2026" is ".Archive.2026"; INBOX, in any case,
// is "", the account's directory itself; "inbox/x" is ".INBOX.x". Names are brought to NFC.
// A name that ParseFolderDir gave for an invalid directory leads back to that directory.
//
// Errors: ErrBadName for names that are not UTF-8, have an empty level (drop a trailing slash
// before) or a control character; ErrNameTooLong if the directory's name would exceed 255 bytes.
func FolderDir(name string) (string, error) {
	if rest, ok := strings.CutPrefix(name, invalidMark); ok {
		return invalidDir(rest)
	}
	name, err := CanonicalFolder(name)
	if err != nil {
		return "", err
	}
	if name == "INBOX" {
		return "", nil
	}
	var dir strings.Builder
	for level := range strings.SplitSeq(name, "/") {
		dir.WriteByte('.')
		dir.WriteString(encodeLevel(level))
	}
	if dir.Len() > MaxFolderDir {
		return "", fmt.Errorf("%w: %d bytes on disk, %d allowed", ErrNameTooLong, dir.Len(), MaxFolderDir)
	}
	return dir.String(), nil
}

// CanonicalFolder gives the one spelling of a new or valid folder's IMAP name: NFC, and
// the first level INBOX in capitals. It fails with ErrBadName for names that no folder can
// have, those of invalid directories among them.
func CanonicalFolder(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: not UTF-8", ErrBadName)
	}
	name = norm.NFC.String(name)
	first, rest, deep := strings.Cut(name, "/")
	if strings.EqualFold(first, "INBOX") && len(first) == len("INBOX") {
		name = "INBOX"
		if deep {
			name += "/" + rest
		}
	}
	for level := range strings.SplitSeq(name, "/") {
		if level == "" {
			return "", fmt.Errorf("%w: it has an empty level", ErrBadName)
		}
	}
	if i := strings.IndexFunc(name, forbiddenRune); i >= 0 {
		return "", fmt.Errorf("%w: it has a control character or U+FFFD", ErrBadName)
	}
	return name, nil
}

// forbiddenRune says which characters no folder name may have (RFC 9051 section 5.1, RFC 5198
// section 2), and the mark of invalid names.
func forbiddenRune(c rune) bool {
	return c < ' ' || 0x7f <= c && c <= 0x9f || c == 0x2028 || c == 0x2029 || c == utf8.RuneError
}

func encodeLevel(level string) string {
	return encodeUTF7(level, func(c rune) bool { return ' ' <= c && c <= '~' && c != '.' })
}

// ParseFolderDir gives the IMAP name of a folder's directory: "" is INBOX. If the name of the
// directory is not the one that FolderDir gives (broken or needless modified UTF-7, not NFC, an
// empty level, ".INBOX" …) ok is false and name is for display: U+FFFD and then the directory's
// name with all but printable ASCII, and % itself, as %XX. FolderDir turns that back; no
// folder of that name can be made.
func ParseFolderDir(dir string) (name string, ok bool) {
	if dir == "" {
		return "INBOX", true
	}
	if name, ok := decodeDir(dir); ok {
		if back, err := FolderDir(name); err == nil && back == dir {
			return name, true
		}
	}
	var b strings.Builder
	b.WriteString(invalidMark)
	appendPercent(&b, strings.TrimPrefix(dir, "."), func(c byte) bool { return ' ' <= c && c <= '~' && c != '%' && c != '/' })
	return b.String(), false
}

func decodeDir(dir string) (string, bool) {
	if dir[0] != '.' {
		return "", false
	}
	var name strings.Builder
	for i, level := range strings.Split(dir[1:], ".") {
		text, ok := decodeUTF7(level)
		if !ok || strings.Contains(text, "/") {
			return "", false
		}
		if i > 0 {
			name.WriteByte('/')
		}
		name.WriteString(text)
	}
	return name.String(), true
}

// invalidDir turns the display name of an invalid directory, without its mark, back.
func invalidDir(shown string) (string, error) {
	raw, ok := parsePercent(shown)
	dir := "." + raw
	if len(dir) > MaxFolderDir {
		return "", ErrNameTooLong
	}
	if !ok || dir == "." || dir == ".." || strings.ContainsAny(raw, "/\x00") {
		return "", ErrBadName
	}
	if name, valid := ParseFolderDir(dir); valid || name != invalidMark+shown {
		return "", ErrBadName
	}
	return dir, nil
}

const hexDigits = "0123456789ABCDEF"

// appendPercent appends s with the bytes that are not safe as %XX.
func appendPercent(b *strings.Builder, s string, safe func(byte) bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; safe(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
}

// parsePercent undoes appendPercent.
func parsePercent(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}
