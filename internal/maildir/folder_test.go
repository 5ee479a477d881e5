package maildir

import (
	"errors"
	"strings"
	"testing"
)

var utf7Tests = []struct{ utf8, utf7 string }{
	{"", ""},
	{"plain", "plain"},
	{"a & b", "a &- b"},
	{"&&", "&-&-"},
	{"Müller", "M&APw-ller"},
	{"日本語", "&ZeVnLIqe-"},
	{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, // RFC 3501 section 5.1.3
	{"☺!", "&Jjo-!"},
	{"😀", "&2D3eAA-"},
	{"ü&ü", "&APw-&-&APw-"},
	{"\x01", "&AAE-"},
}

func TestUTF7(t *testing.T) {
	for _, tt := range utf7Tests {
		if got := EncodeUTF7(tt.utf8); got != tt.utf7 {
			t.Errorf("EncodeUTF7(%q) = %q, want %q", tt.utf8, got, tt.utf7)
		}
		if got, ok := DecodeUTF7(tt.utf7); !ok || got != tt.utf8 {
			t.Errorf("DecodeUTF7(%q) = %q, %v", tt.utf7, got, ok)
		}
	}
	for _, bad := range []string{
		"&", "&AAE", "a&b", "&AC4-", // '.' has to stand for itself
		"&APw-&APw-",                      // a shift right behind a shift
		"&APx-",                           // bits beyond the last character
		"&A-", "&APwA-", "&2D0-", "&3gA-", // half characters, halves of pairs
		"&AP/8-", "ü", "\x01", "\x7f", "&AP\nw-",
	} {
		if got, ok := DecodeUTF7(bad); ok {
			t.Errorf("DecodeUTF7(%q) = %q", bad, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, tt := range utf7Tests {
		f.Add(tt.utf8)
		f.Add(tt.utf7)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if out, ok := DecodeUTF7(s); ok && EncodeUTF7(out) != s {
			t.Fatalf("%q decoded to %q", s, out)
		}
		s = strings.ToValidUTF8(s, "?")
		if out, ok := DecodeUTF7(EncodeUTF7(s)); !ok || out != s {
			t.Fatalf("%q came back as %q", s, out)
		}
	})
}

var folderTests = []struct {
	name, dir string
	canonical string // if not name
}{
	{name: "INBOX", dir: ""},
	{name: "inbox", dir: "", canonical: "INBOX"},
	{name: "Archive", dir: ".Archive"},
	{name: "Archive/2026", dir: ".Archive.2026"},
	{name: "Archive/inbox", dir: ".Archive.inbox"}, // INBOX is special at the first level only
	{name: "INBOX/x", dir: ".INBOX.x"},
	{name: "InBox/x", dir: ".INBOX.x", canonical: "INBOX/x"},
	{name: "INBOXES", dir: ".INBOXES"},
	{name: "v1.2", dir: ".v1&AC4-2"},
	{name: "é.", dir: ".&AOkALg-"},
	{name: "...", dir: ".&AC4ALgAu-"},
	{name: "Müller & Co", dir: ".M&APw-ller &- Co"},
	{name: "Mu\u0308ller", dir: ".M&APw-ller", canonical: "Müller"}, // NFC
	{name: "a b", dir: ".a b"},
	{name: "50% *", dir: ".50% *"},
	{name: strings.Repeat("x", 254), dir: "." + strings.Repeat("x", 254)},
}

func TestFolderDir(t *testing.T) {
	for _, tt := range folderTests {
		dir, err := FolderDir(tt.name)
		if dir != tt.dir || err != nil {
			t.Errorf("FolderDir(%q) = %q, %v; want %q", tt.name, dir, err, tt.dir)
		}
		want := tt.canonical
		if want == "" {
			want = tt.name
		}
		if got, err := CanonicalFolder(tt.name); got != want || err != nil {
			t.Errorf("CanonicalFolder(%q) = %q, %v", tt.name, got, err)
		}
		if got, ok := ParseFolderDir(tt.dir); got != want || !ok {
			t.Errorf("ParseFolderDir(%q) = %q, %v; want %q", tt.dir, got, ok, want)
		}
	}
}

func TestFolderErrors(t *testing.T) {
	for name, want := range map[string]error{
		"":                                  ErrBadName,
		"/":                                 ErrBadName,
		"/a":                                ErrBadName,
		"a/":                                ErrBadName,
		"a//b":                              ErrBadName,
		"a\x00b":                            ErrBadName,
		"a\nb":                              ErrBadName,
		"a\u0085b":                          ErrBadName,
		"a\u2028b":                          ErrBadName,
		"a\uFFFDb":                          ErrBadName,
		"\xff":                              ErrBadName,
		"\uFFFDArchive":                     ErrBadName, // a directory of that name would be valid
		"\uFFFD":                            ErrBadName,
		"\uFFFD.":                           ErrBadName, // ".."
		"\uFFFD%2F":                         ErrBadName,
		"\uFFFD%6":                          ErrBadName,
		"\uFFFDx%41":                        ErrBadName, // not how it is shown
		strings.Repeat("x", 255):            ErrNameTooLong,
		strings.Repeat("ü", 100):            ErrNameTooLong, // 100 characters, but 272 bytes on disk
		"\uFFFD" + strings.Repeat("&", 300): ErrNameTooLong,
	} {
		if dir, err := FolderDir(name); !errors.Is(err, want) {
			t.Errorf("FolderDir(%q) = %q, %v; want %v", name, dir, err, want)
		}
	}
}

// Directories that FolderDir would never make are shown, told apart, and found again.
func TestInvalidDirs(t *testing.T) {
	seen := make(map[string]string)
	for dir, want := range map[string]string{
		".a&b":                "\uFFFDa&b",
		".Müller":             "\uFFFDM%C3%BCller",
		".M&APw-l&APw-&APw-x": "\uFFFDM&APw-l&APw-&APw-x",
		".&AEE-":              "\uFFFD&AEE-", // a needless shift
		".Mu&Awg-ller":        "\uFFFDMu&Awg-ller",
		"..x":                 "\uFFFD.x",
		".x.":                 "\uFFFDx.",
		".a&AC8-b":            "\uFFFDa&AC8-b", // a slash inside a level
		".INBOX":              "\uFFFDINBOX",
		".inbox.x":            "\uFFFDinbox.x",
		".\xff":               "\uFFFD%FF",
		".100%&":              "\uFFFD100%25&",
		".&,,0-":              "\uFFFD&,,0-", // U+FFFD itself
		".&AAE-":              "\uFFFD&AAE-",
	} {
		name, ok := ParseFolderDir(dir)
		if ok || name != want {
			t.Errorf("ParseFolderDir(%q) = %q, %v; want %q", dir, name, ok, want)
		}
		if back, err := FolderDir(name); back != dir || err != nil {
			t.Errorf("FolderDir(%q) = %q, %v; want %q", name, back, err, dir)
		}
		if _, err := CanonicalFolder(name); err == nil {
			t.Errorf("a new folder could be called %q", name)
		}
		if other, dup := seen[name]; dup {
			t.Errorf("%q and %q are both shown as %q", dir, other, name)
		}
		seen[name] = dir
	}
}

func FuzzFolder(f *testing.F) {
	for _, tt := range folderTests {
		f.Add(tt.name)
		f.Add(tt.dir)
	}
	f.Add("..")
	f.Add(".a&AC8-b")
	f.Fuzz(func(t *testing.T, s string) {
		if dir, err := FolderDir(s); err == nil {
			if dir == "." || dir == ".." || strings.ContainsAny(dir, "/\x00") || len(dir) > MaxFolderDir {
				t.Fatalf("FolderDir(%q) = %q", s, dir)
			}
			name, _ := ParseFolderDir(dir)
			if back, err := FolderDir(name); err != nil || back != dir {
				t.Fatalf("%q: %q came back as %q, %v", s, dir, back, err)
			}
		}
		if dir := "." + s; s != "" && s != "." && len(dir) <= MaxFolderDir && !strings.ContainsAny(dir, "/\x00") {
			name, ok := ParseFolderDir(dir)
			if back, err := FolderDir(name); err != nil || back != dir {
				t.Fatalf("directory %q, shown as %q, is found as %q, %v", dir, name, back, err)
			}
			if _, err := CanonicalFolder(name); (err == nil) != ok {
				t.Fatalf("directory %q, shown as %q: ok is %v, but %v", dir, name, ok, err)
			}
		}
	})
}
