package dnsutil

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"kurir/dnsutil/dnstest"
)

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53":           "192.0.2.53:53",
		"192.0.2.53:5353":      "192.0.2.53:5353",
		"2001:db8::53":         "[2001:db8::53]:53",
		"[2001:db8::53]":       "[2001:db8::53]:53",
		"[2001:db8::53]:5353":  "[2001:db8::53]:5353",
		"fe80::1%eth0":         "[fe80::1%eth0]:53",
		"":                     "",
		"dns.example.net":      "",
		"192.0.2.53:":          "",
		"192.0.2.53:0":         "",
		"192.0.2.53:dns":       "",
		"[192.0.2.53":          "",
		"192.0.2.53, 192.0.2.": "",
	} {
		a, err := ParseServer(in)
		if want == "" && err == nil || want != "" && (err != nil || a.String() != want) {
			t.Errorf("ParseServer(%q) = %v, %v; want %q", in, a, err, want)
		}
	}
}

// conf is a resolv.conf that a test writes.
type conf struct {
	t    *testing.T
	path string
	mod  time.Time
}

func newConf(t *testing.T) *conf {
	return &conf{t, filepath.Join(t.TempDir(), "resolv.conf"), time.Unix(1_700_000_000, 0)}
}

func (c *conf) write(text string) {
	c.t.Helper()
	c.mod = c.mod.Add(time.Second)
	if err := errors.Join(os.WriteFile(c.path, []byte(text), 0o600), os.Chtimes(c.path, c.mod, c.mod)); err != nil {
		c.t.Fatal(err)
	}
}

func TestResolvConf(t *testing.T) {
	for _, c := range []struct {
		text    string
		servers []string
		timeout time.Duration
		tries   int
	}{
		{"", []string{"127.0.0.1:53"}, 3 * time.Second, 2},
		{"# nothing\nsearch example.net\n", []string{"127.0.0.1:53"}, 3 * time.Second, 2},
		{"nameserver 192.0.2.1\nnameserver 2001:db8::1\n", []string{"192.0.2.1:53", "[2001:db8::1]:53"}, 3 * time.Second, 2},
		{"nameserver 192.0.2.1\noptions timeout:1 attempts:4 rotate\n", []string{"192.0.2.1:53"}, time.Second, 4},
		{"nameserver fe80::1%eth0\noptions timeout:5\n", []string{"[fe80::1%eth0]:53"}, 5 * time.Second, 2},
		{"nameserver dns.example.net\nnameserver 192.0.2.1", []string{"192.0.2.1:53"}, 3 * time.Second, 2},
		{"options timeout:100000 attempts:100000", []string{"127.0.0.1:53"}, 30 * time.Second, 5},
		{"options timeout:-1 attempts:x", []string{"127.0.0.1:53"}, time.Second, 1},
		{strings.Repeat("nameserver 192.0.2.1\n", 100), slices.Repeat([]string{"192.0.2.1:53"}, 8), 3 * time.Second, 2},
		{"nameserver 192.0.2.1\n" + strings.Repeat("x", 1<<20), []string{"192.0.2.1:53"}, 3 * time.Second, 2},
	} {
		conf := newConf(t)
		conf.write(c.text)
		r := &Resolver{ResolvConf: conf.path}
		up := r.upstream()
		var servers []string
		for _, s := range up.servers {
			servers = append(servers, s.String())
		}
		if !slices.Equal(servers, c.servers) || up.timeout != c.timeout || up.tries != c.tries {
			t.Errorf("%.60q: %v, %v, %d", c.text, servers, up.timeout, up.tries)
		}
	}
	conf := newConf(t)
	conf.write("nameserver 192.0.2.1\noptions timeout:9 attempts:4")
	if up := (&Resolver{ResolvConf: conf.path, Timeout: time.Second, Tries: 1}).upstream(); up.timeout != time.Second || up.tries != 1 {
		t.Errorf("%+v: the fields come first", up)
	}
}

// resolv.conf is looked at again every few seconds, and taken over when it has changed;
// what was kept of other servers is forgotten.
func TestResolvConfChanges(t *testing.T) {
	conf, clock := newConf(t), newClock()
	var server string
	r := &Resolver{ResolvConf: conf.path, Now: clock.Now, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		server = address
		return fake(func(_, _ string, q *dns.Msg) [][]byte {
			return [][]byte{packed(t, reply(q, 0, q.Question[0].Name+" 3600 MX 10 mx.example.net."))}
		}).Dial(ctx, network, address)
	}}
	n := 0
	look := func(want string) {
		t.Helper()
		n++
		if _, err := r.Lookup(t.Context(), strings.Repeat("x", n)+".test", dns.TypeMX); err != nil || server != want {
			t.Errorf("question %d went to %s, want %s (%v)", n, server, want, err)
		}
	}
	look("127.0.0.1:53") // there is no file
	conf.write("nameserver 192.0.2.1")
	look("127.0.0.1:53")
	clock.pass(confEvery)
	look("192.0.2.1:53")
	kept := len(r.cache.entries)
	conf.write("nameserver 192.0.2.2")
	look("192.0.2.1:53")
	clock.pass(confEvery)
	look("192.0.2.2:53")
	if len(r.cache.entries) != 1 || kept != 1 {
		t.Errorf("%d and %d answers kept, want those of the new server only", kept, len(r.cache.entries))
	}
	if err := os.Remove(conf.path); err != nil {
		t.Fatal(err)
	}
	clock.pass(confEvery)
	look("192.0.2.2:53") // as long as there is nothing better
	if len(r.cache.entries) != 2 {
		t.Error("the cache was cleared without need")
	}
	conf.write("nameserver 192.0.2.3")
	clock.pass(-time.Hour) // a clock that is set back
	look("192.0.2.3:53")
}

// Probe asks when none of the servers has answered for a while, and says so until one does.
func TestProbe(t *testing.T) {
	one, other := dnstest.Start(t, "a.test. A 192.0.2.1\n"), dnstest.Start(t, "a.test. A 192.0.2.1\n")
	r := &Resolver{Servers: []string{one.Addr(), other.Addr()}, Timeout: 30 * time.Millisecond, Tries: 1, MaxCache: -1}
	ask := func(names ...string) {
		for _, name := range names {
			r.LookupTXT(t.Context(), name)
		}
	}
	probe := func(what string, servers ...string) {
		t.Helper()
		err := r.Probe(t.Context())
		if (err != nil) != (len(servers) > 0) {
			t.Errorf("%s: %v", what, err)
		}
		for _, s := range servers {
			if err != nil && !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v lacks %s", what, err, s)
			}
		}
	}
	probe("nobody has asked")
	one.Silent()
	ask("a.test", "b.test", "c.test", "d.test")
	probe("one answers")
	if n := other.Count(".", dns.TypeNS); n != 0 {
		t.Errorf("%d questions while all is well", n)
	}
	other.Silent("e.test", "f.test", "g.test", "h.test")
	ask("e.test", "f.test", "g.test", "h.test")
	probe("some domains' own servers are silent")
	if n := other.Count(".", dns.TypeNS); n != 1 {
		t.Errorf("%d questions", n)
	}
	other.Silent()
	ask("a.test", "b.test", "c.test", "d.test")
	probe("none answers", one.Addr(), other.Addr())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Probe(ctx); err != nil {
		t.Errorf("given up: %v", err)
	}
	probe("none answers still", one.Addr(), other.Addr())
	r.Servers = []string{"nonsense"}
	probe("no server")
}
