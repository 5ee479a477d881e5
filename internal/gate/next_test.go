package gate

import (
	"testing"
	"time"
)

// A gate that follows on another remembers what clients have done, where the limit is the
// same, and begins anew where it is not.
func TestNext(t *testing.T) {
	ip := addr("192.0.2.1")
	g, err := New(Options{ConnectionsMinute: 2, MessagesHour: 2, RefusalsHour: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*rates{g.connections, g.messages, g.refused} {
		r.add(ip, 2)
	}
	n, err := g.Next(Options{ConnectionsMinute: 2, MessagesHour: 3, RefusalsHour: 2, StrictHELO: true})
	if err != nil || !n.o.StrictHELO {
		t.Fatalf("%+v, %v", n, err)
	}
	for name, tt := range map[string]struct {
		r    *rates
		full bool
	}{"connections": {n.connections, true}, "messages": {n.messages, false}, "refused": {n.refused, true}} {
		if wait, _ := tt.r.full(ip); (wait > 0) != tt.full {
			t.Errorf("%s: has to wait %v", name, wait)
		}
	}
	if _, err := g.Next(Options{Allow: []string{"@"}}); err == nil {
		t.Error("a mistake is taken")
	}
	g.grey = &greylist{delay: time.Minute}
	if n, err = g.Next(Options{Delay: time.Minute}); err != nil || n.grey != g.grey {
		t.Errorf("the greylist is another: %v", err)
	}
	if n, err = g.Next(Options{Delay: time.Hour}); err != nil || n.grey == g.grey || n.grey == nil {
		t.Errorf("the greylist is the same with another delay: %v", err)
	}
}
