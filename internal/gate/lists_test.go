package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

const listZone = `
1.2.0.192.bl.example.    A   127.0.0.2
1.2.0.192.bl.example.    TXT "spam source, see http://bl.example/?192.0.2.1"
2.2.0.192.bl.example.    A   127.0.0.4
3.2.0.192.bl.example.    A   127.255.255.254
4.2.0.192.bl.example.    A   192.0.2.99
5.2.0.192.bl.example.    A   127.0.0.10
5.2.0.192.bl.example.    A   127.0.0.3
6.2.0.192.bl.example.    A   127.0.0.2
6.2.0.192.bl.example.    TXT "a\000b\013\010` + "\xff" + `"
7.2.0.192.bl.example.    CNAME loop.example.
loop.example.            CNAME 7.2.0.192.bl.example.
8.2.0.192.bl.example.    A   127.0.0.1
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example. A 127.0.0.2
1.2.0.192.other.example. A   127.0.0.2
1.2.0.192.wl.example.    A   127.0.9.1
9.2.0.192.wl.example.    A   127.0.9.1
9.2.0.192.bl.example.    A   127.0.0.2
3.2.0.192.wl.example.    A   127.0.0.255
*.parked.example.        A   192.0.2.80
*.all.example.           A   127.0.0.2
2.0.0.127.bl.example.    A   127.0.0.2
2.0.0.127.odd.example.   A   127.0.0.9
`

