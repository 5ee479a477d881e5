package dnsutil

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// streamServer sends answers that are cut short over UDP, and does with TCP connections
// what tcp says, given the whole answer with its length; then it closes the connection.
func streamServer(t *testing.T, answer func(q *dns.Msg) *dns.Msg, tcp func(c *net.TCPConn, framed []byte)) string {
	t.Helper()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go func() { // until packets is closed
		b := make([]byte, 4096)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(b[:n]) != nil {
				continue
			}
			m := reply(q, 0)
			m.Truncated = true
			packets.WriteTo(packed(t, m), from)
		}
	}()
	if tcp == nil {
		return packets.LocalAddr().String()
	}
	streams, err := net.Listen("tcp4", packets.LocalAddr().String())
	if err != nil {
		t.Skip("the port is not free for TCP:", err)
	}
	t.Cleanup(func() { streams.Close() })
	go func() { // until streams is closed
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			n, err := io.ReadAtLeast(c, b, 20)
			q := new(dns.Msg)
			if err == nil && q.Unpack(b[2:n]) == nil {
				whole, err := answer(q).Pack()
				if err == nil {
					tcp(c.(*net.TCPConn), append(binary.BigEndian.AppendUint16(nil, uint16(len(whole))), whole...))
				}
			}
			c.Close()
		}
	}()
	return packets.LocalAddr().String()
}

func TestTCP(t *testing.T) {
	mx := func(q *dns.Msg) *dns.Msg { return reply(q, 0, "example.net. MX 10 mx.example.net.") }
	giant := func(q *dns.Msg) *dns.Msg {
		m := reply(q, 0)
		for range 4000 {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: "example.net.", Rrtype: dns.TypeTXT, Class: 1, Ttl: 60}, Txt: []string{"x"}})
		}
		m.Answer = append(m.Answer, mx(q).Answer...)
		m.Compress = true
		return m
	}
	half := func(c *net.TCPConn, framed []byte) { c.Write(framed[:len(framed)/2]) }
	for _, c := range []struct {
		what   string
		answer func(q *dns.Msg) *dns.Msg
		tcp    func(c *net.TCPConn, framed []byte)
		text   string // "": it works
	}{
		{"whole", mx, func(c *net.TCPConn, b []byte) { c.Write(b) }, ""},
		{"giant", giant, func(c *net.TCPConn, b []byte) { c.Write(b) }, ""},
		{"octet by octet", mx, func(c *net.TCPConn, b []byte) {
			for i := range b {
				c.Write(b[i : i+1])
			}
		}, ""},
		{"answer, then half closed, then open", mx, func(c *net.TCPConn, b []byte) { c.Write(b); c.CloseWrite(); time.Sleep(300 * time.Millisecond) }, ""},
		{"closed at once", mx, func(c *net.TCPConn, b []byte) {}, "the DNS of example.net gives answers that make no sense"},
		{"half closed at once", mx, func(c *net.TCPConn, b []byte) { c.CloseWrite(); time.Sleep(300 * time.Millisecond) }, "the DNS of example.net gives answers that make no sense"},
		{"half an answer", mx, half, "the DNS of example.net gives answers that make no sense"},
		{"half an answer, then nothing", mx, func(c *net.TCPConn, b []byte) { half(c, b); time.Sleep(300 * time.Millisecond) }, "the DNS of example.net does not answer"},
		{"half a length", mx, func(c *net.TCPConn, b []byte) { c.Write(b[:1]) }, "the DNS of example.net gives answers that make no sense"},
		{"length zero", mx, func(c *net.TCPConn, b []byte) { c.Write([]byte{0, 0}) }, "the DNS of example.net gives answers that make no sense"},
		{"longer than it is", mx, func(c *net.TCPConn, b []byte) { b[0] = 0xff; c.Write(b) }, "the DNS of example.net gives answers that make no sense"},
		{"one octet every 50 ms", mx, func(c *net.TCPConn, b []byte) {
			for i := range b {
				c.Write(b[i : i+1])
				time.Sleep(50 * time.Millisecond)
			}
		}, "the DNS of example.net does not answer"},
		{"not there", mx, nil, "no DNS server could be asked for example.net"},
	} {
		t.Run(strings.ReplaceAll(c.what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			r := &Resolver{Servers: []string{streamServer(t, c.answer, c.tcp)}, Timeout: 5 * time.Second, Tries: 1}
			if strings.HasSuffix(c.text, "does not answer") {
				r.Timeout = 200 * time.Millisecond
			}
			a, err := r.Lookup(t.Context(), "example.net", dns.TypeMX)
			if c.text != "" {
				wantErr(t, err, ErrTemporary, c.text)
			} else if err != nil || len(a.Records) != 1 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
}

// Nobody listens: the network says so at once.
func TestNoServer(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	r := &Resolver{Servers: []string{c.LocalAddr().String()}}
	start := time.Now()
	_, err = r.Lookup(t.Context(), "example.net", dns.TypeMX)
	wantErr(t, err, ErrTemporary, "no DNS server could be asked for example.net")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
