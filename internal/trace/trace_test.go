package trace

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/sqldb"
)

// rig is a trace with a clock.
type rig struct {
	*Trace
	t       testing.TB
	db      *sqldb.DB
	now     time.Time
	dropped int
}

func newRig(t testing.TB, set func(*Options)) *rig {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "kurir.db"), Migrations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{t: t, db: db, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	var mu sync.Mutex
	o := Options{DB: db, Keep: 14 * 24 * time.Hour, Now: func() time.Time { return r.now }, Dropped: func(n int) {
		mu.Lock()
		defer mu.Unlock()
		r.dropped += n
	}}
	if set != nil {
		set(&o)
	}
	r.Trace = New(o)
	return r
}

// received is a message from a stranger to Anna.
func received(id string) Record {
	return Record{ID: id, Sender: "Bob@Example.net", To: []string{"anna+x@example.org"}, Client: "192.0.2.1", MessageID: "<M1@example.net>", Size: 7,
		Steps: []Step{{Kind: Received, Text: "from mx.example.net"}, {Kind: Delivered, Account: "anna@example.org", Mailbox: "INBOX"}}}
}

// found are the ids that Find finds.
func (r *rig) found(what string) []string {
	r.t.Helper()
	all, err := r.Find(r.t.Context(), what, time.Time{}, 20)
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	return ids
}

// show is all that is known of one message.
func (r *rig) show(id string) (Message, error) {
	all, err := r.Find(r.t.Context(), id, time.Time{}, 1)
	if err != nil || len(all) == 0 {
		return Message{}, err
	}
	return all[0], nil
}

// TestFind: by all names, in any case, and by ids.
func TestFind(t *testing.T) {
	r := newRig(t, nil)
	r.Note(received("abc-1"))
	r.now = r.now.Add(time.Second)
	r.Note(Record{ID: "abc-2", Sender: "bob@example.net", To: []string{"carl@example.org"}, Steps: []Step{{Kind: Queued}}})
	r.Note(Record{ID: "abc-1", Steps: []Step{{Kind: Missed, Text: "later"}}})
	r.Note(Record{ID: "abd-1", Steps: []Step{{Kind: Posted}}})
	for what, want := range map[string]string{
		"bob@example.NET":     "[abc-2 abc-1]",
		"<bob@example.net>":   "[abc-2 abc-1]",
		"anna@example.org":    "[abc-1]",
		"anna+x@example.org":  "[abc-1]",
		"<m1@Example.net>":    "[abc-1]",
		"192.0.2.1":           "[abc-1]",
		"abc-1":               "[abc-1]",
		"abc":                 "[abc-1 abc-2]",
		"ab":                  "[]",
		"nobody@example.org":  "[]",
		"%":                   "[]",
		"a'; DROP TABLE x; -": "[]",
	} {
		if got := fmt.Sprint(r.found(what)); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	m, err := r.show("abc-1")
	if err != nil || len(m.Records) != 2 || m.Records[0].Steps[1].Mailbox != "INBOX" || m.Records[1].Steps[0].Text != "later" ||
		!m.Records[0].At.Equal(r.now.Add(-time.Second)) || m.Records[0].Size != 7 {
		t.Errorf("%+v, %v", m, err)
	}
	if all, _ := r.Find(t.Context(), "bob@example.net", r.now, 20); len(all) != 1 {
		t.Errorf("since: %v", all)
	}
	if all, _ := r.Find(t.Context(), "bob@example.net", time.Time{}, 1); len(all) != 1 || all[0].ID != "abc-2" {
		t.Errorf("limit: %v", all)
	}
}

// TestBuffer: what has no room is counted, and nobody waits.
func TestBuffer(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Buffer = 3 })
	for i := range 5 {
		r.Note(received(fmt.Sprint("m-", i)))
	}
	if got := r.found("bob@example.net"); len(got) != 3 || r.dropped != 2 {
		t.Errorf("%v, %d dropped", got, r.dropped)
	}
	r.Note(received("m-5"))
	r.db.Close()
	if err := r.Flush(t.Context()); err == nil || r.dropped != 3 {
		t.Errorf("%v, %d dropped", err, r.dropped)
	}
}

