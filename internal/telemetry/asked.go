package telemetry

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Queue is what waits to be delivered.
type Queue struct {
	Recipients map[string]int // by a word for why they wait
	Messages   int
	Failing    int       // destinations that are let be for a while
	Oldest     time.Time // when the first of all came; zero: nothing waits
}

// Certificate is one that is shown to clients, or should be.
type Certificate struct {
	Name     string
	NotAfter time.Time // zero: there is none
}

// maxCertificates bounds the certificates that are exported.
const maxCertificates = 200

// Asked are asked at each scrape. Each may be nil; false says that nothing is known.
type Asked struct {
	Queue        func() (Queue, bool)
	Certificates func() []Certificate
	OpenAccounts func() int // whose mail is open in memory
	Version      string     // of this program
}

// Ask has these asked at each scrape.
func (m *Metrics) Ask(a Asked) { m.asked.asked.Store(&a) }

// askedCollector exports what is asked for.
type askedCollector struct{ asked atomic.Pointer[Asked] }

// askedDescs are what askedCollector exports.
type askedDescs struct {
	recipients, messages, failing, oldest, certificate, accounts, build *prometheus.Desc
}

func newAskedDescs() askedDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return askedDescs{
		recipients:  desc("kurir_queue_recipients", "Recipients that wait in the queue.", "state"),
		messages:    desc("kurir_queue_messages", "Messages that wait in the queue."),
		failing:     desc("kurir_queue_failing_destinations", "Destinations that cannot be reached and are let be for a while."),
		oldest:      desc("kurir_queue_oldest_seconds", "Age of the oldest message that waits; 0 if none does."),
		certificate: desc("kurir_certificate_not_after_timestamp_seconds", "When a certificate ends, in seconds since 1970; 0 if there is none yet.", "name"),
		build:       desc("kurir_build_info", "1, with the version of this program and of Go.", "version", "goversion"),
		accounts:    desc("kurir_store_open_accounts", "Accounts whose mail is open in memory."),
	}
}

// Describe is prometheus.Collector's.
func (c *askedCollector) Describe(to chan<- *prometheus.Desc) {
	d := newAskedDescs()
	for _, one := range []*prometheus.Desc{d.recipients, d.messages, d.failing, d.oldest, d.certificate, d.accounts, d.build} {
		to <- one
	}
}

// Collect is prometheus.Collector's.
func (c *askedCollector) Collect(to chan<- prometheus.Metric) {
	a := c.asked.Load()
	if a == nil {
		return
	}
	d := newAskedDescs()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	gauge(d.build, 1, a.Version, runtime.Version())
	if a.Queue != nil {
		if q, known := a.Queue(); known {
			for state, n := range q.Recipients {
				gauge(d.recipients, float64(n), state)
			}
			gauge(d.messages, float64(q.Messages))
			gauge(d.failing, float64(q.Failing))
			age := 0.0
			if !q.Oldest.IsZero() {
				age = max(0, time.Since(q.Oldest).Seconds())
			}
			gauge(d.oldest, age)
		}
	}
	if a.Certificates != nil {
		seen := map[string]bool{}
		for _, one := range a.Certificates() {
			if seen[one.Name] || len(seen) >= maxCertificates {
				continue
			}
			seen[one.Name] = true
			end := 0.0
			if !one.NotAfter.IsZero() {
				end = float64(one.NotAfter.Unix())
			}
			gauge(d.certificate, end, one.Name)
		}
	}
	if a.OpenAccounts != nil {
		gauge(d.accounts, float64(a.OpenAccounts()))
	}
}
