// Package dnstest is a DNS server for tests, on a port of 127.0.0.1, UDP and TCP alike.
//
// It answers as a recursive server would, from a zone text in the syntax of RFC 1035
// section 5 that may hold any number of zones: with CNAME chains, wildcards, NXDOMAIN and
// NODATA with an SOA record. A name below no SOA record of the text gets a made-up one of
// the root, TTL 60. Origin is the root; a record without a TTL has the one before it, the first an hour.
//
//	s := dnstest.Start(t, `
//	example.net.    MX 10 mx.example.net.
//	mx.example.net. A  192.0.2.1
//	*.many.test.    MX 10 mx.example.net.`)
//	r := &dnsutil.Resolver{Servers: []string{s.Addr()}}
//
// Every name can be told to misbehave, by methods that may be called at any time. The
// server keeps no more than a count of each question, so that a benchmark can use it.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Server answers until it is closed. Methods are safe for concurrent use.
type Server struct {
	addr    string
	servers []*dns.Server
	stop    chan struct{} // closed by Close: nobody waits any more
	once    sync.Once

	mu     sync.Mutex // guards what follows
	zone   *zone      // replaced, never changed
	tricks map[string]trick
	counts map[Question]int
	total  int
}

// Question is what was asked for: a name in lower case without the dot at the end, and a
// type like dns.TypeMX.
type Question struct {
	Name string
	Type uint16
}

// Start starts a server that is closed at the end of the test.
func Start(t testing.TB, zone string) *Server {
	t.Helper()
	s, err := New(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// New starts a server on a free port of 127.0.0.1. Possible errors: the zone text's, with
// its line, or that there is no port.
func New(zone string) (*Server, error) {
	z, err := parseZone(zone)
	if err != nil {
		return nil, err
	}
	packets, streams, err := listen()
	if err != nil {
		return nil, err
	}
	s := &Server{addr: packets.LocalAddr().String(), stop: make(chan struct{}), zone: z, tricks: map[string]trick{}, counts: map[Question]int{}}
	for _, srv := range []*dns.Server{{PacketConn: packets, UDPSize: 4096}, {Listener: streams}} {
		started := make(chan struct{})
		srv.Handler = s
		srv.NotifyStartedFunc = func() { close(started) }
		go srv.ActivateAndServe() // until Close
		<-started
		s.servers = append(s.servers, srv)
	}
	return s, nil
}

// listen finds a port that is free for both.
func listen() (packets net.PacketConn, streams net.Listener, err error) {
	for range 20 {
		if packets, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if streams, err = net.Listen("tcp4", packets.LocalAddr().String()); err == nil {
			return packets, streams, nil
		}
		packets.Close()
	}
	return nil, nil, fmt.Errorf("no port that is free for UDP and TCP: %w", err)
}

// Addr is "127.0.0.1:port", of UDP and TCP.
func (s *Server) Addr() string { return s.addr }

// Close ends the server, with all that it does.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, srv := range s.servers {
			err = errors.Join(err, srv.ShutdownContext(ctx))
		}
	})
	return err
}

// SetZone replaces the zone text. With an error, it is as it was.
func (s *Server) SetZone(zone string) error {
	z, err := parseZone(zone)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = z
	return nil
}

// Count is how often a name was asked for, over UDP and TCP together. The name "" stands
// for all names, the type 0 for all types.
func (s *Server) Count(name string, qtype uint16) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" && qtype == 0 {
		return s.total
	}
	n := 0
	for q, times := range s.counts {
		if (name == "" || q.Name == key(name)) && (qtype == 0 || q.Type == qtype) {
			n += times
		}
	}
	return n
}

// Counts are all questions so far, and how often each was asked.
func (s *Server) Counts() map[Question]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[Question]int, len(s.counts))
	for q, n := range s.counts {
		all[q] = n
	}
	return all
}

// ResetCounts begins counting anew.
func (s *Server) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
	s.total = 0
}

// count notes a question, and returns what there is to answer it with.
func (s *Server) count(q dns.Question) (trick, *zone) {
	name := key(q.Name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[Question{name, q.Qtype}]++
	s.total++
	t, ok := s.tricks[name]
	if !ok {
		t = s.tricks[every]
	}
	return t, s.zone
}
