package imapd

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kurir/internal/listen"
	"kurir/store"
)

// TestModelConcurrent has clients on sockets all at once. Nobody knows then what is so at
// which moment, but a client's picture must hold together; what two are told of the same
// mod-sequence must be the same; and when all is quiet, every picture must be right, also
// that of a client that was cut off at some moment and comes back with QRESYNC.
func TestModelConcurrent(t *testing.T) {
	whole, _ := modelTime(t, 3*time.Second)
	said := 0
	for end, seed := time.Now().Add(whole), uint64(1); time.Now().Before(end) && !t.Failed(); seed++ {
		said += stressRound(t, seed, min(time.Second, whole))
	}
	t.Logf("%d responses", said)
}

const stressClients = 8

// A modelLedger keeps what anybody was told of a message's flags at a mod-sequence.
type modelLedger struct{ told sync.Map }

type ledgerKey struct {
	box    string
	uid    uint32
	modseq uint64
}

// compare compares what is told with what others were. Keywords are left out: one may be
// told a moment before it is known.
func (l *modelLedger) compare(c *modelClient, s *modelSlot) {
	var system []string
	for _, f := range strings.Fields(s.flags) {
		if f[0] == '\\' {
			system = append(system, f)
		}
	}
	flags := flagKey(system...)
	if was, _ := l.told.LoadOrStore(ledgerKey{c.box.name, s.uid, s.modseq}, flags); was != flags {
		c.fail("UID %d at mod-sequence %d has (%s), and somebody was told (%s)", s.uid, s.modseq, flags, was)
	}
}

// stressRound runs clients for a while, each in a goroutine and a world of its own.
func stressRound(t *testing.T, seed uint64, d time.Duration) (said int) {
	s := stressServer(t)
	addr, stop := s.stressServe()
	worlds := make([]*modelWorld, stressClients)
	ledger := &modelLedger{}
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i := range worlds {
		w := &modelWorld{server: s, rng: rand.New(rand.NewPCG(seed, uint64(i))), caches: map[cacheKey]*modelCache{}, step: i * 1000, ledger: ledger}
		for _, name := range []string{"INBOX", "Archive"} {
			w.boxes = append(w.boxes, &modelBox{account: "alice@example.org", name: name, msgs: map[uint32]*modelMsg{}})
		}
		worlds[i] = w
		wg.Go(func() { w.stress(i, addr, end) })
	}
	wg.Go(func() {
		for time.Now().Before(end) {
			s.deliver("alice@example.org", "", testMessage)
			time.Sleep(3 * time.Millisecond)
		}
	})
	wg.Wait()
	stop() // and what clients had left behind is done
	addr, stop = s.stressServe()
	for i, w := range worlds {
		w.quiet = true
		wg.Go(func() { w.stressEnd(i, addr) })
	}
	wg.Wait()
	stop()
	if err := s.store.Close(); err != nil {
		t.Error(err)
	}
	for _, w := range worlds {
		said += w.said
	}
	return said
}

// stressServer makes a server with an account.
func stressServer(t *testing.T) *server {
	s := &server{t: t, dir: modelDir(t)}
	w := &modelWorld{server: s}
	var err error
	s.store, err = store.Open(t.Context(), store.Options{Dir: s.dir, Hostname: "test", BootID: "boot", Log: slog.New(modelLog{w: w})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.CreateAccount(t.Context(), "alice@example.org"); err != nil {
		t.Fatal(err)
	}
	s.srv = &Server{Store: s.store, Auth: fakeAuth{}, Log: slog.New(modelLog{w: w}), AllowPlaintext: func(netip.Addr) bool { return true },
		StopTimeout: time.Minute}
	return s
}

// stressServe serves on a socket until it is stopped, which waits for the sessions.
func (s *server) stressServe() (addr string, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { // ends with ctx
		served <- s.srv.Serve(ctx, listen.New(ln, listen.Options{Protocol: "imap", MaxPerAddr: -1, Log: s.srv.Log}), false)
	}()
	return ln.Addr().String(), func() {
		cancel()
		if err := <-served; err != nil {
			s.t.Error(err)
		}
	}
}

// dialIn gives the world's client a new connection.
func (w *modelWorld) dialIn(id int, addr string) *modelClient {
	conn, err := net.Dial("tcp", addr)
	w.must(err)
	c := w.connect(id, "alice@example.org", conn)
	w.clients = []*modelClient{c}
	c.enable()
	return c
}

// stress is one client's life.
func (w *modelWorld) stress(id int, addr string, end time.Time) {
	c := w.dialIn(id, addr)
	defer func() { w.clients[0].conn.Close() }()
	for time.Now().Before(end) {
		if c.bye || w.pct(2) {
			c.conn.Close()
			c = w.dialIn(id, addr)
		}
		switch n := w.rng.IntN(20); {
		case c.box == nil || n == 0:
			c.run(c.selectBox())
			c.run(c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS", "MODSEQ"}, ""))
		case n == 1:
			c.run(&modelCommand{name: "NOOP", want: "OK"})
		case n == 2:
			w.actIdle(c)
			time.Sleep(time.Duration(w.rng.IntN(4)) * time.Millisecond)
			c.awake()
		case n < 6:
			c.run(c.command(), &modelCommand{name: "NOOP", want: "OK"}, c.fetch())
		case n == 6:
			c.run(c.fetchSince())
		case n == 7:
			c.run(c.storeFlags(true))
		default:
			c.run(c.command())
		}
		c.learn()
	}
	if c.box != nil { // cut off with an answer on its way
		c.remember()
		m := c.command()
		c.write("last " + m.name + m.args + "\r\n" + m.literal)
	}
}

// learn asks about messages that the client knows nothing of, as one with QRESYNC must.
func (c *modelClient) learn() {
	if c.box != nil && !c.bye && slices.ContainsFunc(c.slots, func(s modelSlot) bool { return s.uid == 0 || !s.known }) {
		c.run(c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS", "MODSEQ"}, ""))
	}
}

// stressEnd comes back when all is quiet: what a client knew, and what it is told now, is
// what there is.
func (w *modelWorld) stressEnd(id int, addr string) {
	box := w.clients[0].box
	if w.clients[0].bye || box == nil || w.t.Failed() {
		return
	}
	c := w.dialIn(id, addr)
	defer c.conn.Close()
	if !c.qresync {
		c.run(&modelCommand{name: "ENABLE", args: " QRESYNC", want: "OK"})
		c.qresync, c.condstore = true, true
	}
	k := w.caches[cacheKey{id, c.account, box.name}]
	c.run(c.selectOne(box))
	known := map[uint32]string{}
	for uid, flags := range k.flags {
		if !slices.Contains(c.gone, uid) {
			known[uid] = flags
		}
	}
	for _, s := range c.slots {
		if s.known {
			known[s.uid] = s.flags
		}
	}
	c.run(c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS", "MODSEQ"}, ""))
	for _, s := range c.slots {
		if flags, ok := known[s.uid]; ok && flags != s.flags {
			c.fail("UID %d: the client came back from mod-sequence %d and had to think (%s), there is (%s)", s.uid, k.highest, flags, s.flags)
		}
		delete(known, s.uid)
	}
	if len(known) > 0 {
		c.fail("the client came back from mod-sequence %d and was not told that these are gone: %v", k.highest, known)
	}
}
