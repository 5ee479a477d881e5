package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/fsx"
	"kurir/internal/tlsconf"
)

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func TestReadDeadlineRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{ReadTimeout: time.Minute})
		go func() {
			for range 5 { // each byte within the minute, all of them in four
				time.Sleep(50 * time.Second)
				client.Write([]byte("x"))
			}
		}()
		start := time.Now()
		buf := make([]byte, 1)
		for range 5 {
			if _, err := server.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got != 250*time.Second {
			t.Errorf("five reads took %v", got)
		}
		start = time.Now()
		if _, err := server.Read(buf); !isTimeout(err) || time.Since(start) != time.Minute {
			t.Errorf("a silent client: %v after %v", err, time.Since(start))
		}
		go client.Write([]byte("y"))
		if _, err := server.Read(buf); err != nil || buf[0] != 'y' {
			t.Errorf("a Read after a time-out: %q, %v", buf, err)
		}
	})
}

func TestWriteDeadlineRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{WriteTimeout: time.Minute})
		go func() {
			for range 3 {
				time.Sleep(50 * time.Second)
				client.Read(make([]byte, 1))
			}
		}()
		for range 3 {
			if _, err := server.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if _, err := server.Write([]byte("x")); !isTimeout(err) || time.Since(start) != time.Minute {
			t.Errorf("a client that takes nothing: %v after %v", err, time.Since(start))
		}
	})
}

// A slow client that takes something all the time gets all of a long Write; one that stops is
// cut off, and the count is what it took.
func TestLongWriteRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{WriteTimeout: time.Minute})
		go func() {
			for range 300 {
				time.Sleep(50 * time.Second)
				client.Read(make([]byte, 10))
			}
		}()
		start := time.Now()
		if n, err := server.Write(make([]byte, 2995)); n != 2995 || err != nil || time.Since(start) < 4*time.Hour {
			t.Errorf("%d octets, %v after %v", n, err, time.Since(start))
		}
		if n, err := server.Write(make([]byte, 10)); n != 0 || !isTimeout(err) {
			t.Errorf("%d octets, %v", n, err)
		}
		go client.Read(make([]byte, 3))
		start = time.Now()
		if n, err := server.Write(make([]byte, 10)); n != 3 || !isTimeout(err) || time.Since(start) != 2*time.Minute {
			t.Errorf("%d octets, %v after %v", n, err, time.Since(start))
		}
		server.SetWriteDeadline(time.Now().Add(90 * time.Second))
		go client.Read(make([]byte, 3))
		start = time.Now()
		if n, err := server.Write(make([]byte, 10)); n != 3 || !isTimeout(err) || time.Since(start) != 90*time.Second {
			t.Errorf("a fixed deadline: %d octets, %v after %v", n, err, time.Since(start))
		}
	})
}

func TestDefaultTimeouts(t *testing.T) {
	for _, tt := range []struct {
		set, read, write time.Duration // zero: waits for ever
	}{
		{0, 30 * time.Minute, 5 * time.Minute},
		{-1, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := pair(t, Options{ReadTimeout: tt.set, WriteTimeout: tt.set})
			if tt.set < 0 { // end the waits without end
				go func() {
					time.Sleep(24 * time.Hour)
					client.Write([]byte("x"))
					client.Read(make([]byte, 1))
				}()
			}
			start := time.Now()
			_, err := server.Read(make([]byte, 1))
			if tt.read > 0 && (!isTimeout(err) || time.Since(start) != tt.read) || tt.read == 0 && err != nil {
				t.Errorf("%v: Read: %v after %v", tt.set, err, time.Since(start))
			}
			start = time.Now()
			_, err = server.Write([]byte("x"))
			if tt.write > 0 && (!isTimeout(err) || time.Since(start) != tt.write) || tt.write == 0 && err != nil {
				t.Errorf("%v: Write: %v after %v", tt.set, err, time.Since(start))
			}
			client.Close()
		})
	}
}

func TestTimeoutChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := pair(t, Options{ReadTimeout: time.Minute, WriteTimeout: time.Minute})
		buf := make([]byte, 1)
		server.SetReadTimeout(time.Hour)
		server.SetWriteTimeout(2 * time.Hour)
		start := time.Now()
		if _, err := server.Read(buf); !isTimeout(err) || time.Since(start) != time.Hour {
			t.Errorf("Read: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		if _, err := server.Write(buf); !isTimeout(err) || time.Since(start) != 2*time.Hour {
			t.Errorf("Write: %v after %v", err, time.Since(start))
		}
		// A Read on its way obeys as well.
		start = time.Now()
		go func() {
			time.Sleep(time.Minute)
			server.SetReadTimeout(time.Second)
		}()
		if _, err := server.Read(buf); !isTimeout(err) || time.Since(start) != 61*time.Second {
			t.Errorf("Read on its way: %v after %v", err, time.Since(start))
		}
		// None at all leaves no old deadline behind.
		server.SetReadTimeout(0)
		go func() {
			time.Sleep(48 * time.Hour)
			server.Close()
		}()
		if _, err := server.Read(buf); isTimeout(err) || err == nil {
			t.Errorf("Read without time-out: %v", err)
		}
	})
}

func TestFixedDeadlineBesideRolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := pair(t, Options{ReadTimeout: time.Minute, WriteTimeout: time.Minute})
		buf := make([]byte, 1)
		elapsed := func(f func([]byte) (int, error)) time.Duration {
			t.Helper()
			start := time.Now()
			if _, err := f(buf); !isTimeout(err) {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		server.SetDeadline(time.Now().Add(90 * time.Second))
		if got := elapsed(server.Read); got != time.Minute {
			t.Errorf("rolling is earlier: Read took %v", got)
		}
		if got := elapsed(server.Read); got != 30*time.Second {
			t.Errorf("fixed is earlier: Read took %v", got)
		}
		if got := elapsed(server.Write); got != 0 {
			t.Errorf("fixed is over: Write took %v", got)
		}
		server.SetDeadline(time.Time{})
		if got := elapsed(server.Write); got != time.Minute {
			t.Errorf("fixed is gone: Write took %v", got)
		}
		// The way to wake a reader, from another goroutine.
		go func() {
			time.Sleep(time.Second)
			server.SetReadDeadline(time.Unix(1, 0))
		}()
		if got := elapsed(server.Read); got != time.Second {
			t.Errorf("woken Read took %v", got)
		}
		if got := elapsed(server.Read); got != 0 {
			t.Errorf("Read after that took %v", got)
		}
	})
}

func TestHandshakeObeysRollingDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{ReadTimeout: time.Minute})
		tc := tls.Server(server, &tls.Config{})
		start := time.Now()
		if err := tc.Handshake(); !isTimeout(err) || time.Since(start) != time.Minute {
			t.Errorf("a client that sends nothing: %v after %v", err, time.Since(start))
		}
		if From(tc) != server {
			t.Error("From does not see through TLS")
		}
		client.Close()
	})
	synctest.Test(t, func(t *testing.T) { // half a ClientHello
		client, server := pair(t, Options{ReadTimeout: time.Minute})
		go func() {
			time.Sleep(40 * time.Second)
			client.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252})
		}()
		start := time.Now()
		if err := tls.Server(server, &tls.Config{}).Handshake(); !isTimeout(err) || time.Since(start) != 100*time.Second {
			t.Errorf("half a ClientHello: %v after %v", err, time.Since(start))
		}
	})
}

func TestTLSOnTop(t *testing.T) {
	conf, _, err := tlsconf.LocalCA(fsx.OS{}, t.TempDir(), "local.test")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{ReadTimeout: time.Minute})
		srv, cl := tls.Server(server, conf), tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		go func() {
			defer cl.Close()
			cl.Handshake()
			for range 3 {
				time.Sleep(50 * time.Second)
				cl.Write([]byte("x"))
			}
			cl.Read(make([]byte, 1))
		}()
		buf := make([]byte, 1)
		for range 3 {
			if _, err := srv.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if _, err := srv.Read(buf); !isTimeout(err) || time.Since(start) != time.Minute {
			t.Errorf("a silent client: %v after %v", err, time.Since(start))
		}
		// A time-out of Read does not spoil the connection: the goodbye goes through.
		if _, err := srv.Write([]byte("*")); err != nil {
			t.Error(err)
		}
	})
}

