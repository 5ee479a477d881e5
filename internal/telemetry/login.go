package telemetry

import (
	"slices"
	"time"
)

// mechanisms are the values of the label mechanism: a client names what it likes.
func mechanisms() []string {
	return []string{"PLAIN", "LOGIN", "USER", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "FORM"}
}

// Login counts a login that was tried; result is a word such as "ok", "invalid",
// "throttled", "disabled" or "error".
func (m *Metrics) Login(protocol, mechanism, result string) {
	if !slices.Contains(mechanisms(), mechanism) {
		mechanism = "other"
	}
	m.logins.WithLabelValues(protocol, mechanism, result).Inc()
}

// Command counts the time of one command, whose name is one of the protocol's.
func (m *Metrics) Command(protocol, command string, took time.Duration) {
	m.commands.WithLabelValues(protocol, command).Observe(took.Seconds())
}

// MessageAnswered counts the time from the last octet of a message to its answer.
func (m *Metrics) MessageAnswered(protocol string, took time.Duration) {
	m.receiving.WithLabelValues(protocol).Observe(took.Seconds())
}
