package relay_test

import (
	"strings"
	"testing"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// # Routes: the first that fits the recipient's and the sender's domain decides.
func TestRouteChoice(t *testing.T) {
	r := relay.Relay{Routes: []relay.Route{
		{Recipients: []string{"direct.example"}, Smarthost: "mx"},
		{Recipients: []string{"*.example.net", "example.org"}, Smarthost: "below.example:587"},
		{Senders: []string{"shop.example"}, Recipients: []string{"example.com"}, Smarthost: "both.example:25"},
		{Senders: []string{"*.shop.example", "xn--bcher-kva.example"}, Smarthost: "Sender.Example:465", TLS: relay.TLSImplicit},
		{Recipients: []string{"straight.example"}},
		{Recipients: []string{"*.six.example"}, Smarthost: "[2001:db8::1]:25"},
		{Senders: []string{"all.example"}, Smarthost: "all.example"},
	}}
	for _, c := range []struct{ from, to, want string }{
		{"a@x.example", "b@direct.example", "direct.example"},
		{"a@x.shop.example", "b@direct.example", "direct.example"},
		{"a@x.example", "b@mail.example.net", "smarthost:below.example:587"},
		{"a@x.example", "b@Deep.Mail.EXAMPLE.NET", "smarthost:below.example:587"},
		{"a@x.example", "b@example.net", "example.net"}, // "*." is all below, not itself
		{"a@x.example", "b@notexample.net", "notexample.net"},
		{"a@x.example", "b@EXAMPLE.org", "smarthost:below.example:587"},
		{"a@x.example", "b@sub.example.org", "sub.example.org"},
		{"a@shop.example", "b@example.com", "smarthost:both.example:25"},
		{"a@other.example", "b@example.com", "example.com"},
		{"a@shop.example", "b@x.example", "x.example"},
		{"a@my.shop.example", "b@x.example", "smarthost:sender.example:465"},
		{"a@b\u00fccher.example", "b@x.example", "smarthost:sender.example:465"},
		{"a@all.example", "b@straight.example", "straight.example"},
		{"a@all.example", "b@x.six.example", "smarthost:[2001:db8::1]:25"},
		{"a@all.example", "b@x.example", "smarthost:all.example"},
		{"", "b@x.example", "x.example"}, // a bounce is from no domain
		{"", "b@example.org", "smarthost:below.example:587"},
		{"postmaster", "b@x.example", "x.example"},
	} {
		if got := r.Destination(c.from, c.to); got != c.want {
			t.Errorf("from %q to %q: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	none := relay.Relay{Routes: []relay.Route{{Senders: []string{""}, Smarthost: "smart.example:587"}, {Recipients: []string{"*"}, Smarthost: "smart.example:587"}}}
	if got := none.Destination("", "b@x.example"); got != "x.example" {
		t.Errorf("by a route for no domain: %q", got)
	}
	all := relay.Relay{Routes: []relay.Route{{Smarthost: "smart.example:587"}}}
	for _, to := range []string{"b@x.example", "b@[192.0.2.1]", "b"} {
		if got := all.Destination("", to); got != "smarthost:smart.example:587" {
			t.Errorf("to %q: %q", to, got)
		}
	}
}

// smart is a rig whose mail all goes by a smarthost at 192.0.2.1, with a login.
func smart(t *testing.T, change func(*relay.Route)) (*rig, *smtptest.CA) {
	g := newRig(t, "smart.example. A 192.0.2.1\nhome.example. A 127.0.0.1\nhome.example. MX 10 elsewhere.example.")
	route := relay.Route{Smarthost: "smart.example:587", Username: "kurir", Password: "secret"}
	if change != nil {
		change(&route)
	}
	g.Routes = []relay.Route{route}
	return g, g.authority()
}

// The smarthost's own words, as they come out of want.
const (
	smartAt   = "smart.example 192.0.2.1:587: "
	smartTook = smartAt + "sent 250 2.0.0 ok, taken"
)

var users = map[string]string{"kurir": "secret"}

// # RFC 4954 and RFC 6409: a smarthost is logged in to, over TLS with a valid certificate.
// It is not looked up by MX, and takes mail to several domains in one transaction.
func TestSmarthost(t *testing.T) {
	g, ca := smart(t, nil)
	p := g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: users}, "192.0.2.1:587")
	res := g.send("bob@example.net", "carol@example.org")
	want(t, res, smartTook, smartTook)
	if d := p.Delivered(); len(d) != 1 || d[0].User != "kurir" || !d[0].TLS || res.Outcomes[0].Peer.TLSName != "smart.example" {
		t.Errorf("%+v, %+v", d, res.Outcomes[0].Peer)
	}
	if n := g.dns.Count("example.net", 0) + g.dns.Count("smart.example", 15); n != 0 {
		t.Errorf("%d questions for MX", n)
	}
	want(t, g.send("dave@example.com"), smartTook) // over the same connection, whatever the domain
	if n := p.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TLS from the first octet (RFC 8314 section 3.3), and no port: 465 then, else 587.
func TestSmarthostPorts(t *testing.T) {
	for _, c := range []struct {
		smarthost, tls, dials string
		implicit              bool
	}{
		{"smart.example:465", relay.TLSImplicit, "192.0.2.1:465", true},
		{"smart.example", relay.TLSImplicit, "192.0.2.1:465", true},
		{"smart.example", "", "192.0.2.1:587", false},
		{"SMART.example:2525", relay.TLSStartTLS, "192.0.2.1:2525", false},
		{"192.0.2.1:587", relay.TLSStartTLS, "192.0.2.1:587", false},
		{"[2001:db8::1]:587", relay.TLSStartTLS, "[2001:db8::1]:587", false},
		{"[2001:db8::1]", relay.TLSStartTLS, "[2001:db8::1]:587", false},
	} {
		g, ca := smart(t, func(r *relay.Route) { r.Smarthost, r.TLS = c.smarthost, c.tls })
		p := g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example", "192.0.2.1", "2001:db8::1")), Implicit: c.implicit, Users: users}, c.dials)
		if n := actions(g.send("bob@example.net")); n[relay.Sent] != 1 || len(p.Delivered()) != 1 || p.Delivered()[0].User != "kurir" {
			t.Errorf("%s: %v", c.smarthost, n)
		}
		g.wantDials(c.dials)
	}
}

// What is wrong with a smarthost concerns all mail, and the administrator: it waits.
func TestSmarthostTroubles(t *testing.T) {
	const admin = "The administrator must look at the user name and password of the smarthost."
	named := func(ca *smtptest.CA, hosts ...string) *smtptest.Peer {
		return &smtptest.Peer{TLS: must(t)(ca.Config(hosts...)), Users: users}
	}
	for _, c := range []struct {
		name   string
		change func(*relay.Route)
		peer   func(ca *smtptest.CA) *smtptest.Peer
		want   string
	}{
		{"not found", func(r *relay.Route) { r.Smarthost = "gone.example:587" }, nil,
			"gone.example: deferred 4.4.3 The smarthost gone.example cannot be found: gone.example does not exist in the DNS."},
		{"no port", func(r *relay.Route) { r.Smarthost = "smart.example:smtp" }, nil,
			"deferred 4.3.5 The smarthost smart.example:smtp has no valid port. The administrator must set it right."},
		{"port too large", func(r *relay.Route) { r.Smarthost = "smart.example:65536" }, nil,
			"deferred 4.3.5 The smarthost smart.example:65536 has no valid port. The administrator must set it right."},
		{"nobody there", nil, nil, smartAt + "deferred 4.4.1 smart.example (192.0.2.1) cannot be reached: it refuses connections."},
		{"wrong password", func(r *relay.Route) { r.Password = "wrong" }, func(ca *smtptest.CA) *smtptest.Peer { return named(ca, "smart.example") },
			smartAt + "deferred 4.7.8 The smarthost smart.example (192.0.2.1) refused the login of this server as kurir: 535 5.7.8 wrong name or password. " + admin},
		{"login refused for now", nil, func(ca *smtptest.CA) *smtptest.Peer {
			p := named(ca, "smart.example")
			p.Script = smtptest.Script{smtptest.Auth: smtptest.Reply("454 4.7.0 the list of users is away")}
			return p
		}, smartAt + "deferred 4.7.8 The smarthost smart.example (192.0.2.1) refused the login of this server as kurir: 454 4.7.0 the list of users is away. " + admin},
		{"closed at login", nil, func(ca *smtptest.CA) *smtptest.Peer {
			p := named(ca, "smart.example")
			p.Script = smtptest.Script{smtptest.Auth: smtptest.Close()}
			return p
		}, smartAt + "deferred 4.4.2 smart.example (192.0.2.1) cannot be used: the other server closed the connection, while waiting for the answer to AUTH."},
		{"no login offered", nil, func(ca *smtptest.CA) *smtptest.Peer {
			p := named(ca, "smart.example")
			p.Users = nil
			return p
		}, smartAt + "deferred 4.7.4 This server cannot log in at the smarthost smart.example (192.0.2.1): it offers neither PLAIN nor LOGIN here, or the password cannot be sent. " +
			"The administrator must look at the settings of the smarthost."},
		{"password that cannot be sent", func(r *relay.Route) { r.Password = "a\x00b" }, func(ca *smtptest.CA) *smtptest.Peer { return named(ca, "smart.example") },
			smartAt + "deferred 4.7.4 This server cannot log in at the smarthost smart.example (192.0.2.1): it offers neither PLAIN nor LOGIN here, or the password cannot be sent. " +
				"The administrator must look at the settings of the smarthost."},
		{"no TLS", nil, func(*smtptest.CA) *smtptest.Peer { return &smtptest.Peer{Users: users} },
			smartAt + "deferred 4.7.4 smart.example (192.0.2.1) offers no encryption, which is demanded by this server's configuration."},
		{"login without TLS", func(r *relay.Route) { r.TLS = relay.TLSNone }, func(ca *smtptest.CA) *smtptest.Peer { return named(ca, "smart.example") },
			smartAt + "deferred 4.7.4 This server does not log in at the smarthost smart.example (192.0.2.1), because the connection is not encrypted and the password could be read on the way. " +
				"The administrator can choose another kind of TLS for the smarthost."},
		{"login without TLS that broke", func(r *relay.Route) { r.TLS = relay.TLSOpportunistic }, func(ca *smtptest.CA) *smtptest.Peer {
			p := named(ca, "smart.example")
			p.Script = smtptest.Script{smtptest.StartTLS: smtptest.Close()}
			return p
		}, smartAt + "deferred 4.7.4 This server does not log in at the smarthost smart.example (192.0.2.1), because the connection is not encrypted and the password could be read on the way. " +
			"The administrator can choose another kind of TLS for the smarthost."},
		{"certificate for another name", nil, func(ca *smtptest.CA) *smtptest.Peer { return named(ca, "example.org") },
			smartAt + "deferred 4.7.5 smart.example (192.0.2.1) offers no safe encryption: its certificate is not for smart.example."},
		{"certificate from nobody", nil, func(*smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("smart.example")), Users: users}
		}, smartAt + "deferred 4.7.5 smart.example (192.0.2.1) offers no safe encryption: its certificate is from nobody that this server trusts."},
		{"certificate for another address", func(r *relay.Route) { r.Smarthost = "192.0.2.1:587" }, func(ca *smtptest.CA) *smtptest.Peer { return named(ca, "smart.example") },
			"[192.0.2.1] 192.0.2.1:587: deferred 4.7.5 192.0.2.1 offers no safe encryption: its certificate is not for 192.0.2.1."},
		{"TLS where there is none", func(r *relay.Route) { r.TLS = relay.TLSImplicit }, func(*smtptest.CA) *smtptest.Peer { return &smtptest.Peer{Users: users} },
			smartAt + "deferred 4.7.5 smart.example (192.0.2.1) offers no safe encryption: what it sends is not TLS."},
		{"certificate from nobody, TLS at once", func(r *relay.Route) { r.TLS = relay.TLSImplicit }, func(*smtptest.CA) *smtptest.Peer {
			return &smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("smart.example")), Implicit: true, Users: users}
		}, smartAt + "deferred 4.7.5 smart.example (192.0.2.1) offers no safe encryption: its certificate is from nobody that this server trusts."},
		{"not in service", nil, func(*smtptest.CA) *smtptest.Peer {
			return script(smtptest.Greeting, smtptest.Reply("554 5.3.2 closed"))
		},
			smartAt + "deferred 554 4.3.2 closed"},
		{"530 at MAIL", func(r *relay.Route) { r.Username = "" }, func(ca *smtptest.CA) *smtptest.Peer {
			p := named(ca, "smart.example")
			p.Script = smtptest.Script{smtptest.Mail: smtptest.Reply("530 5.7.0 Authentication required")}
			return p
		}, smartAt + "deferred 4.7.0 The smarthost smart.example (192.0.2.1) wants a login, or encryption, before it takes mail: 530 5.7.0 Authentication required. " +
			"The administrator must look at the settings of the smarthost."},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, ca := smart(t, c.change)
			var p *smtptest.Peer
			if c.peer != nil {
				p = g.peer(c.peer(ca), "192.0.2.1:587")
			}
			res := g.send(many(150, "example.net")...)
			want(t, &relay.Result{Outcomes: res.Outcomes[149:], Tries: res.Tries, Whole: res.Whole}, c.want, "whole")
			if n := actions(res); n[relay.Deferred] != 150 {
				t.Errorf("%v", n)
			}
			if p == nil {
				return
			}
			for _, line := range p.Commands() {
				if strings.HasPrefix(line, "AUTH") && strings.Contains(c.name, "without TLS") {
					t.Error("the password was sent in the clear")
				}
			}
			if d := p.Delivered(); len(d) > 0 {
				t.Errorf("delivered %+v", d)
			}
		})
	}
}

