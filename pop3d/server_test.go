package pop3d

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/auth"
	"kurir/internal/listen"
)

// testCertificate makes a certificate for a name that no client here checks.
func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// play runs a transcript in a world of its own.
func play(t *testing.T, change func(*Server), text string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		defer w.close()
		w.run(t.Name(), text)
	})
}

const loggedIn = "! connect\nS: +OK …\nC: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: +OK …\n"

func TestLoginTimeout(t *testing.T) {
	play(t, nil, "! connect\nS: +OK …\n! wait 2m59s\nC: CAPA x\nS: -ERR …\n! wait 2s\n! end\n")
	play(t, func(s *Server) { s.LoginTimeout = time.Second }, "! connect\nS: +OK …\n! wait 2s\n! end\n")
	// After the login it counts no more.
	play(t, nil, loggedIn+"! wait 5m\nC: NOOP\nS: +OK\n")
}

func TestIdleTimeout(t *testing.T) {
	play(t, func(s *Server) { s.IdleTimeout = time.Second }, loggedIn+"! wait 900ms\nC: NOOP\nS: +OK\n! wait 1100ms\n! end\n")
}

// A command that trickles in has as long as one that comes at once.
func TestTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.run("trickle", loggedIn)
		begin := time.Now()
		for range 100 {
			if _, err := w.conn.Write([]byte("N")); err != nil {
				break
			}
			time.Sleep(time.Minute)
		}
		if d := time.Since(begin); d > 12*time.Minute {
			t.Errorf("the connection lived for %v", d)
		}
	})
}

func TestErrorLimit(t *testing.T) {
	play(t, func(s *Server) { s.MaxErrors = 3 }, `! connect
S: +OK …
C: X
S: -ERR Unknown command
C: USER alice@example.org
S: +OK …
C: PASS wrong
S: -ERR [AUTH] Wrong user name or password
C: Y
S: -ERR Unknown command. Too many errors, goodbye
! end
`)
	// To ask for messages that are not there is no mistake of that kind.
	play(t, func(s *Server) { s.MaxErrors = 3 }, loggedIn+strings.Repeat("C: RETR 1\nS: -ERR There is no message 1, only 0\n", 10))
	play(t, nil, "! connect\nS: +OK …\n"+strings.Repeat("C: X\nS: -ERR Unknown command\n", 19)+"C: X\nS: -ERR …\n! end\n")
}

// RFC 2449 section 4: commands have a bounded length; a longer one costs an error, not the
// session.
func TestLongLine(t *testing.T) {
	long := "USER " + strings.Repeat("x", maxLine-5)
	play(t, nil, "! connect\nS: +OK …\nC: "+long+"\nS: +OK …\nC: "+long+"x\nS: -ERR Line too long\nC: "+strings.Repeat("y", 100000)+
		"\nS: -ERR Line too long\nC: AUTH PLAIN\nS: + \nC: "+strings.Repeat("z", maxSASL+1)+"\nS: -ERR Line too long\n"+
		"C: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: +OK …\n")
}

func TestWithoutTLS(t *testing.T) {
	play(t, nil, "! connect\nS: +OK …\nC: STLS\nS: -ERR There is no TLS here\n")
	l := newPipeListener()
	if err := (&Server{}).Serve(t.Context(), l, true); err == nil {
		t.Error("a listener with TLS, but no certificate")
	}
}

// A handshake that fails or never begins ends the session.
func TestBadHandshake(t *testing.T) {
	cert := testCertificate(t)
	withTLS := func(s *Server) { s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}} }
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withTLS)
		defer w.close()
		w.run("never", "! connect\nS: +OK …\nC: STLS\nS: +OK …\n! wait 4m\n! end\n")
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withTLS)
		defer w.close()
		w.run("plain", "! connect\nS: +OK …\nC: STLS\nS: +OK …\n")
		go io.Copy(io.Discard, w.conn) // the alert
		w.conn.Write([]byte("USER alice@example.org\r\nPASS secret\r\n"))
		synctest.Wait()
		if w.auth.last.Username != "" {
			t.Error("a login in plain text was taken after STLS")
		}
	})
}

// Port 995: TLS from the first byte; the log-in sees that there is TLS.
func TestImplicitTLS(t *testing.T) {
	cert := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *Server) {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			s.AllowPlaintext = nil
		})
		defer w.close()
		ln := newPipeListener()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error)
		go func() { served <- w.srv.Serve(ctx, ln, true) }()
		w.conn = tls.Client(ln.dial(), &tls.Config{InsecureSkipVerify: true})
		w.in = bufio.NewReader(w.conn)
		w.run("tls", "S: +OK …\nC: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: +OK …\nC: STLS\nS: -ERR …\nC: QUIT\nS: +OK …\n! end\n")
		if w.auth.last.TLS == nil || w.auth.last.Protocol != "pop3" || w.auth.last.Mechanism != "USER" {
			t.Errorf("%+v", w.auth.last)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// Ten thousand commands in one go, while the client reads nothing until it has sent them.
func TestPipelineOfManyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.run("login", "! message A: 1\\r\\n\\r\\none\\r\\n\n"+loggedIn)
		const n = 10000
		go func() {
			for range n / 100 {
				io.WriteString(w.conn, strings.Repeat("NOOP\r\nLIST 1\r\n", 50))
			}
		}()
		for range n / 2 {
			w.expect("pipeline", "+OK")
			w.expect("pipeline", "+OK 1 13")
		}
	})
}

