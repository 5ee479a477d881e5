package dsn

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// RFC 3464 section 2.3: one group of fields for each recipient, at least one.
func TestNoRecipient(t *testing.T) {
	var b bytes.Buffer
	if err := report().Write(&b); !errors.Is(err, ErrNoRecipient) || b.Len() > 0 {
		t.Errorf("%v, %q", err, b.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterFails(t *testing.T) {
	if err := report(noUser("bob@example.net")).Write(brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

// RFC 3834 section 5, RFC 5322 section 3.6.4, RFC 3464 section 2: what the header says.
func TestHeader(t *testing.T) {
	p := written(t, report(noUser("bob@example.net")))
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-replied", "In-Reply-To": "<minutes-1@laptop.example.org>", "References": "<minutes-1@laptop.example.org>",
		"To": "<anna@example.org>", "Date": "Tue, 03 Mar 2026 10:15:11 +0100", "Return-Path": "",
	} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	again := written(t, report(noUser("bob@example.net")))
	if p.header.Get("Message-ID") == again.header.Get("Message-ID") {
		t.Error("two reports with one Message-ID")
	}
}

func TestSubject(t *testing.T) {
	failed, late, done := noUser("bob@example.net"), unreachable("bob@example.net"), Recipient{Address: "bob@example.net", Action: Delivered}
	held := Recipient{Address: "bob@example.net", Action: Delayed, Held: true}
	for _, tt := range []struct {
		subject string
		rs      []Recipient
		want    string
	}{
		{"Hello", []Recipient{failed}, "Undelivered: Hello"},
		{"Hello", []Recipient{done, late, failed}, "Undelivered: Hello"},
		{"Hello", []Recipient{done, late}, "Delayed: Hello"},
		{"Hello", []Recipient{late, held}, "On hold: Hello"},
		{"Hello", []Recipient{done}, "Delivered: Hello"},
		{"Hello", []Recipient{{Address: "a@b", Action: Relayed}, done}, "Sent on: Hello"},
		{"", []Recipient{failed}, "Undelivered: (no subject)"},
		{"=?utf-8?Q?a=0D=0ABcc:_eve@example.com?=", []Recipient{failed}, "Undelivered: a Bcc: eve@example.com"},
		{"=?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=", []Recipient{failed}, "Undelivered: =?utf-8?Q?x?="},
		{"日本語の件名" + strings.Repeat("です", 100), []Recipient{failed}, "Undelivered: " + ("日本語の件名" + strings.Repeat("です", 100))[:198] + "…"},
		{strings.Repeat("x", 300), []Recipient{failed}, "Undelivered: " + strings.Repeat("x", 200) + "..."},
		{"\u202egnp.exe", []Recipient{failed}, "Undelivered: gnp.exe"},
	} {
		r := report(tt.rs...)
		r.Original = opens("Subject: " + tt.subject + "\n\nx\n")
		p := written(t, r)
		got, err := new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
		if err != nil || got != tt.want {
			t.Errorf("%q: %q (%v), want %q", tt.subject, got, err, tt.want)
		}
		if p.header.Get("Bcc") != "" {
			t.Errorf("%q: a field came in", tt.subject)
		}
	}
}

// RFC 6531: a To field is in ASCII where that can be, and never holds what is no address.
func TestTo(t *testing.T) {
	for to, want := range map[string]string{
		"anna@example.org":                    "<anna@example.org>",
		"anna@müller.example":                 "<anna@xn--mller-kva.example>",
		"jürgen@müller.example":               "<jürgen@müller.example>",
		`"anna meyer"@example.org`:            `<"anna meyer"@example.org>`,
		"anna@[192.0.2.1]":                    "<anna@[192.0.2.1]>",
		"anna@example.org\r\nBcc: eve@x.test": "undisclosed-recipients:;",
		"anna@example.org>, <eve@x.test":      "undisclosed-recipients:;",
		"":                                    "undisclosed-recipients:;",
		"a@" + strings.Repeat("b", 600):       "undisclosed-recipients:;",
	} {
		r := report(noUser("bob@example.net"))
		r.To = to
		p := written(t, r)
		if got := p.header.Get("To"); got != want || p.header.Get("Bcc") != "" {
			t.Errorf("%q: %q, want %q", to, got, want)
		}
		if got := r.NeedsUTF8(); got != !isASCII(want) {
			t.Errorf("%q needs UTF-8: %v", to, got)
		}
	}
}

// RFC 3464 sections 2.2 and 2.3: the fields, as mail programs read them.
func TestStatusFields(t *testing.T) {
	r := report(unreachable("bob@example.net"), Recipient{Address: "eve@example.com", ORCPT: "rfc822;eve+40x", Action: "odd", Status: "9.9", Code: 250,
		Text: "Größe\nzwei", Host: "mx.müller.example"})
	r.EnvID = "a+20b"
	p := written(t, r)
	for i, want := range []map[string]string{
		{"Reporting-Mta": "dns; mail.example.org", "Arrival-Date": "Tue, 03 Mar 2026 10:15:09 +0100", "Original-Envelope-Id": "a b"},
		{"Final-Recipient": "rfc822; bob@example.net", "Original-Recipient": "", "Action": "delayed", "Status": "4.4.1", "Remote-Mta": "",
			"Last-Attempt-Date": "Tue, 03 Mar 2026 14:15:09 +0100", "Will-Retry-Until": "Sun, 08 Mar 2026 10:15:09 +0100",
			"Diagnostic-Code": "x-kurir; None of the mail servers of example.net could be reached: mx.example.net did not answer."},
		{"Original-Recipient": "rfc822; eve@x", "Action": "failed", "Status": "5.0.0", "Remote-Mta": "dns; mx.xn--mller-kva.example",
			"Diagnostic-Code": `smtp; 250 Gr\x{F6}\x{DF}e zwei`, "Last-Attempt-Date": "", "Will-Retry-Until": ""},
	} {
		for name, v := range want {
			if got := p.status[i].Get(name); got != v {
				t.Errorf("group %d: %s: %q, want %q", i, name, got, v)
			}
		}
	}
}

// RFC 6533 section 3: in a report in ASCII an address of type utf-8 stays encoded, in one
// in UTF-8 it is itself.
func TestUTF8Recipient(t *testing.T) {
	for orcpt, want := range map[string]string{
		`utf-8;bob\x{2B}x@example.net`: `utf-8; bob\x{2B}x@example.net`, "UTF-8;bob@example.net": "UTF-8; bob@example.net",
		`utf-8;b\x{F6}b@example.net`: "utf-8; böb@example.net",
	} {
		r := noUser("bob@example.net")
		r.ORCPT = orcpt
		if got := written(t, report(r)).status[1].Get("Original-Recipient"); got != want {
			t.Errorf("%s: %q, want %q", orcpt, got, want)
		}
	}
}

// What hosts and senders say can't add fields or break the parts.
func TestInjection(t *testing.T) {
	evil := "x\r\nAction: delivered\r\n\r\n--kurir-boundary--\x00\u2028"
	r := report(Recipient{Address: "bob@example.net" + evil, ORCPT: "rfc822;bob+0D+0AAction:+20delivered", Action: Failed, Status: "5.1.1" + evil, Code: 550, Text: evil + strings.Repeat("y", 5000), Host: "mx" + evil})
	r.Hostname, r.ID, r.To, r.EnvID = evil, evil, evil, "a+0D+0Ab"
	r.Original = opens("Subject: " + evil + "\nMessage-ID: <a\x00b>\n\n")
	p := written(t, r)
	if got := p.status[1]["Action"]; len(got) != 1 || got[0] != "failed" {
		t.Errorf("Action %q", got)
	}
	if got := p.status[1].Get("Remote-MTA") + p.status[1].Get("Original-Recipient") + p.header.Get("In-Reply-To"); got != "" {
		t.Errorf("taken over: %q", got)
	}
	if got := p.status[0].Get("Original-Envelope-Id"); got != "a+0D+0Ab" {
		t.Errorf("envelope id %q", got)
	}
	if len(p.text) > 8<<10 {
		t.Errorf("%d octets of words", len(p.text))
	}
}

// RFC 3461 section 4.3: RET=FULL is for reports of failure; of others the header is enough.
func TestFull(t *testing.T) {
	long := strings.Repeat("x", 999)
	for _, tt := range []struct {
		name, original string
		r              Recipient
		kind, encoding string
		third, says    string
	}{
		{"failed", minutes, noUser("a@b"), "message/rfc822", "7bit", minutes, "Your message is attached."},
		{"delayed", minutes, unreachable("a@b"), "text/rfc822-headers", "7bit", minutes[:strings.Index(minutes, "\n\n")+1], "not its text"},
		{"CRLF", "A: b\r\n\r\nx\r\n", noUser("a@b"), "message/rfc822", "7bit", "A: b\n\nx\n", "Your message is attached."},
		{"stray CR", "A: b\n\nx\ry", noUser("a@b"), "message/rfc822", "7bit", "A: b\n\nx y\n", "Your message is attached."},
		{"8-bit body", "A: b\n\n\xff\n", noUser("a@b"), "message/rfc822", "8bit", "A: b\n\n\xff\n", "Your message is attached."},
		{"UTF-8 header", "A: ü\n\nx\n", noUser("a@b"), "message/global", "8bit", "A: ü\n\nx\n", "Your message is attached."},
		{"no header", "\nbody\n", noUser("a@b"), "message/rfc822", "7bit", "\nbody\n", "Your message is attached."},
		{"header only", "A: b", noUser("a@b"), "message/rfc822", "7bit", "A: b\n", "Your message is attached."},
		{"NUL", "A: b\n\nx\x00\n", noUser("a@b"), "text/rfc822-headers", "7bit", "A: b\n", "as they are"},
		{"long line", "A: b\n\n" + long + "\n", noUser("a@b"), "text/rfc822-headers", "7bit", "A: b\n", "as they are"},
		{"longest line", "A: b\n\n" + long[1:] + "\n", noUser("a@b"), "message/rfc822", "7bit", "A: b\n\n" + long[1:] + "\n", "Your message is attached."},
		{"1 MiB", "A: b\n\n" + strings.Repeat("x\n", maxFull/2-3), noUser("a@b"), "message/rfc822", "7bit", "A: b\n\n" + strings.Repeat("x\n", maxFull/2-3), "Your message is attached."},
		{"more", "A: b\n\n" + strings.Repeat("x\n", maxFull/2-2), noUser("a@b"), "text/rfc822-headers", "7bit", "A: b\n", "too long"},
		{"long header", strings.Repeat("A: b\n", 20_000) + "\nx\n", noUser("a@b"), "text/rfc822-headers", "7bit", strings.Repeat("A: b\n", maxHeader/5), "could not be sent back whole"},
	} {
		r := report(tt.r)
		r.Full, r.Original = true, opens(tt.original)
		p := written(t, r)
		if p.kinds[2] != tt.kind || p.codes[2] != tt.encoding || p.third != tt.third {
			t.Errorf("%s: %s in %s, %.200q", tt.name, p.kinds[2], p.codes[2], p.third)
		}
		if got := strings.Join(strings.Fields(p.text), " "); !strings.Contains(got, tt.says) {
			t.Errorf("%s: does not say %q:\n%s", tt.name, tt.says, p.text)
		}
	}
}

// RFC 6522 section 4 and RFC 6533 section 4: which type and encoding a header has.
func TestReturnedHeader(t *testing.T) {
	for _, tt := range []struct{ name, header, kind, encoding, third string }{
		{"ASCII", "A: b\n", "text/rfc822-headers", "7bit", "A: b\n"},
		{"UTF-8", "A: ü\n", "message/global-headers", "8bit", "A: ü\n"},
		{"Latin-1", "A: \xfc \n", "text/rfc822-headers", "quoted-printable", "A: \xfc \n"},
		{"UTF-8 and NUL", "A: ü\x00\n", "message/global-headers", "quoted-printable", "A: ü\x00\n"},
		{"stray CR", "A: a\rb\n", "text/rfc822-headers", "quoted-printable", "A: a\rb\n"},
		{"long line", "A: " + strings.Repeat("=", 2000) + "\n", "text/rfc822-headers", "quoted-printable", "A: " + strings.Repeat("=", 2000) + "\n"},
		{"one line without an end", "A: " + strings.Repeat("b", 2*maxHeader), "text/rfc822-headers", "quoted-printable", ""},
	} {
		r := report(noUser("bob@example.net"))
		r.Original = opens(tt.header + "\nbody\n")
		p := written(t, r)
		if tt.third == "" {
			if len(p.third) == 0 || len(p.third) > maxHeader+1 {
				t.Errorf("%s: %d octets", tt.name, len(p.third))
			}
			tt.third = p.third
		}
		if p.kinds[2] != tt.kind || p.codes[2] != tt.encoding || p.third != tt.third {
			t.Errorf("%s: %s in %s, %.200q", tt.name, p.kinds[2], p.codes[2], p.third)
		}
	}
}

// A message that can't be read does not keep the sender from being told.
func TestUnreadable(t *testing.T) {
	for name, open := range map[string]func() (io.ReadCloser, error){
		"no file": func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF },
		"read error at once": func() (io.ReadCloser, error) {
			return io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)), nil
		},
		"empty": opens(""),
		"read error in the body": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(minutes), iotest.ErrReader(io.ErrUnexpectedEOF))), nil
		},
	} {
		r := report(noUser("bob@example.net"))
		r.Full, r.Original = true, open
		p := written(t, r)
		text := strings.Join(strings.Fields(p.text), " ")
		if !strings.Contains(text, "can't be read here any more") && !strings.Contains(text, "could not be read to its end") && name != "empty" {
			t.Errorf("%s:\n%s", name, p.text)
		}
	}
}

