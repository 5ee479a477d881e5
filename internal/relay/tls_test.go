package relay_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// # RFC 7435 section 3: STARTTLS is used where it is offered, whatever the certificate.
func TestTLSWhereOffered(t *testing.T) {
	for _, c := range []struct {
		name string
		conf func(ca *smtptest.CA) (*tls.Config, error)
		is   string // the name that is verified
	}{
		{"valid", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Config("mx.example.net") }, "mx.example.net"},
		{"wildcard", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Config("*.example.net") }, "mx.example.net"},
		{"for another name", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Config("example.net") }, ""},
		{"expired", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Expired("mx.example.net") }, ""},
		{"self-signed", func(*smtptest.CA) (*tls.Config, error) { return smtptest.SelfSigned("mx.example.net") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost)
			p := g.peer(&smtptest.Peer{TLS: must(t)(c.conf(g.authority()))}, "192.0.2.1")
			res := g.send("bob@example.net")
			want(t, res, at+"sent 250 2.0.0 ok, taken")
			if peer := res.Outcomes[0].Peer; peer.TLSVersion != "TLS 1.3" || !strings.HasPrefix(peer.TLSCipher, "TLS_") || peer.TLSName != c.is {
				t.Errorf("peer %+v, want name %q", peer, c.is)
			}
			if d := p.Delivered(); len(d) != 1 || !d[0].TLS {
				t.Error("not delivered by TLS")
			}
			wantCommands(t, p, "EHLO kurir.test", "STARTTLS", "EHLO kurir.test", "MAIL FROM:<alice@local.test> SIZE=48", "RCPT TO:<bob@example.net>", "DATA")
			if n := p.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
	t.Run("by way of an intermediate", func(t *testing.T) {
		g := newRig(t, theHost)
		roots, conf := chain(t, "mx.example.net")
		g.RootCAs = roots
		g.peer(&smtptest.Peer{TLS: conf}, "192.0.2.1")
		if p := g.send("bob@example.net").Outcomes[0].Peer; p.TLSName != "mx.example.net" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("not offered", func(t *testing.T) {
		g := newRig(t, theHost)
		g.peer(nil, "192.0.2.1")
		if p := g.send("bob@example.net").Outcomes[0].Peer; p.TLSVersion+p.TLSCipher+p.TLSName != "" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("of old", func(t *testing.T) { // RFC 7435: still better than none
		g := newRig(t, theHost)
		g.peer(&smtptest.Peer{TLS: smtptest.Old(must(t)(g.authority().Config("mx.example.net")))}, "192.0.2.1")
		if p := g.send("bob@example.net").Outcomes[0].Peer; p.TLSVersion != "TLS 1.0" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("address literal", func(t *testing.T) {
		g := newRig(t, "")
		g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("192.0.2.1"))}, "192.0.2.1")
		if p := g.send("bob@[192.0.2.1]").Outcomes[0].Peer; p.TLSName != "192.0.2.1" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("never", func(t *testing.T) {
		g := newRig(t, theHost)
		g.Routes = []relay.Route{{TLS: relay.TLSNone}}
		p := g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("mx.example.net"))}, "192.0.2.1")
		want(t, g.send("bob@example.net"), at+"sent 250 2.0.0 ok, taken")
		if p.Delivered()[0].TLS {
			t.Error("TLS was used")
		}
	})
}

// chain is a certificate whose issuer is known only by what the server sends with it.
func chain(t *testing.T, host string) (*x509.CertPool, *tls.Config) {
	t.Helper()
	var parent *x509.Certificate
	var signer *ecdsa.PrivateKey
	roots, all := x509.NewCertPool(), tls.Certificate{}
	for i, name := range []string{"root", "intermediate", host} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
			IsCA: i < 2, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name}}
		if i == 0 {
			parent, signer = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		if parent, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		if signer = key; i == 0 {
			roots.AddCert(parent)
		} else {
			all.Certificate = append([][]byte{der}, all.Certificate...)
		}
		all.PrivateKey = key
	}
	return roots, &tls.Config{Certificates: []tls.Certificate{all}}
}

