package main

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
)

// The runtime gets nine tenths of what the process is allowed; who sets GOMEMLIMIT has
// the last word, and without a limit the runtime is left as it is.
func TestMemoryLimit(t *testing.T) {
	const before = 3 << 40
	for _, test := range []struct {
		name    string
		allowed uint64
		err     error
		environ []string
		limit   int64
		said    string
	}{
		{"a limit", 1 << 30, nil, nil, 966367641, `msg="memory limit" allowed="1 GiB" go="921.6 MiB"`},
		{"its own word", 1 << 30, nil, []string{"GOMEMLIMIT=300MiB"}, before, `msg="memory limit" gomemlimit=300MiB`},
		{"no limit", 0, errors.New("memory is not limited"), nil, before, ""},
		{"no limit, in the words of cgroup v1", 9223372036854771712, nil, nil, before, ""},
		{"beyond what an int64 holds", math.MaxUint64, nil, nil, before, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(before))
			var log bytes.Buffer
			e := &env{environ: test.environ, memory: func() (uint64, error) { return test.allowed, test.err }}
			s := &site{env: e, log: slog.New(slog.NewTextHandler(&log, nil))}
			s.limitMemory()
			if got := debug.SetMemoryLimit(-1); got != test.limit {
				t.Errorf("the runtime's limit is %d, not %d", got, test.limit)
			}
			if !strings.Contains(log.String(), test.said) || test.said == "" && log.Len() > 0 {
				t.Errorf("log: %q", log.String())
			}
		})
	}
}
