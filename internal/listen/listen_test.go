package listen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcceptNamesTheConnection(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	l := New(f, Options{Protocol: "imap", Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer l.Close()
	defer f.dial("[2001:db8::1%eth0]:1000").Close()
	c := accept(t, l)
	defer c.Close()
	c.Logger().Info("hello")
	for _, want := range []string{"session=" + c.ID(), "protocol=imap", `remote=[2001:db8::1%eth0]:1000`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %q lacks %q", &log, want)
		}
	}
	if c.RemoteIP() != ip("2001:db8::1") {
		t.Errorf("RemoteIP %v", c.RemoteIP())
	}
	if strings.Trim(c.ID(), "0123456789abcdefghjkmnpqrstvwxyz") != "" || len(c.ID()) != 12 {
		t.Errorf("ID %q", c.ID())
	}
	if l.Addr().String() != "127.0.0.1:25" {
		t.Errorf("Addr %v", l.Addr())
	}
}

func TestSessionIDsDiffer(t *testing.T) {
	if a, b := sessionID(0), sessionID(1<<4); a != "000000000000" || b != "000000000001" {
		t.Errorf("%q, %q", a, b)
	}
	if got := sessionID(1<<64 - 1); got != "zzzzzzzzzzzz" {
		t.Errorf("%q", got)
	}
}

func TestRemoteIP(t *testing.T) {
	for _, tt := range []struct {
		addr net.Addr
		want netip.Addr
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, ip("192.0.2.1")},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, ip("fe80::1")},
		{pipeAddr("[::ffff:192.0.2.1]:1"), ip("192.0.2.1")},
		{pipeAddr("pipe"), netip.Addr{}},
		{&net.UnixAddr{Name: "/run/x"}, netip.Addr{}},
	} {
		if got := remoteIP(tt.addr); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.addr, got, tt.want)
		}
	}
}

func TestPerAddressLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		seen := &counter{}
		l := New(f, Options{
			MaxPerAddr: 2, Observer: seen, Shared: netip.MustParsePrefix("198.51.100.0/24").Contains,
			Reject: func() []byte { return []byte("421 too many\r\n") },
		})
		open := func(addr string) *Conn { f.dial(addr); return accept(t, l) }
		a1, a2 := open("192.0.2.1:1"), open("192.0.2.1:2")
		open("192.0.2.2:1")                            // another address
		open("[2001:db8::1]:1")                        //
		open("[2001:db8::2]:1")                        // the same /64
		open("[2001:db8:0:1::1]:1")                    // another /64
		open("pipe")                                   // no address: not counted
		open("pipe")                                   //
		open("pipe")                                   //
		for _, p := range []string{":1", ":2", ":3"} { // a trusted proxy
			open("198.51.100.7" + p)
		}
		for _, addr := range []string{"192.0.2.1:3", "[::ffff:192.0.2.1]:3", "[2001:db8::3]:1"} {
			client := f.dial(addr)
			next := f.dial("pipe") // the one that Accept returns
			accept(t, l)
			if got, err := io.ReadAll(client); string(got) != "421 too many\r\n" || err != nil {
				t.Errorf("%s: %q, %v", addr, got, err)
			}
			next.Close()
		}
		a1.Close()
		a1.Close() // only the first counts
		open("192.0.2.1:4")
		client := f.dial("192.0.2.1:5")
		open("pipe")
		if got, _ := io.ReadAll(client); len(got) == 0 {
			t.Error("a second Close freed a second place")
		}
		a2.Vouch()
		a2.Vouch() // only the first counts
		open("192.0.2.1:6")
		refused := f.dial("192.0.2.1:7")
		open("pipe")
		if got, _ := io.ReadAll(refused); len(got) == 0 {
			t.Error("a second Vouch freed a second place")
		}
		a2.Close() // frees none now
		again := f.dial("192.0.2.1:8")
		open("pipe")
		if got, _ := io.ReadAll(again); len(got) == 0 {
			t.Error("Close freed a place that Vouch had freed")
		}
		if seen.opened != 20 || seen.closed != 2 || len(seen.refused) != 6 || seen.refused[0] != ReasonPerAddr {
			t.Errorf("observer: %+v", seen)
		}
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		l.Shutdown(cut)
		if l.limiter.Open() != 0 || len(l.limiter.perAddr) != 0 {
			t.Errorf("limiter: %+v", l.limiter)
		}
	})
}

func TestConnectionLimitIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := NewLimiter(2, -1)
		f, g := newFake(), newFake()
		seen := &counter{}
		l, m := New(f, Options{Limiter: limiter}), New(g, Options{Limiter: limiter, Observer: seen})
		f.dial("192.0.2.1:1")
		c := accept(t, l)
		g.dial("192.0.2.1:2")
		accept(t, m).Close()
		g.dial("192.0.2.1:3")
		defer accept(t, m).Close()

		refused := g.dial("192.0.2.1:4")
		got := make(chan *Conn)
		go func() { got <- accept(t, m) }()
		if n, err := refused.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("without Reject: %d bytes, %v", n, err)
		}
		c.Close()
		g.dial("192.0.2.1:5")
		(<-got).Close()
		if len(seen.refused) != 1 || seen.refused[0] != ReasonConns {
			t.Errorf("refused: %q", seen.refused)
		}
	})
}

func TestLimiterDefaults(t *testing.T) {
	l := NewLimiter(0, 0)
	if l.maxConns != 2000 || l.maxPerAddr != 50 {
		t.Errorf("%+v", l)
	}
	l = NewLimiter(-1, -1)
	for range 10000 {
		if why := l.take(ip("192.0.2.1")); why != "" {
			t.Fatal(why)
		}
	}
}

// Clients that never read what they are refused with do not hold up the others.
func TestRefusalDoesNotBlockAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFake()
		l := New(f, Options{
			MaxConns: 1, Reject: func() []byte { return []byte("421 full\r\n") },
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		f.dial("192.0.2.1:1")
		c := accept(t, l)
		clients := make([]net.Conn, maxRefusing+10)
		for i := range clients {
			clients[i] = f.dial("192.0.2.1:2")
		}
		start := time.Now()
		got := make(chan *Conn)
		go func() { got <- accept(t, l) }()
		synctest.Wait() // all are being refused
		c.Close()
		f.dial("192.0.2.1:3")
		defer (<-got).Close()
		if time.Since(start) != 0 {
			t.Errorf("accept was held up for %v", time.Since(start))
		}
		if n := strings.Count(log.String(), "refused"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		// The last ones found no one to tell them, and are closed already.
		if _, err := clients[len(clients)-1].Read(make([]byte, 1)); err != io.EOF || time.Since(start) != 0 {
			t.Errorf("the last: %v after %v", err, time.Since(start))
		}
		time.Sleep(refuseTime + 1)
		if _, err := clients[0].Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the first: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusalsLogged(t *testing.T) {
	var r refuser
	start := time.Unix(1000, 0)
	for _, tt := range []struct {
		after   time.Duration
		skipped int
		ok      bool
	}{
		{0, 0, true}, {1, 0, false}, {9 * time.Second, 0, false}, {10 * time.Second, 2, true}, {25 * time.Second, 0, true},
	} {
		if n, ok := r.mayLog(start.Add(tt.after)); n != tt.skipped || ok != tt.ok {
			t.Errorf("after %v: %d, %v", tt.after, n, ok)
		}
	}
}

func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := New(f, Options{})
		for _, e := range []error{
			&net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)},
			syscall.ECONNABORTED, syscall.ENOBUFS, syscall.EPROTO,
		} {
			f.results <- e
		}
		f.dial("192.0.2.1:1")
		start := time.Now()
		accept(t, l).Close()
		if got := time.Since(start); got != 75*time.Millisecond { // 5 + 10 + 20 + 40
			t.Errorf("backed off for %v", got)
		}
		for range 20 {
			f.results <- syscall.EMFILE
		}
		f.dial("192.0.2.1:1")
		start = time.Now()
		accept(t, l).Close()
		if got := time.Since(start); got < 10*time.Second || got > 20*time.Second {
			t.Errorf("backed off for %v", got)
		}
		broken := errors.New("broken")
		f.results <- broken
		if _, err := l.Accept(); err != broken {
			t.Errorf("a final error: %v", err)
		}
		f.results <- syscall.EMFILE
		time.AfterFunc(time.Millisecond, func() { l.Close() })
		start = time.Now()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Millisecond {
			t.Errorf("Close while backing off: %v after %v", err, time.Since(start))
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
}

func TestShutdownWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		seen := &counter{}
		l := New(f, Options{Observer: seen})
		f.dial("192.0.2.1:1")
		c := accept(t, l)
		time.AfterFunc(3*time.Second, func() { c.Close() })
		accepted := make(chan error)
		go func() { _, err := l.Accept(); accepted <- err }()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if err := l.Shutdown(ctx); err != nil || l.Open() != 0 || seen.closed != 1 {
			t.Errorf("a second time: %v, %d open, %+v", err, l.Open(), seen)
		}
	})
}

func TestShutdownCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l := New(f, Options{MaxConns: 3, Reject: func() []byte { return []byte("421 full\r\n") }})
		ended := make(chan error)
		for range 3 {
			f.dial("192.0.2.1:1")
			c := accept(t, l)
			go func() { _, err := c.Read(make([]byte, 1)); ended <- err }()
		}
		f.dial("192.0.2.1:2") // is being refused, and reads nothing
		go l.Accept()
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := l.Shutdown(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for range 3 {
			if err := <-ended; err == nil {
				t.Error("a connection outlived Shutdown")
			}
		}
		if l.Open() != 0 || l.limiter.Open() != 0 {
			t.Errorf("%d open, %d counted", l.Open(), l.limiter.Open())
		}
	}) // synctest fails if a goroutine is left
}

// lateListener gives one connection that was on its way when it was closed.
type lateListener struct {
	*fakeListener
	c net.Conn
}

func (l *lateListener) Accept() (net.Conn, error) {
	<-l.closed
	return l.c, nil
}

func TestConnectionThatComesWithShutdown(t *testing.T) {
	client, server := net.Pipe()
	l := New(&lateListener{newFake(), server}, Options{})
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client: %v", err)
	}
	if l.limiter.Open() != 0 {
		t.Error("still counted")
	}
}

// On a real socket the refused client sees its line even if it has sent something.
func TestRefusalOverTCP(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	l := New(inner, Options{MaxPerAddr: 1, Reject: func() []byte { return []byte("* BYE too many\r\n") }})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
	var last net.Conn
	for range 2 {
		if last, err = net.Dial("tcp", inner.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer last.Close()
		last.Write([]byte("a LOGIN x y\r\n"))
	}
	last.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 16)
	if _, err := io.ReadFull(last, got); err != nil || string(got) != "* BYE too many\r\n" {
		t.Errorf("%q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Shutdown(ctx)
	<-done
}

// nothing is a connection without any cost of its own.
type nothing struct{ net.Conn }

func (nothing) RemoteAddr() net.Addr { return pipeAddr("192.0.2.1:1000") }

func TestIdleConnectionIsCheap(t *testing.T) {
	const n = 2000
	f := newFake()
	var log bytes.Buffer
	l := New(f, Options{
		MaxConns: -1, MaxPerAddr: -1, EarlyTalk: time.Second, Protocol: "imap",
		Log: slog.New(slog.NewJSONHandler(&log, nil)),
	})
	defer l.Close()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	conns := make([]*Conn, n)
	before := heap()
	goroutines := runtime.NumGoroutine()
	for i := range conns {
		f.results <- nothing{}
		conns[i] = accept(t, l)
	}
	each := (int64(heap()) - int64(before)) / n
	t.Logf("%d bytes a connection", each)
	if each > 2048 {
		t.Errorf("%d bytes a connection", each)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("%d more goroutines", got-goroutines)
	}
	runtime.KeepAlive(conns)
}
