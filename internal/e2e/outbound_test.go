package e2e

import (
	"crypto/tls"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A hard is one way in which another host's mail server is hard to deal with.
type hard struct {
	name   string // of its domain, below "test"
	peer   *peer  // nil: nothing listens there
	spare  *peer  // its MX of second choice
	copies int    // of the message that arrive, zero is one; -1 is none
	log    []string
	bounce []string // what the sender's report has to say, nil if there is none
	after  func(t *testing.T, p *peer)
}

// first does something the first n times that a verb comes.
func first(n int32, verb string, d deed) func(moment) deed {
	var count atomic.Int32
	return func(m moment) deed {
		if m.verb == verb && count.Add(1) <= n {
			return d
		}
		return deed{}
	}
}

// always does something at every verb of that name.
func always(verb string, d deed) func(moment) deed { return first(math.MaxInt32, verb, d) }

func hardPeers(t *testing.T) []hard {
	long := strings.Repeat("250-all work and no play makes jack a dull boy\r\n", 10<<20/48)
	expired, _, _ := certificate(t, time.Now().Add(-24*time.Hour), "mx.expired.test")
	good, _, _ := certificate(t, time.Now().Add(24*time.Hour), "elsewhere.test")
	withTLS := &tls.Config{Certificates: []tls.Certificate{good}}
	plain := func(t *testing.T, p *peer) {
		t.Helper()
		if m := p.messages()[0]; m.tls {
			t.Error("it came over TLS")
		}
		if !strings.Contains(p.lines(), "STARTTLS") {
			t.Error("STARTTLS was not tried")
		}
	}
	encrypted := func(t *testing.T, p *peer) {
		t.Helper()
		if m := p.messages()[0]; !m.tls {
			t.Error("it came without TLS")
		}
	}
	return []hard{
		{name: "good", peer: &peer{}},
		{name: "grey", peer: &peer{answer: first(2, "RCPT", deed{say: "450 4.7.1 greylisted, come back in a second"})}},
		{name: "busy", peer: &peer{answer: first(2, "", deed{say: "421 4.3.2 too busy", close: true})}},
		{name: "unwilling", peer: &peer{answer: first(2, "", deed{say: "554 5.7.1 not you", close: true})}},
		{name: "dumb", peer: &peer{answer: first(2, "", deed{close: true})}},
		{name: "tired", peer: &peer{answer: first(2, "RCPT", deed{say: "421 4.3.2 tired", close: true})}},
		{name: "old", peer: &peer{answer: always("EHLO", deed{say: "502 5.5.1 no such command"})}},
		{name: "dropping", peer: &peer{answer: first(2, ".", deed{close: true})}, log: []string{"may have arrived"}},
		{name: "forgetful", peer: &peer{answer: first(1, ".", deed{close: true, take: true})}, copies: 2, log: []string{"may have arrived"}},
		{name: "full", peer: &peer{answer: first(2, ".", deed{say: "452 4.3.1 disk full"})}},
		{name: "endless", peer: &peer{answer: first(2, "EHLO", deed{raw: long})}},
		{name: "wordy", peer: &peer{answer: first(2, "RCPT", deed{raw: long})}},
		{name: "babbling", peer: &peer{answer: first(2, "MAIL", deed{raw: strings.Repeat("\x00\xff\r\n\x1b[31mHTTP/1.1 200 OK\r\n", 100), close: true})}},
		{name: "nonsense", peer: &peer{tls: withTLS, answer: always("STARTTLS", deed{say: "220 2.0.0 go on", close: true})}, after: plain},
		{name: "injecting", peer: &peer{tls: withTLS, answer: first(2, "STARTTLS", deed{say: "220 2.0.0 go on\r\n250 2.0.0 in the clear"})}},
		{name: "noisy", peer: &peer{tls: &tls.Config{Certificates: withTLS.Certificates, MaxVersion: tls.VersionTLS10}}, after: plain},
		{name: "broken", peer: &peer{tls: withTLS, answer: always("STARTTLS", deed{say: "454 4.7.0 TLS not available"})}, after: plain},
		{name: "expired", peer: &peer{tls: &tls.Config{Certificates: []tls.Certificate{expired}}}, after: encrypted},
		{name: "encrypted", peer: &peer{tls: withTLS}, after: encrypted},
		{name: "spare", spare: &peer{}},
		{name: "second", peer: &peer{answer: always("", deed{say: "554 5.7.1 not here", close: true})}, spare: &peer{}},
		{name: "offended", peer: &peer{answer: always("MAIL", deed{say: "550 5.7.1 your address 198.51.100.1 is on our list"})},
			copies: -1, bounce: []string{"mx0.offended.test", "550 5.7.1", "is on our list"}},
		{name: "filter", peer: &peer{answer: always(".", deed{say: "554-5.6.0 this message\r\n554 5.6.0 tastes like spam"})},
			copies: -1, bounce: []string{"554", "tastes like spam"}},
	}
}

// TestOutboundHard sends to servers that behave badly: the mail gets through or comes
// back, and the server goes on.
func TestOutboundHard(t *testing.T) {
	t.Parallel()
	all := hardPeers(t)
	var zone strings.Builder
	for _, h := range all {
		for preference, p := range []*peer{h.peer, h.spare} {
			if preference == 1 && p == nil {
				continue
			}
			a := ownAddress(t)
			fmt.Fprintf(&zone, "%[1]s.test. 300 IN MX %[2]d mx%[2]d.%[1]s.test.\nmx%[2]d.%[1]s.test. 300 IN A %[3]s\n", h.name, preference, a)
			if p != nil {
				startPeer(t, a+":25", p)
			}
		}
	}
	fmt.Fprintf(&zone, "nomail.test. 300 IN MX 0 .\nlooping.test. 300 IN MX 10 mail.local.test.\nmail.local.test. 300 IN A 127.0.0.1\nloopback.test. 300 IN A 127.0.0.1\n")
	m := newMailer(t, setup{zone: zone.String(), relay: soon})
	for _, h := range all {
		m.sends(alice, letter(alice, "you@"+h.name+".test", "to the "+h.name+" one", "Hello", ".", ""), "you@"+h.name+".test")
	}
	for _, domain := range []string{"nomail.test", "looping.test", "loopback.test", "nowhere.test"} {
		m.sends(alice, letter(alice, "you@"+domain, "to "+domain, "Hello"), "you@"+domain)
	}
	for _, h := range all {
		t.Run(h.name, func(t *testing.T) { h.check(t, m) })
	}
	for domain, status := range map[string]string{"nomail.test": "5.1.10", "looping.test": "5.4.6", "loopback.test": "5.4.6", "nowhere.test": "5.1.2"} {
		t.Run(domain, func(t *testing.T) {
			m.within(t)
			report := m.arrived(alice, "to "+domain, "Action: failed")
			contains(t, report, "Status: "+status)
			contains(t, plainWords(t, report), "you@"+domain)
		})
	}
	m.empty(patience)
	if mail := m.mailboxOf(alice, "INBOX").messages; len(mail) != 6 {
		t.Errorf("alice has %d messages, not 6", len(mail))
	}
	health(t, m)
}

func (h hard) check(t *testing.T, m *mailer) {
	want := h.copies
	switch {
	case want == 0:
		want = 1
	case want < 0:
		want = 0
	}
	p := h.peer
	if h.spare != nil {
		p = h.spare
	}
	m.within(t)
	got := p.gets(t, want)
	for _, text := range h.log {
		m.says(text)
	}
	if h.bounce != nil {
		report := m.arrived(alice, "to the "+h.name+" one", "Action: failed")
		contains(t, report, h.bounce...)
		contains(t, plainWords(t, report), "you@"+h.name+".test", "to the "+h.name+" one")
	}
	for _, g := range got {
		if err := checkTraced([]byte(g.text), letter(alice, "you@"+h.name+".test", "to the "+h.name+" one", "Hello", ".", "")); err != nil {
			t.Error(err)
		}
		if !slices.Equal(addresses(g.to), []string{"you@" + h.name + ".test"}) || !strings.HasPrefix(g.from, "<"+alice+">") {
			t.Errorf("from %s to %s", g.from, g.to)
		}
	}
	if len(got) != want {
		t.Errorf("%d copies arrived, not %d", len(got), want)
	}
	if h.after != nil && len(got) > 0 {
		h.after(t, p)
	}
}

// addresses are those of recipients with parameters.
func addresses(to []string) (all []string) {
	for _, r := range to {
		a, _, _ := strings.Cut(strings.TrimPrefix(r, "<"), ">")
		all = append(all, a)
	}
	return all
}

// health fails unless the server is well and has not grown much.
func health(t *testing.T, m *mailer) {
	t.Helper()
	r, err := http.Get("http://" + m.at(httpPort) + "/healthz")
	ok(t, "healthz", err)
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("health: %s", r.Status)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.run.cmd.Process.Pid))
	if err != nil {
		return // no such system
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			if kb, _ := strconv.Atoi(f[1]); kb > 300<<10 {
				t.Errorf("the server took %d MB of memory", kb>>10)
			}
		}
	}
}

