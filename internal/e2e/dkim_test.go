package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"kurir/internal/signing"
)

// listedKey is a key as "kurir dkim list --json" shows it.
type listedKey struct {
	Domain, Selector, Algorithm, State, Name, Value, DNS, Next string
}

func (m *mailer) dkim(args ...string) (keys []listedKey) {
	m.t.Helper()
	ok(m.t, "dkim list", json.Unmarshal([]byte(m.kurir("", append([]string{"dkim", "list", "--json"}, args...)...)), &keys))
	return keys
}

// dkimZone has the records of keys, for dnstest.
func dkimZone(keys []listedKey) string {
	b := "$TTL 0\n"
	for _, k := range keys {
		b += signing.Record{Name: k.Name, Value: k.Value}.Zone() + "\n"
	}
	return b
}

// dkimResult is what OpenDKIM says of one signature.
var dkimResult = regexp.MustCompile(`dkim=(\w+)[^;]*? header\.d=(\S+)[^;]*? header\.a=(\S+) header\.s=(\w+)`)

// openDKIM has OpenDKIM verify a message, and returns what it says of each signature:
// "pass local.test rsa-sha256".
func openDKIM(c *client, keys []listedKey, text string) (results []string, selectors string) {
	c.t.Helper()
	var published strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&published, "%s %s\n", k.Name, k.Value)
	}
	conf := "Mode v\nSyslog no\nAlwaysAddARHeader yes\nAuthservID test\nLogResults yes\nTestPublicKeys " + c.file("keys", published.String()) + "\n"
	out := c.must("", "opendkim", "-x", c.file("opendkim.conf", conf), "-t", c.file("message", text), "-vv")
	for _, f := range dkimResult.FindAllStringSubmatch(out, -1) {
		results = append(results, f[1]+" "+f[2]+" "+f[3])
		selectors += f[4] + " "
	}
	if len(results) == 0 {
		c.t.Logf("OpenDKIM says:\n%s", out)
	}
	return results, selectors
}

const bothPass = "pass local.test rsa-sha256, pass local.test ed25519-sha256"

// TestOpenDKIM has OpenDKIM verify what the server signs.
func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	c := newClient(t, "opendkim")
	eight, seven := &peer{}, &peer{offers: []string{"PIPELINING"}}
	startPeer(t, "127.0.0.1:0", eight)
	startPeer(t, "127.0.0.1:0", seven)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", eight) + toPeer("seven.test", seven)})
	keys := m.dkim("local.test")
	if len(keys) != 2 || keys[0].State != "active" || keys[0].DNS != "missing" || !strings.Contains(keys[0].Next, "publish") {
		t.Fatalf("%+v", keys)
	}
	check := func(name, want, text string) {
		t.Helper()
		got, _ := openDKIM(c, keys, text)
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: OpenDKIM says %q\n%s", name, got, clip(text))
		}
	}
	const eightBits = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
	for n, tt := range []struct{ name, text string }{
		{"plain", letter(alice, "you@a.test", "plain", "Hello")},
		{"no body", "From: alice@local.test\n\n"},
		{"odd white space", "FROM: \tAlice  A. <alice@local.test>\nTo: you@a.test,\n\tthem@a.test\nSubject:  a\n b\nX: y\n\n  a \t b  \n\n .\n..\n\n\t\n\n"},
		{"several fields", "From: alice@local.test\nTo: a@a.test\nTo: b@a.test\nList-Id: <x>\nReferences: <1@x>\n <2@x>\n\nx"},
		{"8 bits", "From: alice@local.test\nSubject: x\n" + eightBits + "\nGr\u00fc\u00dfe\n"},
		{"large", "From: alice@local.test\nSubject: x\n\n" + strings.Repeat("and so on, to the end of the line\n", 50_000)},
		{"long lines", "From: alice@local.test\nSubject: x\n\n" + strings.Repeat(strings.Repeat("x ", 450)+"\n", 50)},
	} {
		m.sendsWith("<"+alice+"> BODY=8BITMIME", []string{"<you@a.test>"}, tt.text)
		got := eight.gets(t, n+1)[n].text
		check(tt.name, bothPass, got)
		if forged := "Subject: forged\r\n" + got; tt.name == "plain" {
			check("another subject", "fail local.test rsa-sha256, fail local.test ed25519-sha256", forged)
			check("another body", "fail local.test rsa-sha256, fail local.test ed25519-sha256", strings.Replace(got, "Hello", "Hallo", 1))
		}
	}
	// Programs of this machine, and our own reports to others.
	m.kurir(byHand, "send", "you@a.test")
	check("sent by a program", bothPass, eight.gets(t, 8)[7].text)
	eight.mu.Lock()
	eight.answer = always("RCPT", deed{say: "550 5.1.1 no"})
	eight.mu.Unlock()
	m.kurir("Subject: x\n\nx\n", "send", "--from", "them@seven.test", "gone@a.test")
	report := seven.gets(t, 1)[0].text
	contains(t, report, "multipart/report", "gone@a.test")
	check("a report", bothPass, report)
	// What is converted for a host without 8BITMIME is signed as it is then.
	m.sendsWith("<"+alice+"> BODY=8BITMIME", []string{"<you@seven.test>"}, "From: alice@local.test\nSubject: x\n"+eightBits+"\nGr\u00fc\u00dfe\n")
	converted := seven.gets(t, 2)[1].text
	contains(t, converted, "Gr=C3=BC=C3=9Fe")
	check("converted", bothPass+", fail local.test rsa-sha256, neutral local.test ed25519-sha256", converted)
}