func TestFrom(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if From(a) != nil || From(nil) != nil {
		t.Error("From found what is not there")
	}
	var loop selfWrapper
	loop.Conn = &loop
	if From(&loop) != nil {
		t.Error("From found what is not there in a circle")
	}
	_, server := pair(t, Options{})
	if From(server) != server || From(&selfWrapper{server}) != server {
		t.Error("From does not find the connection")
	}
	if _, ok := server.NetConn().(addrConn); !ok {
		t.Errorf("NetConn is a %T", server.NetConn())
	}
}

type selfWrapper struct{ net.Conn }

func (w *selfWrapper) NetConn() net.Conn { return w.Conn }

func TestEarlyTalker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{EarlyTalk: 5 * time.Second, ReadTimeout: time.Second})
		go func() {
			time.Sleep(2 * time.Second)
			client.Write([]byte("EHLO spam\r\n"))
		}()
		start := time.Now()
		go io.Copy(io.Discard, client)
		if _, err := server.Write([]byte("220 hello\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != time.Second {
			// The read timeout is shorter here than the wait, and ends it.
			t.Errorf("first Write took %v", got)
		}
		if server.EarlyTalker() {
			t.Error("who talks after the greeting is no early talker")
		}
		time.Sleep(2 * time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{EarlyTalk: 5 * time.Second})
		go func() {
			time.Sleep(2 * time.Second)
			go io.Copy(io.Discard, client)
			client.Write([]byte("EHLO spam\r\n"))
		}()
		start := time.Now()
		if _, err := server.Write([]byte("220 hello\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("first Write took %v", got)
		}
		if !server.EarlyTalker() {
			t.Error("early talk not noticed")
		}
		line := make([]byte, 11)
		if _, err := io.ReadFull(server, line); err != nil || string(line) != "EHLO spam\r\n" {
			t.Errorf("what was said early: %q, %v", line, err)
		}
	})
}

func TestPatientClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{EarlyTalk: 5 * time.Second, ReadTimeout: time.Minute})
		start := time.Now()
		go func() {
			io.ReadFull(client, make([]byte, 2))
			time.Sleep(30 * time.Second)
			client.Write([]byte("x"))
		}()
		read := make(chan error, 1)
		go func() { // a reader beside the writer sits the wait out
			time.Sleep(time.Second)
			_, err := server.Read(make([]byte, 1))
			read <- err
		}()
		server.Write([]byte("1"))
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("first Write took %v", got)
		}
		server.Write([]byte("2"))
		if err := <-read; err != nil || server.EarlyTalker() {
			t.Errorf("Read: %v, early talker: %v", err, server.EarlyTalker())
		}
		if got := time.Since(start); got != 35*time.Second {
			t.Errorf("all took %v", got)
		}
		start = time.Now()
		if _, err := server.Read(make([]byte, 1)); !isTimeout(err) || time.Since(start) != time.Minute {
			t.Errorf("the read timeout is back: %v after %v", err, time.Since(start))
		}
	})
}

func TestEarlyWaitLeavesNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t, Options{EarlyTalk: 5 * time.Second, ReadTimeout: -1})
		go func() {
			io.ReadFull(client, make([]byte, 1))
			time.Sleep(time.Hour)
			client.Write([]byte("x"))
		}()
		server.Write([]byte("1"))
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

func TestNoEarlyWait(t *testing.T) {
	for name, run := range map[string]func(client net.Conn, server *Conn){
		"client begins": func(client net.Conn, server *Conn) {
			go client.Write([]byte("x"))
			server.Read(make([]byte, 1))
		},
		"client hangs up": func(client net.Conn, server *Conn) { client.Close() },
		"cut off":         func(client net.Conn, server *Conn) { server.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := pair(t, Options{EarlyTalk: 5 * time.Second})
			run(client, server)
			go io.Copy(io.Discard, client)
			start := time.Now()
			server.Write([]byte("220\r\n"))
			if time.Since(start) != 0 || server.EarlyTalker() {
				t.Errorf("%s: waited %v, early talker: %v", name, time.Since(start), server.EarlyTalker())
			}
		})
	}
	_, server := pair(t, Options{})
	if server.EarlyTalker() {
		t.Error("early talker without a wait")
	}
}
