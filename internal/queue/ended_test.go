package queue

import (
	"context"
	"fmt"
	"testing"

	"kurir/internal/relay"
)

// TestEnded: the end of what accounts submit is told, of nobody else's mail and of no end
// but that at another host.
func TestEnded(t *testing.T) {
	var got []string
	r := newRig(t, func(o *Options) {
		o.Ended = func(_ context.Context, e Ending) {
			got = append(got, fmt.Sprintf("%s %s %v %v %s", e.ID, e.Recipient, e.Sent, e.Reply.String(), e.Host))
		}
	})
	r.hosts = func(c *call) *relay.Result {
		switch c.destination {
		case "gone.test":
			res := c.all(failed(550, "5.1.1", "No such user"))
			res.Outcomes[0].Peer.Host = "mx.gone.test"
			return res
		case "later.test":
			return c.all(relay.Outcome{Reply: relay.Reply{Code: 450, Status: "4.2.1", Text: "later"}})
		}
		return r.take(c)
	}
	for i, account := range []string{"alice@local.test", ""} {
		_, err := r.acceptText(testMessage, Envelope{ID: fmt.Sprint("m-", i), Sender: "alice@local.test", Account: account, Recipients: []Recipient{
			{Address: "Bob@gone.test"}, {Address: "bob@good.test"}, {Address: "bob@later.test"}, {Address: "alice@local.test", Account: "alice@local.test"},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.run()
	if _, err := r.q.Bounce(r.ctx, Selection{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"m-0 Bob@gone.test false 550 5.1.1 No such user mx.gone.test": true, "m-0 bob@good.test true 250 2.0.0 taken mx.good.test": true}
	if len(got) != 2 || !want[got[0]] || !want[got[1]] || got[0] == got[1] {
		t.Errorf("%q", got)
	}
}
