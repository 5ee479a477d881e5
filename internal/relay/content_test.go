package relay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// # RFC 1870 section 6.1: a message larger than the server takes is not sent at all.
func TestSize(t *testing.T) {
	for _, c := range []struct {
		size  int64
		offer string
		want  string
	}{
		{999, "SIZE 1000", "sent 250 2.0.0 ok, taken (relayed)"},
		{1000, "SIZE 1000", "sent 250 2.0.0 ok, taken (relayed)"},
		{1001, "SIZE 1000", "failed 5.3.4 The message is too large for mx.example.net (192.0.2.1): it has 1001 bytes, and no more than 1000 bytes are accepted there."},
		{30_000_000, "SIZE 10485760", "failed 5.3.4 The message is too large for mx.example.net (192.0.2.1): it has 30 MB, and no more than 10 MB are accepted there."},
		{2_345_678, "SIZE 20000", "failed 5.3.4 The message is too large for mx.example.net (192.0.2.1): it has 2.3 MB, and no more than 20 kB are accepted there."},
		{5000, "SIZE 0", "sent 250 2.0.0 ok, taken (relayed)"}, // no limit, section 3
		{5000, "SIZE", "sent 250 2.0.0 ok, taken (relayed)"},
		{5000, "SIZE some", "sent 250 2.0.0 ok, taken (relayed)"},
	} {
		g := newRig(t, theHost)
		p := g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", c.offer}}, "192.0.2.1")
		m := letter("hello")
		m.Size = c.size
		want(t, g.sendMessage(m, "bob@example.net"), at+c.want)
		for _, d := range p.Transactions() {
			if strings.HasPrefix(c.want, "failed") || !strings.HasSuffix(d.Mail, fmt.Sprintf(" SIZE=%d", c.size)) {
				t.Errorf("%d octets, %s: told %s", c.size, c.offer, d.Mail)
			}
		}
	}
	// What the connection waits for then is the next message.
	g := newRig(t, theHost)
	p := g.peer(&smtptest.Peer{Extensions: []string{"SIZE 1000"}}, "192.0.2.1")
	m := letter("hello")
	m.Size = 1001
	g.sendMessage(m, "bob@example.net")
	g.send("bob@example.net")
	if p.Connections() != 1 || len(p.Delivered()) != 1 {
		t.Errorf("%d connections, %d delivered", p.Connections(), len(p.Delivered()))
	}
}

// seven is a server without 8BITMIME.
func seven() *smtptest.Peer {
	return &smtptest.Peer{Extensions: []string{"PIPELINING", "SIZE 10000000", "DSN"}}
}

