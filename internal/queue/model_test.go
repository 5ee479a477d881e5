package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
)

// modelRow is what the model knows of a recipient.
type modelRow struct {
	id, address          string
	plan                 []relay.Outcome // of its attempts
	tries                int
	due, deadline, delay time.Time // zero: none
	held                 bool
}

// model is the queue as its description has it: no index, no destinations, no files.
type model struct {
	rows                      []*modelRow
	sent                      map[string]int
	delayed, failed, returned int // recipients in reports
}

// advance does what is due at a time.
func (m *model) advance(now time.Time) {
	var left []*modelRow
	for _, r := range m.rows {
		gone := false
		if !r.held && (!r.due.After(now) || !r.deadline.After(now)) {
			o := r.plan[min(r.tries, len(r.plan)-1)]
			r.tries++
			switch {
			case o.Action == relay.Sent:
				m.sent[r.address]++
				gone = true
			case o.Action == relay.Failed, !now.Before(r.deadline):
				m.failed++
				gone = true
			default:
				r.due = now.Add(backoff(5*time.Minute, 4*time.Hour, r.tries))
				if r.due.After(r.deadline) {
					r.due = r.deadline
				}
			}
		}
		if gone {
			continue
		}
		if !r.held && !r.delay.IsZero() && !r.delay.After(now) && now.Before(r.deadline) {
			m.delayed++
			r.delay = time.Time{}
		}
		left = append(left, r)
	}
	m.rows = left
}

