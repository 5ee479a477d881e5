package e2e

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/textproto"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
	"kurir/internal/mailauth"
	"kurir/internal/mailauth/arc"
	"kurir/internal/signing"
)

// stranger connects to port 25 as another host does.
func (m *mailer) stranger(t *testing.T) submission {
	t.Helper()
	c, err := textproto.Dial("tcp", m.at(smtpPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, _, err = c.ReadResponse(220); err == nil {
		err = say(c, 250, "EHLO mx.there.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	return submission{c}
}

// returnAddress is what the mail of bob@there.test is passed on with.
var returnAddress = regexp.MustCompile(`^<(SRS0=[^=>]+=[^=>]+=there\.test=bob@local\.test)>`)

// forwarder is a server with two aliases: friend leads to friend@elsewhere.test, team to
// alice and to two addresses elsewhere. The servers of elsewhere.test and there.test are
// peers.
func forwarder(t *testing.T, elsewhere *peer, zone, rest string) (m *mailer, there *peer) {
	t.Helper()
	there = startPeer(t, "127.0.0.1:0", &peer{})
	startPeer(t, "127.0.0.1:0", elsewhere)
	m = newMailer(t, setup{zone: zone, relay: soon, rest: toPeer("elsewhere.test", elsewhere) + toPeer("there.test", there) + rest})
	m.kurir("", "alias", "add", "friend@local.test", "--to", "friend@elsewhere.test")
	m.kurir("", "alias", "add", "team@local.test", alice, "--to", "one@elsewhere.test", "--to", "friend@local.test")
	return m, there
}

// dkimKey makes a key, and the record that it is published in.
func dkimKey(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public)
}

// withDKIM is a message with the DKIM signature of there.test.
func withDKIM(t *testing.T, key ed25519.PrivateKey, text string) string {
	t.Helper()
	var b strings.Builder
	if err := dkim.Sign(&b, strings.NewReader(text), &dkim.SignOptions{Domain: "there.test", Selector: "sel", Signer: key}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// believed checks what the next server would: the original's signature, and the seal of
// local.test with what was found there.
func (m *mailer) believed(t *testing.T, zone, text string) {
	t.Helper()
	var keys []struct{ Name, Value string }
	if err := json.Unmarshal([]byte(m.kurir("", "dkim", "list", "local.test", "--json")), &keys); err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	for _, k := range keys {
		zone += signing.Record{Name: k.Name, Value: k.Value}.Zone() + "\n"
	}
	resolver := &dnsutil.Resolver{Servers: []string{dnstest.Start(t, zone).Addr()}}
	found, err := mailauth.VerifyDKIM(t.Context(), resolver, strings.NewReader(text))
	if err != nil || len(found) != 1 || found[0].Result != mailauth.Pass || found[0].Domain != "there.test" {
		t.Errorf("DKIM: %+v %v\n%s", found, err, text)
	}
	chain, err := arc.Verify(t.Context(), resolver, strings.NewReader(text))
	if err != nil || chain.Result != mailauth.Pass || len(chain.Sets) != 1 || chain.Sets[0].Domain != "local.test" {
		t.Fatalf("ARC: %+v %v\n%s", chain, err, text)
	}
	contains(t, chain.Sets[0].Results, "mail.local.test;")
	contains(t, chain.Sets[0].Results, "dkim=pass header.d=there.test")
}

// TestForward: mail for an alias reaches the other server with a return address of ours,
// and what comes back to that address reaches the original sender's server.
func TestForward(t *testing.T) {
	t.Parallel()
	elsewhere := &peer{}
	key, record := dkimKey(t)
	zone := "sel._domainkey.there.test. 300 IN TXT \"" + record + "\"\n"
	m, there := forwarder(t, elsewhere, zone, "")
	list := m.kurir("", "alias", "list")
	contains(t, list, "friend@elsewhere.test")
	contains(t, list, "alice@local.test, one@elsewhere.test, friend@local.test")
	text := withDKIM(t, key, letter("bob@there.test", "friend@local.test", "to be passed on", "Hello", ".", ""))
	c := m.stranger(t)
	if _, err := c.submit("<bob@there.test>", []string{"<friend@local.test>"}, text); err != nil {
		t.Fatal(err)
	}
	got := elsewhere.gets(t, 1)[0]
	from := returnAddress.FindStringSubmatch(got.from)
	if from == nil || len(got.to) != 1 || !strings.HasPrefix(got.to[0], "<friend@elsewhere.test>") {
		t.Fatalf("it went from %s to %s", got.from, got.to)
	}
	if !strings.HasSuffix(got.text, text) {
		t.Errorf("it was changed:\n%s", got.text)
	}
	contains(t, got.text, "Delivered-To: friend@local.test\r\n")
	if strings.Contains(got.text, "Return-Path:") {
		t.Errorf("it has a Return-Path:\n%s", got.text)
	}
	m.believed(t, zone, got.text)

	// An hour later elsewhere.test finds out that it can't deliver.
	if _, err := c.submit("<>", []string{"<" + strings.ToLower(from[1]) + ">"}, letter("mailer-daemon@elsewhere.test", "bob@there.test", "failed", "No.")); err != nil {
		t.Fatal(err)
	}
	back := there.gets(t, 1)[0]
	if !strings.HasPrefix(back.from, "<>") || !strings.HasPrefix(back.to[0], "<bob@there.test>") {
		t.Errorf("it came back from %s to %s", back.from, back.to)
	}
	for _, try := range []struct{ from, to, want string }{
		{"<eve@there.test>", from[1], "5.7.1 this address takes notices"},
		{"<>", strings.Replace(from[1], "=bob@", "=eve@", 1), "5.1.1 this return address"},
	} {
		if _, err := c.submit(try.from, []string{"<" + try.to + ">"}, text); err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("from %s to %s: %v", try.from, try.to, err)
		}
	}

	// The same secret after a restart; a mailbox here and two addresses elsewhere.
	m.stop()
	m.start()
	c = m.stranger(t)
	if _, err := c.submit("<>", []string{"<" + from[1] + ">"}, text); err != nil {
		t.Error(err)
	}
	there.gets(t, 2)
	text = letter("bob@there.test", "team@local.test", "to the team", "Hello")
	if _, err := c.submit("<bob@there.test>", []string{"<team@local.test>"}, text); err != nil {
		t.Fatal(err)
	}
	m.arrived(alice, "Subject: to the team")
	if n := len(elsewhere.gets(t, 2)[1].to); n != 2 {
		t.Errorf("it went to %d addresses", n)
	}
	// A loop ends at once.
	if _, err := c.submit("<"+from[1]+">", []string{"<friend@local.test>"}, got.text); err == nil || !strings.Contains(err.Error(), "5.4.6 message goes round") {
		t.Errorf("what came round: %v", err)
	}
	m.empty(patience)
}

// TestForwardRefused: when the other server refuses what was passed on, the original sender
// hears of it from us.
func TestForwardRefused(t *testing.T) {
	t.Parallel()
	elsewhere := &peer{answer: always("RCPT", deed{say: "550 5.1.1 no such friend"})}
	m, there := forwarder(t, elsewhere, "", "")
	c := m.stranger(t)
	if _, err := c.submit("<bob@there.test>", []string{"<friend@local.test>"}, letter("bob@there.test", "friend@local.test", "in vain", "Hello")); err != nil {
		t.Fatal(err)
	}
	report := there.gets(t, 1)[0]
	if !strings.HasPrefix(report.from, "<>") || !strings.HasPrefix(report.to[0], "<bob@there.test>") {
		t.Errorf("the report went from %s to %s", report.from, report.to)
	}
	for _, part := range []string{"To: <bob@there.test>", "Original-Recipient: rfc822; friend@local.test", "no such friend", "Action: failed"} {
		contains(t, report.text, part)
	}
	// Who is here hears of it here.
	m.sends(alice, letter(alice, "friend@local.test", "in vain, too", "Hello"), "friend@local.test")
	m.arrived(alice, "no such friend", "Subject: in vain, too")
	m.empty(patience)
}

// TestForwardJunk: what looks like junk is not passed on. Who is here has it in Junk, and
// where nobody would have it, it is refused.
func TestForwardJunk(t *testing.T) {
	t.Parallel()
	elsewhere := &peer{}
	m, _ := forwarder(t, elsewhere, trustZone(), "")
	c := m.stranger(t)
	text := letter("bob@quarantine.test", "you@local.test", "suspect", "Buy.")
	for _, to := range [][]string{{"<friend@local.test>"}, {"<" + bob + ">", "<friend@local.test>"}} {
		if _, err := c.submit("<bob@there.test>", to, text); err == nil || !strings.Contains(err.Error(), "5.7.1 this message looks like junk") {
			t.Errorf("to %s: %v", to, err)
		}
	}
	if _, err := c.submit("<bob@there.test>", []string{"<team@local.test>"}, text); err != nil {
		t.Fatal(err)
	}
	if mail := m.mailboxOf(alice, "Junk").messages; len(mail) != 1 {
		t.Errorf("%d messages are in Junk", len(mail))
	}
	m.empty(patience)
	if got := elsewhere.messages(); len(got) != 0 || len(m.mailboxOf(bob, "INBOX").messages) != 0 {
		t.Errorf("it was passed on: %+v", got)
	}
}

// TestForwardLimits: an alias passes on so much in an hour and asks for patience then.
func TestForwardLimits(t *testing.T) {
	t.Parallel()
	elsewhere := &peer{}
	m, _ := forwarder(t, elsewhere, "", "[forward]\ncopies_hour = 2\n[limits]\naccount_messages_hour = 1\n")
	c := m.stranger(t)
	for i := range 3 {
		_, err := c.submit("<bob@there.test>", []string{"<friend@local.test>"}, letter("bob@there.test", "friend@local.test", fmt.Sprint("number ", i), "Hello"))
		if i < 2 && err != nil || i == 2 && (err == nil || !strings.Contains(err.Error(), "4.7.1 this address has passed on")) {
			t.Errorf("number %d: %v", i, err)
		}
	}
	elsewhere.gets(t, 2)
	// A user's own limit is for what he writes to others, not for what an alias passes on.
	m.sends(alice, letter(alice, "x@elsewhere.test", "direct", "Hello"), "x@elsewhere.test")
	if from := elsewhere.gets(t, 3)[2].from; !strings.HasPrefix(from, "<"+alice+">") {
		t.Errorf("it went from %s", from)
	}
	m.empty(patience)
}
