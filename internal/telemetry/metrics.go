// Package telemetry owns what an operator sees from outside: the Prometheus metrics
// and the health of the server. Metrics has a method for each thing that is counted,
// so that other packages declare the few they need as small interfaces or take them as
// func fields, and none of them knows Prometheus. All metrics begin with kurir_; there
// is no registry but the one of Metrics.
//
// Every label has few values: what clients choose, such as addresses, is never one.
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many requests for the metrics are answered at once.
const maxScrapes = 4

// Metrics counts. Its methods may be called from many goroutines, and do not block.
type Metrics struct {
	// Health is exported as kurir_health_ok too.
	Health *Health

	registry    *prometheus.Registry
	connsOpen   *prometheus.GaugeVec     // protocol
	conns       *prometheus.CounterVec   // protocol
	connsRefuse *prometheus.CounterVec   // protocol, reason
	logins      *prometheus.CounterVec   // protocol, mechanism, result
	accepted    *prometheus.CounterVec   // protocol
	refused     *prometheus.CounterVec   // protocol, reason
	delivered   *prometheus.CounterVec   // result
	judged      *prometheus.CounterVec   // verdict
	judging     prometheus.Histogram     // seconds
	delivery    prometheus.Histogram     // seconds
	fsync       *prometheus.HistogramVec // kind, seconds
	fsyncShared *prometheus.CounterVec   // kind
	errors      *prometheus.CounterVec   // component
	relayed     *prometheus.CounterVec   // result
	tlsStopped  *prometheus.CounterVec
	relay       prometheus.Histogram // seconds
	disk        *diskCollector
	commands    *prometheus.HistogramVec // protocol, command, seconds
	receiving   *prometheus.HistogramVec // protocol, seconds
	asked       *askedCollector
	traceLost   *prometheus.CounterVec
	notices     *prometheus.CounterVec // result
}

// New makes the metrics, all of them registered, and the Health among them.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		Health:   &Health{},
		registry: prometheus.NewRegistry(),
		connsOpen: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kurir_connections_open", Help: "Connections open now."}, []string{"protocol"}),
		conns:       counter("kurir_connections_total", "Connections accepted.", "protocol"),
		connsRefuse: counter("kurir_connections_refused_total", "Connections refused for want of room.", "protocol", "reason"),
		logins:      counter("kurir_logins_total", "Logins tried.", "protocol", "mechanism", "result"),
		accepted:    counter("kurir_messages_accepted_total", "Messages that kurir took responsibility for.", "protocol"),
		refused:     counter("kurir_messages_refused_total", "Messages or recipients refused in the session.", "protocol", "reason"),
		delivered:   counter("kurir_messages_delivered_total", "Deliveries into a mailbox, one for each recipient.", "result"),
		judged:      counter("kurir_messages_judged_total", "Strangers' messages that SPF, DKIM, ARC and DMARC were asked about.", "verdict"),
		judging: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kurir_judging_seconds", Help: "Time of judging one message, once it has come.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 14)}), // 0.5 ms to 75 s
		delivery: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kurir_delivery_seconds", Help: "Time of one delivery into a mailbox, until it is durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}), // 0.5 ms to 16 s
		fsync: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kurir_fsync_seconds", Help: "Time of one batch of syncs to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17)}, []string{"kind"}), // 0.1 ms to 6.5 s
		fsyncShared: counter("kurir_fsync_requests_total", "Requests answered by batches of syncs to disk.", "kind"),
		errors:      counter("kurir_errors_total", "Faults of the server's own.", "component"),
		tlsStopped:  counter("kurir_relay_tls_stopped_total", "Mail servers that used to offer TLS and stopped."),
		relayed:     counter("kurir_relay_recipients_total", "Recipients in attempts to hand messages to other hosts.", "result"),
		relay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kurir_relay_seconds", Help: "Time of one attempt to hand a message to another host.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 15)}), // 1 ms to 6 minutes
		disk: &diskCollector{},
		commands: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kurir_command_seconds", Help: "Time of one command of IMAP or POP3 until its answer, with what the client sends meanwhile: the message of APPEND, the steps of a login.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"protocol", "command"}), // 1 ms to 16 s
		receiving: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kurir_message_answer_seconds", Help: "Time from the last octet of a message to the answer to its client.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}, []string{"protocol"}), // 1 ms to 24 s
		asked:     &askedCollector{},
		traceLost: counter("kurir_trace_dropped_total", "Records of the trace that were forgotten for want of room."),
		notices:   counter("kurir_notices_total", "Mails to the administrator.", "result"),
	}
	m.errors.WithLabelValues("storage") // so that the first one counts
	m.registry.MustRegister(
		m.connsOpen, m.conns, m.connsRefuse, m.logins, m.accepted, m.refused, m.delivered, m.judged, m.judging,
		m.delivery, m.fsync, m.fsyncShared, m.errors, healthCollector{m.Health},
		m.relayed, m.relay, m.disk, m.commands, m.receiving, m.asked, m.tlsStopped, m.notices, m.traceLost,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler answers GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}