// TestDKIMRotation: new keys sign when the DNS shows them, and not before; a domain alias
// has keys of its own.
func TestDKIMRotation(t *testing.T) {
	t.Parallel()
	c := newClient(t, "opendkim")
	p := &peer{}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p)})
	m.kurir("", "domain", "alias", "add", "other.test", "local.test")
	old := m.dkim("local.test")
	ok(t, "zone", m.dns.SetZone(dkimZone(old)))
	for _, k := range m.dkim("local.test") {
		if k.DNS != "published" || k.Next != "" {
			t.Errorf("%+v", k)
		}
	}
	contains(t, m.kurir("", "dkim", "rotate", "local.test"), "Publish these records", "v=DKIM1; k=rsa; p=", "kurir dkim list local.test")
	contains(t, m.kurir("", "dkim", "rotate", "local.test"), "were made before")
	m.sends(alice, letter(alice, "you@a.test", "old", "x"), "you@a.test")
	if _, s := openDKIM(c, old, p.gets(t, 1)[0].text); s != old[0].Selector+" "+old[1].Selector+" " {
		t.Errorf("%s sign", s)
	}
	m.stop()
	all := m.dkim("local.test")
	if len(all) != 4 || all[2].State != "pending" || all[2].DNS != "missing" {
		t.Fatalf("%+v", all)
	}
	ok(t, "zone", m.dns.SetZone(dkimZone(all)))
	m.start()
	m.says("new DKIM key is published")
	ok(t, "keys that sign", eventually(patience, func() error {
		if all = m.dkim("local.test"); all[0].State != "retiring" || all[2].State != "active" || all[3].State != "active" {
			return fmt.Errorf("%+v", all)
		}
		return nil
	}))
	contains(t, m.kurir("", "dkim", "list"), "leave the record until", "other.test")
	m.sends(alice, letter(alice, "you@a.test", "new", "x"), "you@a.test")
	got, s := openDKIM(c, all, p.gets(t, 2)[1].text)
	if s != all[2].Selector+" "+all[3].Selector+" " || strings.Join(got, ", ") != bothPass {
		t.Errorf("%s sign: %s", s, got)
	}
	other := m.dkim("other.test")
	m.sendsWith("<alice@local.test>", []string{"<you@a.test>"}, letter("alice@other.test", "you@a.test", "alias", "x"))
	if got, _ := openDKIM(c, other, p.gets(t, 3)[2].text); strings.Join(got, ", ") != strings.ReplaceAll(bothPass, "local.test", "other.test") {
		t.Errorf("as a domain alias: %q", got)
	}
}