// noTLS agrees to TLS, and answers the client's first words with something else.
func noTLS(s *smtptest.Session) error {
	if err := s.Reply("220 go"); err != nil {
		return err
	}
	if _, err := s.Conn.Read(make([]byte, 4096)); err != nil {
		return err
	}
	return errors.Join(s.Write("no TLS at all\r\n"), s.Wait())
}

// # RFC 3207 section 4.1: after a refusal, or a handshake that fails, the client decides
// whether to go on without TLS: here it does where nobody demands TLS.
func TestBrokenTLS(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     smtptest.Action
		conns int
		why   string // in words, where TLS is demanded
	}{
		{"refused", smtptest.Reply("454 4.7.0 not now"), 1, "454 4.7.0 not now"},
		{"refused for good", smtptest.Reply("502 5.5.1 what?"), 1, "502 5.5.1 what?"},
		{"refused and closed", smtptest.Then(smtptest.Reply("421 4.3.2 bye"), smtptest.Close()), 2, "421 4.3.2 bye"},
		{"garbage", noTLS, 2, "what it sends is not TLS"},
		{"closed", smtptest.Close(), 2, "it ended the connection"},
		{"closed in the handshake", smtptest.Then(smtptest.Reply("220 go"), smtptest.Close()), 2, "it ended the connection"},
		{"injected", smtptest.Write("220 go\r\n250 injected\r\n"), 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost)
			conf := must(t)(g.authority().Config("mx.example.net"))
			p := g.peer(&smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.StartTLS: c.a}}, "192.0.2.1")
			if c.name == "injected" { // somebody is on the way: not here
				want(t, g.send("bob@example.net"), at+"deferred 4.7.5 mx.example.net (192.0.2.1) cannot be used: unencrypted data follows the answer to STARTTLS.", "whole")
				return
			}
			res := g.send("bob@example.net")
			want(t, res, at+"sent 250 2.0.0 ok, taken")
			if n := p.Connections(); n != c.conns || p.Delivered()[0].TLS || res.Outcomes[0].Peer.TLSVersion != "" {
				t.Errorf("%d connections, %+v", n, res.Outcomes[0].Peer)
			}
			g.Routes = []relay.Route{{TLS: relay.TLSStartTLS}}
			want(t, g.send("bob@example.net"), at+"deferred 4.7.5 mx.example.net (192.0.2.1) offers no safe encryption: "+c.why+".", "whole")
		})
	}
	t.Run("stalled", func(t *testing.T) {
		bubble(t, oneHost("example.net", "mx.example.net", "192.0.2.1"), func(t *testing.T, g *rig) {
			g.peer(&smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("x")), Script: smtptest.Script{smtptest.StartTLS: smtptest.Then(smtptest.Reply("220 go"), smtptest.Stall())}}, "192.0.2.1")
			res := g.send("bob@example.net")
			want(t, res, at+"sent 250 2.0.0 ok, taken")
			if res.Took != 30*time.Second {
				t.Errorf("took %v", res.Took)
			}
		})
	})
	t.Run("530 without it", func(t *testing.T) { // RFC 3207 section 4: TLS may work again, so it is not for good
		g := newRig(t, theHost)
		conf := must(t)(g.authority().Config("mx.example.net"))
		p := &smtptest.Peer{TLS: conf, Script: smtptest.Script{smtptest.StartTLS: smtptest.Close(), smtptest.Mail: smtptest.Reply("530 5.7.0 Must issue a STARTTLS command first")}}
		g.peer(p, "192.0.2.1")
		want(t, g.send("bob@example.net"), at+"deferred 530 4.7.0 Must issue a STARTTLS command first")
		g = newRig(t, theHost) // with no TLS at all it is what it says
		g.peer(script(smtptest.Mail, smtptest.Reply("530 5.7.0 log in")), "192.0.2.1")
		want(t, g.send("bob@example.net"), at+"failed 530 5.7.0 log in")
	})
}

