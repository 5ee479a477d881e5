package relay_test

import (
	"strings"
	"testing"
	"time"

	"kurir/internal/relay"
	"kurir/internal/smtpclient/smtptest"
)

// RFC 2852 section 4.1.4: the time that is left is said to the next host; what is to be
// returned goes to none that does not promise to, or needs longer. RFC 6710: the priority
// goes along where it is known.
func TestDeliverBy(t *testing.T) {
	for _, c := range []struct {
		name       string
		extensions []string
		left       time.Duration
		by         relay.DeliverBy // but At
		priority   int
		mail       string // its end; "": none was sent
		untimed    bool
		says       string
	}{
		{name: "return", extensions: []string{"DELIVERBY"}, left: time.Hour, by: relay.DeliverBy{Return: true}, mail: " BY=3600;R"},
		{name: "notify and trace", extensions: []string{"DELIVERBY 600", "MT-PRIORITY"}, left: time.Minute, by: relay.DeliverBy{Trace: true}, priority: 4, mail: " BY=60;NT MT-PRIORITY=4"},
		{name: "late", extensions: []string{"DELIVERBY"}, left: -time.Minute, mail: " BY=-60;N"},
		{name: "nine digits", extensions: []string{"DELIVERBY"}, left: 1e6 * time.Hour, mail: " BY=999999999;N"},
		{name: "late, return", extensions: []string{"DELIVERBY"}, left: -time.Second, by: relay.DeliverBy{Return: true}, says: "0 seconds that are left are too few"},
		{name: "too soon", extensions: []string{"DELIVERBY 61"}, left: time.Minute, by: relay.DeliverBy{Return: true}, says: "60 seconds that are left are too few"},
		{name: "just in time", extensions: []string{"DELIVERBY 60"}, left: time.Minute, by: relay.DeliverBy{Return: true}, mail: " BY=60;R"},
		{name: "not offered, return", left: time.Minute, by: relay.DeliverBy{Return: true}, says: "cannot do that (DELIVERBY)"},
		{name: "not offered, notify", extensions: []string{"MT-PRIORITY MIXER"}, left: time.Minute, priority: -9, mail: "> MT-PRIORITY=-9", untimed: true},
		{name: "neither", left: time.Minute, priority: 9, mail: "alice@local.test>", untimed: true},
	} {
		g := newRig(t, theHost)
		now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
		g.Now = func() time.Time { return now }
		p := g.peer(&smtptest.Peer{Extensions: append(c.extensions, "PIPELINING")}, "192.0.2.1")
		m := letter("hello")
		m.Sender, m.Priority, m.Size = "alice@local.test", c.priority, 0
		m.By = c.by
		m.By.At = now.Add(c.left)
		res := g.sendMessage(m, "bob@example.net")
		o := res.Outcomes[0]
		switch all := p.Transactions(); {
		case c.says != "":
			if o.Action != relay.Failed || o.Reply.Status != "5.4.7" || !strings.Contains(o.Reply.Text, c.says) || len(all) != 0 {
				t.Errorf("%s: %+v, %+v", c.name, o, all)
			}
		case o.Action != relay.Sent || len(all) != 1 || !strings.HasSuffix(all[0].Mail, c.mail) || o.Untimed != c.untimed:
			t.Errorf("%s: %+v, %+v", c.name, o, all)
		}
	}
}
