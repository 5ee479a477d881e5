package smtpclient_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"kurir/internal/smtpclient"
	"kurir/internal/smtpclient/smtptest"
)

// BenchmarkSend sends messages over one connection on the loopback interface.
func BenchmarkSend(b *testing.B) {
	for _, bm := range []struct {
		name string
		ext  []string
		size int
		to   int
	}{
		{"pipelining/4K", []string{"PIPELINING"}, 4 << 10, 1},
		{"by-step/4K", []string{}, 4 << 10, 1},
		{"pipelining/4K-to-50", []string{"PIPELINING"}, 4 << 10, 50},
		{"by-step/4K-to-50", []string{}, 4 << 10, 50},
		{"pipelining/10M", []string{"PIPELINING"}, 10 << 20, 1},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := &smtptest.Peer{Extensions: bm.ext, Discard: true, ReadBuffer: 64 << 10, Forget: true}
			conn, err := net.Dial("tcp", smtptest.Start(b, p))
			if err != nil {
				b.Fatal(err)
			}
			c, err := smtpclient.New(b.Context(), conn, smtpclient.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			tx := transaction(strings.Repeat(strings.Repeat("x", 70)+"\n", bm.size/71))
			for range bm.to {
				tx.To = append(tx.To, smtpclient.Recipient{Address: "bob@example.net"})
			}
			b.SetBytes(int64(bm.size))
			b.ReportAllocs()
			for b.Loop() {
				if o, err := c.Send(b.Context(), tx); err != nil || !o.Final.Positive() {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzConn: whatever a server says, every call ends, and a message that was taken has
// been sent to its end.
func FuzzConn(f *testing.F) {
	for _, s := range []string{
		"220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n221 bye\r\n",
		"220 hi\r\n250-hi\r\n250 PIPELINING\r\n250 ok\r\n550 no\r\n554 no\r\n250 reset\r\n",
		"220 hi\r\n250-hi\r\n250 PIPELINING\r\n250 ok\r\n550 no\r\n354 go\r\n250 what?\r\n",
		"220 hi\r\n500 what?\r\n250 hi\r\n421 bye\r\n",
		"220 hi\r\n250-hi\r\n250 AUTH PLAIN\r\n334 \r\n235 in\r\n250 ok\r\n",
		"220 hi\r\n250-hi\r\n250 STARTTLS\r\n220 go\r\n\x16\x03\x01",
		"554 no\r\n", "", "\xff\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		client, server := net.Pipe()
		go io.Copy(io.Discard, server) // ends when server is closed
		go func() {                    // ends when all is said, or client is closed
			server.Write(said)
			server.Close()
		}()
		defer client.Close()
		ctx := context.Background()
		c, err := smtpclient.New(ctx, client, smtpclient.Options{})
		if err != nil {
			return
		}
		c.Auth(ctx, "u", "p")
		for range 3 {
			o, err := c.Send(ctx, transaction("x\n", "a@x.test"))
			if o.Final.Positive() && (!o.Dot || err != nil || !o.Rcpt[0].Positive() || !o.Mail.Positive()) {
				t.Fatalf("%+v %v", o, err)
			}
			if err == nil && o.Rcpt[0].Code == 0 && !o.Mail.Refused() {
				t.Fatalf("no outcome: %+v", o)
			}
		}
		c.Quit(ctx)
	})
}
