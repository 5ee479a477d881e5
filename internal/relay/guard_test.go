package relay_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// policies is an STS that knows domains by name.
type policies map[string]dnsutil.STSPolicy

func (p policies) Policy(_ context.Context, domain string) (dnsutil.STSPolicy, bool) {
	policy, ok := p[domain]
	return policy, ok
}

func sts(mode string, mx ...string) dnsutil.STSPolicy {
	return dnsutil.STSPolicy{Mode: mode, MX: mx, MaxAge: time.Hour}
}

// tlsa is a line of a zone: a TLSA record with the digest of the server's key.
func tlsa(host string, usage int, conf *tls.Config) string {
	c := conf.Certificates[0].Leaf
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return fmt.Sprintf("\n_25._tcp.%s. TLSA %d 1 1 %s", host, usage, hex.EncodeToString(sum[:]))
}

const (
	notNamed   = "its certificate is not the one that its TLSA records name."
	byDANE     = "mx.example.net (192.0.2.1) offers no safe encryption, as is demanded by its TLSA records (DANE): " + notNamed
	noTLSByDNS = "mx.example.net (192.0.2.1) offers no encryption, which is demanded by its TLSA records (DANE)."
)

// # RFC 7672 section 2.2: TLSA records decide, where DNSSEC has verified all on the way.
func TestDANE(t *testing.T) {
	self := must(t)(smtptest.SelfSigned("whatever.test"))
	other := must(t)(smtptest.SelfSigned("mx.example.net"))
	const sent = "sent 250 2.0.0 ok, taken"
	for _, c := range []struct {
		name   string
		zone   string
		peer   *smtptest.Peer
		tricks func(g *rig)
		want   string
		policy string
	}{
		{"the right key, whatever the name", tlsa("mx.example.net", 3, self), &smtptest.Peer{TLS: self}, nil, sent, "dane"},
		{"one of two keys", tlsa("mx.example.net", 3, self) + tlsa("mx.example.net", 3, other), &smtptest.Peer{TLS: self}, nil, sent, "dane"},
		{"another key", tlsa("mx.example.net", 3, other), &smtptest.Peer{TLS: self}, nil, "deferred 4.7.5 " + byDANE, "dane"},
		{"STARTTLS is not offered", tlsa("mx.example.net", 3, self), nil, nil, "deferred 4.7.4 " + noTLSByDNS, "dane"},
		{"no records", "", &smtptest.Peer{TLS: self}, nil, sent, "opportunistic"},
		{"section 2.1.2: SERVFAIL", "", &smtptest.Peer{TLS: self}, func(g *rig) { g.dns.ServFail("_25._tcp.mx.example.net") },
			"deferred 4.4.3 mx.example.net (192.0.2.1) cannot be used: the DNS does not say whether it has TLSA records (DANE), without which it must not be used: " +
				"the DNS of _25._tcp.mx.example.net is out of order.", "dane"},
		{"section 3.1.3: usage 1 cannot be used, and any certificate will do", tlsa("mx.example.net", 1, other), &smtptest.Peer{TLS: self}, nil,
			sent, "dane, but none of the TLSA records can be used"},
		{"usage 1, without TLS", tlsa("mx.example.net", 1, other), nil, nil, "deferred 4.7.4 " + noTLSByDNS, "dane, but none of the TLSA records can be used"},
		{"section 2.2.1: MX records that are not signed", tlsa("mx.example.net", 3, other), &smtptest.Peer{TLS: self},
			func(g *rig) { g.dns.Delay(0, "example.net") }, sent, "opportunistic"},
		{"a resolver that is not trusted", tlsa("mx.example.net", 3, other), &smtptest.Peer{TLS: self},
			func(g *rig) { g.Resolver.(*dnsutil.Resolver).Trust = dnsutil.TrustNone }, sent, "opportunistic"},
		{"RFC 8461 section 2: MTA-STS does not make up for it", tlsa("mx.example.net", 3, other), &smtptest.Peer{TLS: self},
			func(g *rig) { g.STS = policies{"example.net": sts(dnsutil.STSTesting, "mx.example.net")} }, "deferred 4.7.5 " + byDANE, "dane"},
		{"a policy of MTA-STS where DANE is met", tlsa("mx.example.net", 3, self), &smtptest.Peer{TLS: self},
			func(g *rig) { g.STS = policies{"example.net": sts(dnsutil.STSEnforce, "elsewhere.test")} }, sent, "dane"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost+c.zone)
			g.dns.Authentic()
			if c.tricks != nil {
				c.tricks(g)
			}
			g.peer(c.peer, "192.0.2.1")
			res := g.send("bob@example.net")
			o := res.Outcomes[0]
			if res.Whole { // a message with TLS-Required: No may still go
				t.Error("whole")
			}
			if got := o.Action.String() + " " + said(o.Reply); got != c.want || o.Peer.Policy != c.policy {
				t.Errorf("got  %s, by %q\nwant %s, by %q", got, o.Peer.Policy, c.want, c.policy)
			}
		})
	}
}

