package e2e

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"path/filepath"
	"strings"
	"testing"
)

// needPostfix skips the test where there is no Postfix, or no right to run one.
func needPostfix(t *testing.T) { t.Helper(); need(t, "postfix", "sendmail", "ip") }

// postfixZone has one mail server, mx.postfix.test.
func postfixZone(address string) string {
	return fmt.Sprintf("postfix.test. 300 IN MX 10 mx.postfix.test.\nmx.postfix.test. 300 IN A %s\n", address)
}

// plainWords is the part of a report that people read, in one line. It has to come first,
// before the parts that RFC 3462 asks for.
func plainWords(t *testing.T, report string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(report))
	ok(t, "report", err)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatalf("it is %q, %v:\n%s", kind, err, report)
	}
	var kinds []string
	var words string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextPart()
		if err == io.EOF {
			break
		}
		ok(t, "part of the report", err)
		text, err := io.ReadAll(part)
		ok(t, "part of the report", err)
		kind, _, _ := strings.Cut(part.Header.Get("Content-Type"), ";")
		if kinds = append(kinds, kind); len(kinds) == 1 {
			words = strings.Join(strings.Fields(string(text)), " ")
		}
	}
	if len(kinds) != 3 || kinds[0] != "text/plain" || !strings.HasSuffix(kinds[1], "delivery-status") || words == "" {
		t.Fatalf("its parts are %q:\n%s", kinds, report)
	}
	return words
}

// nextHop is a server and the Postfix that it sends to.
type nextHop struct {
	*mailer
	p *postfix
}

// TestPostfixNextHop sends to a Postfix found by its MX, as most of the world's mail
// servers are: what goes through, what it refuses, and what the sender hears.
func TestPostfixNextHop(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	address := ownAddress(t)
	m := newMailer(t, setup{zone: postfixZone(address), relay: append(soon, `delay_notice = "1m"`, `give_up = "75s"`)})
	h := &nextHop{m, newPostfix(t, address, "mx.postfix.test", m.at(smtpPort), "message_size_limit = 100000")}
	// Its reports come last: the configuration knows no shorter times.
	waiting := m.sends(alice, letter(alice, "slow@postfix.test", "slowly", "Hello"), "slow@postfix.test")
	for _, sub := range []struct {
		name string
		test func(*testing.T)
	}{
		{"delivered over TLS", h.delivered}, {"many at once", h.many}, {"UTF-8 addresses", h.utf8}, {"here and there", h.mixed},
		{"no such user", h.nobody}, {"too big", h.tooBig}, {"delivered, as wished", h.success},
		{"waits", func(t *testing.T) { h.waits(t, waiting) }},
	} {
		t.Run(sub.name, func(t *testing.T) {
			h.mailer.within(t)
			h.p.within(t)
			sub.test(t)
		})
	}
}

func (h *nextHop) delivered(t *testing.T) {
	text := letter(alice, "carol@postfix.test", "first", "Hello", ".", "..", "Grüße")
	id := h.sends(alice, text, "carol@postfix.test")
	got := h.p.arrived("carol", "Subject: first\n")
	contains(t, got, "TLSv1.3", "Hello\n.\n..\nGrüße\n", "Return-Path: <"+alice+">")
	if strings.Contains(got, "\nReturn-Path:") || strings.Contains(got, "\nDelivered-To: alice") {
		t.Errorf("it has trace fields of a delivery here:\n%s", got)
	}
	contains(t, h.kurir("", "queue", "show", id), alice, "carol@postfix.test", "mx.postfix.test", h.p.address, "TLS 1.3", "250")
}

// many messages to one host take few connections.
func (h *nextHop) many(t *testing.T) {
	before := strings.Count(h.p.log(), ": connect from")
	c, err := h.login(alice)
	ok(t, "login", err)
	defer c.Close()
	const count = 20
	for i := range count {
		_, err := c.submit("<"+alice+">", []string{"<carol@postfix.test>", "<dave@postfix.test>"}, letter(alice, "carol@postfix.test", fmt.Sprintf("many %d.", i), "Hello"))
		ok(t, "submission", err)
	}
	for i := range count {
		h.p.arrived("carol", fmt.Sprintf("Subject: many %d.\n", i))
		h.p.arrived("dave", fmt.Sprintf("Subject: many %d.\n", i))
	}
	if n := strings.Count(h.p.log(), ": connect from") - before; n > count*3/4 {
		t.Errorf("%d connections for %d messages", n, count)
	}
}