// TestOutboundStall has a server to send to that says nothing more: mail to others is not
// held up, stopping does not wait for it for long, and nothing is lost.
func TestOutboundStall(t *testing.T) {
	t.Parallel()
	stalling := &peer{answer: first(1, ".", deed{stall: true})}
	quick := &peer{}
	startPeer(t, "127.0.0.1:0", stalling)
	startPeer(t, "127.0.0.1:0", quick)
	m := newMailer(t, setup{relay: soon, rest: toPeer("stalling.test", stalling) + toPeer("quick.test", quick)})
	m.sends(alice, letter(alice, "you@stalling.test", "slow", "Hello"), "you@stalling.test")
	err := eventually(patience, func() error {
		if !strings.Contains(stalling.lines(), "DATA") {
			return fmt.Errorf("the stalling server was told only:\n%s", stalling.lines())
		}
		return nil
	})
	ok(t, "waiting for DATA", err)
	began := time.Now()
	m.sends(alice, letter(alice, "you@quick.test", "quick", "Hello"), "you@quick.test")
	quick.gets(t, 1)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("mail to another server took %v", took)
	}
	if took := m.stop(); took > 20*time.Second {
		t.Errorf("stopping took %v", took)
	}
	m.start()
	if got := stalling.gets(t, 1); len(got) != 1 {
		t.Errorf("%d copies", len(got))
	}
	m.empty(patience)
}