// # RFC 7672 section 3.1.2: with usage 2, the certificate is for the host or the domain.
// Section 8.1: SNI is the name that has the records.
func TestDANEAnchor(t *testing.T) {
	for _, c := range []struct {
		name string // in the certificate
		want relay.Action
	}{{"mx.example.net", relay.Sent}, {"example.net", relay.Sent}, {"elsewhere.test", relay.Deferred}} {
		ca, err := smtptest.NewCA()
		if err != nil {
			t.Fatal(err)
		}
		conf, sni := must(t)(ca.Config(c.name)), ""
		conf.Certificates[0].Certificate = append(conf.Certificates[0].Certificate, ca.Certificate().Raw)
		conf.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni = h.ServerName; return nil, nil }
		root := &tls.Config{Certificates: []tls.Certificate{{Leaf: ca.Certificate()}}}
		g := newRig(t, theHost+tlsa("mx.example.net", 2, root))
		g.dns.Authentic()
		g.peer(&smtptest.Peer{TLS: conf}, "192.0.2.1")
		if o := g.send("bob@example.net").Outcomes[0]; o.Action != c.want || sni != "mx.example.net" || o.Peer.Policy != "dane" {
			t.Errorf("%s: %+v, SNI %q", c.name, o, sni)
		}
	}
}

// # RFC 7672 section 2.2.2: of a host that is an alias, what it stands for has the records,
// and is the name in SNI.
func TestDANEAlias(t *testing.T) {
	conf, sni := must(t)(smtptest.SelfSigned("x.test")), ""
	zone := "example.net. MX 10 mx.example.net.\nmx.example.net. CNAME real.example.org.\nreal.example.org. A 192.0.2.1" + tlsa("real.example.org", 3, conf)
	conf.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni = h.ServerName; return nil, nil }
	g := newRig(t, zone)
	g.dns.Authentic()
	g.peer(&smtptest.Peer{TLS: conf}, "192.0.2.1")
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.TLSName != "real.example.org" || sni != "real.example.org" {
		t.Errorf("%+v, SNI %q", o, sni)
	}
}

// # RFC 7672 section 2.1: a host that fails DANE is passed over for the next.
func TestDANENextHost(t *testing.T) {
	good, bad := must(t)(smtptest.SelfSigned("a.test")), must(t)(smtptest.SelfSigned("b.test"))
	g := newRig(t, threeHosts+tlsa("mx1.example.net", 3, good)+tlsa("mx2.example.net", 3, good))
	g.dns.Authentic()
	g.peer(&smtptest.Peer{TLS: bad}, "192.0.2.1")
	g.peer(&smtptest.Peer{TLS: good}, "192.0.2.2")
	want(t, g.send("bob@example.net"), "mx2.example.net 192.0.2.2: sent 250 2.0.0 ok, taken",
		"tried mx1.example.net 192.0.2.1: 4.7.5 mx1.example.net (192.0.2.1) offers no safe encryption, as is demanded by its TLSA records (DANE): "+notNamed)
}

