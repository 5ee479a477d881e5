package main

import (
	"context"
	"time"

	"kurir/internal/auth"
	"kurir/internal/telemetry"
	"kurir/smtpd"
)

// meteredAuth counts logins.
type meteredAuth struct {
	*auth.Authenticator
	metrics *telemetry.Metrics
}

func (s *site) logins() meteredAuth { return meteredAuth{s.auth, s.metrics} }

// Authenticate is the authenticator's.
func (m meteredAuth) Authenticate(ctx context.Context, a auth.Attempt) (auth.Login, error) {
	login, err := m.Authenticator.Authenticate(ctx, a)
	m.metrics.Login(a.Protocol, auth.Result(err))
	return login, err
}

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
