package main

import (
	"context"
	"crypto/tls"
	"net"

	"kurir/internal/web"
)

// webServer is what the admin and a proxy reach: the figures, and the public pages.
func (s *site) webServer() *web.Server {
	server := s.publicServer()
	server.Ready = s.metrics.Health.ReadyHandler()
	server.Health, server.Metrics, server.Outer = s.metrics.Health.Handler(), s.metrics.Handler(), s.certs.HTTPChallenge
	server.Open = false
	return server
}

// publicServer is what everybody reaches by [web].
func (s *site) publicServer() *web.Server {
	return &web.Server{Hostname: s.cfg.Hostname, Version: programVersion(), Log: s.log, Pages: s.pages(), Open: true}
}

// serveWeb serves web.http: what a CA asks for, and the way to HTTPS where that is served.
func (s *site) serveWeb(ctx context.Context, l net.Listener) error {
	server := s.publicServer()
	server.Outer = s.certs.HTTPChallenge
	return server.Serve(ctx, l)
}

// serveWebTLS serves web.https.
func (s *site) serveWebTLS(ctx context.Context, l net.Listener) error {
	return s.publicServer().Serve(ctx, tls.NewListener(l, s.certs.HTTPS()))
}

// rejectHTTP is what a client is told that there is no room for (RFC 9110 section 15.6.4).
func rejectHTTP() []byte {
	const text = "too many connections, try again later\n"
	return []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 10\r\nContent-Type: text/plain\r\n\r\n" + text)
}
