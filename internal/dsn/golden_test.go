package dsn

import (
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the reports under testdata anew")

var (
	berlin  = time.FixedZone("", 3600)
	arrived = time.Date(2026, 3, 3, 10, 15, 9, 0, berlin)
)

const minutes = `Received: from laptop.example.org ([192.0.2.7]) by mail.example.org with ESMTPSA;
	Tue, 3 Mar 2026 10:15:09 +0100
From: Anna Meyer <anna@example.org>
To: Bob <bob@example.net>
Subject: Minutes of Tuesday's meeting
Date: Tue, 3 Mar 2026 10:15:02 +0100
Message-ID: <minutes-1@laptop.example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear Bob,

here they are.
`

func opens(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// report is a report about minutes with what all have in common.
func report(rs ...Recipient) *Report {
	return &Report{Hostname: "mail.example.org", ID: "01JNDF3Q8T", To: "anna@example.org", Arrival: arrived,
		Now: arrived.Add(2 * time.Second), Recipients: rs, Original: opens(minutes)}
}

func noUser(address string) Recipient {
	_, domain, _ := strings.Cut(address, "@")
	return Recipient{Address: address, Action: Failed, Status: "5.1.1", Code: 550, Host: "mx." + domain, Attempts: 1, LastAttempt: arrived.Add(time.Second),
		Text: "<" + address + ">: Recipient address rejected: User unknown in virtual mailbox table"}
}

func unreachable(address string) Recipient {
	_, domain, _ := strings.Cut(address, "@")
	return Recipient{Address: address, Action: Delayed, Status: "4.4.1", Attempts: 9, LastAttempt: arrived.Add(4 * time.Hour), Until: arrived.Add(120 * time.Hour),
		Text: "None of the mail servers of " + domain + " could be reached: mx." + domain + " did not answer."}
}

var unauthenticated = Recipient{Address: "carl@gmail.com", Action: Failed, Status: "5.7.26", Code: 550, Host: "gmail-smtp-in.l.google.com", Attempts: 1, LastAttempt: arrived.Add(time.Second),
	Text: "This mail has been blocked because the sender is unauthenticated.\nGmail requires all senders to authenticate with either SPF or DKIM.\n\nAuthentication results:\nDKIM = did not pass\nSPF [example.org] with ip: [192.0.2.25] = did not pass\n\nFor instructions on setting up authentication, go to\nhttps://support.google.com/mail/answer/81126#authentication 5b1f17b1804b1 - gsmtp"}

// TestGolden compares whole reports with those under testdata, which are meant to be
// read: they are what people get.
func TestGolden(t *testing.T) {
	for name, build := range map[string]func() *Report{
		"no-such-user": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Recipients[0].ORCPT, r.EnvID, r.ReturnPath = "rfc822;bob+2Bwork@example.net", "QQ314159+2B1", true
			return r
		},
		"refused-by-gmail": func() *Report { return report(unauthenticated) },
		"unknown-reply": func() *Report {
			return report(Recipient{Address: "bob@example.net", Action: Failed, Status: "5.7.1", Code: 550, Text: "Command rejected", Host: "mx1.example.net", Attempts: 1, LastAttempt: arrived})
		},
		"several": func() *Report {
			return report(noUser("bob@example.net"), noUser("bert@example.net"), unauthenticated,
				Recipient{Address: "dora@example.org", Action: Failed, Status: "5.2.2", Text: "The mailbox is full.", Attempts: 12, LastAttempt: arrived.Add(119 * time.Hour)})
		},
		"unreachable": func() *Report {
			r := report(unreachable("bob@example.net"), unreachable("bert@example.net"))
			r.Now = arrived.Add(4 * time.Hour)
			return r
		},
		"greylisted": func() *Report {
			return report(Recipient{Address: "bob@example.net", Action: Delayed, Status: "4.7.1", Code: 451, Text: "Greylisting in action, please come back later", Host: "mx1.example.net",
				Attempts: 5, LastAttempt: arrived.Add(4 * time.Hour), Until: arrived.Add(120 * time.Hour)})
		},
		"held": func() *Report {
			return report(Recipient{Address: "bob@example.net", Action: Delayed, Held: true, Status: "4.7.0", Until: arrived.Add(120 * time.Hour),
				Text: "You have sent more messages in the last hour than your account may."})
		},
		"given-up": func() *Report {
			r := report(Recipient{Address: "bob@example.net", Action: Failed, Status: "4.2.2", Code: 452, Text: "mailbox full", Host: "mx1.example.net", Attempts: 34, LastAttempt: arrived.Add(118 * time.Hour)},
				Recipient{Address: "dora@example.com", Action: Failed, Status: "4.4.1", Text: "None of the mail servers of example.com could be reached: mx.example.com did not answer.", Attempts: 34, LastAttempt: arrived.Add(118 * time.Hour)})
			r.Now = arrived.Add(120 * time.Hour)
			return r
		},
		"success": func() *Report {
			return report(Recipient{Address: "dora@example.org", Action: Delivered, Status: "2.0.0", ORCPT: "rfc822;dora@example.org"},
				Recipient{Address: "bob@example.net", Action: Relayed, Status: "2.0.0", Code: 250, Text: "Ok: queued as 4QxYz", Host: "mx.example.net", Attempts: 1, LastAttempt: arrived})
		},
		"expanded": func() *Report {
			return report(Recipient{Address: "board@example.org", Action: Expanded})
		},
		"all-kinds": func() *Report {
			return report(Recipient{Address: "dora@example.org", Action: Delivered, Status: "2.0.0"}, noUser("bob@example.net"), unreachable("eve@example.com"),
				Recipient{Address: "finn@example.com", Action: Delayed, Held: true, Text: "You have sent more messages in the last hour than your account may."},
				Recipient{Address: "gus@example.com", Action: Relayed, Code: 250, Text: "Ok", Host: "mx.example.com"})
		},
		"whole-message": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Full, r.Original = true, opens(strings.ReplaceAll(minutes, "here they are.", "bitte schön."))
			return r
		},
		"too-long": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Full, r.Original = true, opens(minutes+strings.Repeat("And so on.\n", 100_000))
			return r
		},
		"encoded-subject": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Original = opens(strings.Replace(minutes, "Minutes of Tuesday's meeting", "=?iso-8859-1?Q?Gr=FC=DFe_aus_K=F6ln,_und_ein_Protokoll_das_so_lange_ist?=\n =?utf-8?Q?_wie_die_Sitzung_selbst?=", 1))
			return r
		},
		"unicode": func() *Report {
			r := report(noUser("jürgen@bücher.example"))
			r.To, r.Recipients[0].Host = "anna@müller.example", "mx.xn--bcher-kva.example"
			r.Recipients[0].ORCPT = `utf-8;j\x{FC}rgen@b\x{FC}cher.example`
			r.Original = opens(strings.Replace(minutes, "Minutes of Tuesday's meeting", "Protokoll für Jürgen", 1))
			return r
		},
		"unreadable": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Original = nil
			return r
		},
		"broken-header": func() *Report {
			r := report(noUser("bob@example.net"))
			r.Original = opens("Subject: Gr\xfc\xdfe\r\nX-Long: " + strings.Repeat("a", 1200) + "\r\nX-Odd: a\x00b\rc \r\n\r\nbody\r\n")
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := written(t, build())
			golden(t, "testdata/"+name+".eml", steady(p.raw))
			if p.codes[0] != "7bit" {
				golden(t, "testdata/"+name+".txt", p.text)
			}
			for line := range strings.Lines(p.text) {
				if n := len([]rune(line)) - 1; n > width && !strings.Contains(line, "://") {
					t.Errorf("line of %d characters: %s", n, line)
				}
			}
		})
	}
}

// steady replaces what is random.
func steady(raw string) string {
	raw = regexp.MustCompile(`kurir-[a-z2-7]{26}`).ReplaceAllString(raw, "kurir-boundary")
	return regexp.MustCompile(`Message-ID: <[a-z2-7]{26}@`).ReplaceAllString(raw, "Message-ID: <random@")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", file, got)
	}
}
