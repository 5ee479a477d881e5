package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// TestDovecotSearch compares what kurir and a Dovecot find.
func TestDovecotSearch(t *testing.T) {
	t.Parallel()
	b := besideDovecot(t, searchMessages)
	met := map[string]bool{}
	for _, keys := range searchKeys {
		kurir, dovecot := numbers(b.kurir.must("SEARCH %s", keys).all("SEARCH")), numbers(b.dovecot.must("SEARCH %s", keys).all("SEARCH"))
		for i := range searchMessages {
			seq := strconv.Itoa(i + 1)
			here, there := slices.Contains(kurir, seq), slices.Contains(dovecot, seq)
			if here == there {
				continue
			}
			if d, ok := searchKnowing[keys]; ok && d.kurir == here {
				met[keys] = true
				continue
			}
			t.Errorf("SEARCH %s: kurir %t, Dovecot %t: %s", keys, here, there, clip(fmt.Sprintf("%q", searchMessages[i])))
		}
	}
	for keys := range searchKnowing {
		if !met[keys] {
			t.Errorf("SEARCH %s is no longer different", keys)
		}
	}
}

// numbers are the numbers of SEARCH or SORT responses.
func numbers(responses [][]value) (all []string) {
	for _, r := range responses {
		for _, v := range r {
			all = append(all, v.text)
		}
	}
	return all
}

// searchKnowing are the differences that are meant: whether kurir finds something, and why.
var searchKnowing = map[string]struct {
	kurir bool
	why   string
}{
	"BODY unknowntext":             {true, "text in an unknown encoding is searched as it is"},
	"TEXT unknowntext":             {true, "the same"},
	"HEADER X-Trail \"t \"":        {false, "white space at the end of a field is nothing"},
	"TEXT \"t  \"":                 {false, "the same"},
	"TEXT \"hello world\"":         {true, "a fold is one space, whatever stands there"},
	"TEXT \"hello  world\"":        {false, "the same"},
	"BODY {9+}\r\none\r\nline":     {true, "line ends are CRLF"},
	"TEXT {9+}\r\none\r\nline":     {true, "the same"},
	"FROM \"\u00fcrgen \\\"bob\"":  {true, "addresses are searched as they are written as well"},
	"FROM comment":                 {true, "the same"},
	"TO \"group: m@n\"":            {true, "the same"},
	"TO \"o@p.example;\"":          {true, "the same"},
	"CC \"s(t)@u\"":                {true, "the same"},
	"HEADER X-Latin \"gr\u00fcn\"": {true, "8-bit text that is not in its charset is taken for Windows-1252"},
	"TEXT \"gr\u00fcn\"":           {true, "the same"},
	"BODY \"gr\u00fcn\"":           {true, "the same"},
	"BODY \"GR\u00dcN\"":           {true, "the same"},
	"BODY \"gru\"":                 {true, "the same"},
	"BODY \"gru\u0308n\"":          {true, "the same"},
	"SENTON 31-Dec-2019":           {true, "a Date without a time of day has a day: RFC 5256 section 2.2"},
}

// searchParts has a word of its own in each place.
const searchParts = "Content-Type: multipart/mixed; boundary=b\nX-Top: topfield\n\npreambletext\n--b\nContent-Type: text/plain\nX-Part: partfield\n\nparttext\n--b\n" +
	"Content-Type: application/pdf; name=pdfname\nContent-Disposition: attachment; filename=pdffile\n\npdftext\n--b\nContent-Type: application/xml\n\nxmltext\n--b\n" +
	"Content-Type: message/rfc822\nX-Wrap: wrapfield\n\nSubject: innersubject\nX-Inner: =?utf-8?q?inner=41field?=\nContent-Type: multipart/alternative; boundary=c\n\n" +
	"innerpreamble\n--c\nContent-Type: text/html\nContent-Transfer-Encoding: base64\nX-Deep: deepfield\n\nPGI+aHRtbHRleHQ8L2I+\n--c--\ninnerepilogue\n--b\nContent-Type: image/png\n\nimagetext\n--b\n" +
	"Content-Type: text/plain\nContent-Transfer-Encoding: x-unknown\n\nunknowntext\n--b\nContent-Type: text/x-odd; charset=x-nowhere\n\noddtext gr\xfcn\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: deliverytext\n--b--\nepiloguetext\n"

