package telemetry

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Health is a set of named checks, each green or red with a reason. The zero value has
// no checks, and is healthy.
type Health struct {
	// Log, if set before first use, gets a line when a check turns red, turns green
	// again, or is red for another reason.
	Log *slog.Logger

	ready  atomic.Bool
	mu     sync.Mutex
	checks map[string]string // by name: why it is red, "" if green
}

// Set makes the check green (err is nil) or red. Names are few and fixed: "store",
// "disk", "tls" …
func (h *Health) Set(name string, err error) {
	reason := ""
	if err != nil {
		if reason = err.Error(); reason == "" {
			reason = "failed"
		}
	}
	h.mu.Lock()
	was := h.checks[name]
	if h.checks == nil {
		h.checks = make(map[string]string)
	}
	h.checks[name] = reason
	h.mu.Unlock()
	switch {
	case h.Log == nil || was == reason:
	case reason == "":
		h.Log.Info("healthy again", "check", name)
	default:
		h.Log.Error("unhealthy", "check", name, "error", err)
	}
}

// SetReady says whether the server serves: all its ports are open, and it is not about to stop.
func (h *Health) SetReady(is bool) { h.ready.Store(is) }

// Ready tells what SetReady has said; at first it is false.
func (h *Health) Ready() bool { return h.ready.Load() }

// ReadyHandler answers GET /readyz: 200 with "ready" while the server serves, else 503. What is
// red makes no difference: who is sent elsewhere for a full disk would find nobody.
func (h *Health) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !onlyRead(w, r) {
			return
		}
		if !h.Ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("ready\n")) // a client that went away is no matter
	})
}

// onlyRead refuses all methods but GET and HEAD, and says that the answer is of this moment.
func onlyRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return false
	}
	w.Header().Set("Cache-Control", "no-store")
	return true
}

// Checks are all checks that were ever set, by name, with the reason why each is red,
// or "" if it is green.
func (h *Health) Checks() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.checks)
}

// Red are the checks that are red, by name, with the reasons.
func (h *Health) Red() map[string]string {
	red := h.Checks()
	maps.DeleteFunc(red, func(_, reason string) bool { return reason == "" })
	return red
}

// Handler answers GET /healthz: 200 with "ok", or 503 with what is red, as
// {"red":{"disk":"no space left"}}. The reasons may name files: it is not for strangers.
func (h *Health) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !onlyRead(w, r) {
			return
		}
		red := h.Red()
		if len(red) == 0 {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Write([]byte("ok\n")) // a client that went away is no matter
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(map[string]any{"red": red})
	})
}

// healthCollector exports a Health as a metric.
type healthCollector struct{ h *Health }

// healthDesc is never changed.
var healthDesc = prometheus.NewDesc("kurir_health_ok", "1 if a check is green, 0 if it is red.", []string{"check"}, nil)

// readyDesc is never changed.
var readyDesc = prometheus.NewDesc("kurir_ready", "1 while the server serves, 0 while it starts or stops.", nil, nil)

func (c healthCollector) Describe(ch chan<- *prometheus.Desc) { ch <- healthDesc; ch <- readyDesc }

func (c healthCollector) Collect(ch chan<- prometheus.Metric) {
	ready := 0.0
	if c.h.Ready() {
		ready = 1
	}
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
	checks := c.h.Checks()
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		ok := 0.0
		if checks[name] == "" {
			ok = 1
		}
		ch <- prometheus.MustNewConstMetric(healthDesc, prometheus.GaugeValue, ok, name)
	}
}
