package imapd

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kurir/store"
)

// The model test: several clients at random, one step after the other, and what each is
// told is compared with what it may be told. A failure names its seed: KURIR_MODEL_SEED
// repeats it. KURIR_MODEL_TIME says how long the test goes on with other seeds than the
// usual ones.
func TestModel(t *testing.T) {
	if s := os.Getenv("KURIR_MODEL_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		modelRound(t, seed, map[string]int{})
		return
	}
	whole, random := modelTime(t, 8*time.Second)
	rounds, steps, seen := 0, 0, map[string]int{}
	for end := time.Now().Add(whole); time.Now().Before(end) && !t.Failed(); rounds++ {
		seed := uint64(rounds + 1)
		if random {
			seed = rand.Uint64N(1 << 40)
		}
		steps += modelRound(t, seed, seen)
	}
	t.Logf("%d rounds, %d steps: %v", rounds, steps, seen)
	for _, k := range []string{"resync vanished", "resync flags", "VANISHED", "EXPUNGE", "SORT OK", "UID THREAD OK", "UID MOVE OK", "COMPRESS OK", "ESEARCH"} {
		if rounds >= 25 && seen[k] == 0 && !t.Failed() {
			t.Errorf("in %d rounds nothing was seen of %s", rounds, k)
		}
	}
}

// modelTime says how long to go on, and whether at random.
func modelTime(t *testing.T, usual time.Duration) (time.Duration, bool) {
	s := os.Getenv("KURIR_MODEL_TIME")
	if s == "" && testing.Short() {
		return usual / 4, false
	}
	if s == "" {
		return usual, false
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d, true
}

const modelSteps = 150

// modelRound runs one seed, and counts what was seen. If it fails, steps are left out as
// long as it still does.
func modelRound(t *testing.T, seed uint64, seen map[string]int) int {
	steps := make([]int, modelSteps)
	for i := range steps {
		steps[i] = i
	}
	w := runModel(t, seed, steps)
	for k, n := range w.seen {
		seen[k] += n
	}
	if w.failure == "" {
		return len(steps)
	}
	end := time.Now().Add(20 * time.Second)
	steps = w.upTo(steps)
	for size := len(steps) / 2; size > 0 && time.Now().Before(end); size /= 2 {
		for from := 0; from+size < len(steps) && time.Now().Before(end); {
			fewer := slices.Delete(slices.Clone(steps), from, from+size)
			if again := runModel(t, seed, fewer); again.failure != "" {
				steps, w = again.upTo(fewer), again
			} else {
				from += size
			}
		}
	}
	t.Errorf("seed %d, %d steps:\n%s\n\nto repeat: KURIR_MODEL_SEED=%d go test -run '^TestModel$' ./imapd", seed, len(steps), w.failure, seed)
	return len(steps)
}

// upTo leaves out what comes after the failure.
func (w *modelWorld) upTo(steps []int) []int {
	if i := slices.Index(steps, w.step); i >= 0 {
		return steps[:i+1]
	}
	return steps // it was in the last check
}

// A modelWorld is a server with its clients, and what there should be in its mailboxes.
type modelWorld struct {
	*server
	exact   bool         // one thing at a time, so that all is known
	quiet   bool         // nothing moves any more, if not exact
	ledger  *modelLedger // shared by all clients, if not exact
	rng     *rand.Rand
	step    int
	serial  int
	said    int // responses
	boot    int
	log     []string
	failure string
	seen    map[string]int // how often

	boxes      []*modelBox
	clients    []*modelClient
	caches     map[cacheKey]*modelCache
	renumbered bool // the index was lost: mod-sequences may have risen
}

// runModel runs steps of a seed in a world of its own.
func runModel(t *testing.T, seed uint64, steps []int) *modelWorld {
	var w *modelWorld
	synctest.Test(t, func(t *testing.T) {
		w = &modelWorld{exact: true, boot: 1, caches: map[cacheKey]*modelCache{}, seen: map[string]int{}, rng: rand.New(rand.NewPCG(seed, 0))}
		dir := modelDir(t)
		done := make(chan struct{})
		go func() { // ends with its steps, or with the first failure
			defer close(done)
			w.open(t, dir)
			w.setUp()
			for _, n := range steps {
				w.step, w.rng = n, rand.New(rand.NewPCG(seed, uint64(n)+1))
				w.act()
				w.settleClients()
			}
			w.step = -1
			w.finalCheck()
		}()
		<-done
		for _, c := range w.clients {
			c.conn.Close()
		}
		if w.server != nil && w.server.stop != nil {
			w.server.stop()
		}
	})
	return w
}

// modelDir is a folder in memory.
func modelDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "imapd-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// open starts a server on a data directory.
func (w *modelWorld) open(t testing.TB, dir string) {
	s := &server{t: t, l: newPipeListener(), dir: dir}
	var err error
	s.store, err = store.Open(context.Background(), store.Options{
		Dir: dir, NoWatch: true, Hostname: "test", BootID: fmt.Sprintf("boot-%d", w.boot),
		Log: slog.New(modelLog{w: w}),
		Now: func() time.Time { return time.Now().AddDate(yearsAhead, 0, 0) },
	})
	w.must(err)
	s.srv = &Server{Store: s.store, Auth: fakeAuth{}, Log: slog.New(modelLog{w: w}), AllowPlaintext: func(netip.Addr) bool { return true }}
	w.server = s.start()
}

// modelLog keeps what the server calls its own fault.
type modelLog struct {
	w *modelWorld
	slog.Handler
}

func (l modelLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (l modelLog) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l modelLog) WithGroup(string) slog.Handler                    { return l }
func (l modelLog) Handle(_ context.Context, r slog.Record) error {
	s := r.Message
	r.Attrs(func(a slog.Attr) bool { s += " " + a.String(); return true })
	l.w.t.Errorf("logged: %s", s)
	return nil
}

// fail ends the round. The conversation of the client is kept with what went wrong.
func (w *modelWorld) fail(c *modelClient, format string, args ...any) {
	s := fmt.Sprintf("step %d: %s", w.step, fmt.Sprintf(format, args...))
	lines := 60
	if !w.exact {
		lines = 200
	}
	if c != nil {
		s += fmt.Sprintf("\n%v of %s said and was told:\n\t%s", c, c.account, strings.Join(c.talk[max(0, len(c.talk)-lines):], "\n\t"))
	}
	if w.exact {
		w.failure = s + "\nall that happened last:\n\t" + strings.Join(w.log[max(0, len(w.log)-30):], "\n\t")
	} else {
		w.t.Error(s)
	}
	runtime.Goexit()
}

func (w *modelWorld) must(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		w.fail(nil, "line %d: %v", line, err)
	}
}