// searchMessages have what is looked for in places that RFC 9051 section 6.4.4 leaves open.
var searchMessages = []string{
	searchParts,
	"Subject: Hello\n  world\nX-Tab: one\n\ttwo\nX-Spaces: a  b\t c\nX-Trail: t  \nno colon here\nOther: z\n\nline one\nline two\n",
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?aus?= here =?iso-8859-1?q?K=F6ln?=\nFrom: =?utf-8?q?J=C3=BCrgen?= \"Bob\" (comment) <b@c.example>, \"Doe, John\" <jd@e.example>\nTo: Group: m@n.example, o@p.example;\nCc: <@route.example:q@r.example>, s(t)@u.example\n\nx\n",
	"Subject: raw gr\xc3\xbcn utf8\nX-Latin: gr\xfcn\n\nbody raw gr\xc3\xbcn\n",
	"Subject: latin\nContent-Type: text/plain; charset=iso-8859-1\n\nbody gr\xfcn\n",
	"Subject: qp\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nsoft=\nbreak gr=C3=BCn  \ntrailing\n",
	"Subject: b64\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\nYmFz\nZTY0\n dGV4dA==\n",
	"Subject: html\nContent-Type: text/html\n\n<p class=\"markup\">bold<b>er</b> &uuml;ber a&amp;b</p>\n",
	"Subject: flowed\nContent-Type: text/plain; format=flowed\n\nflowed \ntext\n",
	"Subject: filename\nContent-Type: application/octet-stream; name=\"=?utf-8?q?enc=6fded?=\"\nContent-Disposition: attachment; filename*=utf-8''rfc%32231\n\nbinarybody\n",
	"Subject: one\nSubject: two\nFrom: first@x.example\nFrom: second@x.example\nDate: 1 Jan 2020 10:00 +0000\nDate: 1 Jan 2021 10:00 +0000\n\nx\n",
	"Subject:\nFrom:\nTo:\n\nempty fields\n",
	"Content-Type: message/rfc822\n\nSubject: onlyinner\n\nonlyinnerbody\n",
	"Content-Type: multipart/mixed; boundary=none\n\nnodelimiters\n",
	"SUBJECT: upper\nfrom : spaced@x.example\n\n\u017Fharp \u212Aelvin \uFB01ne \u00E5 A\u030A\n",
	"Date: Tue, 31 Dec 2019 23:30:00 -0800\nSubject: late\n\nx\n",
	"Date: Wed, 1 Jan 2020 00:30:00 +0900\nSubject: early\n\nx\n",
	"Date: 31 Dec 2019\nSubject: no time\n\nx\n",
	"Date: rubbish\nSubject: rubbish\n\nx\n",
}

