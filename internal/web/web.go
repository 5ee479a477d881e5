// Package web is kurir's HTTP front-end. For everybody: how mail apps find their settings
// (autoconfig, Autodiscover, profiles for Apple's devices), the policy of MTA-STS, and the
// pages under /setup, where people set up their devices. For the admin: /healthz and
// /readyz for container health checks and load balancers, /metrics for Prometheus, and an index page
// that names them. It knows no mail; what it shows comes from what it is given.
package web

import (
	"context"
	_ "embed"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"time"
)

//go:embed index.html
var indexText string

// Server answers HTTP requests.
type Server struct {
	Hostname string                               // shown on the index page
	Version  string                               // shown on the index page
	Health   http.Handler                         // answers /healthz; nil: 404
	Ready    http.Handler                         // answers /readyz; nil: 404
	Metrics  http.Handler                         // answers /metrics; nil: 404
	Outer    func(next http.Handler) http.Handler // goes around all routes; nil: nothing
	Grace    time.Duration                        // how long open requests may still take after the stop; zero means one second
	Log      *slog.Logger                         // nil: slog.Default()
	Pages    Pages                                // what is for everybody; without Pages.Ours there is nothing
	Open     bool                                 // Serve answers with Public, not with Handler
}

// Serve answers requests on l until ctx is done, then lets open requests end within
// Grace and closes l. It returns nil after a stop that was asked for.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	log, grace := s.log(), s.Grace
	if grace == 0 {
		grace = time.Second // pages are small; a client that has asked nothing must not hold the stop
	}
	hs := &http.Server{
		Handler:           s.outer(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer done()
		if hs.Shutdown(late) != nil {
			hs.Close()
		}
	})()
	err := hs.Serve(l)
	if ctx.Err() != nil && errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return err
}

// outer is what Serve answers with, and what goes around it.
func (s *Server) outer() http.Handler {
	h := s.Handler()
	if s.Open {
		h = s.Public()
	}
	if s.Outer == nil {
		return h
	}
	return s.Outer(h)
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.Default()
	}
	return s.Log
}

// Handler returns the routes for the admin and for a reverse proxy: health, metrics, and
// all that is public.
func (s *Server) Handler() http.Handler {
	page := template.Must(template.New("index").Parse(indexText))
	mux := http.NewServeMux()
	for path, h := range map[string]http.Handler{"GET /healthz": s.Health, "GET /readyz": s.Ready, "GET /metrics": s.Metrics} {
		if h != nil {
			mux.Handle(path, h)
		}
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = page.Execute(w, s) // fails only if the client has gone
	})
	if s.Pages.Ours != nil {
		mux.Handle("/", s.public())
	}
	return hardened(mux)
}

// hardened adds the headers that keep a browser from doing anything but show the page.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