// TestOutboundPlain sends to a server that knows ASCII alone: what can be said in ASCII is
// converted, what cannot comes back.
func TestOutboundPlain(t *testing.T) {
	t.Parallel()
	p := &peer{offers: []string{"SIZE 1000000"}}
	startPeer(t, "127.0.0.1:0", p)
	m := newMailer(t, setup{relay: soon, rest: toPeer("a.test", p) + toPeer("xn--grn-ioa.test", p)})
	m.sendsWith("<"+alice+"> BODY=8BITMIME", []string{"<you@a.test>"}, strings.Replace(letter(alice, "you@a.test", "8 bit", "Grüße =", ".", ""),
		"Subject:", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nSubject:", 1))
	contains(t, p.gets(t, 1)[0].text, "Subject: 8 bit\r\n", "\r\nGr=C3=BC=C3=9Fe =3D\r\n.\r\n", "Content-Transfer-Encoding: quoted-printable\r\n")
	m.sendsWith("<"+alice+"> SMTPUTF8", []string{"<you@grün.test>"}, letter(alice, "you@grün.test", "by name", "Hello")) // the header has UTF-8 too
	contains(t, m.arrived(alice, "by name", "Action: failed"), "Status: 5.6.9")
	m.sendsWith("<"+alice+"> SMTPUTF8", []string{"<you@grün.test>"}, letter(alice, "you@xn--grn-ioa.test", "by another name", "Hello"))
	if to := addresses(p.gets(t, 2)[1].to); to[0] != "you@xn--grn-ioa.test" {
		t.Errorf("it went to %s", to)
	}
	m.sendsWith("<"+alice+"> SMTPUTF8", []string{"<grün@a.test>"}, letter(alice, "you@a.test", "to green", "Hello"))
	contains(t, m.arrived(alice, "to green", "Action: failed"), "Status: 5.6.7", "grün@a.test")
	for _, line := range strings.Split(p.lines(), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) || strings.Contains(line, "SMTPUTF8") || strings.Contains(line, "BODY=") {
			t.Errorf("the server was told %q", line)
		}
	}
	m.empty(patience)
}

// TestOutboundDNS sends while the DNS of some domains does not answer, fails, lies or leads
// in a circle: mail to them waits, mail to others goes, and all of it goes afterwards.
func TestOutboundDNS(t *testing.T) {
	t.Parallel()
	p := &peer{}
	a := ownAddress(t)
	startPeer(t, a+":25", p)
	bad := []string{"silent.test", "failing.test", "refused.test", "lying.test", "circle.test"}
	var zone strings.Builder
	for _, d := range append(bad, "cut.test", "good.test") {
		fmt.Fprintf(&zone, "%[1]s. 5 IN MX 10 mx.%[1]s.\nmx.%[1]s. 5 IN A %[2]s\n", d, a)
	}
	m := newMailer(t, setup{zone: zone.String(), relay: soon})
	m.dns.Silent(bad[0])
	m.dns.ServFail(bad[1])
	m.dns.Refused(bad[2])
	m.dns.Lie(bad[3])
	m.dns.Loop(bad[4])
	m.dns.Truncate("cut.test")
	for _, d := range append(bad, "cut.test", "good.test") {
		m.sends(alice, letter(alice, "you@"+d, "to "+d, "Hello"), "you@"+d)
	}
	p.gets(t, 2)
	err := eventually(patience, func() error {
		out := m.queue("--json")
		for _, d := range bad {
			if !strings.Contains(out, "DNS") || !strings.Contains(out, d) {
				return fmt.Errorf("no word of the DNS of %s in:\n%s", d, out)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	m.dns.Mend(bad...)
	p.gets(t, 2+len(bad))
	m.empty(patience)
	health(t, m)
}

// toPeer is a route to a peer for all mail to a domain.
func toPeer(domain string, p *peer) string {
	return fmt.Sprintf("[[route]]\nrecipients = [%q]\nsmarthost = %q\ntls = \"none\"\n", domain, p.address())
}
