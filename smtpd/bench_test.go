package smtpd

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
	"kurir/internal/policy"
	"kurir/internal/sqldb"
	"kurir/internal/trace"
)

// benchBody is 8 KB of text.
var benchBody = strings.Repeat(strings.Repeat("x", 70)+"\r\n", 110)

// BenchmarkInbound takes messages of 8 KB on several connections, from the network to the disk.
func BenchmarkInbound(b *testing.B) {
	w := newWholeWith(b, func(s *Server) { s.MaxMessages = 1 << 30 }, Inbound)
	benchInbound(b, w.addr[Inbound], "Subject: x\r\n\r\n"+benchBody)
}

// BenchmarkInboundTraced does the same with what becomes of each message noted.
func BenchmarkInboundTraced(b *testing.B) {
	db, err := sqldb.Open(b.Context(), filepath.Join(b.TempDir(), "kurir.db"), trace.Migrations())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	noted := trace.New(trace.Options{DB: db, Keep: time.Hour, Dropped: func(n int) { b.Error(n, "were dropped") }})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { noted.Run(ctx); close(done) }()
	w := newWholeWith(b, func(s *Server) { s.MaxMessages, s.Trace = 1<<30, noted.Note }, Inbound)
	benchInbound(b, w.addr[Inbound], "Subject: x\r\nMessage-ID: <1@remote.example>\r\n\r\n"+benchBody)
	cancel()
	<-done
}

// BenchmarkInboundJudged does the same with SPF, the name of the address, DKIM (RSA with 2048
// bits) and DMARC, which a DNS on this machine answers.
func BenchmarkInboundJudged(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	record := "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(public)
	dns := dnstest.Start(b, fmt.Sprintf(`remote.example. 3600 IN TXT "v=spf1 include:spf.remote.example -all"
spf.remote.example. 3600 IN TXT "v=spf1 ip4:192.0.2.0/28 ip4:198.51.100.0/24 -all"
_dmarc.remote.example. 3600 IN TXT "v=DMARC1; p=reject"
s1._domainkey.remote.example. 3600 IN TXT %q %q
1.2.0.192.in-addr.arpa. 3600 IN PTR mx.remote.example.
mx.remote.example. 3600 IN A 192.0.2.1
`, record[:200], record[200:]))
	p := &policy.Policy{Hostname: "mx.local.test", Resolver: &dnsutil.Resolver{Servers: []string{dns.Addr()}}, Log: slog.New(slog.DiscardHandler)}
	p.Observe = func(d policy.Decision, _ time.Duration) {
		if d != policy.Accept {
			b.Error("the verdict is ", d)
		}
	}
	w := newWholeWith(b, func(s *Server) { s.MaxMessages, s.Policy = 1<<30, p })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- w.srv.Serve(ctx, remoteListener{l}, Inbound) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	text := "From: who@remote.example\r\nTo: alice@local.test\r\nSubject: x\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@remote.example>\r\n\r\n" + benchBody
	var signed bytes.Buffer
	err = dkim.Sign(&signed, strings.NewReader(text), &dkim.SignOptions{Domain: "remote.example", Selector: "s1", Signer: key, Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed})
	if err != nil {
		b.Fatal(err)
	}
	benchInbound(b, l.Addr().String(), signed.String())
}

// remoteListener gives out connections that come from 192.0.2.1.
type remoteListener struct{ net.Listener }

func (l remoteListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return remoteConn{c}, err
}

type remoteConn struct{ net.Conn }

func (remoteConn) RemoteIP() netip.Addr { return netip.MustParseAddr("192.0.2.1") }

// processorTime is what this process has used of the processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchInbound sends a message b.N times, on 8 connections for each processor.
func benchInbound(b *testing.B, addr, msg string) {
	text := []byte(msg + ".\r\n")
	b.SetParallelism(8)
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime(b)
	defer func() { b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		r := newReplies(c)
		r.want(b, "220")
		io.WriteString(c, "EHLO mx.remote.example\r\n")
		r.want(b, "250")
		for pb.Next() {
			io.WriteString(c, "MAIL FROM:<who@remote.example>\r\nRCPT TO:<alice@local.test>\r\nDATA\r\n")
			r.want(b, "250")
			r.want(b, "250")
			r.want(b, "354")
			c.Write(text)
			r.want(b, "250")
		}
	})
}
