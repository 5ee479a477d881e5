package dnsutil

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// oneAnswer is a connection to a server that has the same octets for every question, and
// then nothing.
type oneAnswer struct {
	net.Conn // nil: the rest is not used
	network  string
	make     func(query []byte) []byte
	rest     []byte
}

func (c *oneAnswer) Write(b []byte) (int, error) {
	if c.network == "udp" {
		c.rest = c.make(b)
		return len(b), nil
	}
	answer := c.make(b[2:])
	c.rest = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
	return len(b), nil
}

func (c *oneAnswer) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, c.rest)
	if c.rest = c.rest[n:]; c.network == "udp" {
		c.rest = nil
	}
	return n, nil
}

func (c *oneAnswer) Close() error                { return nil }
func (c *oneAnswer) SetDeadline(time.Time) error { return nil }

// How much of an answer is ours, and how much is random.
const (
	raw         = iota // all is random
	rightID            // all but the id
	rightHeader        // all that follows the question; the counts are random
	modes
)

// FuzzAnswer gives random octets as answers. They are a temporary failure, or else a
// proper answer to the very question; never a panic, never an endless loop.
func FuzzAnswer(f *testing.F) {
	q := askFor("example.net.", dns.TypeMX)
	for _, m := range []*dns.Msg{
		reply(q, 0, "example.net. 60 MX 10 mx.example.net.", "example.net. MX 10 192.0.2.1.", "mx.example.net. A 192.0.2.1"),
		reply(q, 0, "example.net. CNAME a.test.", "a.test. CNAME b.test.", "b.test. CNAME example.net."),
		reply(q, dns.RcodeNameError, "--", "example.net. SOA a. b. 1 2 3 4 5"),
		reply(q, 0, "--", "example.net. NS a."),
		reply(q, 0, "example.net. MX 0 ."),
		reply(q, 0, "example.net. A 127.0.0.1", "example.net. AAAA ::1"),
		reply(q, dns.RcodeServerFailure),
	} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, byte(raw))
		f.Add(b, byte(rightID))
		f.Add(append(b[2:12:12], b[29:]...), byte(rightHeader))
	}
	f.Add([]byte("\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x00\x00\x00"), byte(rightHeader))
	f.Add([]byte(nil), byte(raw))
	f.Fuzz(func(t *testing.T, data []byte, mode byte) {
		make := func(query []byte) []byte { return compose(query, data[:min(len(data), 65000)], mode%modes) }
		r := &Resolver{Servers: []string{"192.0.2.53"}, Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			return &oneAnswer{network: network, make: make}, nil
		}}
		start := time.Now()
		for _, qtype := range []uint16{dns.TypeMX, dns.TypeA, dns.TypeCNAME, dns.TypeTXT} {
			a, err := r.Lookup(t.Context(), "example.net", qtype)
			checkKind(t, err, mode%modes == raw)
			for _, rr := range a.Records {
				if rr.Header().Rrtype != qtype || !strings.EqualFold(bare(rr.Header().Name), a.Name) {
					t.Errorf("%v is no answer for %s", rr, a.Name)
				}
			}
		}
		route, err := r.Route(t.Context(), "example.net", Self{}, Families{})
		checkKind(t, err, mode%modes == raw)
		if err == nil && len(route.Hosts) == 0 || len(route.Hosts) > maxHosts {
			t.Errorf("%d hosts", len(route.Hosts))
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// compose makes an answer to query out of data.
func compose(query, data []byte, mode byte) []byte {
	b := append([]byte(nil), data...)
	switch {
	case mode == raw && len(b) >= 2 && b[0] == query[0] && b[1] == query[1]:
		b[1]++ // data has guessed the id
	case mode == rightID && len(b) >= 2:
		copy(b, query[:2])
	case mode == rightHeader && len(b) >= 10:
		end := 12
		for query[end] != 0 {
			end += int(query[end]) + 1
		}
		b = append(append(append(append([]byte(nil), query[:2]...), data[:10]...), query[12:end+5]...), data[10:]...)
		b[2], b[4], b[5] = b[2]&0x07|0x80, 0, 1 // an answer, one question
	}
	return b
}

func checkKind(t *testing.T, err error, temporary bool) {
	t.Helper()
	if err == nil {
		if temporary {
			t.Error("random octets are no answer")
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || temporary && e.Err != ErrTemporary {
		t.Fatalf("error %#v", err)
	}
	if text := err.Error(); !isASCII(text) || strings.ContainsAny(text, "\r\n\x00") || len(text) > 1500 {
		t.Errorf("text %q", text)
	}
}
