package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func get(h http.Handler, method string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMetrics(t *testing.T) {
	m := New()
	for range 3 {
		m.ConnOpened("imap")
	}
	m.ConnClosed("imap")
	m.ConnRefused("smtp", "connections")
	m.Login("imap", "PLAIN", "ok")
	m.Login("imap", "PLAIN", "invalid")
	m.Login("imap", "x\xff", "invalid")
	m.MessageAccepted("smtp")
	m.MessageRefused("smtp", "unknown_user")
	m.MessageDelivered(3*time.Millisecond, nil)
	m.MessageDelivered(time.Second, errors.New("disk full"))
	m.Fsync("file", 12, 2*time.Millisecond)
	m.Fsync("file", 1, time.Millisecond)
	m.Error("store")
	m.Relayed("sent", 3)
	m.Relayed("deferred", 1)
	m.TLSStopped()
	m.RelayTook(20 * time.Millisecond)
	m.Ask(Asked{
		Queue: func() (Queue, bool) {
			return Queue{Recipients: map[string]int{"waiting": 4, "held": 1}, Messages: 3, Failing: 1, Oldest: time.Now().Add(-time.Minute)}, true
		},
		Certificates: func() []Certificate {
			return []Certificate{{"mail.example.org", time.Unix(1_800_000_000, 0)}, {"mail.example.org", time.Unix(1, 0)}, {Name: "new.example.org"}}
		},
		OpenAccounts: func() int { return 5 },
		Version:      "1.2.3",
	})
	m.Disk(func() (Disk, bool) { return Disk{Free: 7, Total: 9, Reserve: 8, Short: true}, true })
	m.Command("imap", "FETCH", time.Millisecond)
	m.MessageAnswered("smtp", time.Millisecond)
	m.Notice(errors.New("nobody"))
	m.TraceDropped(3)
	m.Health.SetReady(true)
	m.Health.Set("store", nil)
	m.Health.Set("disk", errors.New("full"))

	r := get(m.Handler(), "GET")
	text := body(t, r)
	if r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d, %s", r.StatusCode, r.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		`kurir_relay_recipients_total{result="sent"} 3`,
		`kurir_relay_recipients_total{result="deferred"} 1`,
		`kurir_relay_seconds_count 1`,
		`kurir_relay_tls_stopped_total 1`,
		`kurir_queue_recipients{state="waiting"} 4`,
		`kurir_queue_recipients{state="held"} 1`,
		`kurir_connections_open{protocol="imap"} 2`,
		`kurir_connections_total{protocol="imap"} 3`,
		`kurir_connections_refused_total{protocol="smtp",reason="connections"} 1`,
		`kurir_logins_total{mechanism="PLAIN",protocol="imap",result="invalid"} 1`,
		`kurir_logins_total{mechanism="other",protocol="imap",result="invalid"} 1`,
		`kurir_logins_total{mechanism="PLAIN",protocol="imap",result="ok"} 1`,
		`kurir_queue_messages 3`, `kurir_queue_failing_destinations 1`, `kurir_queue_oldest_seconds 60`,
		`kurir_certificate_not_after_timestamp_seconds{name="mail.example.org"} 1.8e+09`,
		`kurir_certificate_not_after_timestamp_seconds{name="new.example.org"} 0`,
		`kurir_store_open_accounts 5`, `kurir_ready 1`, `kurir_build_info{goversion="` + runtime.Version() + `",version="1.2.3"} 1`, `kurir_disk_short 1`, `kurir_disk_free_bytes 7`,
		`kurir_command_seconds_count{command="FETCH",protocol="imap"} 1`, `kurir_message_answer_seconds_count{protocol="smtp"} 1`,
		`kurir_notices_total{result="error"} 1`, `kurir_trace_dropped_total 3`,
		`kurir_messages_accepted_total{protocol="smtp"} 1`,
		`kurir_messages_refused_total{protocol="smtp",reason="unknown_user"} 1`,
		`kurir_messages_delivered_total{result="ok"} 1`,
		`kurir_messages_delivered_total{result="error"} 1`,
		`kurir_delivery_seconds_bucket{le="0.004"} 1`,
		`kurir_delivery_seconds_bucket{le="+Inf"} 2`,
		`kurir_delivery_seconds_sum 1.003`,
		`kurir_fsync_seconds_count{kind="file"} 2`,
		`kurir_fsync_requests_total{kind="file"} 13`,
		`kurir_errors_total{component="store"} 1`,
		`kurir_health_ok{check="disk"} 0`,
		`kurir_health_ok{check="store"} 1`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no line %s", want)
		}
	}
}

