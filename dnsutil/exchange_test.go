package dnsutil

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// asked is what fakes note of each question.
type asked struct {
	at      time.Duration // since the first
	network string
	server  string
	edns    bool
}

// notes are the questions that a fake was asked.
type notes struct {
	mu    sync.Mutex
	first time.Time
	list  []asked
}

// fake notes questions, and answers as f says.
func (n *notes) fake(f fake) fake {
	return func(network, server string, q *dns.Msg) [][]byte {
		n.mu.Lock()
		if n.first.IsZero() {
			n.first = time.Now()
		}
		n.list = append(n.list, asked{time.Since(n.first), network, server, q.IsEdns0() != nil})
		n.mu.Unlock()
		return f(network, server, q)
	}
}

// take gives the questions so far, and forgets them.
func (n *notes) take() []asked {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

// lookup asks for the MX records of example.net, in a bubble.
func lookup(t *testing.T, r *Resolver, f fake) (a Answer, list []asked, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		if len(r.Servers) == 0 {
			r.Servers = []string{"192.0.2.53"}
		}
		var n notes
		r.Dial = n.fake(f).Dial
		start := time.Now()
		a, err = r.Lookup(t.Context(), "example.net", dns.TypeMX)
		took, list = time.Since(start), n.take()
	})
	return a, list, took, err
}

func good(t testing.TB, q *dns.Msg) [][]byte {
	return [][]byte{packed(t, reply(q, 0, "example.net. MX 10 mx.example.net."))}
}

// What goes out: one question, RD and AD, EDNS0 with 1232 octets, another id each time.
func TestQuestion(t *testing.T) {
	ids := map[uint16]bool{}
	for range 20 {
		lookup(t, &Resolver{}, func(_, server string, q *dns.Msg) [][]byte {
			opt := q.IsEdns0()
			if !q.RecursionDesired || !q.AuthenticatedData || q.Response || len(q.Question) != 1 || opt == nil || opt.UDPSize() != 1232 || opt.Do() {
				t.Errorf("%v", q)
			}
			if server != "192.0.2.53:53" {
				t.Error(server)
			}
			ids[q.Id] = true
			return good(t, q)
		})
	}
	if len(ids) < 15 {
		t.Errorf("only %d ids of 20", len(ids))
	}
}

// RFC 6891 section 7: a server without EDNS0 answers FORMERR, and is asked without it.
func TestNoEDNS(t *testing.T) {
	for _, rcode := range []int{dns.RcodeFormatError, dns.RcodeNotImplemented} {
		for _, question := range []bool{true, false} { // some leave the question out
			a, list, _, err := lookup(t, &Resolver{}, func(_, _ string, q *dns.Msg) [][]byte {
				if q.IsEdns0() == nil {
					return good(t, q)
				}
				m := reply(q, rcode)
				if !question {
					m.Question = nil
				}
				return [][]byte{packed(t, m)}
			})
			if err != nil || len(a.Records) != 1 || len(list) != 2 || !list[0].edns || list[1].edns {
				t.Errorf("%s: %v, %v, %v", dns.RcodeToString[rcode], a, err, list)
			}
		}
	}
	r, s := resolver(t, "example.net. MX 10 mx.example.net.")
	s.Plain()
	if a, err := r.Lookup(t.Context(), "example.net", dns.TypeMX); err != nil || s.Count("", 0) != 2 {
		t.Error(a, err, s.Counts())
	}
	s.Rcode(dns.RcodeFormatError, "never.test")
	_, err := r.Lookup(t.Context(), "never.test", dns.TypeMX)
	wantErr(t, err, ErrTemporary, "the DNS of never.test gives answers that make no sense")
}

// RFC 1035 section 4.2.1, RFC 2181 section 9: what is cut short is not used, but asked for
// over TCP.
func TestTruncated(t *testing.T) {
	var text strings.Builder
	for i := range 400 {
		fmt.Fprintf(&text, "big.test. MX %d mx%d.big.test.\n", i, i)
	}
	r, s := resolver(t, text.String()+"small.test. MX 1 mx.test.")
	s.Truncate("small.test")
	for name, want := range map[string]int{"big.test": 400, "small.test": 1} {
		a, err := r.Lookup(t.Context(), name, dns.TypeMX)
		if err != nil || len(a.Records) != want || s.Count(name, 0) != 2 {
			t.Errorf("%s: %d records, %v, %d questions", name, len(a.Records), err, s.Count(name, 0))
		}
	}

	_, list, _, err := lookup(t, &Resolver{}, func(_, _ string, q *dns.Msg) [][]byte {
		m := reply(q, 0, "example.net. MX 10 mx.example.net.")
		m.Truncated = true
		return [][]byte{packed(t, m)}
	})
	wantErr(t, err, ErrTemporary, "the DNS of example.net gives answers that make no sense")
	if len(list) != 2 || list[1].network != "tcp" {
		t.Errorf("%v", list)
	}

	// Cut in the middle of a record.
	a, list, _, err := lookup(t, &Resolver{}, func(network, _ string, q *dns.Msg) [][]byte {
		b := good(t, q)
		if network == "udp" {
			b[0] = b[0][:len(b[0])-3]
		}
		return b
	})
	if err != nil || len(a.Records) != 1 || len(list) != 2 || list[1].network != "tcp" {
		t.Errorf("%v, %v, %v", a, err, list)
	}
}

