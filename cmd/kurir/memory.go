package main

import (
	"runtime/debug"
)

const (
	// memoryShare is how much of the memory that this process is allowed Go may fill before
	// it collects garbage eagerly. The rest is for what Go does not count, such as SQLite's pages.
	memoryShare = 0.9
	// unlimited is what some kernels say instead of "no limit", and more than any machine has.
	unlimited = 1 << 60
)

// limitMemory has Go's runtime respect the limit of a container or of a systemd unit
// (MemoryMax), so that garbage is collected before the kernel ends the process. An
// explicit GOMEMLIMIT wins. Without a limit nothing changes.
func (s *site) limitMemory() {
	if v := s.env.getenv("GOMEMLIMIT"); v != "" { // which the runtime has read already
		s.log.Info("memory limit", "gomemlimit", v)
		return
	}
	if s.env.memory == nil {
		return
	}
	allowed, err := s.env.memory()
	if err != nil || allowed >= unlimited { // no limit, or no such thing on this system
		s.log.Debug("memory is not limited", "reason", err)
		return
	}
	limit := int64(float64(allowed) * memoryShare)
	debug.SetMemoryLimit(limit)
	s.log.Info("memory limit", "allowed", showSize(int64(allowed)), "go", showSize(limit))
}
