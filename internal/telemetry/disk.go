package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Disk is the room on the disk of the mail, in bytes.
type Disk struct {
	Free, Total int64
	Reserve     int64 // kept free
	Short       bool  // there is less: no new mail is taken
}

// Disk has look asked at each scrape; false: it is not known.
func (m *Metrics) Disk(look func() (Disk, bool)) { m.disk.look.Store(&look) }

// diskCollector exports the room on the disk.
type diskCollector struct {
	look atomic.Pointer[func() (Disk, bool)]
}

// diskDescs are the gauges, in the order of values.
func diskDescs() []*prometheus.Desc {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	return []*prometheus.Desc{
		desc("kurir_disk_free_bytes", "Room on the disk of the mail."),
		desc("kurir_disk_size_bytes", "Size of the disk of the mail."),
		desc("kurir_disk_reserve_bytes", "Room that is kept free: with less, new mail is put off."),
		desc("kurir_disk_short", "1 while new mail is put off for want of room, else 0."),
	}
}

// Describe is prometheus.Collector's.
func (d *diskCollector) Describe(to chan<- *prometheus.Desc) {
	for _, one := range diskDescs() {
		to <- one
	}
}

// Collect is prometheus.Collector's.
func (d *diskCollector) Collect(to chan<- prometheus.Metric) {
	look := d.look.Load()
	if look == nil {
		return
	}
	s, known := (*look)()
	if !known {
		return
	}
	values := []float64{float64(s.Free), float64(s.Total), float64(s.Reserve), 0}
	if s.Short {
		values[3] = 1
	}
	for i, desc := range diskDescs() {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, values[i])
	}
}