// # RFC 8461 section 5: "enforce" refuses hosts that are not named and hosts whose
// certificate is not valid; "testing" delivers, and says what would have been.
func TestSTS(t *testing.T) {
	const (
		sent    = "sent 250 2.0.0 ok, taken"
		demands = "deferred 4.7.5 mx.example.net (192.0.2.1) offers no safe encryption, as is demanded by the policy of its domain (MTA-STS): "
		would   = "opportunistic, mta-sts testing (enforced, it would have refused this host: "
	)
	ca, err := smtptest.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	valid, self := must(t)(ca.Config("mx.example.net")), must(t)(smtptest.SelfSigned("mx.example.net"))
	for _, c := range []struct {
		name          string
		policy        dnsutil.STSPolicy
		tls           *tls.Config
		want, policy2 string
	}{
		{"enforce", sts("enforce", "mx.example.net"), valid, sent, "mta-sts enforce"},
		{"enforce, by a wildcard", sts("enforce", "*.example.net"), valid, sent, "mta-sts enforce"},
		{"enforce, a host that is not named", sts("enforce", "other.example.net"), valid,
			"deferred 4.7.5 mx.example.net (192.0.2.1) cannot be used: it is none of the mail servers that the policy of example.net names (MTA-STS).", "mta-sts enforce"},
		{"enforce, not trusted", sts("enforce", "mx.example.net"), self, demands + "its certificate is from nobody that this server trusts.", "mta-sts enforce"},
		{"enforce, expired", sts("enforce", "mx.example.net"), must(t)(ca.Expired("mx.example.net")), demands + "its certificate has expired, or is not valid yet.", "mta-sts enforce"},
		{"enforce, for another name", sts("enforce", "mx.example.net"), must(t)(ca.Config("example.net")), demands + "its certificate is not for mx.example.net.", "mta-sts enforce"},
		{"enforce, no STARTTLS", sts("enforce", "mx.example.net"), nil,
			"deferred 4.7.4 mx.example.net (192.0.2.1) offers no encryption, which is demanded by the policy of its domain (MTA-STS).", "mta-sts enforce"},
		{"testing", sts("testing", "mx.example.net"), valid, sent, "opportunistic, mta-sts testing"},
		{"testing, a host that is not named", sts("testing", "other.example.net"), valid, sent, would + "it is none of the mail servers that the policy names)"},
		{"testing, not trusted", sts("testing", "mx.example.net"), self, sent, would + "its certificate is not valid)"},
		{"testing, no STARTTLS", sts("testing", "mx.example.net"), nil, sent, would + "there is no TLS)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, theHost)
			g.RootCAs = ca.Pool()
			g.STS = policies{"example.net": c.policy}
			p := g.peer(&smtptest.Peer{TLS: c.tls}, "192.0.2.1")
			res := g.send("bob@example.net")
			o := res.Outcomes[0]
			if res.Whole { // a message with TLS-Required: No may still go
				t.Error("whole")
			}
			if got := o.Action.String() + " " + said(o.Reply); got != c.want || o.Peer.Policy != c.policy2 {
				t.Errorf("got  %s, by %q\nwant %s, by %q", got, o.Peer.Policy, c.want, c.policy2)
			}
			if o.Action != relay.Sent && len(p.Transactions()) > 0 {
				t.Errorf("was told of the message: %+v", p.Transactions())
			}
		})
	}
}

