package listen

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// handover is a socket on the loopback interface, and a client of it.
func handover(t *testing.T) (*Handover, func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := NewHandover(l)
	t.Cleanup(func() { h.Close() })
	return h, func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", h.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// greet serves l: each client is told name, and then what it says.
func greet(l net.Listener, name string) <-chan error {
	done := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				done <- err
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, name)
				io.Copy(c, c)
			}()
		}
	}()
	return done
}

func hears(t *testing.T, c net.Conn, want string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func TestHandover(t *testing.T) {
	h, dial := handover(t)
	first := h.Next()
	done := greet(first, "1")
	old := dial()
	hears(t, old, "1")
	second := h.Next()
	done2 := greet(second, "2")
	for range 10 {
		hears(t, dial(), "2")
	}
	io.WriteString(old, "still there?") // a conversation goes on with its own server
	hears(t, old, "still there?")
	select {
	case err := <-done:
		t.Fatalf("the first server's Accept returned: %v", err)
	default:
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the first server: %v", err)
	}
	hears(t, dial(), "2") // closing an earlier one closes no socket
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done2; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second server: %v", err)
	}
	if _, err := net.Dial("tcp", h.Addr().String()); err == nil {
		t.Error("the socket is open after the last listener was closed")
	}
	if _, err := h.Next().Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a listener of a closed socket: %v", err)
	}
}

// Clients that come all the time, while the socket goes from hand to hand, are all served.
func TestHandoverLosesNobody(t *testing.T) {
	h, _ := handover(t)
	greet(h.Next(), "x")
	var served, failed atomic.Int32
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", h.Addr().String())
				if err == nil {
					c.SetDeadline(time.Now().Add(10 * time.Second))
					_, err = io.ReadFull(c, make([]byte, 1))
					c.Close()
				}
				if err != nil {
					failed.Add(1)
				}
				served.Add(1)
			}
		})
	}
	for range 100 {
		greet(h.Next(), "x")
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	if failed.Load() > 0 || served.Load() == 0 {
		t.Errorf("%d of %d clients were not served", failed.Load(), served.Load())
	}
}

// A socket that is closed leaves those who had it waiting, until they are closed too: their
// conversations go on.
func TestHandoverClosedForGood(t *testing.T) {
	h, dial := handover(t)
	l := h.Next()
	done := greet(l, "1")
	c := dial()
	hears(t, c, "1")
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	io.WriteString(c, "more")
	hears(t, c, "more")
	select {
	case err := <-done:
		t.Errorf("Accept returned: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestHandoverPassesErrorsOn(t *testing.T) {
	f := newFake()
	h := NewHandover(f)
	defer h.Close()
	f.results <- errors.New("no more of this")
	if _, err := h.Next().Accept(); err == nil || err.Error() != "no more of this" {
		t.Errorf("%v", err)
	}
	a, b := net.Pipe()
	defer a.Close()
	f.results <- b
	if c, err := h.Next().Accept(); err != nil || c != b {
		t.Errorf("after an error: %v, %v", c, err)
	}
}
