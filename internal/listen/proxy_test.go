package listen

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/tlsconf"
)

const v2Signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2 with a command, a family and what follows.
func v2(command, family byte, rest string) string {
	return v2Signature + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	v4Rest = "\xc0\x00\x02\x01\xc6\x33\x64\x05\x01\x00\x00\x19" // 192.0.2.1:256 to 198.51.100.5:25
	v6Rest = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" + "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08" + "\x01\x00\x00\x19"
)

// headers are those a proxy may send: the client's address, "" if it has none, and no
// from at all if it is refused.
var headers = []struct{ text, from string }{
	{"PROXY TCP4 192.0.2.1 198.51.100.5 256 25\r\n", "192.0.2.1:256"},
	{"PROXY TCP6 2001:db8::7 2001:db8::8 256 25\r\n", "[2001:db8::7]:256"},
	{"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::8 256 25\r\n", "192.0.2.1:256"},
	{"PROXY UNKNOWN\r\n", ""},
	{"PROXY UNKNOWN 1 2 3 4 5 6\r\n", ""},
	{v2(0x21, 0x11, v4Rest), "192.0.2.1:256"},
	{v2(0x21, 0x21, v6Rest), "[2001:db8::7]:256"},
	{v2(0x21, 0x11, v4Rest+"\x04\x00\x01x"), "192.0.2.1:256"}, // with a TLV
	{v2(0x20, 0x00, ""), ""},                                  // LOCAL
	{v2(0x20, 0x11, v4Rest), ""},                              // its addresses mean nothing
	{v2(0x20, 0x00, strings.Repeat("x", 4096)), ""},
	{v2(0x20, 0x55, "abc"), ""},                       // "must discard the protocol block including the family which is ignored"
	{v2(0x21, 0x00, ""), ""},                          // a client without an address
	{v2(0x21, 0x31, strings.Repeat("\x00", 216)), ""}, // a Unix socket
	{"PROXY TCP4 192.0.2.1 198.51.100.5 256\r\n", "refused"},
	{"PROXY TCP4 2001:db8::7 2001:db8::8 256 25\r\n", "refused"},
	{"PROXY TCP4 192.0.2.1 198.51.100.5 65536 25\r\n", "refused"},
	{"PROXY TCP4 0.0.0.0 198.51.100.5 256 25\r\n", "refused"},
	{"PROXY TCP4 224.0.0.1 198.51.100.5 256 25\r\n", "refused"},
	{"PROXY TCP4 192.0.2.1 198.51.100.5 256 25\n", "refused"},
	{"PROXY UDP4 192.0.2.1 198.51.100.5 256 25\r\n", "refused"},
	{"PROXYTCP4 192.0.2.1 198.51.100.5 256 25\r\n", "refused"},
	{"PROXY UNKNOWN" + strings.Repeat(" x", 60) + "\r\n", "refused"}, // longer than 107
	{v2(0x31, 0x11, v4Rest), "refused"},                              // version 3
	{v2(0x22, 0x11, v4Rest), "refused"},                              // no such command
	{v2(0x21, 0x12, v4Rest), "refused"},                              // UDP
	{v2(0x21, 0x11, v4Rest[:10]), "refused"},
	{v2(0x21, 0x11, v4Rest+strings.Repeat("\x04\x00\x01x", 1100)), "refused"}, // longer than is kept
	{"EHLO client.example\r\n", "refused"},
	{"PRO", "refused"},
	{v2Signature, "refused"},
	{"\x16\x03\x01\x02\x00\x01\x00", "refused"}, // TLS
	{"", "refused"},
}

func TestProxyHeaders(t *testing.T) {
	for _, h := range headers {
		client, server := net.Pipe()
		from := pipeAddr("10.0.0.1:999")
		go func() {
			io.WriteString(client, h.text)
			if h.from != "refused" {
				io.WriteString(client, "next")
			}
			client.Close()
		}()
		got, _, err := readProxyHeader(addrConn{server, from})
		switch {
		case h.from == "refused":
			if err == nil {
				t.Errorf("%q was taken as %v", h.text, got)
			}
		case err != nil:
			t.Errorf("%q: %v", h.text, err)
		case h.from == "" && (remoteIP(got).IsValid() || got.String() != "proxy 10.0.0.1:999"):
			t.Errorf("%q: %v, want nobody", h.text, got)
		case h.from != "" && (got.String() != h.from || remoteIP(got) != netip.MustParseAddrPort(h.from).Addr()):
			t.Errorf("%q: %v, want %v", h.text, got, h.from)
		}
		if rest, _ := io.ReadAll(server); h.from != "refused" && string(rest) != "next" {
			t.Errorf("%q: %q is left", h.text, rest)
		}
		server.Close()
	}
}

// behind is a listener behind the proxies of 10.0.0.0/8.
func behind(f *fakeListener) net.Listener {
	return Proxied(f, ProxyOptions{
		Protocol: "smtp", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Missing: func() []byte { return []byte("421 no header\r\n") },
	})
}