// TestFullDisk: what was written is found while nothing can be written.
func TestFullDisk(t *testing.T) {
	r := newRig(t, nil)
	r.Note(received("m-1"))
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Exec(`CREATE TRIGGER full BEFORE INSERT ON trace_batch BEGIN SELECT RAISE(FAIL, 'disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	r.Note(received("m-2"))
	if got := r.found("bob@example.net"); !slices.Equal(got, []string{"m-1"}) || r.dropped != 1 {
		t.Errorf("%v, %d dropped", got, r.dropped)
	}
}

// TestPrune: by age and by number, with the names.
func TestPrune(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Max = 700 })
	for i := range 1000 {
		r.Note(received(fmt.Sprint("m-", i)))
	}
	prune := func() (rows, records int) {
		t.Helper()
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.db.QueryRow(`SELECT count(*), coalesce(sum(number), 0) FROM trace_batch`).Scan(&rows, &records); err != nil {
			t.Fatal(err)
		}
		return rows, records
	}
	if rows, records := prune(); rows != 2 || records != 1000-2*batch {
		t.Errorf("%d rows, %d records", rows, records)
	}
	if got := r.found("m-999"); len(got) != 1 {
		t.Error("the youngest is gone")
	}
	r.Trace = New(r.o) // as a new process
	r.Note(received("again"))
	if rows, records := prune(); rows != 3 || records != 1000-2*batch+1 {
		t.Errorf("after a start: %d rows, %d records", rows, records)
	}
	r.now = r.now.Add(14*24*time.Hour + time.Millisecond)
	r.Note(received("new"))
	if rows, records := prune(); rows != 1 || records != 1 {
		t.Errorf("after a time: %d rows, %d records", rows, records)
	}
}

// TestManyRows: what is rare is found among many, across pages.
func TestManyRows(t *testing.T) {
	r := newRig(t, nil)
	for i := range 2*page + 10 {
		one := received(fmt.Sprint("m-", i))
		if i == 3 {
			one.Sender = "rare@example.net"
		}
		r.Note(one)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Minute)
	}
	if got := fmt.Sprint(r.found("rare@example.net")); got != "[m-3]" {
		t.Error(got)
	}
	if all, err := r.Find(t.Context(), "rare@example.net", r.now.Add(-time.Hour), 1); err != nil || len(all) != 0 {
		t.Error(all, err)
	}
	if got := r.found("bob@example.net"); len(got) != 20 || got[0] != fmt.Sprint("m-", 2*page+9) {
		t.Error(got)
	}
	if all, err := r.Find(t.Context(), "bob@example.net", r.now.Add(-5*time.Minute), 20); err != nil || len(all) != 5 {
		t.Error(len(all), err)
	}
}

// TestHashes: a set knows what is in it.
func TestHashes(t *testing.T) {
	var h hashes
	for i := range 300 {
		h.add(fmt.Sprint("name ", i), "twice")
	}
	set := h.String()
	if len(set) > 301*8 {
		t.Errorf("%d octets", len(set))
	}
	for i := range 300 {
		if !mayHave(set, []string{digits("nothing"), digits(fmt.Sprint("name ", i))}) {
			t.Error(i)
		}
	}
	if mayHave(set, []string{digits("other")}) || mayHave("", []string{digits("other")}) {
		t.Error("found what is not there")
	}
}

// TestRefusals: strangers can't fill it, and can't keep each other out.
func TestRefusals(t *testing.T) {
	r := newRig(t, nil)
	refuse := func(n int, client string) (noted int) {
		before := r.dropped
		for i := range n {
			r.Note(Record{ID: fmt.Sprint("r-", i), Client: client, Steps: []Step{{Kind: Refused, Text: "550 no"}}})
		}
		return n - (r.dropped - before)
	}
	if n := refuse(100, "192.0.2.1"); n != clientBurst {
		t.Errorf("one client: %d", n)
	}
	if a, b := refuse(clientBurst, "2001:db8::1"), refuse(3, "2001:db8::2"); a != clientBurst || b != 0 {
		t.Errorf("one network: %d, %d", a, b)
	}
	r.now = r.now.Add(clientEvery)
	if n := refuse(5, "192.0.2.1"); n != 1 {
		t.Errorf("later: %d", n)
	}
	all := 0
	for i := range 100 {
		all += refuse(clientBurst, fmt.Sprintf("198.51.100.%d", i))
	}
	if all != allBurst-2*clientBurst+int(clientEvery/allEvery)-1 {
		t.Errorf("all together: %d", all)
	}
	r.Note(received("good-1")) // what was taken is never left out for it
	if got := r.found("good-1"); len(got) != 1 {
		t.Error(got)
	}
	for i := range maxClients + 10 { // memory is bounded
		r.refusals.take(fmt.Sprintf("10.%d.%d.1", i/256, i%256), r.now)
	}
	if n := len(r.refusals.clients); n > maxClients {
		t.Errorf("%d clients are remembered", n)
	}
	r.now = r.now.Add(-time.Hour) // a clock that was set back
	if n := refuse(5, "10.0.0.1"); n == 0 {
		t.Error("nothing is noted any more")
	}
}

// TestBounds: what strangers choose is cut.
func TestBounds(t *testing.T) {
	r := newRig(t, nil)
	long := received("long-1")
	long.Steps[0].Text = strings.Repeat("ä", maxText)
	long.To = slices.Repeat([]string{"a@example.org"}, maxTo+5)
	for i := range maxNames {
		long.Steps = append(long.Steps, Step{Recipient: fmt.Sprint(i, "@example.org")})
	}
	long.Steps = slices.Concat(long.Steps, make([]Step, maxSteps))
	r.Note(long)
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := r.show("long-1")
	if err != nil {
		t.Fatal(err)
	}
	got := m.Records[0]
	if len(got.To) != maxTo || len(got.Steps) != maxSteps || len(got.Steps[0].Text) > maxText+2 || len(got.names()) > maxNames {
		t.Errorf("%d recipients, %d steps, %d octets, %d names", len(got.To), len(got.Steps), len(got.Steps[0].Text), len(got.names()))
	}
}

// TestRun: written each second, and what is left at the end.
func TestRun(t *testing.T) {
	r := newRig(t, nil)
	count := func() (n int) {
		if err := r.db.QueryRow(`SELECT coalesce(sum(number), 0) FROM trace_batch`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.Run(ctx); close(ended) }()
	r.Note(received("a-1"))
	for deadline := time.Now().Add(10 * time.Second); count() == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is written")
		}
	}
	r.Note(received("a-2"))
	cancel()
	<-ended
	if count() != 2 {
		t.Error("the last second is lost")
	}
}

// TestOff: with no time to keep there is no record, and no goroutine.
func TestOff(t *testing.T) {
	var none *Trace
	r := newRig(t, func(o *Options) { o.Keep = 0 })
	for _, tr := range []*Trace{none, r.Trace} {
		tr.Note(received("a-1"))
		synctest.Test(t, func(t *testing.T) { tr.Run(t.Context()) })
		if all, err := tr.Find(t.Context(), "a-1", time.Time{}, 20); len(all) != 0 || err != nil {
			t.Error(all, err)
		}
	}
}

// BenchmarkNote is what a delivery pays.
func BenchmarkNote(b *testing.B) {
	r := newRig(b, func(o *Options) { o.Buffer = 1 << 30 })
	for b.Loop() {
		r.Note(received("a-1"))
	}
}

// BenchmarkWrite is what one message costs beside.
func BenchmarkWrite(b *testing.B) {
	r := newRig(b, func(o *Options) { o.Buffer = 1 << 30 })
	n := 0
	for b.Loop() {
		r.Note(received(fmt.Sprint("a-", n)))
		if n++; n%batch == 0 {
			if err := r.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}