// RFC 5452 section 9.1: an answer is one to the very question, or none.
func TestLies(t *testing.T) {
	forge := func(change func(m *dns.Msg)) func(q *dns.Msg) []byte {
		return func(q *dns.Msg) []byte {
			m := reply(q, 0, "example.net. MX 10 liar.test.")
			change(m)
			return packed(t, m)
		}
	}
	for what, lie := range map[string]func(q *dns.Msg) []byte{
		"id":       forge(func(m *dns.Msg) { m.Id++ }),
		"name":     forge(func(m *dns.Msg) { m.Question[0].Name = "example.org." }),
		"type":     forge(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }),
		"class":    forge(func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }),
		"question": forge(func(m *dns.Msg) { m.Response = false }),
		"opcode":   forge(func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }),
		"garbage":  func(*dns.Msg) []byte { return []byte("?") },
	} {
		a, list, _, err := lookup(t, &Resolver{}, func(_, _ string, q *dns.Msg) [][]byte {
			return append([][]byte{lie(q), lie(q), lie(q)}, good(t, q)...)
		})
		if err != nil || texts(a.Records) != "10 mx.example.net." || len(list) != 1 {
			t.Errorf("wrong %s, then the truth: %v, %v, %v", what, a, err, list)
		}
		// Over TCP it is the end of that answer.
		_, list, took, err := lookup(t, &Resolver{Tries: 3}, func(network, _ string, q *dns.Msg) [][]byte {
			if network == "tcp" {
				return [][]byte{lie(q)}
			}
			m := reply(q, 0)
			m.Truncated = true
			return [][]byte{packed(t, m)}
		})
		wantErr(t, err, ErrTemporary, "the DNS of example.net gives answers that make no sense")
		if len(list) != 2 || took != 0 {
			t.Errorf("wrong %s over TCP: %v in %v", what, list, took)
		}
	}

	r, s := resolver(t, "example.net. MX 10 mx.example.net.")
	r.Timeout = 50 * time.Millisecond
	s.Lie("example.net")
	_, err := r.Lookup(t.Context(), "example.net", dns.TypeMX)
	wantErr(t, err, ErrTemporary, "the DNS of example.net does not answer")
}

// RFC 5452 section 9.2: many answers with wrong ids are somebody's guesses. Then TCP,
// which can't be guessed into.
func TestSpoofed(t *testing.T) {
	a, list, _, err := lookup(t, &Resolver{}, func(network, _ string, q *dns.Msg) [][]byte {
		if network == "tcp" {
			return good(t, q)
		}
		var all [][]byte
		for i := range 2 * maxStrangers {
			m := reply(q, 0, "example.net. MX 10 liar.test.")
			m.Id += uint16(i + 1)
			all = append(all, packed(t, m))
		}
		return all
	})
	if err != nil || texts(a.Records) != "10 mx.example.net." || len(list) != 2 || list[1].network != "tcp" {
		t.Errorf("%v, %v, %v", a, err, list)
	}
}

// Garbage behind the right id over UDP is asked for again over TCP; there it is a failure,
// not a no.
func TestGarbage(t *testing.T) {
	for what, garble := range map[string]func(m *dns.Msg) []byte{
		"header alone":  func(m *dns.Msg) []byte { m.Question = nil; return packed(t, m) },
		"two questions": func(m *dns.Msg) []byte { m.Question = append(m.Question, m.Question[0]); return packed(t, m) },
		"counts":        func(m *dns.Msg) []byte { b := packed(t, m); b[7] = 200; return b[:len(b)-5] },
		"half a header": func(m *dns.Msg) []byte { return packed(t, m)[:7] },
		"pointers":      func(m *dns.Msg) []byte { b := packed(t, m); b[12], b[13] = 0xc0, 12; return b },
	} {
		_, list, took, err := lookup(t, &Resolver{}, func(_, _ string, q *dns.Msg) [][]byte {
			return [][]byte{garble(reply(q, 0, "example.net. MX 10 mx.example.net."))}
		})
		wantErr(t, err, ErrTemporary, "the DNS of example.net gives answers that make no sense")
		if len(list) != 2 || list[0].network != "udp" || list[1].network != "tcp" || took != 0 {
			t.Errorf("%s: %v in %v", what, list, took)
		}
	}
}

