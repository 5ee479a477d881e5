package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A peer is another host's mail server: it takes all that comes, but for what its answer
// says. It knows nothing of the server under test.
type peer struct {
	t      *testing.T
	listen net.Listener
	offers []string          // lines of its EHLO reply; nil: PIPELINING, 8BITMIME and ENHANCEDSTATUSCODES
	tls    *tls.Config       // offers STARTTLS if there is one
	answer func(moment) deed // nil: no surprises

	mu    sync.Mutex
	conns map[net.Conn]bool
	count int
	took  []taken
	said  []string // by clients, without what they send as messages
	ends  sync.WaitGroup
}

// moment is where a conversation stands: the client has just said verb.
type moment struct {
	conn int    // which connection it is, from 1
	verb string // in upper case; "" before the greeting, "." after a message
	line string
	tls  bool
}

// deed is what the peer does at a moment. The zero deed is the usual reply.
type deed struct {
	say   string // one or more lines in place of the reply, without the last line end
	close bool   // and then hangs up
	stall bool   // never answers
	raw   string // is sent in place of a reply, as it is
	take  bool   // after a message: takes it, whatever it says
}

// taken is a message that the peer has taken.
type taken struct {
	from string   // as in MAIL, with parameters
	to   []string // as in RCPT
	text string   // with CRLF, without dots stuffed
	tls  bool
}

// startPeer serves on address, host:port.
func startPeer(t *testing.T, address string, p *peer) *peer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.t, p.listen, p.conns = t, l, map[net.Conn]bool{}
	p.ends.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.count++
			p.conns[c] = true
			n := p.count
			p.mu.Unlock()
			p.ends.Go(func() { p.serve(c, n) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.ends.Wait()
	})
	return p
}

func (p *peer) address() string { return p.listen.Addr().String() }

// messages are those taken so far.
func (p *peer) messages() []taken {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.took)
}

// lines are what clients have said so far.
func (p *peer) lines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said, "\n")
}

