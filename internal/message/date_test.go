package message

import (
	"testing"
	"time"
)

// Rows of input and the time in RFC 3339, "" if there is none; all seed the fuzz target.
var dateTests = []struct{ in, want string }{
	// RFC 5322 section 3.3 and appendix A.
	{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
	{"Tue, 1 Jul 2003 10:52:37 +0200", "2003-07-01T10:52:37+02:00"},
	{"Thu, 13 Feb 1969 23:32 -0330", "1969-02-13T23:32:00-03:30"},
	{"21 Nov 1997 09:55:06 +0000", "1997-11-21T09:55:06Z"},
	{"21 Nov 1997 09:55:06 -0000", "1997-11-21T09:55:06Z"},
	// RFC 5322 appendix A.5 and A.6: white space, comments, obsolete forms.
	{"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n               -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
	{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
	{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
	// RFC 5322 section 4.3: years and zones.
	{"1 Jan 49 00:00 UT", "2049-01-01T00:00:00Z"},
	{"1 Jan 50 00:00 UT", "1950-01-01T00:00:00Z"},
	{"1 Jan 103 00:00 UT", "2003-01-01T00:00:00Z"},
	{"1 Jan 2000 00:00 EST", "2000-01-01T00:00:00-05:00"},
	{"1 Jan 2000 00:00 edt", "2000-01-01T00:00:00-04:00"},
	{"1 Jan 2000 00:00 CST", "2000-01-01T00:00:00-06:00"},
	{"1 Jan 2000 00:00 CDT", "2000-01-01T00:00:00-05:00"},
	{"1 Jan 2000 00:00 MST", "2000-01-01T00:00:00-07:00"},
	{"1 Jan 2000 00:00 MDT", "2000-01-01T00:00:00-06:00"},
	{"1 Jan 2000 00:00 PST", "2000-01-01T00:00:00-08:00"},
	{"1 Jan 2000 00:00 PDT", "2000-01-01T00:00:00-07:00"},
	{"1 Jan 2000 00:00 Z", "2000-01-01T00:00:00Z"},
	{"1 Jan 2000 00:00 A", "2000-01-01T00:00:00Z"},
	{"1 Jan 2000 00:00 CEST", "2000-01-01T00:00:00Z"},
	{"1 Jan 2000 00:00", "2000-01-01T00:00:00Z"},
	// What is found in mail.
	{"Montag, 1 January 2000 0:00:00 +0100 (CET)", "2000-01-01T00:00:00+01:00"},
	{"Sat 1 Jan 2000 00:00:00 +01:00", "2000-01-01T00:00:00+01:00"},
	{"Sat, 1-Jan-2000 00:00:00 +0100", "2000-01-01T00:00:00+01:00"},
	{"1-Jan-00 00:00:00 GMT", "2000-01-01T00:00:00Z"},
	{"Sat Jan  1 12:34:56 2000", "2000-01-01T12:34:56Z"},
	{"Sat Jan  1 12:34:56 EST 2000", "2000-01-01T12:34:56-05:00"},
	{"Sat, 01 Jan 2000 12:34:56.789 +0000", "2000-01-01T12:34:56Z"},
	{"31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"},
	{"29 Feb 2000 00:00 +0000", "2000-02-29T00:00:00Z"},
	{"1 Jan 2000 00:00 +9999", "2000-01-01T00:00:00Z"},
	// What is no date.
	{"", ""},
	{"garbage", ""},
	{"Mon, ", ""},
	{"1 Jan 2000", ""},
	{"1 Foo 2000 00:00", ""},
	{"0 Jan 2000 00:00", ""},
	{"30 Feb 2000 00:00", ""},
	{"29 Feb 1900 00:00", ""},
	{"1 Jan 20000 00:00", ""},
	{"1 Jan -200 00:00", ""},
	{"1 Jan 2 00:00", ""},
	{"1 Jan 2000 24:00", ""},
	{"1 Jan 2000 00:60", ""},
	{"1 Jan 2000 00:00:61", ""},
	{"1 Jan 2000 00:00:00:00", ""},
	{"1 Jan 2000 -1:00", ""},
	{"1 Jan 2000 ::", ""},
	{"1 Jan 2000 (unclosed", ""},
	{"-- a b c", ""},
}

func TestParseDate(t *testing.T) {
	for _, c := range dateTests {
		got, ok := ParseDate(c.in)
		if ok != (c.want != "") {
			t.Errorf("%q: %v, %t", c.in, got, ok)
		} else if ok && got.Format(time.RFC3339) != c.want {
			t.Errorf("%q: %s, want %s", c.in, got.Format(time.RFC3339), c.want)
		}
	}
}

// RFC 5256 section 2.2: a zone that is invalid is UTC, a time that is invalid 00:00:00.
func TestSentDate(t *testing.T) {
	for in, want := range map[string]string{
		"Fri, 21 Nov 1997 09:55:06 -0600": "1997-11-21T09:55:06-06:00",
		"21 Nov 1997 09:55:06 nowhere":    "1997-11-21T09:55:06Z",
		"21 Nov 1997":                     "1997-11-21T00:00:00Z",
		"Fri, 21 Nov 1997 25:00 -0600":    "1997-11-21T00:00:00-06:00",
		"21 Nov 1997 noon":                "1997-11-21T00:00:00Z",
		"31 Nov 1997 12:00":               "",
		"Nov 1997":                        "",
		"":                                "",
	} {
		got, ok := SentDate(in)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %t; want %s", in, got, ok, want)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	for _, c := range dateTests {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate(s)
		if !ok {
			return
		}
		printed := got.Format("Mon, 02 Jan 2006 15:04:05 -0700")
		again, ok := ParseDate(printed)
		if !ok || !again.Equal(got) || again.Format(time.RFC3339) != got.Format(time.RFC3339) {
			t.Fatalf("%q: printed %q, read as %v, %t", s, printed, again, ok)
		}
	})
}
