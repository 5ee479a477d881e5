package message

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// deepBoundaries opens as many multiparts as may be open, with long boundaries that differ
// in their last bytes only.
func deepBoundaries() string {
	var b strings.Builder
	long := strings.Repeat("b", 900)
	for i := range 49 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%s%02d\n\n--%s%02d\n", long, i, long, i)
	}
	return b.String() + "\n"
}

// hostile are a message's beginning and what is repeated behind it.
var hostile = map[string][2]string{
	"lines":                     {"\n", strings.Repeat("plain text ", 7) + "\n"},
	"almost delimiters":         {deepBoundaries(), "--" + strings.Repeat("b", 900) + "xx\n"},
	"dashes in many multiparts": {deepBoundaries(), "--\n"},
	"cut off delimiters":        {deepBoundaries(), "--" + strings.Repeat("b", 899) + "\n"},
	"delimiters":                {"Content-Type: multipart/mixed; boundary=b\n\n", "--b\n"},
	"dashes":                    {"Content-Type: multipart/mixed; boundary=b\n\n", "--\n"},
	"close-delimiters":          {"Content-Type: multipart/mixed; boundary=b\n\n", "--b--\n"},
	"messages":                  {"Content-Type: message/rfc822\n\n", "Content-Type: message/rfc822\n\n"},
	"a digest":                  {"Content-Type: multipart/digest; boundary=b\n\n", "--b\n\nTo: a@b\n\n"},
	"multiparts":                {"Content-Type: multipart/mixed; boundary=b\n\n", "--b\nContent-Type: multipart/mixed; boundary=b\n\n"},
	"a field of many lines":     {"Subject: x\n", " y\n"},
	"fields of interest":        {"", "Content-Disposition: ;;;;\nContent-Language: ,,,,\n"},
	"parameters":                {"Content-Type: a/b\n", " ;a=b;c*0=d;\n"},
	"parameters of no value":    {"Content-Type: a/b\n", " ;;=;a;\"\n"},
	"addresses":                 {"To: a@b\n", " ,a@b,\"c\" <d@e>,\n"},
	"groups":                    {"To: a@b\n", " ,a:b:c:,\n"},
	"comments":                  {"To: a@b ", "((((\n "},
	"open quotes":               {"To: a@b\n", " ,\"\\\n"},
	"dots":                      {"To: a@b, ", ".. . "},
	"addresses' fields":         {"", "To: a@b\nCc: x <y@z>\n"},
	"one line":                  {"", strings.Repeat("x", 64)},
	"one line end":              {"\n", strings.Repeat("\n", 64)},
	"carriage returns":          {"\n", strings.Repeat("\r", 64)},
}

// The time that a message takes grows with its size only, whatever is in it: twice as much
// of it takes about twice as long. What takes next to no time is not judged.
func TestHostileTime(t *testing.T) {
	size := 8 << 20
	if testing.Short() {
		size = 512 << 10
	}
	took := func(h [2]string, size int) time.Duration {
		best := time.Hour
		for range 2 {
			begin := time.Now()
			if _, err := Parse(io.MultiReader(strings.NewReader(h[0]), &repeat{s: h[1], n: size / len(h[1])}), Limits{}); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	for name, h := range hostile {
		one, four := took(h, size/4), took(h, size)
		t.Logf("%s: %v, of a quarter %v", name, four, one)
		if four > time.Second && four > 12*one {
			t.Errorf("%s: %v for %d bytes, %v for a quarter of them", name, four, size, one)
		}
	}
}