func listGate(t *testing.T, change func(*Options)) (*Gate, *dnstest.Server, *bytes.Buffer) {
	t.Helper()
	dns := dnstest.Start(t, listZone)
	log := &bytes.Buffer{}
	o := Options{
		Hostname: "mx.here.example", Shared: testShared(SharedOptions{}), Refuse: 1,
		Resolver: &dnsutil.Resolver{Servers: []string{dns.Addr()}, Timeout: 200 * time.Millisecond, Tries: 1, MaxCache: -1},
		DNSBL:    []List{{Zone: "bl.example"}}, DNSWL: []List{{Zone: "wl.example"}},
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g, dns, log
}

// arrive is what a client meets with a message: the refusal, or nil and the findings.
func arrive(t *testing.T, g *Gate, ip string) (*Refusal, Findings) {
	t.Helper()
	v, err := g.Connect(t.Context(), addr(ip))
	if err != nil {
		t.Fatal(err)
	}
	v.Hello("client.example")
	if err := v.Mail(t.Context(), "sender@example.net"); err != nil {
		t.Fatal(err)
	}
	err = v.Rcpt(t.Context(), "alice@here.example")
	var r *Refusal
	if err != nil && !errors.As(err, &r) {
		t.Fatal(err)
	}
	return r, v.Findings()
}

func TestLists(t *testing.T) {
	g, _, log := listGate(t, nil)
	for ip, want := range map[string]string{
		"192.0.2.1":   "", // the list of good clients has it as well
		"192.0.2.2":   "[192.0.2.2] is listed by bl.example; have it removed there, or ask postmaster@here.example",
		"192.0.2.3":   "", // the list refuses to answer
		"192.0.2.4":   "", // no answer of a list
		"192.0.2.5":   "[192.0.2.5] is listed by bl.example",
		"192.0.2.6":   "[192.0.2.6] is listed by bl.example (a",
		"192.0.2.7":   "", // aliases in a circle
		"192.0.2.8":   "", // 127.0.0.1 is no listing
		"192.0.2.10":  "",
		"2001:db8::1": "[2001:db8::1] is listed by bl.example",
		"10.0.0.1":    "",
	} {
		r, f := arrive(t, g, ip)
		if (r != nil) != (want != "") || r != nil && !strings.HasPrefix(r.Text, want) {
			t.Errorf("%s: %v, want %q", ip, r, want)
		}
		if r != nil && (r.Code != 550 || strings.ContainsFunc(r.Text, func(c rune) bool { return c < ' ' || c > '~' })) {
			t.Errorf("%s: %q", ip, r)
		}
		if f.Junk != (r != nil) {
			t.Errorf("%s: %+v", ip, f)
		}
	}
	if _, f := arrive(t, g, "192.0.2.1"); len(f.Notes) != 2 || !strings.Contains(f.Notes[0], "good clients wl.example") ||
		!strings.Contains(f.Notes[1], "listed by bl.example (spam source, see") {
		t.Errorf("%q", f.Notes)
	}
	if n := strings.Count(log.String(), "a list in the DNS is of no use"); n != 2 {
		t.Errorf("%d complaints, want one for each list: %s", n, log)
	}
}

func TestListWeights(t *testing.T) {
	g, _, _ := listGate(t, func(o *Options) {
		o.DNSBL = []List{
			{Zone: "bl.example", Answers: []Answer{{addr("127.0.0.2"), addr("127.0.0.3")}}, Weight: 2},
			{Zone: "other.example", Weight: 1},
		}
		o.DNSWL, o.Refuse = nil, 3
	})
	for ip, want := range map[string]struct{ refused, junk bool }{
		"192.0.2.1": {true, true}, "192.0.2.2": {false, false}, "192.0.2.5": {false, true}, "192.0.2.6": {false, true}, "192.0.2.10": {false, false},
	} {
		r, f := arrive(t, g, ip)
		if (r != nil) != want.refused || f.Junk != want.junk {
			t.Errorf("%s: %v, junk %v", ip, r, f.Junk)
		}
	}
	if r, _ := arrive(t, g, "192.0.2.1"); !strings.Contains(r.Text, "bl.example (spam source") || !strings.Contains(r.Text, "other.example") {
		t.Errorf("%v", r)
	}
	notes, _, _ := listGate(t, func(o *Options) { o.Refuse = 0 })
	if r, f := arrive(t, notes, "192.0.2.2"); r != nil || f.Junk || len(f.Notes) != 1 {
		t.Errorf("%v, %+v", r, f)
	}
}

// Postmaster hears from those that are listed, and who is allowed is not asked about.
func TestListExceptions(t *testing.T) {
	g, dns, _ := listGate(t, func(o *Options) { o.Allow = []string{"192.0.2.9", "friend@example.net"} })
	v, _ := g.Connect(t.Context(), addr("192.0.2.2"))
	v.Hello("client.example")
	v.Mail(t.Context(), "sender@example.net")
	if err := v.Rcpt(t.Context(), "PostMaster@here.example"); err != nil {
		t.Errorf("postmaster: %v", err)
	}
	if err := v.Rcpt(t.Context(), "postmaster+x@here.example"); err == nil {
		t.Error("who is not postmaster")
	}
	v.Mail(t.Context(), "friend@example.net")
	if err := v.Rcpt(t.Context(), "alice@here.example"); err != nil {
		t.Errorf("an allowed sender: %v", err)
	}
	if f := v.Findings(); f.Junk || f.Trusted {
		t.Errorf("an allowed sender: %+v", f)
	}
	dns.ResetCounts()
	if r, f := arrive(t, g, "192.0.2.9"); r != nil || !f.Trusted || f.Junk {
		t.Errorf("an allowed network: %v, %+v", r, f)
	}
	if n := len(dns.Counts()); n != 0 {
		t.Errorf("%d questions about an allowed network", n)
	}
}

// Lists that do not answer, or lie, let mail in, and in time.
func TestListLies(t *testing.T) {
	for name, lie := range map[string]func(*dnstest.Server, ...string){
		"silent":   (*dnstest.Server).Silent,
		"servfail": (*dnstest.Server).ServFail,
		"refused":  (*dnstest.Server).Refused,
		"lie":      (*dnstest.Server).Lie,
		"loop":     (*dnstest.Server).Loop,
	} {
		g, dns, _ := listGate(t, nil)
		lie(dns, "2.2.0.192.bl.example")
		start := time.Now()
		if r, _ := arrive(t, g, "192.0.2.2"); r != nil {
			t.Errorf("%s: %v", name, r)
		}
		if took := time.Since(start); took > listTime+time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	g, _, _ := listGate(t, func(o *Options) { o.DNSBL, o.DNSWL = []List{{Zone: "parked.example"}}, nil })
	if r, f := arrive(t, g, "192.0.2.1"); r != nil || f.Junk {
		t.Errorf("a list whose domain was sold: %v", r)
	}
}

// stuck is a resolver that answers when its caller gives up.
type stuck struct{ ended chan struct{} }

func (s stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	s.ended <- struct{}{}
	return nil, ctx.Err()
}

func (s stuck) LookupTXT(ctx context.Context, _ string) ([]string, error) { return nil, ctx.Err() }

// The questions end with the connection.
func TestListsEndWithConnection(t *testing.T) {
	s := stuck{make(chan struct{}, 10)}
	g, _, log := listGate(t, func(o *Options) { o.Resolver = s })
	ctx, cancel := context.WithCancel(t.Context())
	v, _ := g.Connect(ctx, addr("192.0.2.1"))
	cancel()
	<-s.ended
	<-s.ended
	<-v.lists.done
	if log.Len() > 0 {
		t.Errorf("a client that went away is the list's fault: %s", log)
	}
	if !g.trouble.say("bl.example", time.Now()) {
		t.Error("the list's next fault would not be told")
	}
}

func TestProbe(t *testing.T) {
	dns := dnstest.Start(t, listZone)
	r := &dnsutil.Resolver{Servers: []string{dns.Addr()}, Timeout: 200 * time.Millisecond, Tries: 1}
	for zone, want := range map[string]string{
		"bl.example": "", "none.example": "does not have 127.0.0.2", "all.example": "lists everybody", "parked.example": "changed hands",
	} {
		err := List{Zone: zone}.Probe(t.Context(), r)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", zone, err, want)
		}
	}
	narrow := List{Zone: "odd.example", Answers: []Answer{{addr("127.0.0.2"), addr("127.0.0.4")}}}
	if err := narrow.Probe(t.Context(), r); err == nil || !strings.Contains(err.Error(), "not its own") {
		t.Errorf("answers that are not the list's: %v", err)
	}
}

func TestReversed(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.99":                "99.2.0.192",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", // RFC 5782 section 2.4
	} {
		if got := reversed(addr(ip)); got != want {
			t.Errorf("%s: %s", ip, got)
		}
	}
}
