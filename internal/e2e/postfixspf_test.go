package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// TestPostfixJudges sends to a Postfix that has policyd-spf and OpenDKIM look at strangers'
// mail. The DNS that all of them ask is Knot, with the records that "dns records" prints.
func TestPostfixJudges(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	c := newClient(t, "knotd", "keymgr", "kzonesign", "opendkim", "policyd-spf", "unshare")
	dns, address, source := ownAddress(t), ownAddress(t), ownAddress(t)
	m := newMailer(t, setup{dns: dns + ":53", relay: append(soon, fmt.Sprintf("source_ipv4 = %q", source))})
	var zones []zone
	for _, domain := range []string{"sent.checked.net", "lost.checked.net"} {
		m.kurir("", "domain", "add", domain)
		m.kurir(password+"\n", "account", "add", "erin@"+domain, "--password-stdin")
		text := m.kurir("", "dns", "records", domain, "--zone", "--all=false", "--ipv4", source)
		if domain == "lost.checked.net" {
			text = strings.Replace(text, "v=spf1 mx -all", "v=spf1 -all", 1)
		}
		zones = append(zones, zone{name: domain + ".", text: text})
	}
	zones = append(zones, zone{name: "local.test.", text: fmt.Sprintf("mail.local.test. A %s\nmail.local.test. TXT \"v=spf1 a -all\"\n", source)},
		zone{name: "there.checked.net.", text: "there.checked.net. TXT \"v=spf1 -all\"\n"},
		zone{name: "postfix.test.", text: postfixZone(address)})
	startKnot(c, dns+":53", zones...)
	milter := "127.0.0.1:" + freePort(t)
	daemon(t, milter, "opendkim", "-f", "-x", c.file("opendkim.conf", fmt.Sprintf("Mode v\nSyslog no\nAlwaysAddARHeader yes\nAuthservID mx.postfix.test\nNameservers %s\nSocket inet:%s@127.0.0.1\n", dns, port(milter))))
	p := makePostfix(t, address, "mx.postfix.test", "127.0.0.1:1", "smtpd_milters = inet:"+milter, "milter_default_action = tempfail",
		"smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service unix:private/policyd-spf")
	p.file("etc/spf.conf", "debugLevel = 1\nHELO_reject = Fail\nMail_From_reject = Fail\nHeader_Type = AR\nAuthserv_Id = mx.postfix.test\nskip_addresses = 127.0.0.0/8\n")
	p.file("etc/master.cf", postfixMaster+"policyd-spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf "+p.dir+"/etc/spf.conf\n")
	p.file("etc/resolv.conf", "nameserver "+dns+"\n")
	p.resolv = p.dir + "/etc/resolv.conf"
	p.start()

	t.Run("of a user", func(t *testing.T) {
		m.within(t)
		p.within(t)
		m.sends("erin@sent.checked.net", letter("erin@sent.checked.net", "carol@postfix.test", "proven", "Hello"), "carol@postfix.test")
		got := strings.Join(strings.Fields(p.arrived("carol", "Subject: proven\n")), " ")
		contains(t, got, "spf=pass (sender SPF authorized) smtp.mailfrom=sent.checked.net", "header.a=rsa-sha256", "header.a=ed25519-sha256")
		if n := strings.Count(got, "dkim=pass"); n != 2 {
			t.Errorf("OpenDKIM has %d good signatures:\n%s", n, got)
		}
	})
	t.Run("from a domain that does not name us", func(t *testing.T) {
		m.within(t)
		p.within(t)
		m.sends("erin@lost.checked.net", letter("erin@lost.checked.net", "carol@postfix.test", "unproven", "Hello"), "carol@postfix.test")
		contains(t, m.arrived("erin@lost.checked.net", "Action: failed", "Subject: unproven"), "550 5.7.23", "Status: 5.7.23")
	})
	t.Run("passed on", func(t *testing.T) {
		m.within(t)
		p.within(t)
		m.kurir("", "alias", "add", "friend@sent.checked.net", "--to", "carol@postfix.test")
		if _, err := m.stranger(t).submit("<bob@there.checked.net>", []string{"<friend@sent.checked.net>"}, letter("bob@there.checked.net", "friend@sent.checked.net", "passed on", "Hello")); err != nil {
			t.Fatal(err)
		}
		got := strings.Join(strings.Fields(p.arrived("carol", "Subject: passed on\n")), " ")
		contains(t, got, "Return-Path: <SRS0=", "spf=pass (sender SPF authorized) smtp.mailfrom=sent.checked.net", "ARC-Seal: ")
	})
}
