package smtpd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/auth"
	"kurir/internal/directory"
	"kurir/internal/queue"
	"kurir/store"
)

// fakeDirectory has the domain local.test with alice, bob, carol (who has no room), dave
// (who is disabled), erin, whose mail is put off, scanner, and the aliases staff, which leads to alice and bob, friend and
// busy, which lead to friend@elsewhere.example, and choir, which leads to alice and three
// addresses elsewhere; twin leads to an alias of another domain here as well. Of the
// domain down.test it cannot tell.
type fakeDirectory struct{}

func (fakeDirectory) Resolve(_ context.Context, address string) ([]directory.Recipient, error) {
	local, domain, at := strings.Cut(strings.ToLower(address), "@")
	switch {
	case domain == "down.test":
		return nil, errBroken
	case at && domain != "local.test":
		return nil, directory.ErrNoDomain
	}
	written, _, _ := strings.Cut(address, "@")
	_, detail, _ := strings.Cut(written, "+")
	local, _, _ = strings.Cut(local, "+")
	var names []string
	var rs []directory.Recipient
	switch local {
	case "alice", "bob", "carol", "dave", "scanner":
		names = []string{local}
	case "postmaster", `"a b"`, "jörg":
		names = []string{"alice"}
	case "staff", "staff-only":
		names = []string{"alice", "bob"}
	case "mixed":
		names = []string{"alice", "carol"}
	case "erin", "away":
		rs = []directory.Recipient{{Account: directory.Account{Address: "erin@local.test", Disabled: true}, Deferred: true, Message: "back in März"}}
		if local == "away" {
			names = []string{"bob"}
		}
	case "ended": // an alias of a closed domain
		return []directory.Recipient{{Account: directory.Account{Address: "alice@local.test"}, Deferred: true}}, nil
	case "shut":
		rs = remoteTargets(local, "friend@elsewhere.example")
		rs[0].Deferred = true
		return rs, nil
	case "friend", "busy":
		return remoteTargets(local, "friend@elsewhere.example"), nil
	case "twin":
		return []directory.Recipient{
			{Remote: "one@elsewhere.example", Alias: "twin@local.test"},
			{Remote: "two@elsewhere.example", Alias: "twin@second.test"}}, nil
	case "choir":
		names = []string{"alice"}
		rs = remoteTargets(local, "s1@elsewhere.example", "s2@other.example", "friend@elsewhere.example")
	case "broken":
		return nil, errors.New("disk on fire at /var/lib")
	default:
		return nil, directory.ErrNoAccount
	}
	for _, n := range names {
		rs = append(rs, directory.Recipient{Account: directory.Account{Address: n + "@local.test", Disabled: n == "dave"}, Detail: detail})
	}
	return rs, nil
}

// remoteTargets are what an alias leads to elsewhere.
func remoteTargets(alias string, to ...string) (rs []directory.Recipient) {
	for _, address := range to {
		rs = append(rs, directory.Recipient{Remote: address, Alias: alias + "@local.test"})
	}
	return rs
}

func (fakeDirectory) MaySendAs(_ context.Context, account, address string) (bool, error) {
	local, domain, _ := strings.Cut(strings.ToLower(address), "@")
	if domain == "down.test" {
		return false, errBroken
	}
	local, _, _ = strings.Cut(local, "+")
	return local+"@"+domain == account, nil
}

// MayPost: to staff only members may write, of whom who@remote.example is one elsewhere.
func (fakeDirectory) MayPost(_ context.Context, account, sender, address string) (directory.Posting, error) {
	switch {
	case address != "staff-only@local.test":
		return directory.PostingAllowed, nil
	case account == "alice@local.test":
		return directory.PostingAllowed, nil
	case account == "" && sender == "who@remote.example":
		return directory.PostingIfProven, nil
	case account == "" && sender == "broken@remote.example":
		return directory.PostingRefused, errBroken
	}
	return directory.PostingRefused, nil
}

type fakeAuth struct{ auth.Passwords }

func (fakeAuth) Authenticate(_ context.Context, a auth.Attempt) (auth.Login, error) {
	switch {
	case a.Username == "throttled":
		return auth.Login{}, auth.ErrThrottled
	case a.Username == "broken":
		return auth.Login{}, errors.New("secret inner trouble")
	case strings.EqualFold(a.Username, "alice@local.test") && a.Password == "local-only":
		return auth.Login{Address: "alice@local.test"}, nil
	}
	return auth.Login{}, auth.ErrInvalid
}

