package imapd

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/store"
)

// RFC 9051 section 6.4.4: the charset of the strings in the search criteria.
func TestSearchCharsets(t *testing.T) {
	for _, tt := range []struct{ charset, text, want string }{
		{"UTF-8", "gr\u00fcn", "grün"}, {"utf8", "\u65e5", "日"}, {"US-ASCII", "a", "a"}, {"ascii", "a", "a"},
		{"ISO-8859-1", "gr\xfcn", "grün"}, {"iso-8859-2", "\xb3", "ł"}, {"ISO-8859-5", "\xbf", "П"}, {"ISO-8859-7", "\xe1", "α"},
		{"ISO-8859-9", "\xfe", "ş"}, {"ISO-8859-15", "\xa4", "€"}, {"latin1", "\xfc", "ü"}, {"ISO-8859-16", "\xa4", "€"},
		{"windows-1250", "\xb3", "ł"}, {"WINDOWS-1251", "\xcf", "П"}, {"windows-1252", "\x80", "€"}, {"windows-1253", "\xe1", "α"}, {"windows-1256", "\xc8", "ب"},
		{"KOI8-R", "\xf0", "П"}, {"KOI8-U", "\xa4", "є"}, {"GB18030", "\xc4\xe3", "你"}, {"GBK", "\xc4\xe3", "你"}, {"GB2312", "\xc4\xe3", "你"}, {"Big5", "\xa7\x41", "你"},
		{"Shift_JIS", "\x93\xfa", "日"}, {"EUC-JP", "\xc6\xfc", "日"}, {"ISO-2022-JP", "\x1b$BF|\x1b(B", "日"}, {"EUC-KR", "\xc7\xd1", "한"}, {"ks_c_5601-1987", "\xc7\xd1", "한"},
		{"IBM850", "\x81", "ü"}, {"macintosh", "\x9f", "ü"}, {"TIS-620", "\xa1", "ก"},
		// What is not in its charset.
		{"US-ASCII", "gr\u00fcn", ""}, {"UTF-8", "gr\xfcn", ""}, {"EUC-JP", "\xff\xff", ""}, {"windows-1253", "\xd2", ""},
		{"KLINGON", "x", ""}, {"UTF-7", "x", ""}, {"x-user", "x", ""},
	} {
		p := &searchParser{parser: &parser{b: []byte(` CHARSET "` + tt.charset + `" SUBJECT "` + tt.text + `"`)}, s: &session{srv: &Server{}}, c: &command{}}
		err := p.request()
		if (err == nil) != (tt.want != "") || err == nil && !reflect.DeepEqual(p.r.query, store.AllOf{store.HeaderHas{Name: "Subject", Text: tt.want}}) {
			t.Errorf("%s %q: %#v, %v", tt.charset, tt.text, p.r.query, err)
		}
	}
	for _, name := range strings.Fields(strings.Trim(badCharset[len("BADCHARSET "):], "()")) {
		p := &searchParser{parser: &parser{b: []byte(" " + name + " ALL")}, s: &session{srv: &Server{}}, c: &command{}}
		if err := p.charsetAndKeys(); err != nil {
			t.Errorf("%s is offered, and then: %v", name, err)
		}
	}
}

// RFC 5032 section 2: a message matches OLDER if its INTERNALDATE is less recent than or
// equal to the target time, YOUNGER if it is more recent or equal, to the resolution of a second.
func TestSearchWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		time.Sleep(700 * time.Millisecond)
		for keys, want := range map[string]store.Received{
			"YOUNGER 10": {Since: now.Add(-10 * time.Second)}, "OLDER 10": {Before: now.Add(-9 * time.Second)}, "older 4294967295": {Before: now.Add(-4294967294 * time.Second)},
		} {
			p := &searchParser{parser: &parser{b: []byte(" " + keys)}, s: &session{srv: &Server{}}, c: &command{}}
			err := p.request()
			if err != nil {
				t.Fatal(keys, err)
			}
			got := p.r.query.(store.AllOf)[0].(store.Received)
			if !got.Since.Equal(want.Since) || !got.Before.Equal(want.Before) {
				t.Errorf("%s: %v, want %v", keys, got, want)
			}
		}
	})
}
