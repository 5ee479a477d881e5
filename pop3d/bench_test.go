package pop3d

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"kurir/store"
)

// benchServer serves alice's INBOX with n messages of 5 KiB on a loopback socket.
func benchServer(b *testing.B, n int) string {
	st, err := store.Open(b.Context(), store.Options{Dir: b.TempDir(), Hostname: "mx.example.org", NoWatch: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := st.CreateAccount(b.Context(), alice); err != nil {
		b.Fatal(err)
	}
	a, err := st.Account(b.Context(), alice)
	if err != nil {
		b.Fatal(err)
	}
	m, err := a.Mailbox(b.Context(), "INBOX")
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		s, err := st.Stage()
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(s, "Subject: x\r\n\r\n%s", strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 65))
		if _, err := m.Append(b.Context(), []store.Appending{{Message: s}}); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
	m.Close()
	a.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &Server{Store: st, Auth: &testAuth{}, AllowPlaintext: anyone}
	done := make(chan error)
	go func() { done <- srv.Serve(ctx, ln, false) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	})
	return ln.Addr().String()
}

// client is a connection of a benchmark.
type client struct {
	b *testing.B
	c net.Conn
	r *bufio.Reader
}

func benchClient(b *testing.B, addr string) *client {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	p := &client{b, c, bufio.NewReaderSize(c, 64<<10)}
	p.ok()
	p.cmd("USER " + alice)
	p.cmd("PASS secret")
	return p
}

func (p *client) cmd(line string) {
	if _, err := io.WriteString(p.c, line+"\r\n"); err != nil {
		p.b.Fatal(err)
	}
	p.ok()
}

func (p *client) ok() {
	if line, err := p.r.ReadSlice('\n'); err != nil || line[0] != '+' {
		p.b.Fatalf("%q, %v", line, err)
	}
}

func (p *client) multi() {
	for {
		line, err := p.r.ReadSlice('\n')
		if err != nil {
			p.b.Fatal(err)
		}
		if string(line) == ".\r\n" {
			return
		}
	}
}

func BenchmarkSession(b *testing.B) {
	addr := benchServer(b, 20)
	for b.Loop() {
		p := benchClient(b, addr)
		p.cmd("STAT")
		p.cmd("QUIT")
		p.c.Close()
	}
}

func BenchmarkRetr(b *testing.B) {
	const n = 50
	addr := benchServer(b, n)
	p := benchClient(b, addr)
	defer p.c.Close()
	i := 0
	for b.Loop() {
		p.cmd(fmt.Sprintf("RETR %d", i%n+1))
		p.multi()
		i++
	}
}

func BenchmarkRetrPipelined(b *testing.B) {
	const n = 50
	addr := benchServer(b, n)
	p := benchClient(b, addr)
	defer p.c.Close()
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "RETR %d\r\n", i+1)
	}
	for b.Loop() {
		go io.WriteString(p.c, all.String())
		for range n {
			p.ok()
			p.multi()
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkUIDL(b *testing.B) {
	addr := benchServer(b, 1000)
	p := benchClient(b, addr)
	defer p.c.Close()
	for b.Loop() {
		p.cmd("UIDL")
		p.multi()
	}
}