func (h *nextHop) utf8(*testing.T) {
	h.sendsWith("<"+alice+"> SMTPUTF8 BODY=8BITMIME", []string{"<grün@postfix.test>"}, letter(alice, "grün@postfix.test", "Grüße", "Hallo"))
	h.p.arrived("green", "To: grün@postfix.test\n", "Subject: Grüße\n")
}

func (h *nextHop) mixed(*testing.T) {
	h.sends(alice, letter(alice, bob, "mixed", "Hello"), bob, "carol@postfix.test")
	h.find(bob, "mixed")
	h.p.arrived("carol", "Subject: mixed\n")
}

func (h *nextHop) nobody(t *testing.T) {
	h.sends(alice, letter(alice, "nobody@postfix.test", "to nobody", "Hello"), "nobody@postfix.test", "carol@postfix.test")
	h.p.arrived("carol", "Subject: to nobody\n")
	report := h.arrived(alice, "to nobody", "Action: failed")
	contains(t, plainWords(t, report), "to nobody", "nobody@postfix.test", "mx.postfix.test", "550 5.1.1")
	contains(t, report, "Return-Path: <>", "Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1", "Remote-MTA: dns; mx.postfix.test", "Auto-Submitted: auto-replied")
	if strings.Contains(report, "Final-Recipient: rfc822; carol@postfix.test") {
		t.Error("it speaks of carol, who has the message")
	}
}

func (h *nextHop) tooBig(t *testing.T) {
	h.sends(alice, letter(alice, "carol@postfix.test", "too big", strings.Repeat("0123456789\r\n", 20000)), "carol@postfix.test")
	contains(t, h.arrived(alice, "too big", "Action: failed"), "Status: 5.3.4")
}

func (h *nextHop) success(t *testing.T) {
	h.sendsWith("<"+alice+"> RET=HDRS ENVID=our+2Benvelope", []string{"<carol@postfix.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;C.Arol@postfix.test"},
		letter(alice, "carol@postfix.test", "tell me", "Hello"))
	contains(t, h.arrived(alice, "Action: delivered"), "Original-Envelope-Id: our+envelope", "C.Arol@postfix.test", "mx.postfix.test")
}

func (h *nextHop) waits(t *testing.T, id string) {
	late := h.arrived(alice, "slowly", "Action: delayed")
	contains(t, plainWords(t, late), "slowly", "slow@postfix.test", "come back later")
	contains(t, late, "Will-Retry-Until: ", "Status: 4.7.1")
	contains(t, plainWords(t, h.arrived(alice, "slowly", "Action: failed")), "slow@postfix.test", "come back later")
	h.empty(patience)
	shown := h.kurir("", "queue", "show", id)
	if n := strings.Count(shown, "come back later"); n < 3 {
		t.Errorf("queue show has %d of its attempts:\n%s", n, shown)
	}
}

