package dnstest

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const text = `
$TTL 600
@ORIGIN@
example.net.   SOA ns.example.net. admin.example.net. 1 2 3 4 30
example.net.   MX 10 mx.example.net.
mx             A 192.0.2.1
www            CNAME mx
far            CNAME far.example.org.
*.wild         TXT "wild"
host.sub.wild  TXT "own"
a.b.c          A 192.0.2.2
far.example.org. A 192.0.2.3
gone           CNAME nowhere
`

func start(t *testing.T) *Server {
	return Start(t, strings.Replace(text, "@ORIGIN@", "$ORIGIN example.net.", 1))
}

// silent tells whether a question gets no answer for a while.
func silent(s *Server, network, name string) bool {
	c := dns.Client{Net: network, Timeout: 100 * time.Millisecond}
	_, _, err := c.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), s.Addr())
	return err != nil
}

// ask asks over UDP or TCP.
func ask(t testing.TB, s *Server, network, name string, qtype uint16, edns uint16) (*dns.Msg, error) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	if edns > 0 {
		m.SetEdns0(edns, false)
	}
	c := dns.Client{Net: network, Timeout: 3 * time.Second}
	r, _, err := c.Exchange(m, s.Addr())
	return r, err
}

func TestAnswers(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name   string
		qtype  uint16
		rcode  int
		answer string // data of records
		soa    string // owner
	}{
		{"example.net", dns.TypeMX, 0, "10 mx.example.net.", ""},
		{"EXAMPLE.net", dns.TypeMX, 0, "10 mx.example.net.", ""},
		{"example.net", dns.TypeA, 0, "", "example.net."},
		{"www.example.net", dns.TypeA, 0, "mx.example.net. 192.0.2.1", ""},
		{"www.example.net", dns.TypeCNAME, 0, "mx.example.net.", ""},
		{"www.example.net", dns.TypeAAAA, 0, "mx.example.net.", "example.net."},
		{"far.example.net", dns.TypeA, 0, "far.example.org. 192.0.2.3", ""},
		{"gone.example.net", dns.TypeA, dns.RcodeNameError, "nowhere.example.net.", "example.net."},
		{"nowhere.example.net", dns.TypeA, dns.RcodeNameError, "", "example.net."},
		{"nowhere.test", dns.TypeA, dns.RcodeNameError, "", "."},
		{"c.example.net", dns.TypeA, 0, "", "example.net."}, // RFC 8020: what is below it makes it exist
		// RFC 4592 section 3.3: the closest encloser's wildcard, and no other.
		{"x.wild.example.net", dns.TypeTXT, 0, `"wild"`, ""},
		{"x.y.wild.example.net", dns.TypeTXT, 0, `"wild"`, ""},
		{"x.wild.example.net", dns.TypeA, 0, "", "example.net."},
		{"host.sub.wild.example.net", dns.TypeTXT, 0, `"own"`, ""},
		{"x.sub.wild.example.net", dns.TypeTXT, dns.RcodeNameError, "", "example.net."},
	} {
		for _, network := range []string{"udp", "tcp"} {
			m, err := ask(t, s, network, c.name, c.qtype, 0)
			if err != nil {
				t.Fatal(c.name, err)
			}
			var answer []string
			for _, rr := range m.Answer {
				answer = append(answer, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
			soa := ""
			for _, rr := range m.Ns {
				soa = rr.Header().Name
			}
			if m.Rcode != c.rcode || strings.Join(answer, " ") != c.answer || soa != c.soa {
				t.Errorf("%s %s %s: %v", network, c.name, dns.Type(c.qtype), m)
			}
			if len(m.Answer) > 0 && m.Answer[0].Header().Name != dns.Fqdn(c.name) {
				t.Errorf("%s: owner %s", c.name, m.Answer[0].Header().Name)
			}
		}
	}
}

func TestTricks(t *testing.T) {
	s := start(t)
	s.Silent("silent.test")
	s.ServFail("servfail.test")
	s.Refused("refused.test")
	s.Truncate("example.net")
	s.Loop("loop.test")
	s.Shallow("far.example.net")
	s.Authentic("mx.example.net")
	s.Plain("plain.test")
	s.Delay(100*time.Millisecond, "mx.example.net", "late.test")
	s.Raw(func(q *dns.Msg, tcp bool) [][]byte {
		return [][]byte{fmt.Appendf(nil, "%c%c%v", q.Id>>8, q.Id&0xff, tcp)}
	}, "raw.test")

	for _, network := range []string{"udp", "tcp"} {
		if !silent(s, network, "silent.test") {
			t.Errorf("silent.test answers over %s", network)
		}
	}
	for name, want := range map[string]int{"servfail.test": dns.RcodeServerFailure, "refused.test": dns.RcodeRefused, "plain.test": dns.RcodeFormatError} {
		if m, err := ask(t, s, "udp", name, dns.TypeA, 1232); err != nil || m.Rcode != want {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if m, err := ask(t, s, "udp", "plain.test", dns.TypeA, 0); err != nil || m.Rcode != dns.RcodeNameError {
		t.Errorf("plain.test without EDNS0: %v, %v", m, err)
	}
	if m, err := ask(t, s, "udp", "example.net", dns.TypeMX, 0); err != nil || !m.Truncated || len(m.Answer) > 0 {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := ask(t, s, "tcp", "example.net", dns.TypeMX, 0); err != nil || m.Truncated || len(m.Answer) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := ask(t, s, "udp", "loop.test", dns.TypeMX, 0); err != nil || len(m.Answer) != 2 || m.Answer[1].(*dns.CNAME).Target != "loop.test." {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := ask(t, s, "udp", "far.example.net", dns.TypeA, 0); err != nil || len(m.Answer) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	began := time.Now()
	if m, err := ask(t, s, "udp", "mx.example.net", dns.TypeA, 0); err != nil || !m.AuthenticatedData || time.Since(began) < 100*time.Millisecond {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := ask(t, s, "udp", "raw.test", dns.TypeA, 0); err == nil {
		t.Errorf("%v", m)
	}
	s.Mend("example.net")
	if m, err := ask(t, s, "udp", "example.net", dns.TypeMX, 0); err != nil || m.Truncated {
		t.Errorf("%v, %v", m, err)
	}
	s.Mend()
	s.ServFail() // all
	s.Refused("refused.test")
	for name, want := range map[string]int{"example.net": dns.RcodeServerFailure, "refused.test": dns.RcodeRefused} {
		if m, err := ask(t, s, "udp", name, dns.TypeA, 0); err != nil || m.Rcode != want {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// A lie comes from the right place, but answers something else; twice.
func TestLie(t *testing.T) {
	s := start(t)
	s.Lie("example.net")
	c, err := net.Dial("udp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	q := new(dns.Msg).SetQuestion("example.net.", dns.TypeMX)
	out, _ := q.Pack()
	c.Write(out)
	for i := range 2 {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(b[:n]); err != nil || len(m.Answer) != 2 {
			t.Fatal(m, err)
		}
		if sameID, same := m.Id == q.Id, m.Question[0] == q.Question[0]; sameID != (i == 1) || same != (i == 0) {
			t.Errorf("answer %d: %v", i, m)
		}
	}
}

// What does not fit is cut short, by the size that the question allows.
func TestSizes(t *testing.T) {
	var zone strings.Builder
	for i := range 40 {
		fmt.Fprintf(&zone, "big.test. TXT \"%040d\"\n", i)
	}
	s := Start(t, zone.String())
	for edns, fits := range map[uint16]bool{0: false, 1232: false, 4096: true} {
		if m, err := ask(t, s, "udp", "big.test", dns.TypeTXT, edns); err != nil || m.Truncated == fits {
			t.Errorf("%d: %v, %v", edns, m.MsgHdr, err)
		}
	}
	if m, err := ask(t, s, "tcp", "big.test", dns.TypeTXT, 0); err != nil || len(m.Answer) != 40 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestCountsAndZone(t *testing.T) {
	s := start(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			ask(t, s, "udp", "Example.net", dns.TypeMX, 0)
			ask(t, s, "udp", "mx.example.net", dns.TypeA, 0)
		})
	}
	all.Wait()
	ask(t, s, "tcp", "example.net.", dns.TypeTXT, 0)
	if s.Count("example.net.", dns.TypeMX) != 10 || s.Count("example.net", 0) != 11 || s.Count("", dns.TypeA) != 10 || s.Count("", 0) != 21 {
		t.Errorf("%v", s.Counts())
	}
	s.ResetCounts()
	if s.Count("", 0) != 0 || len(s.Counts()) != 0 {
		t.Error("counts are still there")
	}
	if err := s.SetZone("example.net. MX nonsense"); err == nil || !strings.Contains(err.Error(), "line: 1") {
		t.Errorf("error %v should name the line", err)
	}
	if err := s.SetZone("example.net. MX 7 other.test."); err != nil {
		t.Fatal(err)
	}
	if m, err := ask(t, s, "udp", "example.net", dns.TypeMX, 0); err != nil || m.Answer[0].(*dns.MX).Preference != 7 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := New("no zone text"); err == nil {
		t.Error("no error")
	}
}

// Close ends answers that wait, and can be called twice.
func TestClose(t *testing.T) {
	s, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	s.Delay(time.Hour)
	if !silent(s, "udp", "late.test") || !silent(s, "tcp", "late.test") {
		t.Error("an hour is over")
	}
	began := time.Now()
	if err := s.Close(); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !silent(s, "udp", "late.test") {
		t.Error("still answers")
	}
}

func BenchmarkServer(b *testing.B) {
	s := Start(b, "*.test. MX 10 mx.test.")
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := dns.Dial("udp", s.Addr())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		for i := 0; pb.Next(); i++ {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if err := c.WriteMsg(new(dns.Msg).SetQuestion(fmt.Sprintf("d%d.test.", i%500), dns.TypeMX)); err != nil {
				b.Error(err)
				return
			}
			if _, err := c.ReadMsg(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
}
