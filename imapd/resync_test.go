package imapd

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// cache is what a client with QRESYNC keeps of a mailbox while it has no connection, and
// updates as RFC 7162 section 6 says.
type cache struct {
	validity string
	highest  uint64
	flags    map[uint32]string // by UID
	fetched  uint32            // all messages up to this UID were fetched
}

// resyncer is the client: it loses its connection now and then, anywhere in a response.
type resyncer struct {
	*testing.T
	rng   *rand.Rand
	s     *server
	c     *client
	other *client
	tag   int
	count int // EXISTS, less what vanished
	cache
}

var (
	fetchLine  = regexp.MustCompile(`^\* \d+ FETCH \((.*)\)$`)
	uidItem    = regexp.MustCompile(`\bUID (\d+)`)
	modItem    = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	flagsItem  = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	vanishLine = regexp.MustCompile(`^\* VANISHED( \(EARLIER\))? ([\d,:]+)$`)
	codeLine   = regexp.MustCompile(`^\S+ OK \[(HIGHESTMODSEQ|UIDVALIDITY) (\d+)\]`)
)

// TestResync drops a client's connection at any line of any response while another client
// changes the mailbox. After every QRESYNC it knows what a fresh FETCH says.
func TestResync(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &resyncer{T: t, rng: rand.New(rand.NewPCG(seed, 7)), s: newServer(t).start(), cache: cache{flags: map[uint32]string{}}}
				defer r.s.stop()
				r.other = r.s.login("alice")
				defer func() { r.other.conn.Close() }()
				r.other.do("s", "SELECT INBOX")
				for range rounds {
					r.session()
				}
			})
		})
	}
}

// session connects, compares, works a while and loses the connection.
func (r *resyncer) session() {
	r.c = r.s.login("alice")
	defer func() { r.c.conn.Close(); synctest.Wait() }()
	r.run("ENABLE QRESYNC")
	cut := r.rng.IntN(4) == 0
	if !r.send(r.selectCommand(), cut) || !r.send(fmt.Sprintf("UID FETCH %d:* (FLAGS)", r.fetched+1), cut) {
		return
	}
	r.fetchedAll()
	r.compare()
	for range 1 + r.rng.IntN(8) {
		r.change()
		if !r.send(r.command(), r.rng.IntN(5) == 0) {
			return
		}
	}
}

func (r *resyncer) selectCommand() string {
	if r.validity == "" {
		return "SELECT INBOX"
	}
	known := ""
	if len(r.flags) > 0 && r.rng.IntN(2) == 0 {
		uids := slices.Sorted(maps.Keys(r.flags))
		known = " " + string(appendUIDList(nil, uids))
	}
	return fmt.Sprintf("SELECT INBOX (QRESYNC (%s %d%s))", r.validity, max(r.highest, 1), known)
}

// fetchedAll notes that the client has all messages.
func (r *resyncer) fetchedAll() {
	for uid := range r.flags {
		r.fetched = max(r.fetched, uid)
	}
}

// compare compares the cache with what another client fetches.
func (r *resyncer) compare() {
	r.Helper()
	want := map[uint32]string{}
	r.other.do("n", "NOOP")
	for _, l := range r.other.do("f", "UID FETCH 1:* (FLAGS)") {
		if uid, flags, _ := parseFetched(l); uid != 0 {
			want[uid] = flags
		}
	}
	if !maps.Equal(r.flags, want) || r.count != len(want) {
		r.Fatalf("after the resync the client counts %d and has\n%v\nthere are\n%v", r.count, r.flags, want)
	}
}

func parseFetched(line string) (uid uint32, flags string, modseq uint64) {
	m := fetchLine.FindStringSubmatch(line)
	if m == nil {
		return 0, "", 0
	}
	if u := uidItem.FindStringSubmatch(m[1]); u != nil {
		n, _ := strconv.ParseUint(u[1], 10, 32)
		uid = uint32(n)
	}
	flags = "?"
	if f := flagsItem.FindStringSubmatch(m[1]); f != nil {
		flags = f[1]
	}
	if s := modItem.FindStringSubmatch(m[1]); s != nil {
		modseq, _ = strconv.ParseUint(s[1], 10, 64)
	}
	return uid, flags, modseq
}

func (r *resyncer) run(command string) {
	r.Helper()
	if !r.send(command, false) {
		r.Fatal("cut")
	}
}

