package dnsutil

import (
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ in, want string }{
		{"example.net", "example.net"},
		{"Example.NET.", "example.net"},
		{"localhost", "localhost"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"ＥＸＡＭＰＬＥ．net", "example.net"},
		{"例え。テスト。", "xn--r8jz45g.xn--zckzah"},
		{"_25._tcp.mx.example.net", "_25._tcp.mx.example.net"},
		{"_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"},
		{"r3---sn-apo3qvuoxuxbt-j5pe.example", "r3---sn-apo3qvuoxuxbt-j5pe.example"},
		{"1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"},
		{long + ".net", long + ".net"},
		{"", ""}, {".", ""}, {"..", ""}, {"a..b", ""}, {".a", ""}, {"a.net..", ""},
		{"a b", ""}, {"a@b.net", ""}, {`a\.b.net`, ""}, {"a/b.net", ""}, {"*.net", ""}, {"a\x00.net", ""}, {"a\nb", ""},
		{"192.0.2.1", ""}, {"2001:db8::1", ""}, {"[192.0.2.1]", ""}, {"１９２.0.2.1", ""},
		{long + "a.net", ""}, {strings.Repeat("a.", 127) + "net", ""}, {strings.Repeat("ü", 64) + ".net", ""},
		{"\xff.net", ""}, {"\ufffd.net", ""}, {"a\u2028.net", ""}, {"\u00ad.net", ""}, {"☃.net", "xn--n3h.net"}, {"a\u200d.net", ""}, {strings.Repeat("ü", 100_000), ""},
	} {
		got, err := Name(c.in)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Name(%.40q) = %q, %v; want %q", c.in, got, err, c.want)
		}
		if c.want == "" {
			wantErr(t, err, ErrName, "")
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"example.net", "bücher.example.", "a..b", "xn--a", "。", "\xff", "192.0.2.1", "_x.Y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Name(s)
		if err != nil {
			if text := err.Error(); !isASCII(text) || len(text) > 1100 || strings.ContainsAny(text, "\r\n") {
				t.Errorf("text %q", text)
			}
			return
		}
		if again, err := Name(name + "."); err != nil || again != name {
			t.Errorf("%q became %q, %v", name, again, err)
		}
		if len(name) > maxName || !isASCII(name) || strings.ToLower(name) != name {
			t.Errorf("%q", name)
		}
	})
}
