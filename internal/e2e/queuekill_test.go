package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/textproto"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A letterbook knows what was handed over, and what was promised for it.
type letterbook struct {
	mu   sync.Mutex
	next int
	all  map[string]*handed // by subject
	// via is an alias for some of the addresses elsewhere: it is written to in their place.
	via map[string]string
}

// handed is a message that a client has sent.
type handed struct {
	to       []string
	rcpt     []string // the same as they are written to
	split    bool     // what goes elsewhere has more than one envelope
	text     string
	promised bool // 250 came
	refused  bool // another reply came
}

// compose makes a message for some of the recipients at the domains.
func (b *letterbook) compose(r *rand.Rand, domains []string) *handed {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	h := &handed{}
	for i := range 1 + r.IntN(3) {
		h.to = append(h.to, fmt.Sprintf("user%d@%s", i, domains[r.IntN(len(domains))]))
	}
	if r.IntN(5) == 0 {
		h.to = append(h.to, bob)
	}
	for _, to := range h.to {
		alias, is := b.via[to]
		if !is {
			alias = to
		}
		h.rcpt, h.split = append(h.rcpt, "<"+alias+">"), h.split || is
	}
	subject := fmt.Sprintf("letter %d.", b.next)
	h.text = letter(alice, "you@elsewhere.test", subject, randomLines(r)...)
	b.all[subject] = h
	return h
}

func (b *letterbook) mark(h *handed, promised, refused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h.promised, h.refused = promised, refused
}

// write hands over messages until the connection ends.
func (b *letterbook) write(m *mailer, r *rand.Rand, domains []string, ready func()) error {
	c, err := m.login(alice)
	if err != nil {
		return err
	}
	defer c.Close()
	ready()
	for range 900 {
		h := b.compose(r, domains)
		_, err := c.submit("<"+alice+">", h.rcpt, h.text)
		var reply *textproto.Error
		b.mark(h, err == nil, errors.As(err, &reply))
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	subjectOf  = regexp.MustCompile(`(?m)^Subject: (letter \d+\.)\r$`)
	receivedAs = regexp.MustCompile(`\sid (\S+)`)
)

// arrivals are those of a message for one recipient.
type arrivals struct {
	count int
	id    string // in the server's log
}

// copies is what has come, by subject and recipient.
type copies map[string]map[string]*arrivals

// note notes an arrival, and returns what is wrong with it.
func (b *letterbook) note(c copies, text, to string) (faults []string) {
	f, id := subjectOf.FindStringSubmatch(text), receivedAs.FindStringSubmatch(text)
	if f == nil || id == nil {
		return []string{"something else has come: " + clip(text)}
	}
	if c[f[1]] == nil {
		c[f[1]] = map[string]*arrivals{}
	}
	a := c[f[1]][to]
	if a == nil {
		a = &arrivals{id: strings.TrimRight(id[1], ";")}
		c[f[1]][to] = a
	}
	a.count++
	if h := b.all[f[1]]; h == nil || checkTraced([]byte(text), h.text) != nil {
		return []string{"not as it was sent: " + clip(text)}
	}
	return nil
}

// audit compares what was promised with what has come, once nothing waits any more. logs
// are those of all runs.
func (b *letterbook) audit(m *mailer, peers []*peer, logs string) (faults []string) {
	m.t.Helper()
	c := copies{}
	for _, p := range peers {
		for _, t := range p.messages() {
			for _, to := range addresses(t.to) {
				faults = append(faults, b.note(c, t.text, to)...)
			}
		}
	}
	for _, f := range m.mailboxOf(bob, "INBOX").messages {
		faults = append(faults, b.note(c, string(f.body), bob)...)
	}
	for subject, h := range b.all {
		faults = append(faults, h.audit(subject, c[subject], logs)...)
	}
	return faults
}

// audit compares what was promised for one message with its copies. Those for others go
// all or none; bob, who is here, has his before anything is promised.
func (h *handed) audit(subject string, came map[string]*arrivals, logs string) (faults []string) {
	remote, sent := 0, 0
	for _, to := range h.to {
		a := came[to]
		if to != bob {
			remote++
		}
		if a != nil && to != bob {
			sent++
		}
		switch {
		case a == nil && h.promised:
			faults = append(faults, fmt.Sprintf("%s was promised, but did not reach %s", subject, to))
		case a != nil && a.count > 1 && (to == bob || !uncertain(logs, a.id)):
			faults = append(faults, fmt.Sprintf("%s (%s) reached %s %d times, and the log does not say that this may be", subject, a.id, to, a.count))
		}
	}
	if sent != 0 && sent != remote && (h.promised || !h.split) {
		faults = append(faults, fmt.Sprintf("%s reached %d of %d recipients elsewhere", subject, sent, remote))
	}
	if h.refused && sent != 0 {
		faults = append(faults, fmt.Sprintf("%s was refused and sent", subject))
	}
	return faults
}

// uncertain tells whether a log says that a message may be elsewhere already.
func uncertain(logs, id string) bool {
	for line := range strings.Lines(logs) {
		if strings.Contains(line, id) && strings.Contains(line, "may have") {
			return true
		}
	}
	return false
}

// seeded is a source of chance that KURIR_KILL_SEED repeats.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("KURIR_KILL_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("KURIR_KILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// rounds is how often a server is ended.
func killRounds(usual int) int {
	if v, err := strconv.Atoi(os.Getenv("KURIR_KILL_ROUNDS")); err == nil {
		return v
	}
	if testing.Short() {
		return 2
	}
	return usual
}

// queueLoad is a server with three others to send to: one quick, one slow, and one that
// often puts off what comes.
type queueLoad struct {
	m       *mailer
	book    *letterbook
	peers   []*peer
	domains []string
	rand    *rand.Rand
	logs    strings.Builder // of runs that have ended
}

func newQueueLoad(t *testing.T, rest string) *queueLoad {
	l := &queueLoad{book: &letterbook{all: map[string]*handed{}}, domains: []string{"quick.test", "slow.test", "moody.test"}, rand: seeded(t)}
	var mu sync.Mutex
	mood := rand.New(rand.NewPCG(l.rand.Uint64(), 0))
	chance := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return mood.IntN(n) == 0
	}
	l.peers = []*peer{{}, {answer: func(m moment) deed {
		if m.verb == "." {
			time.Sleep(20 * time.Millisecond)
		}
		return deed{}
	}}, {answer: func(m moment) deed {
		switch {
		case m.verb == "RCPT" && chance(10):
			return deed{say: "451 4.3.0 not now"}
		case m.verb == "MAIL" && chance(50):
			return deed{say: "421 4.3.2 later", close: true}
		case m.verb == "." && chance(30):
			return deed{say: "452 4.3.1 full"}
		}
		return deed{}
	}}}
	for i, p := range l.peers {
		startPeer(t, "127.0.0.1:0", p)
		rest += toPeer(l.domains[i], p)
	}
	rest += "[limits]\naccount_messages_hour = 0\naccount_messages_day = 0\naccount_recipients_hour = 0\naccount_recipients_day = 0\n"
	l.m = newMailer(t, setup{relay: soon, rest: rest})
	return l
}