// send sends a command and takes in its responses; with cut only some of the lines, after
// which the connection is of no use. It says whether all were.
func (r *resyncer) send(command string, cut bool) bool {
	r.Helper()
	r.tag++
	tag := fmt.Sprintf("t%d", r.tag)
	r.c.send(tag + " " + command + "\r\n")
	all := r.c.until(tag + " ")
	if strings.HasPrefix(all[len(all)-1], tag+" BAD") {
		r.Fatalf("%s: %s", command, all[len(all)-1])
	}
	if cut {
		all = all[:r.rng.IntN(len(all))]
	}
	r.takeIn(all, !cut)
	return !cut
}

// takeIn updates the cache. Only with the tagged response does the mod-sequence move.
func (r *resyncer) takeIn(lines []string, whole bool) {
	r.Helper()
	code, seen, validity := uint64(0), uint64(0), ""
	for _, l := range lines {
		if m := codeLine.FindStringSubmatch(l); m != nil && m[1] == "UIDVALIDITY" {
			validity = m[2]
		} else if m != nil {
			code, _ = strconv.ParseUint(m[2], 10, 64)
		}
		if n, ok := strings.CutSuffix(l, " EXISTS"); ok {
			r.count, _ = strconv.Atoi(strings.TrimPrefix(n, "* "))
		}
		if strings.HasSuffix(l, " EXPUNGE") {
			r.Fatalf("%s", l)
		}
		if m := vanishLine.FindStringSubmatch(l); m != nil {
			r.vanished(m[2], m[1] != "")
		}
		if fetchLine.MatchString(l) {
			uid, flags, modseq := parseFetched(l)
			if uid == 0 || modseq == 0 {
				r.Fatalf("no UID or no MODSEQ in %s", l)
			}
			seen = max(seen, modseq)
			if flags != "?" {
				r.flags[uid] = flags
			}
		}
	}
	if !whole {
		for uid := range r.flags { // one that was told of by chance: others before it may be missing
			if uid > r.fetched {
				delete(r.flags, uid)
			}
		}
		return
	}
	if validity != "" {
		r.validity = validity
	}
	if code != 0 {
		r.highest = code
	} else {
		r.highest = max(r.highest, seen)
	}
}

func (r *resyncer) vanished(set string, earlier bool) {
	p := parser{b: []byte(set)}
	for _, g := range uidRanges(p.set(), 0) {
		if !earlier {
			r.count -= int(g.Last-g.First) + 1
		}
		for uid := range r.flags {
			if uint32(g.First) <= uid && uid <= uint32(g.Last) {
				delete(r.flags, uid)
			}
		}
	}
}

var someFlags = []string{`\Seen`, `\Flagged`, `\Answered`, `\Draft`, "$Junk", "red"}

func (r *resyncer) flag() string { return someFlags[r.rng.IntN(len(someFlags))] }

// change has the other client change the mailbox.
func (r *resyncer) change() {
	for range r.rng.IntN(4) {
		uid := 1 + r.rng.IntN(int(r.fetched)+3)
		set := fmt.Sprintf("%d:%d", uid, uid+r.rng.IntN(3))
		switch r.rng.IntN(6) {
		case 0, 1:
			r.other.do("o", fmt.Sprintf("UID STORE %s %cFLAGS (%s)", set, "+-"[r.rng.IntN(2)], r.flag()))
		case 2:
			r.other.do("o", fmt.Sprintf(`UID STORE %s +FLAGS (\Deleted)`, set))
			r.other.do("o", "UID EXPUNGE "+set)
		case 3:
			r.other.do("o", "UID MOVE "+set+" INBOX")
		default:
			r.other.do("o", "APPEND INBOX {4+}\r\na: b")
		}
	}
}

// command is one of the client's own: many may not tell of an expunge.
func (r *resyncer) command() string {
	if r.count == 0 {
		return "NOOP"
	}
	n := 1 + r.rng.IntN(r.count)
	set := fmt.Sprintf("%d:%d", n, n+r.rng.IntN(r.count-n+1))
	switch r.rng.IntN(11) {
	case 0, 1:
		return "FETCH " + set + " (UID FLAGS)"
	case 2:
		return "FETCH " + set + " (MODSEQ UID)"
	case 3, 4:
		return fmt.Sprintf("STORE %s +FLAGS (%s)", set, r.flag())
	case 5:
		return fmt.Sprintf("STORE %s (UNCHANGEDSINCE %d) -FLAGS (%s)", set, r.highest, r.flag())
	case 6:
		return fmt.Sprintf("UID STORE 1:* +FLAGS (%s)", r.flag())
	case 7:
		return fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", r.highest)
	case 8:
		return fmt.Sprintf(`STORE %s +FLAGS (\Deleted)`, set)
	case 9:
		return "EXPUNGE"
	}
	return "NOOP"
}
