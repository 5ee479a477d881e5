package dnsutil

import (
	"errors"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestDigest(t *testing.T) {
	const soa = "example.net. 300 SOA ns.example.net. admin.example.net. 1 2 3 4 120"
	for _, c := range []struct {
		what    string
		rcode   int
		records []string
		name    string // want
		kind    error
		more    bool
		text    string
		ttl     time.Duration
		err     error
	}{
		{what: "plain", records: []string{"a.example.net. 60 MX 10 m.test."}, name: "a.example.net.", text: "10 m.test.", ttl: 60},
		{what: "letters of any case", records: []string{"A.EXAMPLE.net. 60 MX 10 M.test."}, name: "a.example.net.", text: "10 M.test.", ttl: 60},
		{what: "RFC 2181 section 5.2: TTLs of a set that differ", records: []string{"a.example.net. 60 MX 10 m.test.", "a.example.net. 30 MX 20 n.test."}, name: "a.example.net.", text: "10 m.test. 20 n.test.", ttl: 30},
		{what: "RFC 2181 section 8: TTL with the highest bit", records: []string{"a.example.net. 2147483648 MX 10 m.test."}, name: "a.example.net.", text: "10 m.test."},
		{what: "records of others are left aside", records: []string{"victim.test. 60 MX 10 liar.test.", "a.example.net. 60 MX 10 m.test.", "a.example.net. 1 A 192.0.2.1"}, name: "a.example.net.", text: "10 m.test.", ttl: 60},
		{what: "records of others alone", records: []string{"victim.test. 60 MX 10 liar.test."}, name: "a.example.net.", kind: ErrNoData},
		{what: "another class", records: []string{"a.example.net. 60 CH MX 10 m.test."}, name: "a.example.net.", kind: ErrNoData},
		{what: "chain in any order", records: []string{"c.test. 60 MX 10 m.test.", "b.test. 10 CNAME C.test.", "a.example.net. 50 CNAME b.test."}, name: "c.test.", text: "10 m.test.", ttl: 10},
		{what: "chain with an end missing", records: []string{"a.example.net. 50 CNAME b.test."}, name: "b.test.", more: true, ttl: 50},
		{what: "chain with an SOA of another zone", records: []string{"a.example.net. 50 CNAME b.test.", "--", soa}, name: "b.test.", more: true, ttl: 50},
		{what: "chain into nothing", rcode: dns.RcodeNameError, records: []string{"a.example.net. 50 CNAME b.example.net.", "--", soa}, name: "b.example.net.", kind: ErrNotFound, ttl: 50},
		{what: "chain to a name without such records", records: []string{"a.example.net. 500 CNAME b.example.net.", "--", soa}, name: "b.example.net.", kind: ErrNoData, ttl: 120},
		{what: "two aliases", records: []string{"a.example.net. 50 CNAME b.test.", "a.example.net. 50 CNAME c.test.", "b.test. 60 MX 1 m.test."}, name: "b.test.", text: "1 m.test.", ttl: 50},
		{what: "RFC 2308 section 5: the lesser of SOA's TTL and minimum", rcode: dns.RcodeNameError, records: []string{"--", soa}, name: "a.example.net.", kind: ErrNotFound, ttl: 120},
		{what: "RFC 2308 section 5: no SOA, not kept", rcode: dns.RcodeNameError, name: "a.example.net.", kind: ErrNotFound},
		{what: "SOA of another zone", rcode: dns.RcodeNameError, records: []string{"--", "example.org. 300 SOA a. b. 1 2 3 4 5"}, name: "a.example.net.", kind: ErrNotFound},
		{what: "RFC 2308 section 2.2: NODATA", records: []string{"--", soa, "example.net. NS ns.test."}, name: "a.example.net.", kind: ErrNoData, ttl: 120},
		{what: "RFC 2308 section 2.2: a referral is no NODATA", records: []string{"--", "example.net. NS ns.test."}, err: errBroken},
		{what: "records of what does not exist", rcode: dns.RcodeNameError, records: []string{"a.example.net. 60 MX 10 m.test."}, err: errBroken},
		{what: "circle", records: []string{"a.example.net. CNAME b.test.", "b.test. CNAME a.example.net."}, err: errCircle},
		{what: "circle of one", records: []string{"a.example.net. CNAME A.example.net."}, err: errCircle},
		{what: "SERVFAIL", rcode: dns.RcodeServerFailure, err: errServFail},
		{what: "REFUSED", rcode: dns.RcodeRefused, err: errRefused},
		{what: "NOTAUTH", rcode: dns.RcodeNotAuth, err: errBroken},
	} {
		// Over the wire, as the parser sets some fields.
		b := packed(t, reply(askFor("a.example.net.", dns.TypeMX), c.rcode, c.records...))
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(c.what, err)
		}
		res, err := digest(m, question{"a.example.net.", dns.TypeMX})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", c.what, err, c.err)
		}
		if res.name != c.name || res.kind != c.kind || res.more != c.more || texts(res.records) != c.text || res.ttl != c.ttl*time.Second {
			t.Errorf("%s: %+v", c.what, res)
		}
	}
}

// A record without content is what dynamic updates are made of, not an answer.
func TestDigestEmptyRecord(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeMX, dns.TypeCNAME, dns.TypeA} {
		b := packed(t, reply(askFor("a.example.net.", dns.TypeMX), 0))
		b[7]++                                                                        // ANCOUNT
		b = append(b, 0xc0, 12, byte(qtype>>8), byte(qtype), 0, 1, 0, 0, 0, 60, 0, 0) // name, type, class, TTL, length
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil || len(m.Answer) != 1 {
			t.Fatal(m, err)
		}
		res, err := digest(m, question{"a.example.net.", dns.TypeMX})
		if other := qtype == dns.TypeA; !other && !errors.Is(err, errBroken) || other && res.kind != ErrNoData {
			t.Errorf("%s: %+v, %v", dns.Type(qtype), res, err)
		}
	}
}