// work puts clients to work and returns a function that waits for their end.
func (l *queueLoad) work() func() []error {
	var ready, ends sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		r := rand.New(rand.NewPCG(l.rand.Uint64(), l.rand.Uint64()))
		ready.Add(1)
		once := sync.OnceFunc(ready.Done)
		ends.Go(func() {
			defer once()
			errs[i] = l.book.write(l.m, r, l.domains, once)
		})
	}
	ready.Wait()
	return func() []error { ends.Wait(); return errs }
}

// check waits until the queue is empty and audits.
func (l *queueLoad) check(t *testing.T, round int) {
	t.Helper()
	l.m.empty(2 * patience)
	if faults := l.book.audit(l.m, l.peers, l.logs.String()+l.m.run.out.String()); len(faults) > 0 {
		t.Fatalf("round %d, %d faults:\n%s", round+1, len(faults), clip(strings.Join(faults, "\n")))
	}
	if mail := l.m.mailboxOf(alice, "INBOX").messages; len(mail) != 0 {
		t.Fatalf("alice was told: %s", clip(string(mail[0].body)))
	}
}

// TestForwardKill kills it as well, while aliases pass on a part of the mail: what was
// promised arrives whether an alias passes it on or not.
func TestForwardKill(t *testing.T) {
	t.Parallel()
	l := newQueueLoad(t, "[forward]\ncopies_hour = 0\n")
	l.book.via = map[string]string{}
	for i, domain := range l.domains {
		to, alias := "user0@"+domain, fmt.Sprintf("alias%d@local.test", i)
		l.m.kurir("", "alias", "add", alias, "--to", to)
		l.book.via[to] = alias
	}
	l.kill(t, killRounds(3))
}

// TestQueueKill kills the server at any moment while clients hand over mail for other
// hosts: what was promised arrives there, and twice only where the log says that the
// other host may have it already.
func TestQueueKill(t *testing.T) {
	t.Parallel()
	l := newQueueLoad(t, "")
	l.kill(t, killRounds(5))
}

// kill kills the server in each round, and audits after the last one and some others.
func (l *queueLoad) kill(t *testing.T, rounds int) {
	t.Helper()
	for round := range rounds {
		wait := l.work()
		time.Sleep(time.Duration(l.rand.IntN(1000)) * time.Millisecond) // a random moment, not a synchronisation
		p := l.m.run
		l.m.kill()
		p.complaints(t)
		l.logs.WriteString(p.out.String())
		wait()
		for l.rand.IntN(3) == 0 { // killed while starting, or while sending what was left
			p := l.m.begin()
			time.Sleep(time.Duration(l.rand.IntN(600)) * time.Millisecond)
			p.cmd.Process.Kill()
			<-p.exited
			p.complaints(t)
			l.logs.WriteString(p.out.String())
		}
		l.m.start()
		if round == rounds-1 || l.rand.IntN(2) == 0 {
			l.check(t, round)
		}
		t.Logf("round %d: %d messages so far", round+1, l.book.next)
	}
	if l.book.next == 0 {
		t.Error("nothing was done")
	}
	t.Logf("%d times the log says that a message may have arrived", strings.Count(l.logs.String()+l.m.run.out.String(), "may have arrived"))
}

// TestQueueStop stops the server, as for an upgrade, in the same way: nothing is lost, and
// nothing arrives twice.
func TestQueueStop(t *testing.T) {
	t.Parallel()
	l := newQueueLoad(t, "")
	for round := range killRounds(3) {
		wait := l.work()
		time.Sleep(time.Duration(l.rand.IntN(600)) * time.Millisecond)
		p := l.m.run
		took := l.m.stop()
		if text := p.out.String(); strings.Contains(text, "may have") {
			t.Errorf("it was cut off in the middle:\n%s", clip(text))
		}
		for i, err := range wait() {
			var reply *textproto.Error
			if err != nil && !(errors.As(err, &reply) && reply.Code == 421) {
				t.Errorf("client %d was not told 421: %v", i, err)
			}
		}
		l.m.start()
		t.Logf("round %d: stopped after %v; %d messages so far", round+1, took.Round(time.Millisecond), l.book.next)
		l.check(t, round)
		if text := l.m.run.out.String(); strings.Contains(text, "may have") {
			t.Errorf("something was left in the middle:\n%s", clip(text))
		}
	}
}
