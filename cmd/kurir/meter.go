package main

import (
	"context"
	"time"

	"kurir/internal/auth"
	"kurir/internal/telemetry"
	"kurir/smtpd"
)

// logins checks logins, which it has counted (newAuth).
func (s *site) logins() *auth.Authenticator { return s.auth }

// meteredStore counts deliveries.
type meteredStore struct {
	smtpd.MailStore
	metrics *telemetry.Metrics // nil: nothing is counted
}

// Deliver is the store's.
func (m meteredStore) Deliver(ctx context.Context, staged smtpd.Staged, targets []smtpd.Target) ([]smtpd.Failure, error) {
	if m.metrics == nil {
		return m.MailStore.Deliver(ctx, staged, targets)
	}
	start := time.Now()
	failed, err := m.MailStore.Deliver(ctx, staged, targets)
	took := time.Since(start)
	for i := range targets {
		one := err
		if one == nil && i < len(failed) {
			one = failed[i].Err
		}
		m.metrics.MessageDelivered(took, one)
	}
	return failed, err
}

// countMessage counts the end of a message transaction; result is one of smtpd.Server.Observe.
func countMessage(m *telemetry.Metrics, protocol, result string) {
	if m == nil {
		return
	}
	if result == "accepted" {
		m.MessageAccepted(protocol)
		return
	}
	m.MessageRefused(protocol, result)
}

// countAsked has the metrics ask for what is known at each moment.
func (s *site) countAsked() {
	s.metrics.Ask(telemetry.Asked{
		Queue: func() (telemetry.Queue, bool) {
			c, err := s.data.queue.Waiting(context.Background())
			return telemetry.Queue{
				Recipients: map[string]int{"local": c.Local, "remote": c.Remote, "held": c.Held},
				Messages:   c.Messages, Failing: c.Failing, Oldest: c.Oldest,
			}, err == nil
		},
		Certificates: func() (all []telemetry.Certificate) {
			for _, c := range s.fronts.site().certs.Certificates() {
				if c.Waiting && !c.Host {
					continue // a name that the DNS does not lead here needs none
				}
				for _, n := range c.Names {
					all = append(all, telemetry.Certificate{Name: n, NotAfter: c.NotAfter})
				}
			}
			return all
		},
		OpenAccounts: s.data.store.OpenAccounts,
		Version:      programVersion(),
	})
}

// countLogin counts an attempt to log in.
func (s *site) countLogin(e auth.Event) { s.metrics.Login(e.Protocol, e.Mechanism, e.Result) }
