package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/directory"
)

// Each attempt ends in one event, which names accounts that there are and no others.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Event
		b := newBench(Options{Observe: func(e Event) { seen = append(seen, e) }})
		r := b.dir.rows["bert@example.com"]
		r.acc.Disabled = true
		b.dir.rows["bert@example.com"] = r
		mapped := netip.MustParseAddr("::ffff:192.0.2.1")
		for _, c := range []struct {
			name, password string
			want           string
		}{
			{"anna", "right", "anna@example.com ok logged in"},
			{"anna", "wrong", "anna@example.com invalid the password is wrong"},
			{"bert", "right", "bert@example.com disabled the password is right, but the account is disabled"},
			{"nobody", "right", " invalid the password is wrong"},
		} {
			seen = nil
			b.login(mapped, c.name, c.password)
			if len(seen) != 1 {
				t.Fatalf("%s: %d events", c.name, len(seen))
			}
			e := seen[0]
			if got := e.Account + " " + e.Result + " " + e.Reason; got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			if e.Remote != home || e.Protocol != "imap" || e.Mechanism != "PLAIN" || e.TLS != "TLS 1.3" || e.Credential != "" || e.Time.IsZero() {
				t.Errorf("%s: %+v", c.name, e)
			}
		}
		b.guess(away, "carl", 30)
		if e := seen[len(seen)-1]; e.Result != ResultThrottled || !strings.Contains(e.Reason, "too many") {
			t.Errorf("after guessing: %+v", e)
		}
		b.dir.fails = errors.New("disk on fire")
		b.login(home, "anna", "right")
		if e := seen[len(seen)-1]; e.Result != ResultError || e.Account != "" || strings.Contains(e.Reason, "fire") {
			t.Errorf("our own fault: %+v", e)
		}
	})
}

// The event tells which app password it was, and so does the login.
func TestCredentialIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Event
		b := newBench(Options{Observe: func(e Event) { last = e }})
		r := b.dir.rows["anna@example.com"]
		r.creds = append(r.creds, directory.Credential{ID: 77, Kind: directory.KindApp, Name: "phone", Verifier: quickVerifier("other")})
		b.dir.rows["anna@example.com"] = r
		for range 2 { // hashed, then recalled
			got, err := b.Authenticate(t.Context(), Attempt{Protocol: "pop3", Remote: home, Username: "anna@example.com", Password: "other"})
			if err != nil || got != (Login{Address: "anna@example.com", Credential: 77, Name: "phone"}) || last.Credential != "phone" || last.TLS != "" {
				t.Errorf("got %+v, %v, %+v", got, err, last)
			}
		}
	})
}

// What was the matter is for the owner; the client gets no more than ErrInvalid.
func TestReasonStaysHere(t *testing.T) {
	err := error(&refusal{reason: "it is the password of another door"})
	if !errors.Is(err, ErrInvalid) || Result(err) != ResultInvalid || reason(err) != "it is the password of another door" {
		t.Error(err)
	}
	if publicly(err) != ErrInvalid || publicly(context.Canceled) != context.Canceled || publicly(nil) != nil {
		t.Error("the reason is told")
	}
	if got := reason(context.DeadlineExceeded); !strings.Contains(got, "went away") {
		t.Error(got)
	}
}