// Routes may demand TLS with a valid certificate for mail servers, too: nothing goes without.
func TestTLSDemandedOfMailServers(t *testing.T) {
	const host = "mx1.example.net (192.0.2.1) "
	for _, c := range []struct {
		name string
		conf func(ca *smtptest.CA) (*tls.Config, error)
		try  string
	}{
		{"not offered", nil, "4.7.4 " + host + "offers no encryption, which is demanded by this server's configuration."},
		{"expired", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Expired("mx1.example.net") },
			"4.7.5 " + host + "offers no safe encryption: its certificate has expired, or is not valid yet."},
		{"self-signed", func(*smtptest.CA) (*tls.Config, error) { return smtptest.SelfSigned("mx1.example.net") },
			"4.7.5 " + host + "offers no safe encryption: its certificate is from nobody that this server trusts."},
		{"for another name", func(ca *smtptest.CA) (*tls.Config, error) { return ca.Config("example.net") },
			"4.7.5 " + host + "offers no safe encryption: its certificate is not for mx1.example.net."},
		{"of old", func(ca *smtptest.CA) (*tls.Config, error) {
			conf, err := ca.Config("mx1.example.net")
			return smtptest.Old(conf), err
		}, "4.7.5 " + host + "offers no safe encryption: remote error: tls: protocol version not supported."},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, threeHosts)
			ca := g.authority()
			first := &smtptest.Peer{}
			if c.conf != nil {
				first.TLS = must(t)(c.conf(ca))
			}
			g.peer(first, "192.0.2.1")
			g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx2.example.net"))}, "192.0.2.2")
			g.Routes = []relay.Route{{TLS: relay.TLSStartTLS}}
			res := g.send("bob@example.net")
			want(t, res, "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken", "tried mx1.example.net 192.0.2.1: "+c.try)
			if n := len(first.Transactions()); n > 0 || res.Outcomes[0].Peer.TLSName != "mx2.example.net" {
				t.Errorf("%d transactions, peer %+v", n, res.Outcomes[0].Peer)
			}
		})
	}
}

