package dnsutil

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"kurir/dnsutil/dnstest"
)

// resolver asks a server for tests.
func resolver(t testing.TB, zone string) (*Resolver, *dnstest.Server) {
	t.Helper()
	s := dnstest.Start(t, zone)
	return &Resolver{Servers: []string{s.Addr()}, Timeout: 2 * time.Second, Tries: 1}, s
}

// clock is what a test says.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fake is a DNS server on pipes, for tests in a bubble: what it returns goes out as
// datagrams, or behind its length over TCP. Nil is silence.
type fake func(network, server string, q *dns.Msg) [][]byte

func (f fake) Dial(_ context.Context, network, address string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { // until the client closes
		defer server.Close()
		b := make([]byte, 4096)
		for {
			n, err := f.read(server, b, network)
			if err != nil {
				return
			}
			m := new(dns.Msg)
			if m.Unpack(b[:n]) != nil {
				return
			}
			for _, answer := range f(network, address, m) {
				if network == "tcp" {
					answer = append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)
				}
				if _, err := server.Write(answer); err != nil {
					return
				}
			}
		}
	}()
	return client, nil
}

func (f fake) read(server net.Conn, b []byte, network string) (int, error) {
	if network == "udp" {
		return server.Read(b)
	}
	var length [2]byte
	if _, err := io.ReadFull(server, length[:]); err != nil {
		return 0, err
	}
	return io.ReadFull(server, b[:binary.BigEndian.Uint16(length[:])])
}

// reply is an answer with records in the syntax of zone files; those behind "--" go into
// the authority section.
func reply(q *dns.Msg, rcode int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, rcode)
	section := &m.Answer
	for _, text := range records {
		if text == "--" {
			section = &m.Ns
			continue
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err) // the test is wrong
		}
		*section = append(*section, rr)
	}
	return m
}

func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ask is a question as our own would be read by a server.
func askFor(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }

// texts are the records without their owner and TTL.
func texts(records []dns.RR) string {
	var all []string
	for _, rr := range records {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(all, " ")
}

// wantErr checks kind and text.
func wantErr(t testing.TB, err, kind error, text string) {
	t.Helper()
	var e *Error
	switch {
	case err == nil:
		t.Fatalf("no error, want %v", kind)
	case !errors.As(err, &e):
		t.Fatalf("%v is no *Error", err)
	case !errors.Is(err, kind):
		t.Errorf("%v is not %v (cause %v)", err, kind, e.Cause)
	case text != "" && err.Error() != text:
		t.Errorf("text %q, want %q (cause %v)", err, text, e.Cause)
	}
}
