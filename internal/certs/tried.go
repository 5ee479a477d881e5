package certs

import (
	"context"
	"encoding/json"
)

// triedKey is where it is kept how often orders have failed: a server that is started again
// and again must not use up the limits of the CA with first tries.
const triedKey = "kurir/tried.json"

// loadTried takes over what an earlier run has tried in vain. Files that cannot be read are
// as none.
func (m *Manager) loadTried(ctx context.Context) {
	text, err := m.storage.Load(ctx, triedKey)
	var tried map[string]int
	if err != nil || json.Unmarshal(text, &tried) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, failures := range tried {
		if w := m.wanted[n]; w != nil && w.cert == nil {
			w.failures = min(max(failures, 0), len(pauses))
		}
	}
}

// saveTried keeps how often each name was tried in vain.
func (m *Manager) saveTried(ctx context.Context) {
	m.saving.Lock()
	defer m.saving.Unlock()
	tried := map[string]int{}
	m.mu.Lock()
	for n, w := range m.wanted {
		if w.cert == nil && w.failures > 0 {
			tried[n] = w.failures
		}
	}
	m.mu.Unlock()
	text, err := json.Marshal(tried)
	if err == nil {
		err = m.storage.Store(context.WithoutCancel(ctx), triedKey, append(text, '\n'))
	}
	if err != nil {
		m.o.Log.Warn("it cannot be kept which orders have failed", "error", err)
	}
}