// # RFC 8689 section 5: "TLS-Required: No" waives what the domain asks for; TLS is used
// all the same where it can be. Connections made so are not for other messages.
func TestTLSOptional(t *testing.T) {
	g := newRig(t, theHost)
	g.STS = policies{"example.net": sts("enforce", "other.example.net")}
	p := g.peer(&smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("x.test"))}, "192.0.2.1")
	m := letter("weather")
	m.TLSOptional = true
	const policy = "opportunistic, what the domain asks for does not count (TLS-Required: No)"
	if o := g.sendMessage(m, "bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.TLSVersion == "" || o.Peer.Policy != policy {
		t.Errorf("%+v", o)
	}
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Deferred || o.Reply.Status != "4.7.5" {
		t.Errorf("without the field: %+v", o)
	}
	if o := g.sendMessage(m, "bob@example.net").Outcomes[0]; o.Action != relay.Sent || p.Connections() != 1 {
		t.Errorf("%+v over %d connections", o, p.Connections())
	}
	m.RequireTLS = true // goes before it
	if o := g.sendMessage(m, "bob@example.net").Outcomes[0]; o.Action != relay.Deferred || o.Reply.Status != "4.7.5" {
		t.Errorf("with REQUIRETLS: %+v", o)
	}
}

// The administrator's word for a domain.
func TestDestinations(t *testing.T) {
	self := must(t)(smtptest.SelfSigned("mx.example.net"))
	for _, c := range []struct {
		word   string
		sts    bool
		tls    *tls.Config
		want   string
		byTLS  bool
		policy string
	}{
		{"none", true, self, "sent", false, "none"},
		{"may", true, self, "sent", true, "opportunistic"}, // whatever the policy says
		{"may", false, nil, "sent", false, "opportunistic"},
		{"encrypt", false, self, "sent", true, "encrypt"},
		{"encrypt", false, nil, "deferred", false, "encrypt"},
		{"encrypt", true, self, "deferred", false, "mta-sts enforce"}, // the stricter holds
		{"verify", false, self, "deferred", false, "verify"},
		{"verify", false, nil, "deferred", false, "verify"},
	} {
		g := newRig(t, theHost)
		g.Destinations = []relay.Destination{{Domain: "*.example.net", TLS: "verify"}, {Domain: "example.net", TLS: c.word}, {Domain: "example.net", TLS: "none"}}
		if c.sts {
			g.STS = policies{"example.net": sts("enforce", "other.example.net")}
		}
		g.peer(&smtptest.Peer{TLS: c.tls}, "192.0.2.1")
		o := g.send("bob@example.net").Outcomes[0]
		if o.Action.String() != c.want || (o.Peer.TLSVersion != "" && o.Action == relay.Sent) != c.byTLS || o.Peer.Policy != c.policy {
			t.Errorf("%s: %+v", c.word, o)
		}
	}
	g := newRig(t, theHost) // a valid certificate will do for "verify", and so will DANE
	g.Destinations = []relay.Destination{{Domain: "example.net", TLS: "verify"}}
	g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("mx.example.net"))}, "192.0.2.1")
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.Policy != "verify" {
		t.Errorf("%+v", o)
	}
	g = newRig(t, theHost+tlsa("mx.example.net", 3, self))
	g.dns.Authentic()
	g.Destinations = []relay.Destination{{Domain: "example.net", TLS: "verify"}}
	g.peer(&smtptest.Peer{TLS: self}, "192.0.2.1")
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.Policy != "dane" {
		t.Errorf("%+v", o)
	}
	g.Routes = []relay.Route{{Smarthost: "mx.example.net:25", TLS: relay.TLSNone}} // it has its own
	if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.TLSVersion != "" {
		t.Errorf("%+v", o)
	}
}

