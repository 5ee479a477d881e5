package dnsutil

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

const zone = `
$TTL 3600
example.net.       300 SOA ns.example.net. admin.example.net. 1 3600 600 86400 60
example.net.       300 TXT "v=spf1 -all" "more"
example.net.       200 TXT second
alias.example.net. 100 CNAME far.example.org.
far.example.org.   50  CNAME end.example.org.
end.example.org.   400 TXT the end
dead.example.net.      CNAME nowhere.example.net.
dry.example.net.       CNAME example.net.
empty.below.example.net. TXT x
*.wild.example.net.    TXT wild
xn--bcher-kva.example. TXT books
_dmarc.example.net.    TXT "v=DMARC1"
`

func TestLookup(t *testing.T) {
	r, s := resolver(t, zone)
	for _, c := range []struct {
		name, want, end string
		ttl             time.Duration
	}{
		{"example.net", `"v=spf1 -all" "more" "second"`, "example.net", 200},
		{"EXAMPLE.Net.", `"v=spf1 -all" "more" "second"`, "example.net", 200},
		{"alias.example.net", `"the" "end"`, "end.example.org", 50},
		{"some.wild.example.net", `"wild"`, "some.wild.example.net", 3600},
		{"bücher.example", `"books"`, "xn--bcher-kva.example", 3600},
		{"BÜCHER。example", `"books"`, "xn--bcher-kva.example", 3600},
		{"xn--BCHER-kva.example", `"books"`, "xn--bcher-kva.example", 3600},
		{"_dmarc.example.net", `"v=DMARC1"`, "_dmarc.example.net", 3600},
	} {
		before := time.Now()
		a, err := r.Lookup(t.Context(), c.name, dns.TypeTXT)
		if err != nil || texts(a.Records) != c.want || a.Name != c.end || a.Authentic {
			t.Errorf("%s: %v, %v", c.name, a, err)
		}
		if ttl := a.Expires.Sub(before); ttl > c.ttl*time.Second+2*time.Second || ttl < c.ttl*time.Second-5*time.Second {
			t.Errorf("%s expires in %v, want %d s", c.name, ttl, c.ttl)
		}
	}
	if n := s.Count("example.net", dns.TypeTXT); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestLookupNothing(t *testing.T) {
	r, _ := resolver(t, zone)
	for _, c := range []struct {
		name  string
		qtype uint16
		kind  error
		end   string
		text  string
	}{
		{"nowhere.example.net", dns.TypeTXT, ErrNotFound, "nowhere.example.net", "nowhere.example.net does not exist in the DNS"},
		{"dead.example.net", dns.TypeTXT, ErrNotFound, "nowhere.example.net", "dead.example.net does not exist in the DNS"},
		{"example.net", dns.TypeA, ErrNoData, "example.net", "example.net has no IPv4 address in the DNS"},
		{"example.net", dns.TypeAAAA, ErrNoData, "example.net", "example.net has no IPv6 address in the DNS"},
		{"dry.example.net", dns.TypeMX, ErrNoData, "example.net", "dry.example.net has no mail server in the DNS"},
		{"below.example.net", dns.TypeTLSA, ErrNoData, "below.example.net", "below.example.net has no TLSA record in the DNS"},
	} {
		a, err := r.Lookup(t.Context(), c.name, c.qtype)
		wantErr(t, err, c.kind, c.text)
		if a.Name != c.end || len(a.Records) > 0 {
			t.Errorf("%s: %v, want the name %s", c.name, a, c.end)
		}
	}
}

// A CNAME's target that the answer does not tell about is asked for in turn.
func TestLookupAnew(t *testing.T) {
	r, s := resolver(t, zone)
	s.Shallow("alias.example.net", "far.example.org", "dead.example.net", "dry.example.net")
	a, err := r.Lookup(t.Context(), "alias.example.net", dns.TypeTXT)
	if err != nil || texts(a.Records) != `"the" "end"` || a.Name != "end.example.org" || time.Until(a.Expires) > 50*time.Second {
		t.Errorf("%v, %v", a, err)
	}
	if s.Count("far.example.org", 0) != 1 || s.Count("end.example.org", 0) != 1 {
		t.Errorf("questions %v", s.Counts())
	}
	_, err = r.Lookup(t.Context(), "dead.example.net", dns.TypeTXT)
	wantErr(t, err, ErrNotFound, "")
	_, err = r.Lookup(t.Context(), "dry.example.net", dns.TypeA)
	wantErr(t, err, ErrNoData, "")
	if _, err := r.Lookup(t.Context(), "end.example.org", dns.TypeTXT); err != nil || s.Count("end.example.org", 0) != 1 {
		t.Errorf("%v; the target's answer was not kept", err)
	}
}

// An alias is an answer, if it is what was asked for.
func TestLookupCNAME(t *testing.T) {
	r, _ := resolver(t, zone)
	a, err := r.Lookup(t.Context(), "alias.example.net", dns.TypeCNAME)
	if err != nil || texts(a.Records) != "far.example.org." || a.Name != "alias.example.net" {
		t.Errorf("%v, %v", a, err)
	}
}

func TestLookupCircle(t *testing.T) {
	r, s := resolver(t, `
a.test. CNAME b.test.
b.test. CNAME c.test.
c.test. CNAME a.test.
0.long.test. CNAME 1.long.test.
1.long.test. CNAME 2.long.test.
2.long.test. CNAME 3.long.test.
3.long.test. CNAME 4.long.test.
4.long.test. CNAME 5.long.test.
5.long.test. CNAME 6.long.test.
6.long.test. CNAME 7.long.test.
7.long.test. CNAME 8.long.test.
8.long.test. CNAME 9.long.test.
9.long.test. CNAME 10.long.test.
10.long.test. CNAME 11.long.test.
11.long.test. CNAME 12.long.test.
12.long.test. CNAME 13.long.test.
13.long.test. TXT far
self.test. CNAME self.test.`)
	s.Loop("loop.test")
	for _, shallow := range []bool{false, true} {
		if shallow {
			s.Shallow()
			r = &Resolver{Servers: r.Servers}
		}
		for _, name := range []string{"a.test", "loop.test", "self.test"} {
			_, err := r.Lookup(t.Context(), name, dns.TypeTXT)
			wantErr(t, err, ErrTemporary, "the DNS of "+name+" leads in a circle, from alias to alias")
		}
		if a, err := r.Lookup(t.Context(), "1.long.test", dns.TypeTXT); err != nil || a.Name != "13.long.test" {
			t.Errorf("shallow %v: 12 aliases: %v, %v", shallow, a, err)
		}
		_, err := r.Lookup(t.Context(), "0.long.test", dns.TypeTXT)
		wantErr(t, err, ErrTemporary, "the DNS of 0.long.test leads from alias to alias without end")
	}
	if n := s.Count("", 0); n > 50 {
		t.Errorf("%d questions", n)
	}
}

// AD counts only if every part of the answer has it.
func TestLookupAuthentic(t *testing.T) {
	r, s := resolver(t, zone)
	s.Authentic("alias.example.net", "far.example.org", "example.net")
	s.Shallow("alias.example.net", "far.example.org")
	if a, err := r.Lookup(t.Context(), "example.net", dns.TypeTXT); err != nil || !a.Authentic {
		t.Errorf("%v, %v", a, err)
	}
	if a, err := r.Lookup(t.Context(), "alias.example.net", dns.TypeTXT); err != nil || a.Authentic {
		t.Errorf("the last part has no AD: %v, %v", a, err)
	}
	if a, err := r.Lookup(t.Context(), "example.net", dns.TypeA); err == nil || !a.Authentic {
		t.Errorf("a verified no: %v, %v", a, err)
	}
}

func TestLookupName(t *testing.T) {
	r := &Resolver{Servers: []string{"nowhere"}} // nobody is asked
	_, err := r.Lookup(t.Context(), "ex ample.net", dns.TypeMX)
	wantErr(t, err, ErrName, `"ex ample.net" is not a domain name`)
	_, err = r.Lookup(t.Context(), "example.net", dns.TypeMX)
	wantErr(t, err, ErrTemporary, "no DNS server could be asked for example.net")
}
