package e2e

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

// trustKey signs for each of trustZone's domains.
var trustKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, ed25519.SeedSize))

// trustZone has domains that ask for something by DMARC: reject.test, quarantine.test and
// lame.test, whose DNS is to fail. 203.0.113.5 may send for reject.test.
func trustZone() string {
	key := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(trustKey.Public().(ed25519.PublicKey))
	var b strings.Builder
	for domain, p := range map[string]string{"reject": "reject", "quarantine": "quarantine", "lame": "reject"} {
		fmt.Fprintf(&b, "_dmarc.%[1]s.test. 300 IN TXT \"v=DMARC1; p=%[2]s\"\ns1._domainkey.%[1]s.test. 300 IN TXT %[3]q\n", domain, p, key)
	}
	b.WriteString("reject.test. 300 IN TXT \"v=spf1 ip4:203.0.113.5 -all\"\n")
	b.WriteString("5.113.0.203.in-addr.arpa. 300 IN PTR mx.reject.test.\nmx.reject.test. 300 IN A 203.0.113.5\n")
	return b.String()
}

// signed puts a DKIM signature of a domain above a message.
func signed(t *testing.T, domain, msg string) string {
	t.Helper()
	var b bytes.Buffer
	err := dkim.Sign(&b, strings.NewReader(msg), &dkim.SignOptions{Domain: domain, Selector: "s1", Signer: trustKey, Hash: crypto.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// strange hands a message in as another server does that has the address client, by way of
// a proxy at 127.0.0.2; "" is without one. It returns the last reply.
func (m *mailer) strange(client, sender, msg string) (code int, text string) {
	m.t.Helper()
	var d net.Dialer
	if client != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	c, err := d.Dial("tcp", m.at(smtpPort))
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if client != "" {
		fmt.Fprintf(c, "PROXY TCP4 %s 203.0.113.200 4321 25\r\n", client)
	}
	t := textproto.NewConn(c)
	_, _, err = t.ReadResponse(220)
	for _, step := range []struct {
		code int
		line string
	}{{250, "EHLO mx.reject.test"}, {250, "MAIL FROM:<" + sender + ">"}, {250, "RCPT TO:<" + alice + ">"}, {354, "DATA"}} {
		if err == nil {
			err = say(t, step.code, step.line)
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
	w := t.DotWriter()
	_, werr := io.WriteString(w, msg)
	if err := w.Close(); err != nil || werr != nil {
		m.t.Fatal(werr, err)
	}
	code, text, err = t.ReadResponse(0)
	if err != nil && code == 0 {
		m.t.Fatal(err)
	}
	return code, text
}

// TestTrust shows strangers' mail to the built program: what proves to come from where it
// says is in the INBOX, what its domain asks to suspect in Junk, what it asks to refuse is
// refused, and what cannot be told is put off.
func TestTrust(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{zone: trustZone(), rest: "[proxy]\nnetworks = [\"127.0.0.2/32\"]"})
	m.dns.ServFail("_dmarc.lame.test")
	letter := func(from, subject string) string {
		return "From: bob@" + from + "\r\nTo: " + alice + "\r\nSubject: " + subject + "\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <" + subject + "@" + from + ">\r\n\r\ntext\r\n"
	}
	for _, c := range []struct {
		subject, client, from string
		signed                bool
		code                  int
		reply, box            string
		header                []string // in what is delivered, unfolded
	}{
		{subject: "bydkim", from: "reject.test", signed: true, code: 250, box: "INBOX", header: []string{"dkim=pass header.d=reject.test", "dmarc=pass header.from=reject.test", "X-Kurir-Reason: accept: it comes from reject.test: DKIM signature of reject.test"}},
		{subject: "byspf", client: "203.0.113.5", from: "reject.test", code: 250, box: "INBOX", header: []string{"spf=pass smtp.mailfrom=bob@reject.test", "dmarc=pass", "iprev=pass policy.iprev=203.0.113.5"}},
		{subject: "unproven", from: "reject.test", code: 250, box: "Junk", header: []string{"X-Kurir-Reason: junk: reject.test asks to refuse", "SPF was not checked"}},
		{subject: "spffails", client: "203.0.113.66", from: "reject.test", code: 550, reply: "5.7.26 reject.test asks to refuse"},
		{subject: "suspect", from: "quarantine.test", code: 250, box: "Junk", header: []string{"dmarc=fail", "X-Kurir-Reason: junk: quarantine.test asks"}},
		{subject: "notsuspect", from: "quarantine.test", signed: true, code: 250, box: "INBOX"},
		{subject: "unknown", from: "lame.test", signed: true, code: 451, reply: "4.4.3 cannot find out now what lame.test asks for"},
		{subject: "norecord", from: "quiet.test", code: 250, box: "INBOX", header: []string{"dmarc=none", "X-Kurir-Reason: accept: nothing proves"}},
		{subject: "ourown", from: "local.test", code: 250, box: "Junk", header: []string{"X-Kurir-Reason: junk: it claims to come from local.test"}},
	} {
		msg := letter(c.from, c.subject)
		if c.signed {
			msg = signed(t, c.from, msg)
		}
		forged := "Authentication-Results: mail.local.test; dmarc=pass\r\nAuthentication-Results:" + strings.Repeat(" ", 600) + "mail.local.test; dmarc=pass\r\n other.test; none\r\n"
		code, reply := m.strange(c.client, "bob@"+c.from, forged+msg)
		if code != c.code || !strings.HasPrefix(reply, c.reply) {
			t.Errorf("%s: %d %s, want %d %s", c.subject, code, reply, c.code, c.reply)
			continue
		}
		if c.box == "" {
			continue
		}
		got := string(findIn(t, m.mailboxOf(alice, c.box), c.subject).body)
		head := strings.NewReplacer("\r\n\t", " ", "\r\n ", " ").Replace(got)
		for _, h := range append(c.header, "\r\nX-Original-Authentication-Results: mail.local.test; dmarc=pass\r\n") {
			if !strings.Contains(head, h) {
				t.Errorf("%s: no %q in\n%s", c.subject, h, got)
			}
		}
		if n := strings.Count(got, "\r\nAuthentication-Results:"); n != 1 {
			t.Errorf("%s: %d fields in our name\n%s", c.subject, n, got)
		}
	}
	m.says(`msg="message judged"`)
	m.says("verdict=refuse")
	r, err := http.Get("http://" + m.at(httpPort) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	metrics, err := io.ReadAll(r.Body)
	for _, want := range []string{`kurir_messages_judged_total{verdict="accept"} 4`, `kurir_messages_judged_total{verdict="junk"} 3`, `kurir_messages_judged_total{verdict="refuse"} 1`, `kurir_messages_judged_total{verdict="later"} 1`} {
		if err != nil || !strings.Contains(string(metrics), want) {
			t.Errorf("no %s in the metrics, %v", want, err)
		}
	}
}

// TestTrustMark delivers everything, and says what would have been done.
func TestTrustMark(t *testing.T) {
	t.Parallel()
	m := newMailer(t, setup{zone: trustZone(), rest: "[trust]\ndmarc = \"mark\"\nown_domains = \"off\""})
	for _, from := range []string{"reject.test", "local.test"} {
		if code, reply := m.strange("", "bob@"+from, "From: bob@"+from+"\r\nSubject: "+from+"\r\n\r\n"); code != 250 {
			t.Errorf("%s: %d %s", from, code, reply)
		}
	}
	if got := string(m.find(alice, "reject.test").body); !strings.Contains(got, "X-Kurir-Reason: accept: it would have gone to Junk: reject.test asks") {
		t.Error(got)
	}
	if got := string(m.find(alice, "local.test").body); strings.Contains(got, "would have") {
		t.Error(got)
	}
}