// A connection goes from one domain to another with the same host only where both ask for
// the same.
func TestReuseWithinPolicy(t *testing.T) {
	const shared = `
one.test.   MX 10 mx.shared.test.
two.test.   MX 10 mx.shared.test.
three.test. MX 10 mx.shared.test.
mx.shared.test. A 192.0.2.1`
	g := newRig(t, shared)
	g.STS = policies{"two.test": sts("enforce", "mx.shared.test"), "three.test": sts("enforce", "mx.shared.test")}
	p := g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("mx.shared.test"))}, "192.0.2.1")
	for i, c := range []struct {
		domain string
		conns  int
	}{{"one.test", 1}, {"two.test", 2}, {"three.test", 2}, {"one.test", 2}, {"two.test", 2}} {
		if o := g.send("bob@" + c.domain).Outcomes[0]; o.Action != relay.Sent || p.Connections() != c.conns {
			t.Errorf("%d: %s: %+v over %d connections, want %d", i, c.domain, o, p.Connections(), c.conns)
		}
	}
}

// memory is a Memory that forgets nothing.
type memory map[string]time.Time

func (m memory) SawTLS(_ context.Context, host string, offered bool) time.Time {
	if !offered {
		return m[host]
	}
	m[host] = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	return time.Time{}
}

// A host that offered TLS and does not any more still gets its mail, and that is told.
func TestTLSStops(t *testing.T) {
	for _, how := range []*smtptest.Peer{nil, script(smtptest.StartTLS, noTLS), script(smtptest.StartTLS, smtptest.Reply("454 4.7.0 not now"))} {
		g := newRig(t, theHost)
		g.IdleKeep = -1
		g.Memory = memory{}
		conf := must(t)(smtptest.SelfSigned("x.test"))
		g.peer(&smtptest.Peer{TLS: conf}, "192.0.2.1")
		if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.Policy != "opportunistic" {
			t.Errorf("%+v", o)
		}
		if how != nil {
			how.TLS = conf
		}
		g.peer(how, "192.0.2.1")
		if o := g.send("bob@example.net").Outcomes[0]; o.Action != relay.Sent || o.Peer.TLSVersion != "" || o.Peer.Policy != "opportunistic; it offered TLS until 2026-10-01" {
			t.Errorf("%+v", o)
		}
	}
}

// # RFC 8689 section 4.2.1: where DNSSEC does not name the host, MTA-STS must.
func TestRequireTLSNamedHost(t *testing.T) {
	for _, c := range []struct {
		zone   string
		sts    policies
		sender string
		want   string
	}{
		{theHost, nil, "alice@local.test", "failed 5.7.30"},
		{theHost, policies{"example.net": sts("enforce", "mx.example.net")}, "alice@local.test", "sent 2.0.0"},
		{theHost, policies{"example.net": sts("testing", "mx.example.net")}, "alice@local.test", "sent 2.0.0"},
		{theHost, policies{"example.net": sts("testing", "other.example.net")}, "alice@local.test", "failed 5.7.30"},
		{"example.net. A 192.0.2.1", nil, "alice@local.test", "failed 5.7.30"}, // its certificate is for another name
		{"mx.example.net. A 192.0.2.1", nil, "alice@local.test", "sent 2.0.0"}, // no MX: the domain itself
		{theHost, nil, "", "sent 2.0.0"}, // section 5: no report is lost for it
	} {
		g := newRig(t, c.zone)
		if c.sts != nil {
			g.STS = c.sts
		}
		p := g.peer(&smtptest.Peer{TLS: must(t)(g.authority().Config("mx.example.net")), Extensions: []string{"ENHANCEDSTATUSCODES", "REQUIRETLS"}}, "192.0.2.1")
		m := letter("secret")
		m.RequireTLS, m.Sender = true, c.sender
		to := "bob@example.net"
		if strings.HasPrefix(c.zone, "mx.") {
			to = "bob@mx.example.net"
		}
		o := g.sendMessage(m, to).Outcomes[0]
		if got := o.Action.String() + " " + o.Reply.Status; got != c.want {
			t.Errorf("%v from %q: %s: %s", c.sts, c.sender, got, o.Reply.Text)
		}
		for _, d := range p.Delivered() {
			if strings.Contains(d.Mail, "REQUIRETLS") != (c.sender != "") {
				t.Errorf("%s", d.Mail)
			}
		}
	}
}