// # RFC 8689 section 4.2.1: with REQUIRETLS, the host must offer STARTTLS with a certificate
// that is valid for its name, and REQUIRETLS; else the next host, else a bounce with 5.7.30.
func TestRequireTLS(t *testing.T) {
	able := []string{"PIPELINING", "ENHANCEDSTATUSCODES", "REQUIRETLS"}
	secret := func() *relay.Message {
		m := letter("secret")
		m.RequireTLS = true
		return m
	}
	const demands = "failed 5.7.30 The sender demands that the message is encrypted all the way, and none of the mail servers of example.net supports that: mx1.example.net (192.0.2.1) "
	for _, c := range []struct {
		name string
		peer func(ca *smtptest.CA) *smtptest.Peer
		want string // with that host alone
	}{
		{"able", func(ca *smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net")), Extensions: able}
		}, "mx1.example.net 192.0.2.1: sent 250 2.0.0 ok, taken (relayed)"},
		{"no REQUIRETLS", func(ca *smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net"))}
		}, demands + "does not promise to keep the message encrypted on its way, as the sender demands."},
		{"no STARTTLS", func(*smtptest.CA) *smtptest.Peer { return &smtptest.Peer{Extensions: able} },
			demands + "offers no encryption, which is demanded by the sender."},
		{"self-signed", func(*smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("mx1.example.net")), Extensions: able}
		}, demands + "offers no safe encryption: its certificate is from nobody that this server trusts."},
		{"another name", func(ca *smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx.example.org")), Extensions: able}
		}, demands + "offers no safe encryption: its certificate is not for mx1.example.net."},
		{"STARTTLS refused", func(ca *smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net")), Extensions: able, Script: smtptest.Script{smtptest.StartTLS: smtptest.Reply("502 5.5.1 no")}}
		}, demands + "offers no safe encryption: 502 5.5.1 no."},
		{"STARTTLS refused for now", func(ca *smtptest.CA) *smtptest.Peer { // which is no reason to give up
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net")), Extensions: able, Script: smtptest.Script{smtptest.StartTLS: smtptest.Reply("454 4.7.0 not now")}}
		}, "mx1.example.net 192.0.2.1: deferred 4.7.5 mx1.example.net (192.0.2.1) offers no safe encryption: 454 4.7.0 not now. whole"},
		{"closed in the handshake", func(ca *smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net")), Extensions: able, Script: smtptest.Script{smtptest.StartTLS: smtptest.Close()}}
		}, "mx1.example.net 192.0.2.1: deferred 4.7.5 mx1.example.net (192.0.2.1) offers no safe encryption: it ended the connection. whole"},
		{"not reached", nil, "mx1.example.net 192.0.2.1: deferred 4.4.1 mx1.example.net (192.0.2.1) cannot be reached: it refuses connections. whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, "example.net. MX 10 mx1.example.net.\nmx1.example.net. A 192.0.2.1")
			g.dns.Authentic()
			ca := g.authority()
			if c.peer != nil {
				g.peer(c.peer(ca), "192.0.2.1")
			}
			res := g.sendMessage(secret(), "bob@example.net")
			want(t, &relay.Result{Outcomes: res.Outcomes, Whole: res.Whole}, strings.Split(strings.ReplaceAll(c.want, ". whole", ".\x00whole"), "\x00")...)

			g = newRig(t, threeHosts) // and with another that can
			g.dns.Authentic()
			if ca = g.authority(); c.peer != nil {
				g.peer(c.peer(ca), "192.0.2.1")
			}
			p := g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx2.example.net")), Extensions: able}, "192.0.2.2")
			if n := actions(g.sendMessage(secret(), "bob@example.net")); n[relay.Sent] != 1 {
				t.Errorf("%v", n)
			}
			for _, d := range p.Delivered() {
				if !d.TLS || !strings.Contains(d.Mail, " REQUIRETLS") {
					t.Errorf("TLS %v: %s", d.TLS, d.Mail)
				}
			}
		})
	}
	t.Run("some cannot be reached", func(t *testing.T) { // they may be able, one day
		g := newRig(t, threeHosts)
		g.dns.Authentic()
		ca := g.authority()
		g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx1.example.net"))}, "192.0.2.1")
		res := g.sendMessage(secret(), "bob@example.net")
		if o := res.Outcomes[0]; o.Action != relay.Deferred || res.Whole {
			t.Errorf("%v", lines(res))
		}
	})
	t.Run("never by a kept connection that is not so", func(t *testing.T) {
		g := newRig(t, theHost)
		g.dns.Authentic()
		ca := g.authority()
		p := g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("mx.example.net")), Script: smtptest.Script{smtptest.StartTLS: smtptest.First(1, smtptest.Reply("454 4.7.0 not now"))}, Extensions: able}, "192.0.2.1")
		g.send("bob@example.net")
		g.sendMessage(secret(), "bob@example.net")
		g.send("bob@example.net") // which may use the better one
		d := p.Delivered()
		if len(d) != 3 || d[0].TLS || !d[1].TLS || !d[2].TLS || p.Connections() != 2 {
			t.Errorf("%d connections, %+v", p.Connections(), d)
		}
	})
	t.Run("where TLS is never used", func(t *testing.T) {
		g := newRig(t, theHost)
		g.dns.Authentic()
		g.Routes = []relay.Route{{TLS: relay.TLSNone}}
		p := g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("mx.example.net")), Extensions: able}, "192.0.2.1")
		if o := g.sendMessage(secret(), "bob@example.net").Outcomes[0]; o.Reply.Status != "5.7.30" || len(p.Transactions()) > 0 {
			t.Errorf("%+v", o)
		}
	})
}