func TestProxied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := New(behind(f), Options{MaxPerAddr: 1})
		defer l.Close()
		slow := f.dial("10.0.0.1:1") // sends its header last
		fast := f.dial("10.0.0.1:2")
		go io.WriteString(fast, "PROXY TCP4 192.0.2.1 198.51.100.5 256 25\r\n")
		c := accept(t, l)
		if c.RemoteIP() != ip("192.0.2.1") || c.RemoteAddr().String() != "192.0.2.1:256" || c.LocalAddr().String() != "198.51.100.5:25" {
			t.Errorf("%v at %v", c.RemoteAddr(), c.LocalAddr())
		}
		// From elsewhere a header is what the client says, and nothing more.
		liar := f.dial("203.0.113.5:7")
		go io.WriteString(liar, "PROXY TCP4 192.0.2.9 198.51.100.5 256 25\r\n")
		c = accept(t, l)
		if b := make([]byte, 5); c.RemoteIP() != ip("203.0.113.5") {
			t.Errorf("a header from elsewhere is believed: %v", c.RemoteIP())
		} else if io.ReadFull(c, b); string(b) != "PROXY" {
			t.Errorf("a header from elsewhere was read: %q is next", b)
		}
		c.Close()
		// The limit is that of the client, not of the proxy.
		again := f.dial("10.0.0.2:3")
		go io.WriteString(again, "PROXY TCP4 192.0.2.1 198.51.100.5 257 25\r\n")
		go func() {
			time.Sleep(time.Second)
			io.WriteString(slow, "PROXY UNKNOWN\r\n")
		}()
		c = accept(t, l)
		if c.RemoteIP().IsValid() {
			t.Errorf("a health check has the address %v", c.RemoteIP())
		}
		if n, err := again.Read(make([]byte, 1)); err == nil {
			t.Errorf("a second connection of a client was let in: %d", n)
		}
	})
}

func TestProxyWithoutHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := behind(f)
		done := make(chan error)
		go func() { _, err := l.Accept(); done <- err }()
		silent, wrong := f.dial("10.0.0.1:1"), f.dial("10.0.0.1:2")
		go io.WriteString(wrong, "E")
		start := time.Now()
		if got, _ := io.ReadAll(wrong); string(got) != "421 no header\r\n" || time.Since(start) != 0 {
			t.Errorf("who sends something else is told %q after %v", got, time.Since(start))
		}
		if got, _ := io.ReadAll(silent); string(got) != "421 no header\r\n" || time.Since(start) != DefaultHeaderTimeout {
			t.Errorf("who sends nothing is told %q after %v", got, time.Since(start))
		}
		dripping := f.dial("10.0.0.1:3")
		dripped := make(chan struct{})
		go func() {
			defer close(dripped)
			for _, b := range []byte("PROXY TCP4 192.0.2.1 198.51.100.5 256 25\r\n") {
				time.Sleep(time.Second)
				if _, err := dripping.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		start = time.Now()
		if io.ReadAll(dripping); time.Since(start) != DefaultHeaderTimeout {
			t.Errorf("who sends an octet a second is cut off after %v", time.Since(start))
		}
		<-dripped
		waiting := f.dial("10.0.0.1:4")
		synctest.Wait()
		l.Close()
		if n, err := waiting.Read(make([]byte, 1)); err == nil {
			t.Errorf("Close left a connection that waits: %d", n)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
}

// Headers that do not come take no more than their bound.
func TestProxyBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.results = make(chan any, 2*maxHeaders)
		l := behind(f)
		var all []net.Conn
		for range maxHeaders + 10 {
			all = append(all, f.dial("10.0.0.1:1"))
		}
		go l.Accept()
		synctest.Wait()
		closed := 0
		for _, c := range all {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				closed++
			}
		}
		if closed != 10 {
			t.Errorf("%d connections were closed at once, want 10", closed)
		}
		l.Close()
	})
}

func TestProxyErrorsPass(t *testing.T) {
	f := newFake()
	l := behind(f)
	broken := errors.New("broken")
	f.results <- broken
	if _, err := l.Accept(); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	f.dial("192.0.2.1:1")
	if c, err := l.Accept(); err != nil || c.RemoteAddr().String() != "192.0.2.1:1" {
		t.Errorf("after an error: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if plain := newFake(); Proxied(plain, ProxyOptions{}) != net.Listener(plain) {
		t.Error("without proxies there is something in between")
	}
}

// TLS finds its first octet behind the header, and early talk its wait.
func TestProxyBelowTLS(t *testing.T) {
	conf, _, err := tlsconf.LocalCA(fsx.OS{}, t.TempDir(), "local.test")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := New(behind(f), Options{EarlyTalk: time.Second})
		client := f.dial("10.0.0.1:1")
		go func() {
			io.WriteString(client, v2(0x21, 0x11, v4Rest))
			c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
			c.Write([]byte("hello"))
		}()
		c := accept(t, l)
		srv := tls.Server(c, conf)
		b := make([]byte, 5)
		if _, err := io.ReadFull(srv, b); err != nil || !bytes.Equal(b, []byte("hello")) || From(srv).RemoteIP() != ip("192.0.2.1") {
			t.Errorf("%q, %v", b, err)
		}
		patient := f.dial("10.0.0.1:2")
		go io.WriteString(patient, "PROXY TCP4 192.0.2.2 198.51.100.5 256 25\r\n")
		c = accept(t, l)
		go io.Copy(io.Discard, patient)
		start := time.Now()
		if c.Write([]byte("220\r\n")); c.EarlyTalker() || time.Since(start) != time.Second {
			t.Errorf("the header counts as early talk: %v after %v", c.EarlyTalker(), time.Since(start))
		}
		client.Close()
		patient.Close()
		l.Close()
	})
}

func FuzzProxyHeader(f *testing.F) {
	for _, h := range headers {
		f.Add([]byte(h.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		raw, err := headerBytes(r)
		if err == nil && (!bytes.HasPrefix(b, raw) || len(raw) > prefixV2+maxV2Rest) {
			t.Errorf("%d octets of header", len(raw))
		}
		client, server := net.Pipe()
		go func() { client.Write(b); client.Close() }()
		from, _, err := readProxyHeader(addrConn{server, pipeAddr("10.0.0.1:999")})
		if _, isNobody := from.(nobody); err == nil && !isNobody && !remoteIP(from).IsValid() {
			t.Errorf("%q is from %v", b, from)
		}
		server.Close()
	})
}
