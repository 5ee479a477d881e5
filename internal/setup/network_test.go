package setup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kurir/dnsutil"
)

// zone is a resolver that answers from two tables.
type zone struct {
	hosts map[string][]string // addresses
	mx    map[string]string
}

func (z zone) Addresses(_ context.Context, host string, f dnsutil.Families) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	var all []netip.Addr
	for _, text := range z.hosts[host] {
		if a := netip.MustParseAddr(text); !(a.Is4() && f.NoIPv4 || a.Is6() && f.NoIPv6) {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil, dnsutil.ErrNotFound
	}
	return all, nil
}

func (z zone) MX(_ context.Context, domain string) ([]dnsutil.Host, error) {
	if host, ok := z.mx[domain]; ok {
		return []dnsutil.Host{{Name: host}}, nil
	}
	return nil, dnsutil.ErrNotFound
}

func addrs(all ...string) (list []netip.Addr) {
	for _, a := range all {
		list = append(list, netip.MustParseAddr(a))
	}
	return list
}

func TestAddresses(t *testing.T) {
	r := zone{hosts: map[string][]string{"mail.example.org": {"8.8.4.4", "10.0.0.1"}, "inner.example.org": {"10.0.0.1"}}}
	for _, c := range []struct {
		host       string
		given, own []netip.Addr
		want       []netip.Addr
		outcome    Outcome
		text       string
	}{
		{"mail.example.org", addrs("9.9.9.9"), addrs("1.1.1.1"), addrs("9.9.9.9"), OK, "as you say"},
		{"mail.example.org", nil, addrs("1.1.1.1", "2606:4700::1"), addrs("1.1.1.1", "2606:4700::1"), OK, "public addresses 1.1.1.1, 2606:4700::1"},
		{"mail.example.org", nil, nil, addrs("8.8.4.4"), OK, "behind a router; the DNS has 8.8.4.4"},
		{"inner.example.org", nil, nil, nil, Todo, "no public address"},
		{"none.example.org", nil, nil, nil, Todo, "no public address"},
	} {
		got, s := Addresses(t.Context(), r, c.host, c.given, c.own)
		if !slices.Equal(got, c.want) || s.Outcome != c.outcome || !strings.Contains(s.Text, c.text) {
			t.Errorf("%s: %v %+v", c.host, got, s)
		}
	}
}

func TestOutside(t *testing.T) {
	both := zone{hosts: map[string][]string{OutsideName: {"9.9.9.9", "2606:4700::1", "10.0.0.1"}}}
	if got := Outside(t.Context(), []Resolver{both, both}); !slices.Equal(got, addrs("9.9.9.9", "2606:4700::1")) {
		t.Errorf("%v", got)
	}
	if got := Outside(t.Context(), []Resolver{zone{}, zone{}}); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// peer answers connections by what was written for its address; "" says nothing, and an
// address that is not there refuses.
type peer map[string]string

func (p peer) dial(ctx context.Context, _, address string) (net.Conn, error) {
	words, ok := p[address]
	switch {
	case !ok:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case words == "dropped":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := net.Pipe()
	go func() { // ends with the connection
		server.Write([]byte(words))
		var b [1]byte
		server.Read(b[:])
		server.Close()
	}()
	return client, nil
}

func TestPort25Out(t *testing.T) {
	r := zone{
		hosts: map[string][]string{"mx.a.test": {"2606:4700::1", "9.9.9.9"}, "mx.b.test": {"1.1.1.1"}},
		mx:    map[string]string{"a.test": "mx.a.test", "b.test": "mx.b.test", "c.test": "mx.c.test"},
	}
	both := []string{"a.test", "b.test"}
	for _, c := range []struct {
		name    string
		domains []string
		targets []string
		peer    peer
		want    Outcome
		text    string
	}{
		{"all answer", both, nil, peer{"9.9.9.9:25": "220 mx.a.test\r\n", "1.1.1.1:25": "220 mx.b.test\r\n"}, OK, "mx.a.test answers"},
		{"one answers", both, nil, peer{"1.1.1.1:25": "220 mx.b.test\r\n"}, OK, "mx.b.test answers"},
		{"one refuses us by words", both, nil, peer{"1.1.1.1:25": "554 not you\r\n"}, OK, "mx.b.test answers"},
		{"refused", both, nil, nil, Todo, "mx.a.test (connection refused); mx.b.test (connection refused)"},
		{"dropped", both, nil, peer{"9.9.9.9:25": "dropped", "1.1.1.1:25": "dropped"}, Todo, "mx.a.test (no answer); mx.b.test (no answer)"},
		{"kept on the way", []string{"b.test"}, nil, peer{"1.1.1.1:25": ""}, Todo, "says nothing"},
		{"no mail server", []string{"b.test"}, nil, peer{"1.1.1.1:25": "SSH-2.0-x\r\n"}, Todo, "is no mail server"},
		{"no address", []string{"c.test"}, nil, nil, Todo, "mx.c.test (the DNS has no address of it)"},
		{"no DNS", []string{"d.test", "e.test"}, nil, nil, Todo, "the DNS knows no mail server of d.test, e.test"},
		{"a probe", both, []string{"127.0.0.1:2500"}, peer{"127.0.0.1:2500": "220 x\r\n"}, OK, "127.0.0.1 answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := Port25Out(t.Context(), r, c.peer.dial, c.domains, c.targets)
				if s.Outcome != c.want || !strings.Contains(s.Text, c.text) || s.Outcome == Todo && (s.Why == "" || s.Do == "") {
					t.Errorf("%+v", s)
				}
				if took := time.Since(began); took > 2*probeTime {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func TestPort25In(t *testing.T) {
	p := peer{"9.9.9.9:25": "220 mine\r\n"}
	for _, c := range []struct {
		addresses []netip.Addr
		want      Outcome
		text      string
	}{
		{nil, Skipped, "not known"},
		{addrs("9.9.9.9"), OK, "The server answers at 9.9.9.9, port 25"},
		{addrs("9.9.9.9", "1.1.1.1"), Todo, "not reached at 1.1.1.1 (connection refused), port 25"},
	} {
		if s := Port25In(t.Context(), zone{}, p.dial, c.addresses, "25"); s.Outcome != c.want || !strings.Contains(s.Text, c.text) {
			t.Errorf("%+v", s)
		}
	}
}

func TestPTR(t *testing.T) {
	got := PTR([]dnsutil.Finding{
		{Level: dnsutil.LevelOK, What: "9.9.9.9 has the name mail.example.org, which leads back to it."},
		{Level: dnsutil.LevelError, What: "1.1.1.1 has no name (PTR).", Why: "Others refuse.", Mend: "Set it."},
	})
	if len(got) != 2 || got[0].Outcome != OK || got[1].Outcome != Todo || got[1].Do != "Set it." || got[1].Why != "Others refuse." {
		t.Errorf("%+v", got)
	}
}

func TestDialError(t *testing.T) {
	err := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: network is unreachable")}
	if got := dialError(t.Context(), err); got.Error() != "network is unreachable" {
		t.Error(got)
	}
}
