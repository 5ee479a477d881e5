package imapd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// testTLS makes a certificate for localhost and the client's trust in it.
func testTLS(t testing.TB) (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// startTCP serves s on loopback, and returns the address.
func startTCP(t testing.TB, s *server, implicitTLS bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(ctx, l, implicitTLS) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testMessage = "From: a@example.org\r\nTo: b@example.org\r\nSubject: hello\r\nMessage-ID: <x@y>\r\n\r\nHello, world\r\n"

// TestClient drives the server with go-imap's client over implicit TLS.
func TestClient(t *testing.T) {
	s := newServer(t)
	defer s.store.Close()
	serverTLS, clientTLS := testTLS(t)
	s.srv.TLS = serverTLS
	s.plain.Store(false)
	c, err := imapclient.DialTLS(startTCP(t, s, true), &imapclient.Options{TLSConfig: clientTLS})
	must(t, err)
	defer c.Close()
	must(t, c.Authenticate(sasl.NewPlainClient("", "alice", "secret")))

	data, err := c.Select("INBOX", nil).Wait()
	must(t, err)
	if data.NumMessages != 0 || data.UIDNext != 1 || data.UIDValidity == 0 {
		t.Errorf("SELECT: %+v", data)
	}
	for _, body := range []string{testMessage, strings.Replace(testMessage, "hello", "other", 1)} {
		ap := c.Append("INBOX", int64(len(body)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged}, Time: time.Unix(1e9, 0)})
		_, err = io.WriteString(ap, body)
		must(t, err)
		must(t, ap.Close())
		res, err := ap.Wait()
		must(t, err)
		if res.UID == 0 || res.UIDValidity != data.UIDValidity {
			t.Errorf("APPEND: %+v", res)
		}
	}
	checkFetch(t, c)
	checkSearchAndStore(t, c)

	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect()
	must(t, err)
	if len(boxes) != 6 || boxes[0].Mailbox != "INBOX" || boxes[0].Status == nil || *boxes[0].Status.NumMessages != 2 {
		t.Errorf("LIST: %d boxes", len(boxes))
	}
	cp, err := c.Copy(imap.UIDSetNum(1, 2), "Archive").Wait()
	must(t, err)
	if cp.DestUIDs.String() != "1:2" || cp.SourceUIDs.String() != "1:2" {
		t.Errorf("COPY: %+v", cp)
	}
	_, err = c.Move(imap.UIDSetNum(1), "Trash").Wait()
	must(t, err)
	must(t, c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	seqs, err := c.Expunge().Collect()
	must(t, err)
	if len(seqs) != 1 || seqs[0] != 1 {
		t.Errorf("EXPUNGE: %v", seqs)
	}
	must(t, c.Create("Größe/Unter", nil).Wait())
	boxes, err = c.List("", "Größe/*", nil).Collect()
	must(t, err)
	if len(boxes) != 1 || boxes[0].Mailbox != "Größe/Unter" {
		t.Errorf("LIST of a name in modified UTF-7: %v", boxes)
	}
	idle, err := c.Idle()
	must(t, err)
	must(t, idle.Close())
	must(t, idle.Wait())
	must(t, c.Logout().Wait())
}

func checkFetch(t *testing.T, c *imapclient.Client) {
	t.Helper()
	whole := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true, ModSeq: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, BodySection: []*imap.FetchItemBodySection{whole},
		BinarySection: []*imap.FetchItemBinarySection{{Part: []int{1}, Peek: true}},
	}).Collect()
	must(t, err)
	if len(msgs) != 1 {
		t.Fatalf("FETCH: %d messages", len(msgs))
	}
	m := msgs[0]
	if m.Envelope.Subject != "hello" || m.Envelope.MessageID != "x@y" || m.UID != 1 || m.ModSeq == 0 || m.RFC822Size != int64(len(testMessage)) {
		t.Errorf("FETCH: %+v", m)
	}
	if !m.InternalDate.Equal(time.Unix(1e9, 0)) || m.BodyStructure.MediaType() != "text/plain" {
		t.Errorf("FETCH: %v %v", m.InternalDate, m.BodyStructure)
	}
	if !bytes.Equal(m.FindBodySection(whole), []byte(testMessage)) {
		t.Errorf("BODY[]: %q", m.FindBodySection(whole))
	}
}

func checkSearchAndStore(t *testing.T, c *imapclient.Client) {
	t.Helper()
	res, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "OTHER"}}},
		&imap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	must(t, err)
	if res.Count != 1 || res.All.String() != "2" {
		t.Errorf("SEARCH: %+v", res)
	}
	msgs, err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, "$Work"}}, nil).Collect()
	must(t, err)
	if len(msgs) != 1 || len(msgs[0].Flags) != 3 {
		t.Errorf("STORE: %+v", msgs)
	}
}

// TestSTARTTLS: RFC 9051 section 11.3: what comes in the clear behind STARTTLS is dropped.
func TestSTARTTLS(t *testing.T) {
	s := newServer(t)
	defer s.store.Close()
	serverTLS, clientTLS := testTLS(t)
	s.srv.TLS = serverTLS
	s.plain.Store(false)
	addr := startTCP(t, s, false)

	c, err := imapclient.DialStartTLS(addr, &imapclient.Options{TLSConfig: clientTLS})
	must(t, err)
	must(t, c.Login("alice", "secret").Wait())
	must(t, c.Logout().Wait())

	conn, err := net.Dial("tcp", addr)
	must(t, err)
	defer conn.Close()
	plain := dialPlain(t, conn)
	plain("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE STARTTLS LOGINDISABLED] kurir ready")
	io.WriteString(conn, "a STARTTLS\r\nb LOGIN alice secret\r\n")
	plain("a OK Begin TLS now")
	secure := tls.Client(conn, clientTLS)
	must(t, secure.Handshake())
	cl := dial(t, secure)
	cl.send("c CAPABILITY\r\n")
	cl.expect("* CAPABILITY IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE AUTH=PLAIN AUTH=LOGIN")
	cl.expect("c OK Done")
	cl.send("d STARTTLS\r\n")
	cl.expect("d BAD TLS is active already")
}

// dialPlain reads lines byte by byte, so that nothing of what follows is lost.
func dialPlain(t *testing.T, conn net.Conn) func(want string) {
	return func(want string) {
		t.Helper()
		var line []byte
		for one := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); line = append(line, one[0]) {
			if _, err := conn.Read(one); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.TrimSuffix(string(line), "\r\n"); got != want {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	}
}

// A listener for TLS needs a configuration.
func TestServeWithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if err := (&Server{}).Serve(context.Background(), l, true); err == nil {
		t.Error("no error")
	}
}