func (w *modelWorld) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%d: %s", w.step, fmt.Sprintf(format, args...)))
}

// saw counts.
func (w *modelWorld) saw(what string) {
	w.said++
	if w.exact {
		w.seen[what]++
	}
}

func (w *modelWorld) pct(n int) bool { return w.rng.IntN(100) < n }

func modelPick[T any](w *modelWorld, list []T) T { return list[w.rng.IntN(len(list))] }

// connect makes a client and logs in.
func (w *modelWorld) connect(id int, account string, conn net.Conn) *modelClient {
	packed := newDeflateConn(conn)
	c := &modelClient{w: w, id: id, account: account, conn: packed, in: responses(packed), caps: map[string]bool{}}
	if r := c.next(); r == nil || r.name != "OK" {
		c.fail("no greeting")
	}
	user, _, _ := strings.Cut(account, "@")
	c.run(&modelCommand{name: "LOGIN", args: " " + user + " secret", want: "OK"}, &modelCommand{name: "CAPABILITY", want: "OK", takes: func(r *wireResponse) bool {
		for _, a := range r.args {
			c.caps[a.text] = true
		}
		return r.name == "CAPABILITY"
	}})
	if c.caps["COMPRESS=DEFLATE"] && w.pct(25) {
		c.run(&modelCommand{name: "COMPRESS", args: " DEFLATE", want: "OK"})
		packed.compress()
	}
	return c
}

// setUp makes accounts, mailboxes and clients.
func (w *modelWorld) setUp() {
	for _, a := range []string{"alice@example.org", "bob@example.org"} {
		w.must(w.store.CreateAccount(context.Background(), a))
		w.learnBoxes(a)
	}
	for i := range 2 + w.rng.IntN(4) {
		w.clients = append(w.clients, nil)
		w.reconnect(i)
	}
	for range 4 {
		w.deliver(w.box("alice@example.org", "INBOX"))
	}
	w.settle()
}

// learnBoxes takes in the mailboxes that a new account has.
func (w *modelWorld) learnBoxes(account string) {
	a, err := w.store.Account(context.Background(), account)
	w.must(err)
	defer a.Close()
	all, err := a.Mailboxes(context.Background())
	w.must(err)
	for _, b := range all {
		w.boxes = append(w.boxes, &modelBox{account: account, name: b.Name, msgs: map[uint32]*modelMsg{}})
	}
}

// reconnect gives a client a new connection. Four of five are alice's.
func (w *modelWorld) reconnect(i int) {
	account := "alice@example.org"
	if i%5 == 4 {
		account = "bob@example.org"
	}
	w.clients[i] = w.connect(i, account, w.l.dial())
	w.clients[i].enable()
}

// settleClients looks at what came unasked, once nothing moves.
func (w *modelWorld) settleClients() {
	synctest.Wait()
	w.settle()
	for _, c := range w.clients {
		c.drain()
	}
}

// finalCheck asks every client to look again, and compares with a new session.
func (w *modelWorld) finalCheck() {
	for _, c := range w.clients {
		c.awake()
		if c.box == nil {
			continue
		}
		c.run(&modelCommand{name: "NOOP", want: "OK"})
		had := slices.Clone(c.slots)
		c.run(c.fetchCommand("UID FETCH", allOf(true), []string{"FLAGS", "MODSEQ"}, ""))
		for i, s := range had {
			if n := c.slots[i]; s.uid != 0 && s.uid != n.uid || s.known && s.flags != n.flags || s.modseq > n.modseq {
				c.fail("message %d: the client had %+v, there is %+v", i+1, s, n)
			}
		}
	}
	w.settleClients()
}
