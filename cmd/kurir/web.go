package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"kurir/internal/web"
)

// webServer is what the admin and a proxy reach: the figures, and the public pages.
func (s *site) webServer() *web.Server {
	return &web.Server{
		Hostname: s.cfg.Hostname, Version: programVersion(), Log: s.log,
		Health: s.metrics.Health.Handler(), Metrics: s.metrics.Handler(), Outer: s.certs.HTTPChallenge,
	}
}

// publicServer is what everybody reaches by [web].
func (s *site) publicServer() *web.Server {
	return &web.Server{Hostname: s.cfg.Hostname, Version: programVersion(), Log: s.log}
}

// serveWeb serves web.http: what a CA asks for, and the way to HTTPS where that is served.
func (s *site) serveWeb(ctx context.Context, l net.Listener) error {
	server := s.publicServer()
	server.Outer = s.certs.HTTPChallenge
	if len(s.cfg.Web.HTTPS) > 0 {
		_, port, err := net.SplitHostPort(s.cfg.Web.HTTPS[0])
		if err != nil {
			return err
		}
		if port == "0" {
			_, port, _ = s.hostPort("webs")
		}
		server.Outer = func(http.Handler) http.Handler { return s.certs.HTTPChallenge(web.ToHTTPS(port)) }
	}
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