// 530 to RCPT is about us, too, but others may have been accepted.
func TestSmarthostWantsLoginLater(t *testing.T) {
	g, ca := smart(t, nil)
	g.peer(&smtptest.Peer{TLS: must(t)(ca.Config("smart.example")), Users: users,
		Script: smtptest.Script{smtptest.Rcpt: smtptest.For("far@", smtptest.Reply("530 5.7.1 log in to relay")), smtptest.Dot: smtptest.Usual()}}, "192.0.2.1:587")
	want(t, g.send("near@example.net", "far@example.net"), smartTook,
		smartAt+"deferred 4.7.0 The smarthost smart.example (192.0.2.1) wants a login, or encryption, before it takes mail: 530 5.7.1 log in to relay. "+
			"The administrator must look at the settings of the smarthost.")
}

// A smarthost may be on this machine: no loop, and a password may go there without TLS.
func TestSmarthostAtHome(t *testing.T) {
	for _, smarthost := range []string{"home.example:2525", "127.0.0.1:2525", "localhost:2525", "[::1]:2525"} {
		g, _ := smart(t, func(r *relay.Route) { r.Smarthost, r.TLS = smarthost, relay.TLSNone })
		p := g.peer(&smtptest.Peer{Users: users}, "127.0.0.1:2525", "[::1]:2525")
		if n := actions(g.send("bob@example.net")); n[relay.Sent] != 1 || p.Delivered()[0].User != "kurir" {
			t.Errorf("%s: %v", smarthost, n)
		}
	}
	g, _ := smart(t, func(r *relay.Route) { r.Smarthost, r.TLS = "localhost:2525", relay.TLSNone })
	g.Families.NoIPv6 = true
	g.send("bob@example.net")
	g.wantDials("127.0.0.1:2525")
	g.Families.NoIPv4 = true
	want(t, g.send("bob@example.net"), "deferred 4.4.1 No address of the smarthost localhost:2525 could be tried.", "whole")
}

