package forward

import (
	"sync"
	"time"
)

const slots = 60 // a window of an hour, by the minute

// meter counts what each alias has passed on within the last hour.
type meter struct {
	now func() time.Time

	mu      sync.Mutex
	hourly  int // zero: no bound
	aliases map[string]*window
}

// window is one alias's counts.
type window struct {
	counts [slots]int
	last   int64 // the minute of the newest count, since 1970
	total  int
}

// sweepAbove is the number of aliases above which those that were quiet for an hour are
// forgotten before another one comes.
const sweepAbove = 1000

// room tells whether an alias may pass on n more.
func (m *meter) room(alias string, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hourly == 0 {
		return true
	}
	w := m.aliases[alias]
	if w == nil {
		return true
	}
	w.advance(m.minute())
	// An alias with more targets than the bound passes on one message after a quiet hour.
	return w.total == 0 || w.total+n <= m.hourly
}

// add counts n for an alias.
func (m *meter) add(alias string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hourly == 0 {
		return
	}
	minute := m.minute()
	w := m.aliases[alias]
	if w == nil {
		m.sweep(minute)
		w = &window{last: minute}
		if m.aliases == nil {
			m.aliases = map[string]*window{}
		}
		m.aliases[alias] = w
	}
	w.advance(minute)
	w.counts[w.last%slots] += n
	w.total += n
}

// bound changes how much an alias may pass on in an hour.
func (m *meter) bound(hourly int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hourly = hourly
}

func (m *meter) minute() int64 { return m.now().Unix() / 60 }

// sweep forgets aliases that have passed on nothing for an hour.
func (m *meter) sweep(minute int64) {
	if len(m.aliases) < sweepAbove {
		return
	}
	for alias, w := range m.aliases {
		if w.advance(minute); w.total == 0 {
			delete(m.aliases, alias)
		}
	}
}

// advance forgets what is older than an hour, and all when the clock was set back by more.
func (w *window) advance(minute int64) {
	if minute < w.last-slots {
		*w = window{last: minute}
	}
	for steps := 0; w.last < minute && steps < slots; steps++ {
		w.last++
		w.total -= w.counts[w.last%slots]
		w.counts[w.last%slots] = 0
	}
	w.last = max(w.last, minute)
}
