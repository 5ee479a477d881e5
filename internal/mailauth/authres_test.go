package mailauth

import (
	"reflect"
	"strings"
	"testing"
)

func TestFormatResults(t *testing.T) {
	for _, c := range []struct {
		r    Results
		want string
	}{
		{Results{ID: "mx.example.org"}, "mx.example.org; none"},
		{Results{ID: "mx.example.org", Methods: []Method{
			{"spf", Pass, "", []Property{{"smtp", "mailfrom", "bounce@example.net"}, {"smtp", "helo", ""}}},
			{"dkim", Fail, `"quoted" \ words`, []Property{{"header", "d", "example.net"}, {"header", "b", "Ab/c+d=="}}},
			{"dkim", Pass, "", []Property{{"header", "i", "@example.net"}}},
		}}, "mx.example.org;\r\n\tspf=pass smtp.mailfrom=bounce@example.net;\r\n\tdkim=fail reason=\"\\\"quoted\\\" \\\\ words\" header.d=example.net\r\n\theader.b=\"Ab/c+d==\";\r\n\tdkim=pass header.i=@example.net"},
		// What strangers write cannot end the field, begin another method or close a quote.
		{Results{ID: "mx\r\nX: y", Methods: []Method{
			{"s pf;", "pa\nss", "a\r\nb\x00\x7f\u202e\u2028\xff", []Property{{"sm.tp", "ma=il", "a;b=c"}, {"smtp", "helo", "(c"}, {"smtp", "rcpt", "a b@c\"d"}}},
		}}, "\"mx  X: y\";\r\n\tspf=pass reason=\"a  b  \u202e ?\" smtp.mail=\"a;b=c\" smtp.helo=\"(c\"\r\n\tsmtp.rcpt=\"a b@c\\\"d\""},
		{Results{ID: "mx", Methods: []Method{{"spf", Pass, strings.Repeat("x", 1000), nil}}}, "mx;\r\n\tspf=pass\r\n\treason=\"" + strings.Repeat("x", 397) + "...\""},
	} {
		got := c.r.Format()
		if got != c.want {
			t.Errorf("%+v:\n%q, want\n%q", c.r, got, c.want)
		}
		for _, line := range strings.Split(got, "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d octets", len(line))
			}
		}
	}
}

func TestParseResults(t *testing.T) {
	spf := Method{"spf", Pass, "", []Property{{"smtp", "mailfrom", "example.net"}}}
	for _, c := range []struct {
		in   string
		want Results
		ok   bool
	}{
		// The examples of RFC 8601 appendix B.
		{"example.org 1; none", Results{ID: "example.org"}, true},
		{"example.com;\r\n spf=pass smtp.mailfrom=example.net", Results{"example.com", []Method{spf}}, true},
		{"example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net",
			Results{"example.com", []Method{{"auth", Pass, "", []Property{{"smtp", "auth", "sender@example.net"}}}, spf}}, true},
		{"foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
			Results{"foo.example.net", []Method{{"dkim", Fail, "", []Property{{"policy", "expired", "1362471462"}}}}}, true},
		{"example.com; dkim=pass reason=\"good signature\"\r\n header.i=@mail-router.example.net; dkim=fail reason=bad",
			Results{"example.com", []Method{{"dkim", Pass, "good signature", []Property{{"header", "i", "@mail-router.example.net"}}}, {"dkim", Fail, "bad", nil}}}, true},
		// As they are found.
		{"mx.google.com; SPF=Pass (google.com: domain of a@b.c) smtp.MailFrom=a@b.c;", Results{"mx.google.com", []Method{{"spf", Pass, "", []Property{{"smtp", "mailfrom", "a@b.c"}}}}}, true},
		{"x; dkim=pass header.b=ab/c+d== header.d=\"a b\"", Results{"x", []Method{{"dkim", Pass, "", []Property{{"header", "b", "ab/c+d=="}, {"header", "d", "a b"}}}}}, true},
		{"x; spf=pass smtp.mailfrom=\"a b\"@example.org", Results{"x", []Method{{"spf", Pass, "", []Property{{"smtp", "mailfrom", "a b@example.org"}}}}}, true},
		{"m\u00fcnchen.example; none", Results{ID: "m\u00fcnchen.example"}, true},
		{"\"quoted id\"; none", Results{ID: "quoted id"}, true},
		{"(comment (nested \\) one)) example.org;", Results{ID: "example.org"}, true},
		{"example.org", Results{ID: "example.org"}, true},
		{"mx.example.com 1; dmarc=pass (p=reject) action=none header.from=example.net; arc=none",
			Results{"mx.example.com", []Method{{Name: "dmarc", Result: Pass, Properties: []Property{{"header", "from", "example.net"}}}, {Name: "arc", Result: None}}}, true},
		// Wrong ones; whose they claim to be is told all the same.
		{"", Results{}, false},
		{"; none", Results{}, false},
		{"example.org none", Results{ID: "example.org"}, false},
		{"example.org; spf", Results{ID: "example.org"}, false},
		{"example.org; spf=", Results{ID: "example.org"}, false},
		{"example.org; spf=pass smtp", Results{ID: "example.org"}, false},
		{"example.org; spf=pass smtp.mailfrom", Results{ID: "example.org"}, false},
		{"example.org; spf=pass (open", Results{ID: "example.org"}, false},
		{"example.org; spf=pass reason=\"open", Results{ID: "example.org"}, false},
		{"example.org; spf=pass smtp.mailfrom=example.net; none", Results{"example.org", []Method{spf}}, false},
		{"example.org; spf=pass smtp.mailfrom=example.net; =", Results{"example.org", []Method{spf}}, false},
	} {
		got, err := ParseResults(c.in)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != c.ok {
			t.Errorf("%q:\n%+v, %v, want\n%+v", c.in, got, err, c.want)
		}
	}
}

// A field of any length costs no more than its bound.
func TestParseResultsBounds(t *testing.T) {
	for _, in := range []string{
		"x" + strings.Repeat("; a=b", maxMethods+1),
		"x; a=b" + strings.Repeat(" c.d=e", maxProperties+1),
		"x; none" + strings.Repeat(" ", maxResults),
		"x; a=b (" + strings.Repeat("(", maxResults),
	} {
		if r, err := ParseResults(in); err == nil || r.ID != "x" || len(r.Methods) > maxMethods+1 {
			t.Errorf("%.30q: %d methods, %v", in, len(r.Methods), err)
		}
	}
}

// What is written can be read, and is the same when written again.
func FuzzResults(f *testing.F) {
	f.Add("example.org 1; spf=pass (c) reason=\"r\" smtp.mailfrom=a@b; dkim=fail header.d=\"x;y\"")
	f.Add("x; none")
	f.Add("\"a\" (; spf=")
	f.Fuzz(func(t *testing.T, in string) {
		r, err := ParseResults(in)
		if err != nil {
			return
		}
		text := r.Format()
		again, err := ParseResults(text)
		if err != nil {
			t.Fatalf("%q is written %q: %v", in, text, err)
		}
		if third := again.Format(); third != text {
			t.Fatalf("%q is written %q and then %q", in, text, third)
		}
		if strings.Contains(strings.ReplaceAll(text, "\r\n\t", ""), "\n") {
			t.Fatalf("%q ends its line", text)
		}
	})
}
