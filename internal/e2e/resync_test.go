package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// follower is a client with QRESYNC that keeps a copy of a mailbox's UIDs and flags.
type follower struct {
	s                *server
	account, mailbox string
	validity, modseq string
	flags            map[string]string // by UID
}

// dial connects, logs in and enables QRESYNC.
func (f *follower) dial() (*rawIMAP, error) {
	conn, err := net.Dial("tcp", f.s.at(imapPort))
	if err != nil {
		return nil, err
	}
	c := &rawIMAP{t: f.s.t, name: "kurir", r: bufio.NewReaderSize(conn, 64<<10), w: conn}
	if _, err := c.line(); err != nil {
		return nil, err
	}
	for _, command := range []string{"LOGIN " + f.account + " " + password, "ENABLE QRESYNC"} {
		if _, err := c.try(command); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// follow comes back again and again, until the connection is lost.
func (f *follower) follow(r *rand.Rand) {
	for {
		c, err := f.dial()
		if err == nil {
			err = f.catchUp(c)
		}
		if err != nil {
			return
		}
		c.w.Close()
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
	}
}

// catchUp selects the mailbox with what the client knows of it. Only a reply that came
// whole counts.
func (f *follower) catchUp(c *rawIMAP) error {
	param := ""
	if f.validity != "" {
		param = fmt.Sprintf(" (QRESYNC (%s %s))", f.validity, f.modseq)
	}
	r, err := c.try(fmt.Sprintf("SELECT %q%s", f.mailbox, param))
	if err != nil {
		return err
	}
	if !r.ok() {
		return fmt.Errorf("SELECT: %s", r.status)
	}
	validity, modseq := r.code("UIDVALIDITY"), r.code("HIGHESTMODSEQ")
	flags := maps.Clone(f.flags)
	if f.validity != validity {
		flags = map[string]string{}
		if r, err = c.try("UID FETCH 1:* (FLAGS)"); err != nil || !r.ok() {
			return fmt.Errorf("FETCH: %s %w", r.status, err)
		}
	}
	for _, v := range r.all("VANISHED") {
		for _, part := range strings.Split(v[len(v)-1].text, ",") {
			first, last, ok := strings.Cut(part, ":")
			if !ok {
				last = first
			}
			from, _ := strconv.Atoi(first)
			to, _ := strconv.Atoi(last)
			maps.DeleteFunc(flags, func(uid, _ string) bool {
				n, _ := strconv.Atoi(uid)
				return from <= n && n <= to
			})
		}
	}
	got, err := r.fetched()
	if err != nil {
		return err
	}
	for _, m := range got {
		flags[m["UID"]] = m["FLAGS"]
	}
	f.validity, f.modseq, f.flags = validity, modseq, flags
	return nil
}

// code gives what an untagged OK has behind the name of a response code.
func (r reply) code(name string) string {
	for _, u := range r.all("OK") {
		for _, v := range u {
			if _, rest, ok := strings.Cut(v.text, "["+name+" "); ok {
				n, _, _ := strings.Cut(rest, "]")
				return n
			}
		}
	}
	return ""
}

// TestKillResync kills the server at any moment, while clients are at work: one that knew a
// mailbox before, and comes back with QRESYNC, then knows it as it is.
func TestKillResync(t *testing.T) {
	t.Parallel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s, l := newServer(t), newLedger()
	var followers []*follower
	for _, account := range []string{alice, bob} {
		for _, mailbox := range []string{"INBOX", "Archive", "Work"} {
			followers = append(followers, &follower{s: s, account: account, mailbox: mailbox})
		}
	}
	known := 0 // messages that the clients had a copy of
	for round := range rounds {
		w := startLoad(s, l, r)
		for _, f := range followers {
			r := rand.New(rand.NewPCG(r.Uint64(), 0))
			w.wait.Go(func() { f.follow(r) })
		}
		time.Sleep(time.Duration(100+r.IntN(500)) * time.Millisecond)
		s.kill()
		w.wait.Wait()
		how := "restart"
		if r.IntN(4) == 0 {
			how = "restart without index"
			s.dropIndex()
		}
		s.start()
		for _, f := range followers {
			knew := f.modseq
			known += len(f.flags)
			c, err := f.dial()
			if err == nil {
				err = f.catchUp(c)
			}
			fresh := &follower{s: s, account: f.account, mailbox: f.mailbox}
			if err == nil {
				err = fresh.catchUp(c)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(f.flags, fresh.flags) {
				t.Fatalf("round %d (%s): %s of %s, known up to %s: the client has\n%v\nthe mailbox\n%v", round+1, how, f.mailbox, f.account, knew, f.flags, fresh.flags)
			}
			c.w.Close()
		}
		t.Logf("round %d: %s; %d messages so far", round+1, how, l.next)
	}
	if known == 0 {
		t.Error("no client knew anything when it came back")
	}
}
