package store

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The model test does what servers, sessions and other programs do to a store, at random,
// and compares it with a model in memory. A failure names the seed and the step: -seed and
// -steps repeat it. KURIR_MODEL_TIME says how long it goes on, 20s if empty.
var (
	modelSeed  = flag.Uint64("seed", 0, "seed of the model test; 0 draws one")
	modelSteps = flag.Int("steps", 0, "steps of the model test's only round, with -seed")
)

func TestModel(t *testing.T) { modelRounds(t, false, 0.75) }

// TestModelWatched is the same with inotify: what other programs do shows by itself.
func TestModelWatched(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no inotify")
	}
	modelRounds(t, true, 0.25)
}

func modelRounds(t *testing.T, watch bool, share float64) {
	whole := 20 * time.Second
	if s := os.Getenv("KURIR_MODEL_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		whole = d
	} else if testing.Short() {
		whole = 4 * time.Second
	}
	if *modelSeed != 0 {
		modelRound(t, watch, *modelSeed, *modelSteps)
		return
	}
	rounds, steps := 0, 0
	for end := time.Now().Add(time.Duration(share * float64(whole))); time.Now().Before(end) && !t.Failed(); rounds++ {
		steps += modelRound(t, watch, modelNext(rounds), 0)
	}
	t.Logf("%d rounds, %d steps", rounds, steps)
}

// modelNext gives the seed of the next round: the same ones each time, or with
// KURIR_MODEL_TIME others.
func modelNext(round int) uint64 {
	if os.Getenv("KURIR_MODEL_TIME") != "" {
		return rand.Uint64() | 1
	}
	return uint64(round+1) * 0x9e3779b97f4a7c15
}

func modelRound(t *testing.T, watch bool, seed uint64, steps int) int {
	if steps == 0 {
		steps = 500
	}
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), dir: memDir(t), watch: watch, boot: 1, texts: map[int]string{},
		ledger: modelLedger{}}
	defer func() {
		if t.Failed() {
			t.Logf("to repeat: go test -run '^%s$' -seed %d -steps %d", t.Name(), seed, w.step)
			t.Logf("the last steps were:\n\t%s", strings.Join(w.log[max(0, len(w.log)-40):], "\n\t"))
		}
		w.leaveAll()
		if w.s != nil {
			w.s.kill()
		}
		os.RemoveAll(w.dir)
	}()
	w.open()
	for i := range 2 {
		w.createAccount(fmt.Sprintf("user%d@model.test", i))
	}
	for w.step = 1; w.step <= steps && !t.Failed(); w.step++ {
		w.random()
		if w.step%20 == 0 || w.step == steps {
			w.compareAll()
		}
	}
	return w.step
}

// A world is a store, the sessions that use it, and what there should be in it.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	s      *Store
	dir    string
	watch  bool
	boot   int
	step   int
	serial int
	texts  map[int]string // by serial number, as on the wire
	ledger modelLedger

	accounts []*wantAccount
	sessions []*client
	away     []*offline
	log      []string
}

type modelLedger map[string]uint32

func (l modelLedger) LastUIDValidity(_ context.Context, a string) (uint32, error) { return l[a], nil }

func (l modelLedger) RaiseUIDValidity(_ context.Context, a string, v uint32) error {
	l[a] = max(l[a], v)
	return nil
}

func (w *world) ctx() context.Context { return context.Background() }

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%d: %s", w.step, fmt.Sprintf(format, args...)))
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("step %d: %s", w.step, fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.fatalf("%v", err)
	}
}

func (w *world) open() {
	s, err := Open(w.ctx(), Options{Dir: w.dir, Hostname: "host.test", BootID: fmt.Sprintf("boot-%d", w.boot), NoWatch: !w.watch,
		Ledger: w.ledger, Log: slog.New(slog.NewTextHandler(modelLog{w}, &slog.HandlerOptions{Level: slog.LevelError}))})
	w.must(err)
	s.history = modelHistory
	w.s = s
}

// modelLog fails the test for what the store calls its own fault.
type modelLog struct{ w *world }

func (l modelLog) Write(p []byte) (int, error) {
	if !strings.Contains(string(p), "index of a mailbox is damaged") {
		l.w.t.Errorf("step %d: logged: %s", l.w.step, p)
	}
	return len(p), nil
}

func (w *world) pct(n int) bool { return w.rng.IntN(100) < n }

func pick[T any](w *world, list []T) T { return list[w.rng.IntN(len(list))] }

// random does one thing of many.
func (w *world) random() {
	for {
		n := w.rng.IntN(modelTotal)
		for _, a := range modelActs {
			if n -= a.weight; n < 0 {
				if a.do(w) {
					return
				}
				break
			}
		}
	}
}

// modelActs is all that happens, each as often as its weight says. An act that can't be
// done as things are is not done.
var modelActs = []struct {
	weight int
	do     func(w *world) bool
}{
	{10, (*world).deliver}, {8, (*world).append},
	{14, (*world).storeFlags}, {4, (*world).storeConditional},
	{6, (*world).copy}, {6, (*world).move},
	{5, (*world).expunge}, {3, (*world).remove}, {3, (*world).waitChange},
	{3, (*world).createBox}, {2, (*world).deleteBox}, {2, (*world).renameBox}, {1, (*world).renameInbox}, {2, (*world).subscribe},
	{8, (*world).enter}, {3, (*world).leave}, {18, (*world).refresh}, {8, (*world).readSome},
	{5, (*world).remember}, {12, (*world).comeBack},
	{8, (*world).foreignDrop}, {8, (*world).foreignFlags}, {4, (*world).foreignSeen}, {4, (*world).foreignMove},
	{3, (*world).foreignRemove}, {2, (*world).foreignTwin}, {2, (*world).foreignCopy}, {1, (*world).foreignReturn}, {1, (*world).foreignFolder},
	{4, (*world).age}, {2, (*world).restart}, {2, (*world).loseIndex}, {1, (*world).fsck},
}

var modelTotal = func() (n int) {
	for _, a := range modelActs {
		n += a.weight
	}
	return n
}()

// boxPath is a mailbox's directory.
func (w *world) boxPath(b *wantBox, elem ...string) string {
	sub, _, err := dirOf(b.name)
	w.must(err)
	return filepath.Join(append([]string{w.accountPath(b.a), sub}, elem...)...)
}

func (w *world) accountPath(a *wantAccount) string {
	return filepath.Join(w.dir, filepath.Dir(indexOf(w.t, a.address)))
}

// createAccount makes an account and its model.
func (w *world) createAccount(address string) {
	w.must(w.s.CreateAccount(w.ctx(), address))
	a := &wantAccount{address: address, subs: map[string]bool{}, validities: map[uint32]bool{}}
	w.accounts = append(w.accounts, a)
	for _, n := range append([]string{"INBOX"}, defaultFolders[:]...) {
		a.boxes = append(a.boxes, newWantBox(a, n))
		a.subs[n] = true
	}
	w.compareAll()
}

// compareAll compares every mailbox and every session with the model.
func (w *world) compareAll() {
	for _, a := range w.accounts {
		for _, b := range a.boxes {
			w.compare(b)
		}
		w.compareTree(a)
	}
	for _, c := range slices.Clone(w.sessions) {
		w.refreshOf(c, true)
	}
}