// state is what waits, in a form to compare.
func (m *model) state() string {
	var all []string
	for _, r := range m.rows {
		state := "waiting"
		if r.held {
			state = "held (" + heldByHand + ")"
		}
		all = append(all, fmt.Sprint(r.id, " ", r.address, " ", state, " ", r.tries, " ", r.due.Unix(), " ", r.deadline.Unix()))
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

func (r *rig) state() string {
	r.t.Helper()
	entries, err := r.q.List(r.ctx, Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprint(e.ID, " ", e.Recipient, " ", e.State, " ", e.Attempts, " ", e.Due.Unix(), " ", e.Deadline.Unix()))
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// consistent compares memory with SQL.
func (r *rig) consistent() {
	r.t.Helper()
	tx, err := r.db.Begin()
	if err != nil {
		r.t.Fatal(err)
	}
	defer tx.Rollback()
	rows, err := readRows(r.ctx, tx)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(rows) != len(r.q.rows) {
		r.t.Errorf("%d rows in SQL, %d in memory", len(rows), len(r.q.rows))
	}
	perDestination := map[string]int{}
	for _, f := range rows {
		m := r.q.rows[f.id]
		if m == nil {
			r.t.Errorf("%s %s is not in memory", f.mail.id, f.address)
			continue
		}
		show := func(r *row) string {
			return fmt.Sprint(r.mail.id, r.address, r.attempts, " ", r.due, r.deadline, r.delay, " ", r.held, r.reason)
		}
		if show(m) != show(f.row) || m.to.name != f.destination || m.busy || m.mail.rows[m.at] != m {
			r.t.Errorf("memory has %s, SQL %s", show(m), show(f.row))
		}
		perDestination[f.destination]++
		if _, err := os.Stat(r.q.path(f.mail.file)); err != nil {
			r.t.Error(err)
		}
	}
	for name, d := range r.q.destinations {
		if d.rows != perDestination[name] || d.active != 0 || d.doomed != 0 {
			r.t.Errorf("%s: %d rows, %d active, %d doomed, want %d rows", name, d.rows, d.active, d.doomed, perDestination[name])
		}
	}
	if r.q.active != 0 || r.q.coming != 0 || r.q.comingRows != 0 || len(r.q.chores) != 0 {
		r.t.Errorf("%d active, %d and %d coming, %d chores", r.q.active, r.q.coming, r.q.comingRows, len(r.q.chores))
	}
}

// TestModel does random things to a queue and to the model of it.
func TestModel(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func runModel(t *testing.T, rnd *rand.Rand) {
	r := newRig(t)
	m := &model{sent: map[string]int{}}
	plans, tries := map[string][]relay.Outcome{}, map[string]int{}
	r.hosts = func(c *call) *relay.Result {
		if err := c.before(c.ctx); err != nil {
			t.Error(err)
		}
		res := &relay.Result{}
		for _, to := range c.to {
			plan := plans[to.Address]
			o := plan[min(tries[to.Address], len(plan)-1)]
			tries[to.Address]++
			if o.Action == relay.Sent {
				r.sent = append(r.sent, sent{c.m.ID, to.Address, ""})
			}
			res.Outcomes = append(res.Outcomes, o)
		}
		return res
	}
	n := 0
	for step := range 150 {
		r.step(rnd, m, plans, &n)
		if rnd.IntN(4) == 0 {
			// Time does not pass between a command and the scheduler's next look.
			m.advance(r.now)
			r.run()
			r.now = r.now.Add(time.Duration(rnd.Int64N(int64(3 * time.Hour))).Truncate(time.Second))
		}
		if rnd.IntN(3) > 0 {
			m.advance(r.now)
			r.run()
		}
		if rnd.IntN(10) == 0 {
			r.reopen()
		}
		if got, want := r.state(), m.state(); got != want {
			t.Fatalf("step %d:\n%s\nwant\n%s", step, got, want)
		}
		r.consistent()
		if t.Failed() {
			t.Fatalf("step %d", step)
		}
	}
	if _, err := r.q.Release(r.ctx, Selection{}); err != nil {
		t.Fatal(err)
	}
	for _, w := range m.rows {
		w.release(r.now)
	}
	for range 200 {
		m.advance(r.now)
		r.run()
		r.now = r.now.Add(time.Hour)
	}
	reports := strings.Join(r.box("alice@local.test"), "\n")
	got := fmt.Sprint(len(r.sent), strings.Count(reports, "Action: delayed"), strings.Count(reports, "Action: failed"), " ", r.waiting(), r.files())
	want := 0
	for _, k := range m.sent {
		want += k
	}
	if want := fmt.Sprint(want, m.delayed, m.failed+m.returned, " ", nothing, []string{}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(r.sent) == 0 || m.delayed == 0 || m.failed == 0 || m.returned == 0 {
		t.Errorf("too little happened: %d sent, %d delayed, %d failed, %d returned", len(r.sent), m.delayed, m.failed, m.returned)
	}
}

func (w *modelRow) release(now time.Time) {
	if !w.held {
		return
	}
	w.held, w.due, w.deadline = false, now, now.Add(5*24*time.Hour)
	if !w.delay.IsZero() {
		w.delay = now.Add(4 * time.Hour)
	}
}

// step does one random thing to both.
func (r *rig) step(rnd *rand.Rand, m *model, plans map[string][]relay.Outcome, n *int) {
	r.t.Helper()
	var pick *modelRow
	s := Selection{}
	if len(m.rows) > 0 {
		pick = m.rows[rnd.IntN(len(m.rows))]
		s = Selection{Filter: Filter{IDs: []string{pick.id}}, Recipient: pick.address}
	}
	changed, want := 0, 0
	var err error
	switch k := rnd.IntN(10); {
	case k < 4 || pick == nil:
		r.addRandom(rnd, m, plans, n)
	case k == 4:
		changed, err = r.q.Hold(r.ctx, s)
		if !pick.held {
			pick.held, want = true, 1
		}
	case k == 5:
		changed, err = r.q.Release(r.ctx, s)
		if pick.held {
			want = 1
		}
		pick.release(r.now)
	case k == 6:
		changed, err = r.q.Retry(r.ctx, s)
		if !pick.held {
			pick.due, want = r.now, 1
		}
	case k == 7 && rnd.IntN(2) == 0:
		changed, err = r.q.Drop(r.ctx, s)
		m.remove(pick)
		want = 1
	case k == 8 && rnd.IntN(2) == 0:
		changed, err = r.q.Bounce(r.ctx, s)
		m.remove(pick)
		m.returned++
		want = 1
		r.run() // the report
		m.advance(r.now)
	}
	if err != nil || changed != want {
		r.t.Fatalf("changed %d, want %d, %v", changed, want, err)
	}
}

func (m *model) remove(gone *modelRow) {
	for i, w := range m.rows {
		if w == gone {
			m.rows = append(m.rows[:i], m.rows[i+1:]...)
			return
		}
	}
}

// addRandom accepts a message to some hosts, each of which has a plan.
func (r *rig) addRandom(rnd *rand.Rand, m *model, plans map[string][]relay.Outcome, n *int) {
	r.t.Helper()
	e := Envelope{ID: fmt.Sprintf("m%d", *n), Sender: "alice@local.test"}
	for range 1 + rnd.IntN(4) {
		*n++
		address := fmt.Sprintf("u%d@d%d.test", *n, rnd.IntN(3))
		var plan []relay.Outcome
		for range rnd.IntN(6) {
			plan = append(plan, deferred(451, "4.7.1", "Later"))
		}
		switch rnd.IntN(4) {
		case 0:
			plan = append(plan, failed(550, "5.1.1", "No"))
		case 1:
			plan = append(plan, deferred(451, "4.7.1", "Never ready"))
		default:
			plan = append(plan, relay.Outcome{Action: relay.Sent, Reply: relay.Reply{Code: 250}})
		}
		plans[address] = plan
		e.Recipients = append(e.Recipients, Recipient{Address: address})
		m.rows = append(m.rows, &modelRow{id: e.ID, address: address, plan: plan, due: r.now,
			deadline: r.now.Add(5 * 24 * time.Hour), delay: r.now.Add(4 * time.Hour)})
	}
	r.mustAccept(e)
}