// ConnOpened counts a connection that was accepted.
func (m *Metrics) ConnOpened(protocol string) {
	m.connsOpen.WithLabelValues(protocol).Inc()
	m.conns.WithLabelValues(protocol).Inc()
}

// ConnClosed takes one from the open connections.
func (m *Metrics) ConnClosed(protocol string) { m.connsOpen.WithLabelValues(protocol).Dec() }

// ConnRefused counts a connection for which there was no room.
func (m *Metrics) ConnRefused(protocol, reason string) {
	m.connsRefuse.WithLabelValues(protocol, reason).Inc()
}

// MessageAccepted counts a message that was answered with 250 (or OK, for APPEND).
func (m *Metrics) MessageAccepted(protocol string) { m.accepted.WithLabelValues(protocol).Inc() }

// MessageRefused counts a message or recipient that was refused; reason is a word out
// of a short list of the caller's, never the text of a reply.
func (m *Metrics) MessageRefused(protocol, reason string) {
	m.refused.WithLabelValues(protocol, reason).Inc()
}

// MessageDelivered counts one delivery into a mailbox, which took this long, failed or
// not.
func (m *Metrics) MessageDelivered(took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.delivered.WithLabelValues(result).Inc()
	m.delivery.Observe(took.Seconds())
}

// MessageJudged counts a verdict on a stranger's message, a word out of a short list, which
// took this long.
func (m *Metrics) MessageJudged(verdict string, took time.Duration) {
	m.judged.WithLabelValues(verdict).Inc()
	m.judging.Observe(took.Seconds())
}

// TLSStopped counts a mail server that used to offer TLS and does not any more.
func (m *Metrics) TLSStopped() { m.tlsStopped.WithLabelValues().Inc() }

// Fsync counts a batch of syncs of one kind ("file", "dir" …) that answered n requests
// and took this long.
func (m *Metrics) Fsync(kind string, n int, took time.Duration) {
	m.fsync.WithLabelValues(kind).Observe(took.Seconds())
	m.fsyncShared.WithLabelValues(kind).Add(float64(max(n, 0)))
}

// Error counts a fault of the server's own in a component, such as "store".
func (m *Metrics) Error(component string) { m.errors.WithLabelValues(component).Inc() }

// Relayed counts an attempt to hand a message to another host, which took this long:
// result ("sent", "deferred" or "failed") for n of its recipients.
func (m *Metrics) Relayed(result string, n int) { m.relayed.WithLabelValues(result).Add(float64(n)) }

// RelayTook counts the time of one attempt.
func (m *Metrics) RelayTook(took time.Duration) { m.relay.Observe(took.Seconds()) }

// TraceDropped counts records of the trace that were forgotten.
func (m *Metrics) TraceDropped(n int) { m.traceLost.WithLabelValues().Add(float64(n)) }

// Notice counts a mail to the administrator, handed in or failed.
func (m *Metrics) Notice(err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.notices.WithLabelValues(result).Inc()
}