// 3 s a question a server, two rounds; then it is a temporary failure.
func TestSilence(t *testing.T) {
	silence := func(string, string, *dns.Msg) [][]byte { return nil }
	_, list, took, err := lookup(t, &Resolver{Servers: []string{"192.0.2.1", "192.0.2.2:5353", "[2001:db8::1]:54"}}, silence)
	wantErr(t, err, ErrTemporary, "the DNS of example.net does not answer")
	if !errors.Is(err, errTimeout) || took != 18*time.Second || len(list) != 6 {
		t.Errorf("%v after %v", list, took)
	}
	for i, want := range []string{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:54", "192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:54"} {
		if list[i].server != want || list[i].at != time.Duration(3*i)*time.Second {
			t.Errorf("question %d: %v, want %s", i, list[i], want)
		}
	}
	_, list, took, err = lookup(t, &Resolver{Timeout: time.Second, Tries: 5}, silence)
	if err == nil || took != 5*time.Second || len(list) != 5 {
		t.Errorf("%v after %v", list, took)
	}
	// Silence over TCP, after half an answer or none.
	_, list, took, err = lookup(t, &Resolver{Tries: 1}, func(network, _ string, q *dns.Msg) [][]byte {
		if network == "tcp" {
			return nil
		}
		m := reply(q, 0)
		m.Truncated = true
		return [][]byte{packed(t, m)}
	})
	wantErr(t, err, ErrTemporary, "the DNS of example.net does not answer")
	if took != 3*time.Second || len(list) != 2 {
		t.Errorf("%v after %v", list, took)
	}
}

// The next server may know better; one that has failed is not asked again, a silent one
// is. What a server has said tells more than another's silence.
func TestNextServer(t *testing.T) {
	for _, c := range []struct {
		first, second int // response codes; -1: silence
		took          time.Duration
		questions     int
		text          string
	}{
		{dns.RcodeServerFailure, 0, 0, 2, ""},
		{dns.RcodeRefused, 0, 0, 2, ""},
		{dns.RcodeNotAuth, 0, 0, 2, ""},
		{-1, 0, 3 * time.Second, 2, ""},
		{dns.RcodeServerFailure, dns.RcodeRefused, 0, 2, "the DNS of example.net is out of order"},
		{-1, dns.RcodeServerFailure, 6 * time.Second, 3, "the DNS of example.net is out of order"},
		{dns.RcodeServerFailure, -1, 6 * time.Second, 3, "the DNS of example.net is out of order"},
		{dns.RcodeNameError, 0, 0, 1, "example.net does not exist in the DNS"},
	} {
		a, list, took, err := lookup(t, &Resolver{Servers: []string{"192.0.2.1", "192.0.2.2"}}, func(_, server string, q *dns.Msg) [][]byte {
			rcode := c.first
			if server == "192.0.2.2:53" {
				rcode = c.second
			}
			switch rcode {
			case -1:
				return nil
			case 0:
				return good(t, q)
			}
			return [][]byte{packed(t, reply(q, rcode))}
		})
		if c.text == "" && (err != nil || len(a.Records) != 1) || c.text != "" && (err == nil || err.Error() != c.text) {
			t.Errorf("%+v: %v, %v", c, a, err)
		}
		if len(list) != c.questions || took != c.took {
			t.Errorf("%+v: %v in %v", c, list, took)
		}
	}
}

// A silent server is asked last for a minute, and the log hears of it once.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notes
		var log strings.Builder
		r := &Resolver{Servers: []string{"192.0.2.1", "192.0.2.2"}, Log: slog.New(slog.NewTextHandler(&log, nil)), Dial: n.fake(func(_, server string, q *dns.Msg) [][]byte {
			if server == "192.0.2.1:53" {
				return nil
			}
			return [][]byte{packed(t, reply(q, 0, q.Question[0].Name+" MX 10 mx.example.net."))}
		}).Dial}
		look := func(name string) (servers string) {
			if _, err := r.Lookup(t.Context(), name, dns.TypeMX); err != nil {
				t.Fatal(err)
			}
			for _, a := range n.take() {
				servers += a.server[len("192.0.2."):len("192.0.2.1")]
			}
			return servers
		}
		for i, want := range []string{"12", "12", "12", "2", "2"} {
			if got := look(fmt.Sprintf("d%d.test", i)); got != want {
				t.Errorf("question %d went to %s, want %s", i, got, want)
			}
		}
		time.Sleep(downFor)
		if got := look("later.test"); got != "12" {
			t.Errorf("after a minute: %s", got)
		}
		if times := strings.Count(log.String(), "DNS server does not answer"); times != 2 || strings.Count(log.String(), "\n") != 2 {
			t.Errorf("log: %s", log.String())
		}
	})
}