// # RFC 6152 section 3: where 8BITMIME is not offered, a message of 8 bits is converted
// without loss, or returned.
func TestEightBit(t *testing.T) {
	const header = "From: alice@local.test\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	m := func() *relay.Message { return message(header + "Gr\u00fc\u00dfe\r\n") }

	g := newRig(t, theHost)
	p := g.peer(nil, "192.0.2.1")
	want(t, g.sendMessage(m(), "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
	if d := p.Delivered()[0]; !strings.Contains(d.Mail, " BODY=8BITMIME") || string(d.Data) != header+"Gr\u00fc\u00dfe\r\n" {
		t.Errorf("%s\n%s", d.Mail, d.Data)
	}

	g = newRig(t, theHost)
	p = g.peer(seven(), "192.0.2.1")
	want(t, g.sendMessage(m(), "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
	d := p.Delivered()[0]
	if !strings.HasSuffix(string(d.Data), "\r\n\r\nGr=C3=BC=C3=9Fe\r\n") || !strings.Contains(string(d.Data), "Content-Transfer-Encoding: quoted-printable\r\n") {
		t.Errorf("converted to\n%s", d.Data)
	}
	if want := fmt.Sprintf(" SIZE=%d", len(d.Data)); !strings.HasSuffix(d.Mail, want) {
		t.Errorf("%s: want the size as it is sent,%s", d.Mail, want)
	}
	want(t, g.send("bob@example.net"), at+"sent 250 2.0.0 ok, taken")
	if d := p.Delivered()[1]; strings.Contains(d.Mail, "BODY") {
		t.Errorf("a message of 7 bits: %s", d.Mail)
	}

	for name, all := range map[string]string{
		"signed": "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\u00fc\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"header": "Subject: \u00fc\r\n\r\nx\r\n",
	} {
		g = newRig(t, theHost)
		p = g.peer(seven(), "192.0.2.1")
		o := g.sendMessage(message(all), "bob@example.net").Outcomes[0]
		if o.Reply.Status != "5.6.3" || !strings.HasPrefix(o.Reply.Text, "mx.example.net (192.0.2.1) takes no 8-bit characters, and ") || len(p.Transactions()) > 0 {
			t.Errorf("%s: %+v", name, o)
		}
	}
	// Converted, it may be too large.
	g = newRig(t, theHost)
	g.peer(&smtptest.Peer{Extensions: []string{"SIZE 2000"}}, "192.0.2.1")
	o := g.sendMessage(message(header+strings.Repeat(strings.Repeat("\u00fc", 35)+"\r\n", 25)), "bob@example.net").Outcomes[0]
	if o.Reply.Status != "5.3.4" {
		t.Errorf("%+v", o)
	}
}

// # RFC 6376 section 5.3: a message is signed as it is transported. What was signed and
// is converted gets new signatures; nothing else does.
func TestResign(t *testing.T) {
	const header = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	const signature = "DKIM-Signature: new\r\n"
	for _, tt := range []struct {
		name     string
		peer     *smtptest.Peer
		body     string
		made     string
		fail     error
		asked    int
		want     string
		contents string // the beginning of what arrives
	}{
		{"eight bits where they may be", nil, "\u00fc", signature, nil, 0, "sent 250 2.0.0 ok, taken", "MIME"},
		{"seven bits", seven(), "x", signature, nil, 0, "sent 250 2.0.0 ok, taken", "MIME"},
		{"converted", seven(), "\u00fc", signature, nil, 1, "sent 250 2.0.0 ok, taken", signature + "MIME"},
		{"none of ours", seven(), "\u00fc", "", nil, 1, "sent 250 2.0.0 ok, taken", "MIME"},
		{"a fault", seven(), "\u00fc", signature, errors.New("disk"), 1, "deferred 4.3.0 This server cannot read the message: disk.", ""},
	} {
		g := newRig(t, theHost)
		p := g.peer(tt.peer, "192.0.2.1")
		asked := 0
		g.Resign = func(_ context.Context, open func() (io.ReadCloser, error)) ([]byte, error) {
			asked++
			r, err := open()
			if err != nil {
				return nil, err
			}
			b, err := io.ReadAll(r)
			if !strings.HasSuffix(string(b), "\r\n\r\n=C3=BC\r\n") {
				t.Errorf("%s: signed is\n%s", tt.name, b)
			}
			return []byte(tt.made), errors.Join(err, r.Close(), tt.fail)
		}
		want(t, g.sendMessage(message(header+tt.body+"\r\n"), "bob@example.net"), at+tt.want)
		if asked != tt.asked {
			t.Errorf("%s: signed %d times", tt.name, asked)
		}
		for _, d := range p.Delivered() {
			if !strings.HasPrefix(string(d.Data), tt.contents) || strings.Count(string(d.Data), "MIME-Version") != 1 {
				t.Errorf("%s:\n%s", tt.name, d.Data)
			}
			if want := fmt.Sprintf(" SIZE=%d", len(d.Data)); tt.asked > 0 && !strings.HasSuffix(d.Mail, want) {
				t.Errorf("%s: %s, but it is%s", tt.name, d.Mail, want)
			}
		}
	}
}

// A large message is converted as well as a small one, and comes whole.
func TestLargeEightBit(t *testing.T) {
	all := "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + strings.Repeat("Gr\u00fc\u00dfe an alle\r\n", 20_000)
	g := newRig(t, theHost)
	p := g.peer(seven(), "192.0.2.1")
	want(t, g.sendMessage(message(all), "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
	if n := strings.Count(string(p.Delivered()[0].Data), "Gr=C3=BC=C3=9Fe an alle\r\n"); n != 20_000 {
		t.Errorf("%d lines", n)
	}
	g = newRig(t, theHost)
	p = g.peer(nil, "192.0.2.1")
	g.sendMessage(message(all), "bob@example.net")
	if string(p.Delivered()[0].Data) != all {
		t.Error("not as it was")
	}
}

// # RFC 6531 section 3.2 and 3.3: addresses or a header beyond ASCII need SMTPUTF8. Without it
// a domain goes as A-labels (RFC 5891), and the rest is returned.
func TestSMTPUTF8(t *testing.T) {
	const zone = "xn--bcher-kva.example. MX 10 mx.example.net.\n" + theHost
	const noAddress = "failed 5.6.7 mx.example.net (192.0.2.1) takes no addresses with letters beyond ASCII."
	utf8Header := func() *relay.Message {
		m := message("From: alice@local.test\r\nSubject: Gr\u00fc\u00dfe\r\n\r\nhello\r\n")
		m.UTF8 = true
		return m
	}
	from := func(a string) *relay.Message {
		m := letter("hello")
		m.Sender, m.UTF8 = a, true
		return m
	}
	for _, c := range []struct {
		name, to string
		m        *relay.Message
		able     []string // what is told to a server that can
		unable   string   // what comes of one that cannot
		told     []string
	}{
		{"IDN", "bob@b\u00fccher.example", letter("hello"),
			[]string{"MAIL FROM:<alice@local.test> SIZE=48", "RCPT TO:<bob@xn--bcher-kva.example>"}, "sent 250 2.0.0 ok, taken",
			[]string{"MAIL FROM:<alice@local.test> SIZE=48", "RCPT TO:<bob@xn--bcher-kva.example>"}},
		{"local part", "b\u00f6b@b\u00fccher.example", letter("hello"),
			[]string{"MAIL FROM:<alice@local.test> SIZE=48 SMTPUTF8", "RCPT TO:<b\u00f6b@b\u00fccher.example>"}, noAddress, nil},
		{"header", "bob@example.net", utf8Header(),
			[]string{"MAIL FROM:<alice@local.test> SIZE=51 BODY=8BITMIME SMTPUTF8", "RCPT TO:<bob@example.net>"},
			"failed 5.6.9 mx.example.net (192.0.2.1) takes no messages whose header has letters beyond ASCII without encoding, as this one's has.", nil},
		{"sender", "bob@example.net", from("\u00e4@local.test"),
			[]string{"MAIL FROM:<\u00e4@local.test> SIZE=48 SMTPUTF8", "RCPT TO:<bob@example.net>"},
			"failed 5.6.7 mx.example.net (192.0.2.1) takes no addresses with letters beyond ASCII, and the sender's address \u00e4@local.test has some.", nil},
		{"sender's domain", "bob@example.net", from("alice@b\u00fccher.example"),
			[]string{"MAIL FROM:<alice@xn--bcher-kva.example> SIZE=48", "RCPT TO:<bob@example.net>"}, "sent 250 2.0.0 ok, taken",
			[]string{"MAIL FROM:<alice@xn--bcher-kva.example> SIZE=48", "RCPT TO:<bob@example.net>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, zone)
			p := g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE", "DSN"}}, "192.0.2.1")
			want(t, g.sendMessage(c.m, c.to), at+"sent 250 2.0.0 ok, taken")
			wantCommands(t, p, append(append([]string{"EHLO kurir.test"}, c.able...), "DATA")...)

			g = newRig(t, zone)
			p = g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING", "8BITMIME", "SIZE", "DSN"}}, "192.0.2.1")
			want(t, g.sendMessage(c.m, c.to), at+c.unable)
			if c.told != nil {
				wantCommands(t, p, append(append([]string{"EHLO kurir.test"}, c.told...), "DATA")...)
			} else if n := len(p.Transactions()); n != 0 {
				t.Errorf("%d transactions", n)
			}
		})
	}
	t.Run("one of two recipients", func(t *testing.T) {
		g := newRig(t, zone)
		g.peer(&smtptest.Peer{Extensions: []string{"DSN"}}, "192.0.2.1")
		want(t, g.send("b\u00f6b@example.net", "bob@example.net"), at+noAddress, at+"sent 250 2.0.0 ok, taken")
	})
	t.Run("8 bits are part of it", func(t *testing.T) { // RFC 6531 section 3.1 item 8
		g := newRig(t, zone)
		p := g.peer(&smtptest.Peer{Extensions: []string{"SMTPUTF8", "DSN"}}, "192.0.2.1")
		want(t, g.sendMessage(utf8Header(), "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
		if d := p.Delivered()[0]; !strings.Contains(string(d.Data), "Gr\u00fc\u00dfe") {
			t.Errorf("%s", d.Data)
		}
	})
}

// # RFC 3461 section 5.2.1: the parameters are passed on to a server that offers DSN; with
// any other the message is relayed, and nobody there will report success.
func TestDSN(t *testing.T) {
	m := letter("hello")
	m.Ret, m.EnvID = "HDRS", "QQ+2B1"
	to := []relay.Recipient{
		{Address: "a@example.net", ORCPT: "rfc822;a+2Bb@example.org", Notify: relay.NotifySuccess | relay.NotifyFailure},
		{Address: "b@example.net", Notify: relay.NotifyNever},
		{Address: "c@example.net"},
		{Address: "d@example.net", ORCPT: "utf-8;d\u00f6d@example.net", Notify: relay.NotifyDelay},
		{Address: "e@example.net", ORCPT: "x-\u00f6;e"},
	}
	g := newRig(t, theHost)
	p := g.peer(&smtptest.Peer{Extensions: []string{"DSN"}}, "192.0.2.1")
	const taken = at + "sent 250 2.0.0 ok, taken"
	want(t, g.sendTo(t.Context(), m, to, nil), taken, taken, taken, taken, taken)
	wantCommands(t, p, "EHLO kurir.test", "MAIL FROM:<alice@local.test> RET=HDRS ENVID=QQ+2B1",
		"RCPT TO:<a@example.net> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@example.org",
		"RCPT TO:<b@example.net> NOTIFY=NEVER", "RCPT TO:<c@example.net>",
		`RCPT TO:<d@example.net> NOTIFY=DELAY ORCPT=utf-8;d\x{F6}d@example.net`, // RFC 6533 section 3
		"RCPT TO:<e@example.net>", "DATA")

	g = newRig(t, theHost)
	p = g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING"}}, "192.0.2.1")
	want(t, g.sendTo(t.Context(), m, to[:2], nil), taken+" (relayed)", taken+" (relayed)")
	wantCommands(t, p, "EHLO kurir.test", "MAIL FROM:<alice@local.test>", "RCPT TO:<a@example.net>", "RCPT TO:<b@example.net>", "DATA")

	g = newRig(t, theHost) // what is not sent is not relayed
	g.peer(&smtptest.Peer{Extensions: []string{"PIPELINING"}, Script: smtptest.Script{smtptest.Rcpt: smtptest.Reply("550 5.1.1 no")}}, "192.0.2.1")
	want(t, g.sendTo(t.Context(), m, to[:1], nil), at+"failed 550 5.1.1 no")
}

// What cannot stand in a command is never sent: neither an address nor a parameter can
// smuggle another command in. Addresses fail, parameters are left out.
func TestInvalidEnvelope(t *testing.T) {
	t.Run("recipients", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(nil, "192.0.2.1")
		res := g.send("a\r\nRCPT TO:<x@example.net>@example.net", "b@example.net", "c d@example.net", "e>@example.net", strings.Repeat("x", 1000)+"@example.net")
		const no = at + "failed 5.1.3 This is no address that can be sent by SMTP: "
		want(t, &relay.Result{Outcomes: res.Outcomes[:4]}, no+`"a\r\nRCPT TO:<x@example.net>@example.net".`,
			at+"sent 250 2.0.0 ok, taken", no+`"c d@example.net".`, no+`"e>@example.net".`)
		if res.Outcomes[4].Reply.Status != "5.1.3" {
			t.Errorf("%+v", res.Outcomes[4])
		}
		wantCommands(t, p, "EHLO kurir.test", "MAIL FROM:<alice@local.test> SIZE=48", "RCPT TO:<b@example.net>", "DATA")
	})
	t.Run("sender", func(t *testing.T) {
		g := newRig(t, theHost)
		p := g.peer(nil, "192.0.2.1")
		m := letter("hello")
		m.Sender = "a>\r\nQUIT"
		no := at + `failed 5.1.7 The sender's address cannot be sent by SMTP: "a>\r\nQUIT".`
		want(t, g.sendMessage(m, "b@example.net", "c@example.net"), no, no)
		want(t, g.send("b@example.net"), at+"sent 250 2.0.0 ok, taken")
		if n := p.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("ORCPT and ENVID", func(t *testing.T) { // over several hosts and transactions
		g := newRig(t, threeHosts)
		g.peer(script(smtptest.Mail, smtptest.Reply("421 4.3.2 bye")), "192.0.2.1")
		p := g.peer(&smtptest.Peer{Extensions: []string{"DSN", "PIPELINING"}}, "192.0.2.2")
		m := letter("hello")
		m.EnvID, m.Ret = "a b", "FULL"
		to := recipients(many(203, "example.net")...)
		for i := range to {
			to[i].ORCPT, to[i].Notify = "rfc822;r@example.org", relay.NotifySuccess
			if i%50 == 1 {
				to[i].ORCPT = fmt.Sprintf("rfc822;r\r\n%d", i)
			}
		}
		res := g.sendTo(t.Context(), m, to, nil)
		if n := actions(res); n[relay.Sent] != 203 {
			t.Fatalf("%v: %v", n, lines(&relay.Result{Outcomes: res.Outcomes[202:]}))
		}
		for i, d := range p.Delivered() {
			if strings.Contains(d.Mail, "ENVID") || len(d.Rcpt) != []int{100, 100, 3}[i] {
				t.Errorf("%s, %d recipients", d.Mail, len(d.Rcpt))
			}
			for k, r := range d.Rcpt {
				if good := (i*100+k)%50 != 1; strings.Contains(r.Line, "ORCPT=") != good || !strings.Contains(r.Line, "NOTIFY=SUCCESS") {
					t.Errorf("%s", r.Line)
				}
			}
		}
	})
	t.Run("null sender", func(t *testing.T) { // RFC 5321 section 4.5.5
		g := newRig(t, theHost)
		p := g.peer(nil, "192.0.2.1")
		m := letter("a notice")
		m.Sender = ""
		want(t, g.sendMessage(m, "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
		if d := p.Delivered()[0]; !strings.HasPrefix(d.Mail, "MAIL FROM:<> ") {
			t.Errorf("%s", d.Mail)
		}
	})
}

// Lines end in CRLF on the wire, and dots are stuffed, whatever the message has.
func TestMessageOnTheWire(t *testing.T) {
	g := newRig(t, theHost)
	p := g.peer(nil, "192.0.2.1")
	want(t, g.sendMessage(message("Subject: x\n\n.\n..dots\nno end"), "bob@example.net"), at+"sent 250 2.0.0 ok, taken")
	if got := string(p.Delivered()[0].Data); got != "Subject: x\r\n\r\n.\r\n..dots\r\nno end\r\n" {
		t.Errorf("%q", got)
	}
}
