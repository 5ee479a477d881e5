package smtpd

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kurir/internal/gate"
)

// testGate is a Gate with settings like "block=192.0.2.0/24 connections=2 strict". It
// looks only at time, of which a bubble has its own.
func testGate(t testing.TB, settings string, shared bool) Gate {
	o := gate.Options{Hostname: "mx.local.test", Shared: gate.NewShared(gate.SharedOptions{
		Own: func() []netip.Addr { return nil },
		Gateways: func() (all []netip.Addr) {
			if shared {
				all = append(all, netip.MustParseAddr("192.0.2.1"))
			}
			return all
		},
	})}
	for s := range strings.FieldsSeq(settings) {
		name, value, _ := strings.Cut(s, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "block":
			o.Block = append(o.Block, value)
		case "allow":
			o.Allow = append(o.Allow, value)
		case "connections":
			o.ConnectionsMinute = n
		case "messages":
			o.MessagesHour = n
		case "refusals":
			o.RefusalsHour = n
		case "strict":
			o.StrictHELO = true
		default:
			t.Fatalf("no setting %s", name)
		}
	}
	g, err := gate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return MailGate{g}
}

// setGate is for transcripts: "gate" with settings, or "gateway" behind it, which makes the client one.
func (k *talk) setGate(name, settings string) {
	if name == "gate" {
		k.gate = settings
	}
	k.srv.Gate = testGate(k.t, k.gate, name == "gateway")
}

// listener is a Gate that remembers what it is told.
type listener struct {
	Gate
	wrote []string
}

func (l *listener) Wrote(_ context.Context, addresses []string) {
	l.wrote = append(l.wrote, addresses...)
}

// The gate learns whom users write to, elsewhere and with success.
func TestGateIsTold(t *testing.T) {
	srv, _ := testServer(t)
	l := &listener{Gate: testGate(t, "", false)}
	srv.Gate = l
	for _, role := range []role{user, stranger, device} {
		s := &session{wire: &wire{srv: srv, run: &run{srv: srv}}, by: submitter{role: role}}
		s.mail.From = Path{"alice", "local.test"}
		s.recipients = []recipient{
			{rcptCommand: rcptCommand{To: Path{"bob", "local.test"}}, accounts: []string{"bob@local.test"}},
			{rcptCommand: rcptCommand{To: Path{"friend", "elsewhere.test"}}},
		}
		s.tellGate()
		s.mail.From = Path{}
		s.tellGate() // a notice
	}
	if want := []string{"friend@elsewhere.test", "friend@elsewhere.test"}; !slices.Equal(l.wrote, want) {
		t.Errorf("%q, want %q", l.wrote, want)
	}
}

func TestGateReplies(t *testing.T) {
	cause := errors.New("inner")
	r := replyTo(&gate.Refusal{Code: 451, Status: "4.7.1", Text: "later", Err: cause})
	if r.Code != 451 || r.Status != "4.7.1" || r.Text != "later" || !errors.Is(r, cause) {
		t.Errorf("%v", r)
	}
}

func TestClientAddr(t *testing.T) {
	shared := netip.MustParseAddr("10.0.0.1")
	for text, want := range map[string]bool{"127.0.0.1": false, "::1": false, "10.0.0.1": false, "192.0.2.1": true, "2001:db8::1": true} {
		w := &wire{srv: &Server{Shared: func(a netip.Addr) bool { return a == shared }}, ip: netip.MustParseAddr(text)}
		if got := w.clientAddr(); got.IsValid() != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if w := (&wire{srv: &Server{}}); w.clientAddr().IsValid() {
		t.Error("no address is somebody's")
	}
}
