package gate

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The zero value lets everybody in, and notes nothing of a decent client.
func TestZeroGate(t *testing.T) {
	g, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		r, f := arrive(t, g, "192.0.2.1")
		if r != nil || len(f.Notes) > 0 || f.Trusted || f.Junk {
			t.Fatalf("%v, %+v", r, f)
		}
	}
	if _, err := New(Options{Allow: []string{"a b"}}); err == nil || !strings.Contains(err.Error(), `"a b"`) {
		t.Errorf("%v", err)
	}
}

func TestFindings(t *testing.T) {
	shared := testShared(SharedOptions{})
	g, err := New(Options{Hostname: "mx.here.example", Shared: shared, Allow: []string{"192.0.2.0/28", "friend.example", "192.0.2.77"}, Block: []string{"192.0.2.64/26"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ip, helo, from string
		trusted        bool
		notes          string
	}{
		{"198.51.100.1", "client.example", "x@a.example", false, ""},
		{"198.51.100.1", "x\x01\u00e9", "x@a.example", false, `the client calls itself "x\x01?", which is no full host name`},
		{"192.0.2.1", "x", "x@a.example", true, "[192.0.2.1] is in a network that the administrator allows"},
		{"192.0.2.77", "x", "", true, "[192.0.2.77] is in a network that the administrator allows"},
		{"198.51.100.1", "client.example", "x@friend.example", false, "the administrator allows the sender x@friend.example"},
		{"172.17.0.1", "x", "x@a.example", false, "the client's address is not known: it stands for everybody"},
	} {
		v, err := g.Connect(t.Context(), addr(c.ip))
		if err != nil {
			t.Fatal(err)
		}
		v.Hello(c.helo)
		if err := v.Mail(t.Context(), c.from); err != nil {
			t.Error(err)
		}
		if err := v.Rcpt(t.Context(), "alice@here.example"); err != nil {
			t.Error(err)
		}
		f := v.Findings()
		if f.Trusted != c.trusted || f.Junk || strings.Join(f.Notes, "; ") != c.notes {
			t.Errorf("%+v: %+v", c, f)
		}
	}
	// Of a client without an address nothing is known; the lists of senders still count.
	v, _ := g.Connect(t.Context(), netip.Addr{})
	v.Hello("mx.here.example")
	if err := errors.Join(v.Mail(t.Context(), "x@a.example"), v.Rcpt(t.Context(), "alice@here.example")); err != nil {
		t.Error(err)
	}
	v.Count(false)
}

// A sender's word of the administrator goes before his network's, and counts for one
// message.
func TestSenderBeforeNetwork(t *testing.T) {
	g, err := New(Options{Allow: []string{"boss@bad.example"}, Block: []string{"192.0.2.0/24", "bad.example"}})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := g.Connect(t.Context(), addr("192.0.2.1"))
	for from, want := range map[string]string{
		"boss@bad.example": "", "x@bad.example": "mail from <x@bad.example> is blocked", "x@else.example": "mail from [192.0.2.1] is blocked", "": "mail from [192.0.2.1] is blocked",
	} {
		err := v.Mail(t.Context(), from)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", from, err)
		}
	}
}

// Refusals are counted over connections, and forgotten with time.
func TestRefusalsKeepOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := New(Options{RefusalsHour: 60})
		guess := func(ip string) (connected int) {
			for range 100 {
				v, err := g.Connect(t.Context(), addr(ip))
				if err != nil {
					var r *Refusal
					if !errors.As(err, &r) || r.Code != 421 || !strings.Contains(r.Text, "come again in a minute") {
						t.Errorf("%v", err)
					}
					continue
				}
				connected++
				v.Count(false)
			}
			return connected
		}
		if n := guess("192.0.2.1"); n != 60 {
			t.Errorf("%d connections, want 60", n)
		}
		if n := guess("192.0.2.2"); n != 60 {
			t.Errorf("a neighbour: %d", n)
		}
		time.Sleep(10 * time.Minute)
		if n := guess("192.0.2.1"); n != 10 {
			t.Errorf("after ten minutes: %d, want 10", n)
		}
	})
}

// What is taken makes up for what is refused, and for no more.
func TestTakenMakesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := New(Options{RefusalsHour: 60})
		v, err := g.Connect(t.Context(), addr("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			v.Count(true)
			v.Count(false)
		}
		if err := v.Mail(t.Context(), "x@a.example"); err != nil {
			t.Errorf("a server half of whose messages are taken: %v", err)
		}
		for range 60 {
			v.Count(false)
		}
		if err := v.Mail(t.Context(), "x@a.example"); err == nil {
			t.Error("nothing is taken, and it may go on")
		}
	})
}

func TestTextsAreSafe(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", "plain"}, {"a\r\nb", "a??b"}, {"é\x00", "??"}, {strings.Repeat("x", 500), strings.Repeat("x", 397) + "..."},
	} {
		if got := ascii(c.text); got != c.want {
			t.Errorf("%q: %q", c.text, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "a minute", time.Second: "a minute", time.Minute: "a minute", 61 * time.Second: "2 minutes", time.Hour: "60 minutes"} {
		if got := minutes(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
	r := &Refusal{550, "5.7.1", "no", errors.New("cause"), false}
	if r.Error() != "550 5.7.1 no: cause" || errors.Unwrap(r).Error() != "cause" {
		t.Errorf("%v", r)
	}
}