// Two servers in one process count apart.
func TestRegistriesAreApart(t *testing.T) {
	a, b := New(), New()
	a.Error("store")
	if text := body(t, get(b.Handler(), "GET")); strings.Contains(text, "kurir_errors_total{component=\"store\"") {
		t.Error("counted in both")
	}
}

func TestHealth(t *testing.T) {
	var log bytes.Buffer
	h := &Health{Log: slog.New(slog.NewTextHandler(&log, nil))}
	ok := func() {
		t.Helper()
		r := get(h.Handler(), "GET")
		if got := body(t, r); r.StatusCode != 200 || got != "ok\n" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %q", r.StatusCode, got)
		}
	}
	ok()
	h.Set("store", nil)
	h.Set("disk", nil)
	ok()
	h.Set("disk", errors.New("no space left"))
	h.Set("disk", errors.New("no space left"))
	h.Set("tls", errors.New(""))
	r := get(h.Handler(), "GET")
	var got struct{ Red map[string]string }
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 503 || len(got.Red) != 2 || got.Red["disk"] != "no space left" || got.Red["tls"] != "failed" ||
		r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %v", r.StatusCode, got, r.Header)
	}
	if r := get(h.Handler(), "HEAD"); r.StatusCode != 503 {
		t.Errorf("HEAD: %d", r.StatusCode)
	}
	if r := get(h.Handler(), "POST"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", r.StatusCode)
	}
	h.Set("disk", errors.New("read-only"))
	h.Set("disk", nil)
	h.Set("tls", nil)
	ok()
	if all := h.Checks(); len(all) != 3 || len(h.Red()) != 0 {
		t.Errorf("%v, red %v", all, h.Red())
	}
	all := h.Checks()
	all["disk"] = "changed"
	if len(h.Red()) != 0 {
		t.Error("Checks is no copy")
	}
	if red, green := strings.Count(log.String(), "msg=unhealthy"), strings.Count(log.String(), "healthy again"); red != 3 || green != 2 {
		t.Errorf("%d red and %d green lines in the log:\n%s", red, green, &log)
	}
}

func TestConcurrentUse(t *testing.T) {
	m := New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.ConnOpened("imap")
				m.Health.Set("store", nil)
				m.Fsync("dir", 1, 0)
				m.ConnClosed("imap")
			}
		})
	}
	wg.Go(func() { get(m.Handler(), "GET"); get(m.Health.Handler(), "GET") })
	wg.Wait()
	if text := body(t, get(m.Handler(), "GET")); !strings.Contains(text, `kurir_connections_total{protocol="imap"} 800`) {
		t.Error("counts were lost")
	}
}

// It is ready when it says so, whatever is red, and no more when it stops.
func TestReady(t *testing.T) {
	h := &Health{}
	for _, c := range []struct {
		ready bool
		want  int
	}{{false, 503}, {true, 200}, {false, 503}} {
		h.SetReady(c.ready)
		h.Set("disk", errors.New("full"))
		if r := get(h.ReadyHandler(), "GET"); r.StatusCode != c.want || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d %v", c.ready, r.StatusCode, r.Header)
		}
	}
	if r := get(h.ReadyHandler(), "POST"); r.StatusCode != 405 {
		t.Errorf("POST: %d", r.StatusCode)
	}
}
