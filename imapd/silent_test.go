package imapd

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// flagger is a client that changes flags, mostly by STORE with .SILENT, and takes its own
// changes as made when it sends them. What it is told then comes on top of that.
type flagger struct {
	*client
	rng       *rand.Rand
	condstore bool
	tag       int
	flags     []map[string]bool // by sequence number
	modseq    []string
}

// run sends a command and takes in the flags of the answer.
func (f *flagger) run(command string) {
	f.t.Helper()
	f.tag++
	tag := fmt.Sprint("t", f.tag)
	f.send(tag + " " + command + "\r\n")
	for {
		l := f.line()
		if strings.HasSuffix(l, "}") { // the text is one line
			l += f.line() + f.line()
		}
		switch {
		case strings.HasPrefix(l, tag+" OK"):
			return
		case strings.HasPrefix(l, tag+" "), l == closedLine, l == "<silence>":
			f.t.Errorf("%s after %s", l, command)
			return
		case fetchLine.MatchString(l):
			f.told(l)
		}
	}
}

func (f *flagger) told(l string) {
	var n int
	fmt.Sscanf(l, "* %d FETCH", &n)
	if m := flagsItem.FindStringSubmatch(l); m != nil {
		f.flags[n-1] = map[string]bool{}
		for _, s := range strings.Fields(m[1]) {
			f.flags[n-1][s] = true
		}
	}
	if m := modItem.FindStringSubmatch(l); m != nil {
		f.modseq[n-1] = m[1]
	}
}

func (f *flagger) step() {
	n := f.rng.IntN(len(f.flags))
	flag := []string{`\Answered`, `\Flagged`, `\Draft`, "$MDNSent", "$Junk"}[f.rng.IntN(5)]
	op := []string{"+", "-", ""}[f.rng.IntN(3)]
	switch k := f.rng.IntN(10); {
	case k == 0:
		f.run(fmt.Sprintf("FETCH %d (BODY[TEXT])", n+1))
	case k == 1 && f.modseq[n] != "":
		f.run(fmt.Sprintf("STORE %d (UNCHANGEDSINCE %s) %sFLAGS (%s)", n+1, f.modseq[n], op, flag))
	case k < 4:
		f.run(fmt.Sprintf("STORE %d %sFLAGS (%s)", n+1, op, flag))
	default:
		switch op {
		case "":
			f.flags[n] = map[string]bool{flag: true}
		case "+":
			f.flags[n][flag] = true
		default:
			delete(f.flags[n], flag)
		}
		f.run(fmt.Sprintf("STORE %d %sFLAGS.SILENT (%s)", n+1, op, flag))
	}
}

// RFC 9051 section 6.4.6: "Regardless of whether or not the .SILENT suffix was used, the
// server SHOULD send an untagged FETCH response if a change to a message's flags from an
// external source is observed. The intent is that the status of the flags is determinate
// without a race condition." Clients that change the same flags at once all know in the end
// what they are.
func TestSilentStores(t *testing.T) {
	s := newServer(t).start()
	defer s.stop()
	const clients, messages = 4, 3
	for range messages {
		s.deliver("alice@example.org", "", testMessage)
	}
	var all []*flagger
	var wg sync.WaitGroup
	for i := range clients {
		f := &flagger{client: s.login("alice"), rng: rand.New(rand.NewPCG(uint64(i), 8)), condstore: i%2 == 0,
			flags: make([]map[string]bool, messages), modseq: make([]string, messages)}
		defer f.conn.Close()
		all = append(all, f)
		if f.condstore {
			f.run("ENABLE CONDSTORE")
		}
		f.run("SELECT INBOX")
		f.run("FETCH 1:* (FLAGS)")
	}
	for range 60 {
		for _, f := range all {
			wg.Go(func() {
				for range 5 {
					f.step()
				}
			})
		}
		wg.Wait()
		for i, f := range all {
			f.compare(i)
		}
	}
}

// compare compares what the client knows after a NOOP with what there is.
func (f *flagger) compare(i int) {
	f.run("NOOP")
	had := slices.Clone(f.flags)
	f.run("FETCH 1:* (FLAGS)")
	for n := range had {
		if !maps.Equal(had[n], f.flags[n]) {
			f.t.Errorf("client %d, CONDSTORE %v: message %d has %v, the client had to think %v", i, f.condstore, n+1, f.flags[n], had[n])
		}
	}
}
