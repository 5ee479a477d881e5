package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestPostfixSigned receives from a Postfix whose mail OpenDKIM signs: as it was signed, and
// changed on its way; with a sender that SPF and DMARC take for the author's, and with one
// that they don't.
func TestPostfixSigned(t *testing.T) {
	t.Parallel()
	needPostfix(t)
	c := newClient(t, "opendkim", "opendkim-genkey")
	const outside = "203.0.113.25" // an address of this machine would tell the server nothing
	zone := postfixZone(outside) + "25.113.0.203.in-addr.arpa. 300 IN PTR mx.postfix.test.\n"
	c.must("", "opendkim-genkey", "-a", "-D", c.home, "-d", "postfix.test", "-s", "sel", "-b", "2048")
	record := readAll(t, filepath.Join(c.home, "sel.txt"))
	for domain, policy := range map[string]string{"postfix.test": "reject", "suspect.test": "quarantine"} {
		zone += fmt.Sprintf("%s\n%[2]s. 300 IN TXT \"v=spf1 ip4:%[3]s -all\"\n_dmarc.%[2]s. 300 IN TXT \"v=DMARC1; p=%[4]s\"\n",
			strings.Replace(record, "sel._domainkey.postfix.test", "sel._domainkey."+domain, 1), domain, outside, policy)
	}
	zone += fmt.Sprintf("list.test. 300 IN TXT \"v=spf1 ip4:%s -all\"\nelsewhere.test. 300 IN TXT \"v=spf1 -all\"\n", outside)
	m := newMailer(t, setup{zone: zone, rest: "[proxy]\nnetworks = [\"127.0.0.2/32\"]"})
	milter := "127.0.0.1:" + freePort(t)
	conf := "Mode s\nSyslog no\nDomain postfix.test, suspect.test\nSelector sel\nRequireSafeKeys no\nKeyFile %s\nSocket inet:%s@127.0.0.1\n"
	daemon(t, milter, "opendkim", "-f", "-x", c.file("opendkim.conf", fmt.Sprintf(conf, filepath.Join(c.home, "sel.private"), port(milter))))
	p := newPostfix(t, ownAddress(t), "mx.postfix.test", startProxy(t, m.at(smtpPort), outside), "non_smtpd_milters = inet:"+milter, "milter_default_action = tempfail",
		"virtual_mailbox_domains = list.test", "virtual_mailbox_maps = static:carol/",
		"smtp_body_checks = regexp:{ {/^this changes/ REPLACE this has changed} }")
	for _, s := range []struct {
		subject, from, sender, text string
		box                         string   // "" is refused
		want                        []string // in the header, or in the report
	}{
		{"as it was", "carol@postfix.test", "carol@postfix.test", "this stays", "INBOX",
			[]string{"iprev=pass policy.iprev=" + outside, "spf=pass smtp.mailfrom=carol@postfix.test", "dkim=pass header.d=postfix.test", "header.a=rsa-sha256", "dmarc=pass header.from=postfix.test"}},
		{"by a list", "carol@postfix.test", "bounces@list.test", "this stays", "INBOX",
			[]string{"spf=pass smtp.mailfrom=bounces@list.test", "dkim=pass", "dmarc=pass", "accept: it comes from postfix.test: DKIM"}},
		{"changed", "carol@postfix.test", "carol@postfix.test", "this changes", "INBOX",
			[]string{"spf=pass", "dkim=fail", "dmarc=pass"}},
		{"changed by a list", "carol@postfix.test", "bounces@list.test", "this changes", "",
			[]string{"Action: failed", "Status: 5.7.26", "postfix.test asks to refuse"}},
		{"suspect", "carol@suspect.test", "bounces@list.test", "this changes", "Junk",
			[]string{"spf=pass", "dkim=fail", "dmarc=fail", "junk: suspect.test asks"}},
		{"with a wrong sender", "carol@elsewhere.test", "carol@elsewhere.test", "this stays", "INBOX",
			[]string{"spf=fail reason=", "smtp.mailfrom=carol@elsewhere.test", "dkim=none", "dmarc=none", "accept: nothing proves"}},
	} {
		t.Run(s.subject, func(t *testing.T) {
			m.within(t)
			p.within(t)
			p.sendmail(strings.ReplaceAll(letter(s.from, alice, s.subject, s.text), "\r\n", "\n"), "-i", "-f", s.sender, alice)
			var got string
			switch s.box {
			case "":
				got = p.arrived("carol", "Subject: "+s.subject)
			case "Junk":
				ok(t, "mail", eventually(patience, func() error {
					if len(m.mailboxOf(alice, s.box).messages) == 0 {
						return fmt.Errorf("%s is empty", s.box)
					}
					return nil
				}))
				got = string(findIn(t, m.mailboxOf(alice, s.box), s.subject).body)
			default:
				got = m.arrived(alice, "Subject: "+s.subject+"\r\n")
			}
			contains(t, strings.NewReplacer("\r\n\t", " ", "\r\n ", " ").Replace(got), s.want...)
		})
	}
}

// startProxy passes connections on to a server, from 127.0.0.2 and with a PROXY header that
// says which address they come from. It returns where it listens.
func startProxy(t *testing.T, to, from string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, "proxy", err)
	var ends sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		l.Close()
		cancel()
		ends.Wait()
	})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	ends.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			ends.Go(func() {
				defer client.Close()
				server, err := d.DialContext(ctx, "tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
				fmt.Fprintf(server, "PROXY TCP4 %s 203.0.113.200 4321 25\r\n", from)
				go func() { // ends with server
					io.Copy(client, server)
					client.Close()
				}()
				io.Copy(server, client)
			})
		}
	})
	return l.Addr().String()
}
