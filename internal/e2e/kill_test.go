package e2e

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is clients at work on a server.
type load struct {
	senders []*sender
	keepers []*keeper
	ends    []error // of senders, then of keepers
	wait    sync.WaitGroup
}

// startLoad puts clients to work and returns once all of them are.
func startLoad(s *server, l *ledger, r *rand.Rand) *load {
	s.t.Helper()
	w := &load{}
	fork := func() *rand.Rand { return rand.New(rand.NewPCG(r.Uint64(), r.Uint64())) }
	for range 4 {
		w.senders = append(w.senders, &sender{s: s, l: l, rand: fork()})
	}
	for _, account := range []string{alice, bob} {
		group := []*keeper{}
		for i := range 3 {
			group = append(group, &keeper{s: s, l: l, rand: fork(), account: account, inbox: i == 0})
		}
		for i, p := range l.live(account) {
			k := group[i%len(group)]
			if p.mailbox == "INBOX" {
				k = group[0]
				k.known = max(k.known, p.uid)
			}
			k.mine = append(k.mine, p)
		}
		w.keepers = append(w.keepers, group...)
	}
	var ready sync.WaitGroup
	w.ends = make([]error, len(w.senders)+len(w.keepers))
	run := func(i int, f func(func()) error) {
		ready.Add(1)
		once := sync.OnceFunc(ready.Done)
		w.wait.Go(func() {
			defer once() // also if it came to nothing
			w.ends[i] = f(once)
		})
	}
	for i, c := range w.senders {
		run(i, c.run)
	}
	for i, c := range w.keepers {
		run(len(w.senders)+i, c.run)
	}
	ready.Wait()
	return w
}

// audit restarts nothing and checks everything.
func audit(s *server, l *ledger) (faults []string) {
	s.t.Helper()
	left, err := os.ReadDir(filepath.Join(s.dir, "stage"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		faults = append(faults, err.Error())
	}
	for _, e := range left {
		faults = append(faults, "left in stage: "+e.Name())
	}
	for _, account := range []string{alice, bob} {
		c := s.dialIMAP(account, nil)
		faults = append(faults, l.audit(c, account)...)
		c.Close()
		for _, pattern := range []string{"tmp/*", ".*/tmp/*"} {
			found, _ := filepath.Glob(filepath.Join(s.account(account), pattern))
			for _, f := range found {
				faults = append(faults, "left: "+f)
			}
		}
	}
	return faults
}

// TestKill kills the server at any moment, while clients send, append, flag, copy, move
// and expunge: what was acknowledged is there, once and as it was, and nothing that a
// client was told means something else afterwards.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	if v, err := strconv.Atoi(os.Getenv("KURIR_KILL_ROUNDS")); err == nil {
		rounds = v
	}
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("KURIR_KILL_SEED"), 10, 64); err == nil {
		seed = v
	}
	t.Logf("KURIR_KILL_SEED=%d KURIR_KILL_ROUNDS=%d", seed, rounds)
	r := rand.New(rand.NewPCG(seed, 0))
	var s *server
	var l *ledger
	total := 0
	for round := range rounds {
		if round%25 == 0 { // afresh before reading all of it takes long
			if s != nil {
				s.stop()
			}
			s, l = newServer(t), newLedger()
		}
		l.log = nil
		w := startLoad(s, l, r)
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond) // a random moment, not a synchronisation
		p := s.run
		s.kill()
		p.complaints(t)
		w.wait.Wait()
		how := "restart"
		if r.IntN(4) == 0 {
			how = "restart without index"
			s.dropIndex()
		}
		if r.IntN(3) == 0 {
			how += ", killed while starting"
			p := s.begin()
			time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
			p.cmd.Process.Kill()
			<-p.exited
		}
		s.start()
		if faults := audit(s, l); len(faults) > 0 {
			t.Fatalf("round %d (%s), %d faults:\n%s\n\nwhat happened to the first of them:\n%s",
				round+1, how, len(faults), clip(strings.Join(faults, "\n")), clip(l.about(faults)))
		}
		t.Logf("round %d: %s; %d messages so far", round+1, how, l.next)
		total = l.next
	}
	if total == 0 {
		t.Error("nothing was done")
	}
}

// TestStopUnderLoad stops the server, as for an upgrade, while clients are at work: what
// is under way ends, or its client is told, nothing goes wrong, and nothing is lost.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	s, l := newServer(t), newLedger()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		l.log = nil
		w := startLoad(s, l, r)
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
		took := s.stop()
		w.wait.Wait()
		t.Logf("round %d: stopped after %v; %d messages so far", round+1, took.Round(time.Millisecond), l.next)
		for i, err := range w.ends[:len(w.senders)] {
			var reply *textproto.Error
			if err != nil && !(errors.As(err, &reply) && reply.Code == 421) {
				t.Errorf("sender %d was not told 421: %v (cut off: %v)", i, err, errors.Is(err, io.EOF))
			}
		}
		for i, k := range w.keepers {
			if !k.wire.has("* BYE ") {
				t.Errorf("keeper %d was not told BYE: %v\n…%s", i, w.ends[len(w.senders)+i], k.wire.buf)
			}
		}
		s.start()
		if faults := audit(s, l); len(faults) > 0 {
			t.Fatalf("round %d, %d faults:\n%s\n%s", round+1, len(faults), clip(strings.Join(faults, "\n")), clip(l.about(faults)))
		}
	}
}