// Many recipients make a long list for programs and a bounded one for people.
func TestManyRecipients(t *testing.T) {
	var rs []Recipient
	for i := range 2000 {
		r := noUser(strings.Repeat("b", i%50+1) + "@example.net")
		r.Code = 500 + i%50
		rs = append(rs, r)
	}
	for i := range 200 {
		r := unreachable("c@example.com")
		r.Text = strings.Repeat("z", i+1)
		rs = append(rs, r)
	}
	p := written(t, report(rs...))
	if len(p.text) > 200<<10 || !strings.Contains(p.text, "further recipients") || !strings.Contains(p.text, "more, who are") {
		t.Errorf("%d octets of words", len(p.text))
	}
}

func TestWhen(t *testing.T) {
	at := time.Date(2026, 3, 3, 9, 5, 0, 0, time.UTC)
	for offset, want := range map[int]string{
		0: "Tuesday, 3 March 2026, 09:05 (UTC)", 3600: "Tuesday, 3 March 2026, 10:05 (UTC+1)",
		-3*3600 - 1800: "Tuesday, 3 March 2026, 05:35 (UTC-3:30)", 13 * 3600: "Tuesday, 3 March 2026, 22:05 (UTC+13)",
	} {
		if got := when(at, time.FixedZone("", offset)); got != want {
			t.Errorf("%d: %q, want %q", offset, got, want)
		}
	}
	r := report(unreachable("bob@example.net"))
	r.Original = opens("Date: Tue, 3 Mar 2026 10:15:02 +2300\n\n")
	if p := written(t, r); !strings.Contains(p.text, "8 March 2026, 10:15 (UTC+1)") {
		t.Errorf("a zone that can't be:\n%s", p.text)
	}
}