// gets waits until the peer has n messages and returns them.
func (p *peer) gets(t *testing.T, n int) []taken {
	t.Helper()
	err := eventually(patience, func() error {
		if got := len(p.messages()); got < n {
			return fmt.Errorf("the peer has %d messages, not %d", got, n)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v; it was told:\n%s", err, clip(p.lines()))
	}
	return p.messages()
}

// errHungUp ends a conversation.
var errHungUp = errors.New("hung up")

// conversation is one connection of a peer.
type conversation struct {
	p    *peer
	c    net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	n    int
	tls  bool
	from string
	to   []string
}

func (p *peer) serve(c net.Conn, n int) {
	v := &conversation{p: p, c: c, r: bufio.NewReader(c), w: bufio.NewWriter(c), n: n}
	defer func() {
		v.c.Close()
		c.Close()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
	err := v.reply("", "", "220 peer.test ESMTP")
	for err == nil {
		err = v.command()
	}
}

// decide asks what is to be done.
func (v *conversation) decide(verb, line string) deed {
	if v.p.answer == nil {
		return deed{}
	}
	return v.p.answer(moment{v.n, verb, line, v.tls})
}

// reply does what is to be done at a moment, by default says usual.
func (v *conversation) reply(verb, line, usual string) error {
	return v.do(v.decide(verb, line), verb, usual)
}

func (v *conversation) do(d deed, verb, usual string) error {
	switch {
	case d.stall:
		io.Copy(io.Discard, v.r)
		return errHungUp
	case d.raw != "":
		if _, err := io.WriteString(v.w, d.raw); err != nil {
			return err
		}
	case d.say != "":
		io.WriteString(v.w, d.say+"\r\n")
	case d.close:
	default:
		io.WriteString(v.w, usual+"\r\n")
	}
	if d.close || v.r.Buffered() == 0 || verb == "." {
		if err := v.w.Flush(); err != nil {
			return err
		}
	}
	if d.close {
		return errHungUp
	}
	if d.say != "" && d.say[0] >= '4' {
		return errRefused
	}
	return nil
}

// errRefused tells reply's caller that the client was refused; the conversation goes on.
var errRefused = errors.New("refused")

func (v *conversation) command() error {
	line, err := v.r.ReadString('\n')
	if err != nil {
		return err
	}
	line = strings.TrimRight(line, "\r\n")
	v.p.mu.Lock()
	v.p.said = append(v.p.said, line)
	v.p.mu.Unlock()
	verb, rest, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "EHLO", "HELO":
		err = v.reply(verb, line, v.hello(verb))
	case "STARTTLS":
		if err = v.reply(verb, line, "220 2.0.0 go on"); err == nil {
			return v.startTLS()
		}
	case "MAIL":
		if err = v.reply(verb, line, "250 2.1.0 yes"); err == nil {
			v.from, v.to = strings.TrimPrefix(rest, "FROM:"), nil
		}
	case "RCPT":
		if v.from == "" {
			err = v.reply(verb, line, "503 5.5.1 from whom?")
		} else if err = v.reply(verb, line, "250 2.1.5 yes"); err == nil {
			v.to = append(v.to, strings.TrimPrefix(rest, "TO:"))
		}
	case "DATA":
		err = v.data(line)
	case "RSET":
		v.from, v.to = "", nil
		err = v.reply(verb, line, "250 2.0.0 forgotten")
	case "QUIT":
		if err = v.reply(verb, line, "221 2.0.0 bye"); err == nil {
			return errHungUp
		}
	default:
		err = v.reply(verb, line, "502 5.5.1 what?")
	}
	if errors.Is(err, errRefused) {
		return nil
	}
	return err
}

func (v *conversation) hello(verb string) string {
	if verb == "HELO" {
		return "250 peer.test"
	}
	offers := v.p.offers
	if offers == nil {
		offers = []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}
	}
	lines := append([]string{"peer.test"}, offers...)
	if v.p.tls != nil && !v.tls {
		lines = append(lines, "STARTTLS")
	}
	return "250-" + strings.Join(lines[:len(lines)-1], "\r\n250-") + "\r\n250 " + lines[len(lines)-1]
}

func (v *conversation) startTLS() error {
	t := tls.Server(v.c, v.p.tls)
	t.SetDeadline(time.Now().Add(patience))
	if err := t.Handshake(); err != nil {
		return err
	}
	t.SetDeadline(time.Time{})
	v.c, v.r, v.w, v.tls = t, bufio.NewReader(t), bufio.NewWriter(t), true
	return nil
}

func (v *conversation) data(line string) error {
	if len(v.to) == 0 {
		return v.reply("DATA", line, "554 5.5.1 for whom?")
	}
	if err := v.reply("DATA", line, "354 go on"); err != nil {
		return err
	}
	var text strings.Builder
	for {
		l, err := v.r.ReadString('\n')
		if err != nil {
			return err
		}
		if l == ".\r\n" {
			break
		}
		if !strings.HasSuffix(l, "\r\n") || strings.Contains(l[:len(l)-2], "\r") {
			v.p.t.Errorf("a peer got a line %q", l)
		}
		text.WriteString(strings.TrimPrefix(l, "."))
	}
	d := v.decide(".", ".")
	if d.take || d.raw == "" && !d.stall && !d.close && (d.say == "" || d.say[0] == '2') {
		v.p.mu.Lock()
		v.p.took = append(v.p.took, taken{v.from, v.to, text.String(), v.tls})
		v.p.mu.Unlock()
	}
	v.from, v.to = "", nil
	return v.do(d, ".", "250 2.0.0 taken")
}

// certificate makes a certificate that signs itself, for names, and returns it with its PEM.
func certificate(t *testing.T, ends time.Time, names ...string) (cert tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(crand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return cert, certPEM, keyPEM
}
