package dnsutil

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what we say that we take over UDP: what no network fragments.
	udpSize = 1232
	// udpBuffer is what we do take, from servers that don't listen.
	udpBuffer = 4096
	// maxStrangers is how many datagrams that are no answer to a question are passed over.
	maxStrangers = 50
)

// errUDP: over UDP there is no answer to be had from this server, but it is there.
var errUDP = errors.New("no whole answer over UDP")

// errOverTCP goes with errors of the second attempt, over TCP.
var errOverTCP = errors.New("over TCP")

// transport is one way of asking.
type transport struct {
	network string // "udp" or "tcp"
	edns    bool   // with EDNS0 (RFC 6891)
}

// exchange asks one server: over UDP with EDNS0, without it if the server doesn't know
// that (RFC 6891 section 7), and over TCP if the answer didn't fit or was mangled, or if
// somebody tries to guess our question's id (RFC 5452 section 9.2). Errors wrap errTimeout,
// errNoServer or errBroken.
func (r *Resolver) exchange(ctx context.Context, s server, q question, timeout time.Duration) (*dns.Msg, error) {
	how := transport{"udp", true}
	m, err := r.once(ctx, s, q, how, timeout)
	if err == nil && rejectsEDNS(m.Rcode) {
		how.edns = false
		m, err = r.once(ctx, s, q, how, timeout)
	}
	if errors.Is(err, errUDP) || err == nil && m.Truncated {
		how.network = "tcp"
		m, err = r.once(ctx, s, q, how, timeout)
		if err == nil && how.edns && rejectsEDNS(m.Rcode) {
			how.edns = false
			m, err = r.once(ctx, s, q, how, timeout)
		}
	}
	switch {
	case err != nil && how.network == "tcp":
		return nil, fmt.Errorf("%w: %w", errOverTCP, err)
	case err == nil && m.Truncated:
		return nil, fmt.Errorf("%w: cut short over TCP", errBroken)
	}
	return m, err
}

func rejectsEDNS(rcode int) bool {
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented || rcode == dns.RcodeBadVers
}

// once asks one server in one way, over a socket, and so from a port, of its own.
func (r *Resolver) once(ctx context.Context, s server, q question, how transport, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := r.dial(ctx, how.network, s.String())
	if err != nil {
		return nil, failure(err)
	}
	defer conn.Close()
	if d, ok := ctx.Deadline(); ok {
		conn.SetDeadline(d)
	}
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	id, query, err := pack(q, how.edns)
	if err != nil {
		return nil, err
	}
	if how.network == "tcp" {
		return overTCP(conn, id, query, q)
	}
	return overUDP(conn, id, query, q)
}

func (r *Resolver) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.Dial != nil {
		return r.Dial(ctx, network, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// pack makes the octets of a question with an id that nobody can foresee.
func pack(q question, edns bool) (id uint16, query []byte, err error) {
	var b [2]byte
	rand.Read(b[:])
	id = binary.BigEndian.Uint16(b[:])
	m := dns.Msg{
		// AD asks for AD (RFC 6840 section 5.7).
		MsgHdr:   dns.MsgHdr{Id: id, RecursionDesired: true, AuthenticatedData: true},
		Question: []dns.Question{{Name: q.name, Qtype: q.qtype, Qclass: dns.ClassINET}},
	}
	if edns {
		m.SetEdns0(udpSize, false)
	}
	query, err = m.Pack()
	if err != nil {
		err = fmt.Errorf("%w: the name cannot be asked for: %w", errBroken, err)
	}
	return id, query, err
}

// overUDP waits for the datagram that answers the question. Others may be late answers to
// somebody else, or forgeries.
func overUDP(conn net.Conn, id uint16, query []byte, q question) (*dns.Msg, error) {
	if _, err := conn.Write(query); err != nil {
		return nil, failure(err)
	}
	b := make([]byte, udpBuffer)
	for range maxStrangers {
		n, err := conn.Read(b)
		if err != nil {
			return nil, failure(err)
		}
		if n < 2 || binary.BigEndian.Uint16(b) != id {
			continue
		}
		m, err := parse(b[:n], q)
		switch {
		case errors.Is(err, errStranger):
			continue
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUDP, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("%w: %d answers to other questions", errUDP, maxStrangers)
}

// overTCP asks on a connection of its own (RFC 1035 section 4.2.2).
func overTCP(conn net.Conn, id uint16, query []byte, q question) (*dns.Msg, error) {
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(query)), uint16(len(query)))
	if _, err := conn.Write(append(framed, query...)); err != nil {
		return nil, failure(err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, failure(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, failure(err)
	}
	if len(b) < 2 || binary.BigEndian.Uint16(b) != id {
		return nil, fmt.Errorf("%w: to another question", errBroken)
	}
	m, err := parse(b, q)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return m, nil
}

// errStranger: a message that is no answer to our question.
var errStranger = errors.New("answers another question")

// parse reads a message that has the right id. A server that could make nothing of the
// question may leave it out of its answer.
func parse(b []byte, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	err := m.Unpack(b)
	if err == nil && (!m.Response || m.Opcode != dns.OpcodeQuery) {
		return nil, errStranger
	}
	headless := []int{dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused}
	if err == nil && len(m.Question) == 0 && slices.Contains(headless, m.Rcode) {
		return m, nil
	}
	if len(m.Question) > 0 {
		if got := m.Question[0]; !strings.EqualFold(got.Name, q.name) || got.Qtype != q.qtype || got.Qclass != dns.ClassINET {
			return nil, errStranger
		}
	}
	if err == nil && len(m.Question) != 1 {
		err = fmt.Errorf("%d questions", len(m.Question))
	}
	return m, err
}

// failure sorts errors of sockets.
func failure(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", errTimeout, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the connection ended early: %w", errBroken, err)
	case errors.As(err, &op) && op.Timeout():
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return fmt.Errorf("%w: %w", errNoServer, err)
}
