package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// The steps at which people are told fit the life of a certificate.
func TestSteps(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		life, left   time.Duration
		step         int
		late, ending bool
	}{
		{90 * day, 60 * day, 0, false, false},
		{90 * day, 29 * day, 0, false, false}, // it is being renewed
		{90 * day, 20 * day, 0, true, false},
		{90 * day, 13 * day, 1, true, false},
		{90 * day, 7 * day, 2, true, true},
		{90 * day, 3 * day, 3, true, true},
		{90 * day, 23 * time.Hour, 4, true, true},
		{90 * day, -time.Hour, 4, true, true},
		{397 * day, 30 * day, 0, false, false}, // of files: not sooner than others
		{397 * day, 13 * day, 1, true, false},
		{6 * day, 46 * time.Hour, 0, false, false}, // short lives must not cry
		{6 * day, 22 * time.Hour, 1, true, false},
		{6 * day, 11 * time.Hour, 2, true, true},
		{6 * day, time.Hour, 4, true, true},
		{time.Hour, 30 * time.Minute, 0, false, false},
	} {
		s := Status{NotBefore: now.Add(c.left - c.life), NotAfter: now.Add(c.left)}
		if s.Step(now) != c.step || s.Late(now) != c.late || s.Ending(now) != c.ending {
			t.Errorf("%v of %v left: step %d, late %t, ending %t", c.left, c.life, s.Step(now), s.Late(now), s.Ending(now))
		}
	}
	if none := (Status{}); none.Step(now) != 0 || none.Late(now) || none.Ending(now) {
		t.Error("of none")
	}
}

// What a CA or the network says is told with what to do.
func TestWords(t *testing.T) {
	m := &Manager{o: Options{CA: &CA{Directory: "https://ca.test/dir", HTTP: true}}}
	problem := func(kind string, status int) error {
		return fmt.Errorf("[a.test] Obtain: %w", fmt.Errorf("solving: %w", acme.Problem{Type: acme.ProblemTypeNamespace + kind, Status: status, Detail: "they\r\nsay so", Subproblems: []acme.Subproblem{{Problem: acme.Problem{Detail: "and more"}}}}))
	}
	for _, c := range []struct {
		err  error
		want []string
	}{
		{problem("connection", 400), []string{"is port 80 open to the world", "(they say so; and more)"}},
		{problem("unauthorized", 403), []string{"something else there", "port 80"}},
		{problem("rateLimited", 429), []string{"tried again later by itself"}},
		{problem("caa", 403), []string{"CAA record"}},
		{problem("externalAccountRequired", 403), []string{"acme.eab_key_id"}},
		{problem("userActionRequired", 403), []string{"the CA refused: they say so; and more"}},
		{problem("serverInternal", 500), []string{"a fault of its own"}},
		{fmt.Errorf("get: %w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}), []string{"https://ca.test/dir cannot be reached", "connection refused"}},
		{fmt.Errorf("get: %w", &net.DNSError{Name: "ca.test", Err: "no such host"}), []string{"cannot be reached", "no such host"}},
		{fmt.Errorf("get: %w", x509.UnknownAuthorityError{}), []string{"acme.ca_file"}},
		{fmt.Errorf("[a.test] Obtain: %w", errors.New(again)), []string{"forgotten the account"}},
		{fmt.Errorf("[a.test] Renew: %w", errors.New("something odd")), []string{"something odd"}},
		{errors.New(strings.Repeat("ä", 2000)), []string{"…"}},
	} {
		got := m.words("a.test", c.err)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%v: %q has no %q", c.err, got, w)
			}
		}
		if strings.Contains(got, "[a.test]") || strings.ContainsAny(got, "\r\n") || len(got) > maxProblem+10 || strings.Contains(got, "%!") {
			t.Errorf("%q", got)
		}
	}
	m.o.CA.ALPN = true
	if m.ports() != "port 80 or 443" {
		t.Error(m.ports())
	}
	m.o.CA.HTTP = false
	if m.ports() != "port 443" {
		t.Error(m.ports())
	}
}

// certmagic's log ends in ours, and its steps are of no interest unless asked for.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	at := func(level slog.Level) *zap.Logger {
		out.Reset()
		return zapLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
	}
	log := at(slog.LevelInfo).Named("x").With(zap.String("b", "1"))
	log.Info("a step")
	log.Debug("another")
	if out.Len() > 0 {
		t.Errorf("%s", &out)
	}
	log.Error("it failed", zap.Error(errors.New("why")), zap.Strings("a", []string{"p", "q"}))
	if got := out.String(); !strings.Contains(got, `level=WARN msg="certificates: it failed" a="[p q]" b=1 error=why`) {
		t.Errorf("%s", got)
	}
	at(slog.LevelDebug).Info("a step", zap.Any("m", map[string]int{"k": 1}))
	if got := out.String(); !strings.Contains(got, `level=DEBUG msg="certificates: a step"`) {
		t.Errorf("%s", got)
	}
}

// Each provider that the configuration knows can be made.
func TestProviders(t *testing.T) {
	for _, name := range []string{"acmedns", "cloudflare", "desec", "digitalocean", "gandi", "hetzner", "ionos", "netcup", "ovh", "porkbun", "rfc2136"} {
		if c, err := (DNSProvider{Name: name, User: "u", Token: "t"}).client(); c == nil || err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (DNSProvider{Name: "other"}).client(); err == nil {
		t.Error("a provider that is not there")
	}
}