// TestPostfixSmarthost gives all mail to a provider's server with a password, after its
// certificate was found good.
func TestPostfixSmarthost(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	address := ownAddress(t)
	sasl := startSASL(t, "customer", "s3cret 'ö\\\"")
	p := newPostfix(t, address, "smtp.provider.test", "127.0.0.1:1", append(sasl, "mynetworks =",
		"smtpd_relay_restrictions = permit_sasl_authenticated, reject")...)
	zone := fmt.Sprintf("smtp.provider.test. 300 IN A %[1]s\nother.provider.test. 300 IN A %[1]s\n", address)
	smarthost := func(name, secret string) []string {
		return append(soon, fmt.Sprintf("smarthost = %q", name+":25"), `smarthost_tls = "starttls"`,
			`smarthost_username = "customer"`, fmt.Sprintf("smarthost_password = %q", secret))
	}
	trust := []string{"SSL_CERT_FILE=" + p.ca, "SSL_CERT_DIR=" + filepath.Join(p.dir, "etc")}
	waits := func(m *mailer, text string) {
		t.Helper()
		id := m.sends(alice, letter(alice, "carol@postfix.test", "waits", "Hello"), "carol@postfix.test")
		err := eventually(patience, func() error {
			if shown := m.kurir("", "queue", "show", id); !strings.Contains(shown, text) {
				return fmt.Errorf("no %q in:\n%s", text, shown)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if out, code := newClient(t).try("", binary, "health", "-c", m.config); code != 1 || !strings.Contains(out, "smarthost ") {
			t.Errorf("health: exit code %d, %s", code, out)
		}
		m.run.except = "level=ERROR msg=unhealthy check=\"smarthost "
		m.kurir("", "queue", "drop", id)
		m.empty(patience)
	}
	t.Run("good", func(t *testing.T) {
		p.within(t)
		m := newMailer(t, setup{zone: zone, relay: smarthost("smtp.provider.test", "s3cret 'ö\\\""), env: trust})
		id := m.sends(alice, letter(alice, "carol@postfix.test", "by smarthost", "Hello"), "carol@postfix.test")
		p.arrived("carol", "Subject: by smarthost\n")
		p.logs("sasl_username=customer")
		m.empty(patience)
		contains(t, m.kurir("", "queue", "show", id), "smtp.provider.test", "TLS 1.3")
		if strings.Contains(m.run.out.String(), "s3cret") {
			t.Error("the password is in the log")
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		p.within(t)
		m := newMailer(t, setup{zone: zone, relay: smarthost("smtp.provider.test", "wrong"), env: trust})
		waits(m, "535")
	})
	t.Run("certificate for another name", func(t *testing.T) {
		p.within(t)
		m := newMailer(t, setup{zone: zone, relay: smarthost("other.provider.test", "s3cret 'ö\\\""), env: trust})
		waits(m, "certificate")
	})
	t.Run("certificate of strangers", func(t *testing.T) {
		p.within(t)
		m := newMailer(t, setup{zone: zone, relay: smarthost("smtp.provider.test", "s3cret 'ö\\\"")})
		waits(m, "certificate")
		if strings.Count(p.log(), "sasl_method=PLAIN, sasl_username=customer") > 1 {
			t.Error("the password went to a stranger")
		}
	})
}

// TestPostfixSender receives from a Postfix.
func TestPostfixSender(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	address := ownAddress(t)
	m := newMailer(t, setup{zone: postfixZone(address)})
	p := newPostfix(t, address, "mx.postfix.test", m.at(smtpPort), "message_size_limit = 30000000")
	send := func(subject string, to string, lines ...string) {
		t.Helper()
		p.sendmail(strings.ReplaceAll(letter("carol@postfix.test", to, subject, lines...), "\r\n", "\n"), "-i", "-f", "carol@postfix.test", to)
	}
	t.Run("8 bit, dots, TLS", func(t *testing.T) {
		m.within(t)
		p.within(t)
		send("from Postfix", alice, "Grüße", ".", "..", "latin \xe4\xf6\xfc", "")
		contains(t, m.arrived(alice, "Subject: from Postfix\r\n"), "Grüße\r\n.\r\n..\r\nlatin \xe4\xf6\xfc\r\n", "with ESMTPS", "Return-Path: <carol@postfix.test>")
	})
	t.Run("UTF-8 header", func(t *testing.T) {
		m.within(t)
		p.within(t)
		send("Grüße von Postfix", alice, "Hallo")
		m.arrived(alice, "Subject: Grüße von Postfix\r\n")
	})
	t.Run("20 MB", func(t *testing.T) {
		m.within(t)
		p.within(t)
		line := strings.Repeat("0123456789", 7)
		send("big", alice, strings.Repeat(line+"\r\n", 20<<20/72))
		if got := m.arrived(alice, "Subject: big\r\n"); strings.Count(got, line) != 20<<20/72 {
			t.Errorf("%d of %d lines arrived", strings.Count(got, line), 20<<20/72)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		m.within(t)
		p.within(t)
		for i := range 50 {
			send(fmt.Sprintf("one of many %d.", i), bob, "Hello")
		}
		for i := range 50 {
			m.arrived(bob, fmt.Sprintf("Subject: one of many %d.\r\n", i))
		}
	})
	t.Run("no such user", func(t *testing.T) {
		m.within(t)
		p.within(t)
		send("to nobody", "nobody@local.test", "Hello")
		contains(t, p.arrived("carol", "nobody@local.test", "Action: failed"), "Status: 5.1.1")
	})
	t.Run("there and back", func(t *testing.T) {
		m.within(t)
		p.within(t)
		m.sends(bob, letter(bob, "nobody@postfix.test", "there", "Hello"), "nobody@postfix.test")
		contains(t, m.arrived(bob, "Action: failed", "Subject: there"), "550 5.1.1")
	})
}