// searchKeys are said to both.
var searchKeys = []string{
	"BODY preambletext", "BODY topfield", "BODY partfield", "BODY parttext", "BODY pdfname", "BODY pdffile", "BODY pdftext", "BODY xmltext", "BODY wrapfield", "BODY innersubject", "BODY innerafield",
	"BODY innerpreamble", "BODY deepfield", "BODY htmltext", "BODY innerepilogue", "BODY imagetext", "BODY unknowntext", "BODY oddtext", "BODY deliverytext", "BODY epiloguetext", "BODY \"--b\"",
	"BODY \"text/plain\"", "BODY \"Content-Type\"",
	"TEXT preambletext", "TEXT topfield", "TEXT partfield", "TEXT parttext", "TEXT pdfname", "TEXT pdffile", "TEXT pdftext", "TEXT xmltext", "TEXT wrapfield", "TEXT innersubject", "TEXT innerafield",
	"TEXT innerpreamble", "TEXT deepfield", "TEXT htmltext", "TEXT innerepilogue", "TEXT imagetext", "TEXT unknowntext", "TEXT oddtext", "TEXT deliverytext", "TEXT epiloguetext", "TEXT \"--b\"",
	"TEXT \"text/plain\"", "TEXT \"Content-Type\"",
	"SUBJECT \"hello world\"", "SUBJECT \"hello  world\"", "HEADER X-Tab \"one two\"", "HEADER X-Tab \"one\ttwo\"", "HEADER X-Spaces \"a b c\"", "HEADER X-Spaces \"a  b\"", "HEADER X-Spaces \"a  b\t c\"", "HEADER X-Trail \"t \"", "HEADER X-Trail \" t\"",
	"TEXT \"no colon\"", "TEXT \"subject: hello\"", "TEXT \"subject:hello\"", "TEXT \"hello world\"", "TEXT \"hello  world\"", "TEXT \"one two\"", "TEXT \"one\ttwo\"", "TEXT \"t  \"",
	"BODY \"line one line two\"", "BODY {9+}\r\none\r\nline", "TEXT {9+}\r\none\r\nline", "BODY \"one  line\"", "BODY \"oneline\"",
	"SUBJECT \"gr\u00fc\u00dfeaus\"", "SUBJECT \"gr\u00fc\u00dfeaus here k\u00f6ln\"", "SUBJECT \"gr\"", "SUBJECT \"=?utf-8\"", "TEXT \"=?utf-8\"", "TEXT \"gr\u00fc\u00dfeaus here\"", "HEADER Subject \"k\u00f6ln\"",
	"FROM \"j\u00fcrgen\"", "FROM \"j\u00fcrgen bob\"", "FROM \"\u00fcrgen \\\"bob\"", "FROM comment", "FROM \"<b@c\"", "FROM \"doe, john\"", "FROM \"john doe\"", "FROM \"b@c.example, \"", "FROM \"b@c.example\"",
	"TO group", "TO \"group: m@n\"", "TO \"m@n.example\"", "TO \"o@p.example;\"", "CC route", "CC \"q@r\"", "CC \"s(t)@u\"", "CC \"s@u\"",
	"SUBJECT \"gr\u00fcn\"", "HEADER X-Latin \"gr\"", "HEADER X-Latin \"gr\u00fcn\"", "TEXT \"gr\u00fcn\"", "BODY \"gr\u00fcn\"", "BODY \"GR\u00dcN\"", "BODY \"gru\"", "SUBJECT \"gru\"", "BODY \"gru\u0308n\"",
	"BODY \"softbreak\"", "BODY \"soft=\"", "BODY \"gr\u00fcn trailing\"", "BODY {12+}\r\ngr\u00fcn\r\ntrail", "BODY \"base64text\"", "BODY \"YmFz\"", "BODY \"markup\"", "BODY \"bolder\"", "BODY \"<b>er</b>\"", "BODY \"\u00fcber\"", "BODY \"&uuml;\"", "BODY \"a&b\"", "BODY \"a&amp;b\"",
	"BODY \"flowed text\"", "BODY \"flowed \"", "TEXT \"encoded\"", "HEADER Content-Type encoded", "TEXT \"rfc2231\"", "HEADER Content-Disposition \"rfc2231\"", "BODY \"binarybody\"", "TEXT \"binarybody\"",
	"SUBJECT one", "SUBJECT two", "HEADER Subject two", "FROM first@", "FROM second@", "SENTON 1-Jan-2020", "SENTON 1-Jan-2021", "SENTON 31-Dec-2019", "SENTSINCE 1-Jan-2020",
	"SUBJECT \"\"", "FROM \"\"", "TO \"\"", "CC \"\"", "HEADER X-None \"\"", "HEADER Subject \"\"", "BODY \"\"", "TEXT \"\"", "HEADER \"Subject:\" hello", "HEADER \"\" x",
	"BODY onlyinner", "TEXT onlyinner", "SUBJECT onlyinner", "BODY onlyinnerbody", "BODY nodelimiters",
	"SUBJECT upper", "FROM spaced", "HEADER from spaced", "BODY sharp", "BODY kelvin", "BODY fine", "BODY \"\ufb01ne\"", "BODY \"\u00e5\"", "BODY \"a\u030a\"",
	"OR SUBJECT late BODY SOFTBREAK", "NOT BODY x", "SUBJECT \" \"", "BODY \" \"",
}
