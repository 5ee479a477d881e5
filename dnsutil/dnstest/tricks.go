package dnstest

import (
	"net"
	"time"

	"github.com/miekg/dns"
)

// every is the key of tricks that hold for names without their own.
const every = "*"

// trick is how a name misbehaves.
type trick struct {
	silent, truncate, lie, loop, shallow, authentic, plain bool
	rcode                                                  int // zero: none
	delay                                                  time.Duration
	raw                                                    func(q *dns.Msg, tcp bool) [][]byte
}

// Silent gives questions for these names no answer. Here as in all methods like it: no
// names means all those for which nothing else was said; what was said before about a name
// holds on, until Mend.
func (s *Server) Silent(names ...string) { s.play(names, func(t *trick) { t.silent = true }) }

// ServFail answers SERVFAIL.
func (s *Server) ServFail(names ...string) { s.Rcode(dns.RcodeServerFailure, names...) }

// Refused answers REFUSED.
func (s *Server) Refused(names ...string) { s.Rcode(dns.RcodeRefused, names...) }

// Rcode answers with a response code, and nothing else.
func (s *Server) Rcode(rcode int, names ...string) {
	s.play(names, func(t *trick) { t.rcode = rcode })
}

// Plain knows no EDNS0: questions with it get FORMERR (RFC 6891 section 7).
func (s *Server) Plain(names ...string) { s.play(names, func(t *trick) { t.plain = true }) }

// Truncate answers nothing but TC over UDP, so that TCP is needed.
func (s *Server) Truncate(names ...string) { s.play(names, func(t *trick) { t.truncate = true }) }

// Lie answers with another id and with another question, both with the address
// 203.0.113.66, and never with the truth.
func (s *Server) Lie(names ...string) { s.play(names, func(t *trick) { t.lie = true }) }

// Loop answers with two aliases that lead to each other, "loop." before the name and the
// name itself.
func (s *Server) Loop(names ...string) { s.play(names, func(t *trick) { t.loop = true }) }

// Shallow answers with the first alias alone; what it leads to is to be asked for.
func (s *Server) Shallow(names ...string) { s.play(names, func(t *trick) { t.shallow = true }) }

// Authentic sets AD, as if DNSSEC had verified the answer.
func (s *Server) Authentic(names ...string) { s.play(names, func(t *trick) { t.authentic = true }) }

// Delay answers so much later.
func (s *Server) Delay(d time.Duration, names ...string) {
	s.play(names, func(t *trick) { t.delay = d })
}

// Raw sends what f returns, each element as a message: a datagram, or what goes over TCP
// behind its length. Nil is silence.
func (s *Server) Raw(f func(q *dns.Msg, tcp bool) [][]byte, names ...string) {
	s.play(names, func(t *trick) { t.raw = f })
}

// Mend ends all tricks for these names; without names, for all.
func (s *Server) Mend(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) == 0 {
		clear(s.tricks)
	}
	for _, name := range names {
		delete(s.tricks, key(name))
	}
}

func (s *Server) play(names []string, change func(*trick)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(names) == 0 {
		names = []string{every}
	}
	for _, name := range names {
		t := s.tricks[key(name)]
		change(&t)
		s.tricks[key(name)] = t
	}
}

// ServeDNS answers one question.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	t, z := s.count(req.Question[0])
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	if t.delay > 0 {
		select {
		case <-time.After(t.delay):
		case <-s.stop:
			return
		}
	}
	if t.silent {
		return
	}
	if t.raw != nil {
		for _, b := range t.raw(req, tcp) {
			w.Write(b)
		}
		return
	}
	for _, m := range t.messages(req, z, tcp) {
		w.WriteMsg(m)
	}
}

// messages are the answers to a question; more than one if they are lies.
func (t trick) messages(req *dns.Msg, z *zone, tcp bool) []*dns.Msg {
	m := new(dns.Msg).SetReply(req)
	m.RecursionAvailable, m.Compress = true, true
	m.AuthenticatedData = t.authentic
	opt := req.IsEdns0()
	if t.plain && opt != nil {
		m.Rcode = dns.RcodeFormatError
		return []*dns.Msg{m}
	}
	switch {
	case t.rcode != 0:
		m.Rcode = t.rcode
	case t.lie:
		return lies(m)
	case t.loop:
		name := req.Question[0].Name
		m.Answer = []dns.RR{cname(name, "loop."+name), cname("loop."+name, name)}
	case t.truncate && !tcp:
		m.Truncated = true
	default:
		z.answer(m, t.shallow)
	}
	size := dns.MaxMsgSize
	if !tcp {
		size = dns.MinMsgSize
	}
	if opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
		if !tcp {
			size = int(opt.UDPSize())
		}
	}
	m.Truncate(size)
	return []*dns.Msg{m}
}

// lies are answers to other questions than the one that m answers.
func lies(m *dns.Msg) []*dns.Msg {
	q := m.Question[0]
	address := func(name string) []dns.RR {
		return []dns.RR{
			&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(203, 0, 113, 66)},
			&dns.MX{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeMX, Class: dns.ClassINET, Ttl: 60}, Mx: "liar.test."},
		}
	}
	id, question := m.Copy(), m.Copy()
	id.Id ^= 1
	id.Answer = address(q.Name)
	question.Question[0].Name = "liar.test."
	question.Answer = address("liar.test.")
	return []*dns.Msg{id, question}
}

func cname(name, target string) dns.RR {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: target}
}