// RFC 6522 section 3: whatever happened, a report has its three parts.
func FuzzWrite(f *testing.F) {
	f.Add("mail.example.org", "anna@example.org", "bob@example.net", "rfc822;bob", "failed", "5.1.1", 550, "User unknown", "mx.example.net", "id", minutes, true)
	f.Add("müller.example", "jürgen@müller.example", "ü@ü", `utf-8;\x{FC}`, "delayed", "4.4.1", 0, "no\nanswer", "", "+41", "Subject: ü\n\n\xff", false)
	f.Add("\n", "\r\n\r\n", "--", ";", "", "", -1, "\x00", "\n", "+", "--kurir-\r\n\r\n--kurir---\x00", true)
	f.Add("h", "a@b", "c@d", "rfc822;+", "relayed", "2", 250, strings.Repeat("x", 2000), "h", "=", "Subject: =?x?=\n "+strings.Repeat("y", 2000)+"\n\n", true)
	f.Fuzz(func(t *testing.T, hostname, to, address, orcpt, action, status string, code int, text, host, envid, original string, full bool) {
		rc := Recipient{Address: address, ORCPT: orcpt, Action: Action(action), Status: status, Code: code, Text: text, Host: host, Attempts: code, Held: full, Until: arrived}
		other := rc
		other.Action, other.Text = Delayed, to
		written(t, &Report{Hostname: hostname, ID: envid, To: to, EnvID: envid, Arrival: arrived, Now: arrived, Recipients: []Recipient{rc, other}, Full: full, ReturnPath: !full, Original: opens(original)})
	})
}