// With "opportunistic", the certificate does not matter; the password is safe from those
// who only listen.
func TestSmarthostOpportunistic(t *testing.T) {
	g, _ := smart(t, func(r *relay.Route) { r.TLS = relay.TLSOpportunistic })
	p := g.peer(&smtptest.Peer{TLS: must(t)(smtptest.SelfSigned("x.example")), Users: users}, "192.0.2.1:587")
	want(t, g.send("bob@example.net"), smartTook)
	if d := p.Delivered(); !d[0].TLS || d[0].User != "kurir" {
		t.Errorf("%+v", d)
	}
}

// All addresses of a smarthost are tried; a login that is refused for good at one is not
// tried at the next, lest the account be locked.
func TestSmarthostAddresses(t *testing.T) {
	g, ca := smart(t, nil)
	if err := g.dns.SetZone("smart.example. AAAA 2001:db8::1\nsmart.example. A 192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	conf := must(t)(ca.Config("smart.example"))
	g.peer(&smtptest.Peer{TLS: conf, Users: users, Script: smtptest.Script{smtptest.Auth: smtptest.Reply("454 4.7.0 later")}}, "[2001:db8::1]:587")
	second := g.peer(&smtptest.Peer{TLS: conf, Users: users}, "192.0.2.1:587")
	if res := g.send("bob@example.net"); res.Outcomes[0].Action != relay.Sent || len(res.Tries) != 1 {
		t.Errorf("%v", lines(res))
	}
	g.Close()
	g.Routes[0].Password = "wrong"
	g.peer(&smtptest.Peer{TLS: conf, Users: users}, "[2001:db8::1]:587")
	if res := g.send("bob@example.net"); !res.Whole || second.Connections() != 1 {
		t.Errorf("%v, %d connections to the second", lines(res), second.Connections())
	}
}