// countingConn counts the calls of Write.
type countingConn struct {
	net.Conn
	writes *int
}

func (c countingConn) Write(p []byte) (int, error) { *c.writes++; return c.Conn.Write(p) }

// Replies to commands that came together leave together.
func TestRepliesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		writes := 0
		c, s := net.Pipe()
		w.ln.conns <- countingConn{s, &writes}
		w.conn, w.in = c, bufio.NewReader(c)
		w.run("login", "S: +OK …\nC: USER alice@example.org\nC: PASS secret\nS: +OK …\nS: +OK …\n")
		before := writes
		w.run("noops", strings.Repeat("C: NOOP\n", 100)+strings.Repeat("S: +OK\n", 100))
		if n := writes - before; n != 1 {
			t.Errorf("%d writes for 100 replies", n)
		}
		// A command that is not whole yet holds nothing up.
		w.send("NOOP\r\nNO")
		w.expect("first", "+OK")
		w.send("OP\r\n")
		w.expect("second", "+OK")
	})
}

// A server that is told to stop waits for no idle client, and not for ever for one that
// reads nothing.
func TestStopWithSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.deliver("Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000))
		w.run("login", loggedIn)
		w.send("RETR 1\r\n") // and nobody reads
		synctest.Wait()
		begin := time.Now()
		w.close2()
		if d := time.Since(begin); d > DefaultStopTimeout+time.Second {
			t.Errorf("it took %v to stop", d)
		}
	})
}

// close2 stops the server with the connection open.
func (w *world) close2() {
	w.stop()
	if err := <-w.served; err != nil {
		w.t.Errorf("Serve: %v", err)
	}
	w.conn.Close()
	if err := w.store.Close(); err != nil {
		w.t.Errorf("closing the store: %v", err)
	}
}

// A client that goes away in the middle of a message costs nobody anything.
func TestHangupInMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.deliver("Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", 100000))
		w.run("hangup", loggedIn+"C: RETR 1\nS: +OK 1200018 octets\nS: Subject: large\n! hangup\n"+loggedIn+"C: STAT\nS: +OK 1 1200018\n")
	})
}

// A listener of package listen is taken as it is: its limits and its logger hold.
func TestOwnListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		var log strings.Builder
		inner := newPipeListener()
		ln := listen.New(inner, listen.Options{Protocol: "pop3", MaxConns: 1, Reject: Reject, Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error)
		go func() { served <- w.srv.Serve(ctx, ln, false) }()
		w.conn = inner.dial()
		w.in = bufio.NewReader(w.conn)
		w.run("first", "S: +OK …\nC: USER alice@example.org\nS: +OK …\nC: PASS secret\nS: +OK …\n")
		second := inner.dial()
		line, err := bufio.NewReader(second).ReadString('\n')
		if err != nil || line != string(Reject()) {
			t.Errorf("second connection: %q, %v", line, err)
		}
		second.Close()
		w.run("first", "C: QUIT\nS: +OK …\n! end\n")
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), `msg="session ended"`) || strings.Contains(log.String(), "secret") {
			t.Errorf("log: %s", log.String())
		}
	})
}

func FuzzSession(f *testing.F) {
	f.Add("USER alice@example.org\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
	f.Add("AUTH PLAIN\r\nAGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\nTOP 1 1\r\nUIDL\r\n")
	f.Add("CAPA\r\nUTF8\r\nSTLS\r\nAUTH LOGIN =\r\n*\r\n")
	f.Fuzz(func(t *testing.T, input string) {
		c, s := net.Pipe()
		srv := &Server{Auth: noAuth{}, AllowPlaintext: anyone}
		done := make(chan struct{})
		go func() {
			defer close(done)
			srv.serve(t.Context(), t.Context(), s, false)
		}()
		go func() {
			io.WriteString(c, input+"\r\nQUIT\r\n")
			c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		}()
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			if !strings.HasSuffix(line, "\r\n") || strings.Count(line, "\r") != 1 {
				t.Errorf("reply %q", line)
			}
		}
		c.Close()
		<-done
	})
}

// noAuth lets nobody in.
type noAuth struct{ auth.Passwords }

func (noAuth) Authenticate(context.Context, auth.Attempt) (auth.Login, error) {
	return auth.Login{}, auth.ErrInvalid
}

func anyone(netip.Addr) bool { return true }