// fakeStore keeps messages in memory. carol has no room; delivery to an address in
// failing fails.
type fakeStore struct {
	mu       sync.Mutex
	mail     map[string][]string
	queue    fakeQueue
	failing  map[string]error
	stageErr error
	writeErr error
	takes    time.Duration // what Deliver takes
	open     int           // staged and not closed
}

type fakeStaged struct {
	s *fakeStore
	bytes.Buffer
	inserted map[int64]string
	closed   bool
}

func (s *fakeStore) Stage() (Staged, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stageErr != nil {
		return nil, s.stageErr
	}
	s.open++
	return &fakeStaged{s: s}, nil
}

func (m *fakeStaged) Write(p []byte) (int, error) {
	if m.s.writeErr != nil && m.Len()+len(p) > 100 {
		return 0, m.s.writeErr
	}
	return m.Buffer.Write(p)
}

func (m *fakeStaged) Prepend(h []byte) error {
	rest := bytes.Clone(m.Bytes())
	m.Reset()
	m.Buffer.Write(h)
	for i, c := range rest {
		m.Buffer.WriteString(m.inserted[int64(i)])
		m.Buffer.WriteByte(c)
	}
	return nil
}

func (m *fakeStaged) Insert(at int64, text string) error {
	if m.inserted == nil {
		m.inserted = map[int64]string{}
	}
	m.inserted[at] = text
	return nil
}

func (m *fakeStaged) Reader() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m.Bytes())), nil
}

func (m *fakeStaged) Size() int64 { return int64(m.Len()) }

func (m *fakeStaged) KeepAs(string) error { return errors.ErrUnsupported }

func (m *fakeStaged) Close() error {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.s.open--
	}
	return nil
}

func (s *fakeStore) Deliver(_ context.Context, m Staged, targets []Target) (failed []Failure, err error) {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.steps = append(s.queue.steps, "deliver")
	for _, t := range targets {
		err := s.failing[t.Address]
		if err == nil {
			err = s.CheckQuota(context.Background(), t.Address, 0)
		}
		if err != nil {
			failed = append(failed, Failure{t, err})
			continue
		}
		if s.mail == nil {
			s.mail = map[string][]string{}
		}
		box := t.Address
		if t.Junk {
			box += " junk"
		} else if t.Detail != "" {
			box += " " + t.Detail
		}
		s.mail[box] = append(s.mail[box], m.(*fakeStaged).String())
	}
	if len(failed) == len(targets) {
		return nil, failed[0].Err
	}
	return failed, nil
}

func (s *fakeStore) CheckQuota(_ context.Context, address string, _ int64) error {
	if address == "carol@local.test" {
		return store.ErrOverQuota
	}
	return nil
}

// take removes the oldest message of an account, or of the queue.
func (s *fakeStore) take(address string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if address == "queue" {
		if len(s.queue.mail) == 0 {
			return "", false
		}
		m := s.queue.mail[0]
		s.queue.mail = s.queue.mail[1:]
		return m, true
	}
	l := s.mail[address]
	if len(l) == 0 {
		return "", false
	}
	s.mail[address] = l[1:]
	return l[0], true
}

func (s *fakeStore) left() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mail {
		n += len(l)
	}
	return n + len(s.queue.mail)
}

// testTLS is a configuration with a certificate of its own making.
func testTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.local.test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// testServer is a server on fakes.
func testServer(t testing.TB) (*Server, *fakeStore) {
	st := &fakeStore{}
	return &Server{
		Hostname: "mx.local.test", Directory: fakeDirectory{}, Auth: fakeAuth{}, Store: st, Queue: &st.queue, Forward: &fakeForward{},
		TLS: testTLS(t), Log: slog.New(slog.DiscardHandler),
	}, st
}

// pipeListener gives out the server's ends of pipes.
type pipeListener struct {
	ch   chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{ch: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ch:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the client's end of a new connection.
func (l *pipeListener) dial() net.Conn {
	c, s := net.Pipe()
	l.ch <- addressed{s}
	return c
}

type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:12345"))
}

var errBroken = errors.New("inner trouble in /var/lib")

func errOf(kind string) error {
	switch kind {
	case "disk":
		return store.ErrDiskFull
	case "full":
		return queue.ErrFull
	case "gone":
		return directory.ErrNoAccount
	}
	return errBroken
}

func allowAll(netip.Addr) bool { return true }
