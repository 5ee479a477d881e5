package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/admin"
	"kurir/internal/fsx"
	"kurir/internal/queue"
)

// fakeServer is a running server whose operations the test makes up.
type fakeServer struct {
	admin.Operations // nil: other calls are not made
	rows             []admin.QueueEntry
	filters          []admin.QueueFilter
	changes          []admin.QueueChange
	changed          admin.Changed
	details          map[string]admin.QueueDetail
	envelopes        []admin.Outgoing
	messages         []string
	send             func(admin.Outgoing) (admin.Sent, error) // nil: takes all
}

func (f *fakeServer) Version(context.Context) (admin.Version, error) { return admin.Version{}, nil }

func (f *fakeServer) ListQueue(_ context.Context, q admin.QueueFilter) ([]admin.QueueEntry, error) {
	f.filters = append(f.filters, q)
	if q.Limit > 0 {
		return f.rows[:min(q.Limit, len(f.rows))], nil
	}
	return f.rows, nil
}

func (f *fakeServer) ShowQueue(_ context.Context, id string) (admin.QueueDetail, error) {
	d, ok := f.details[id]
	if !ok {
		return d, fmt.Errorf("%s: %w; see: kurir queue list", id, queue.ErrNoMessage)
	}
	return d, nil
}

func (f *fakeServer) ChangeQueue(_ context.Context, c admin.QueueChange) (admin.Changed, error) {
	f.changes = append(f.changes, c)
	return f.changed, nil
}

func (f *fakeServer) Send(_ context.Context, o admin.Outgoing, m io.Reader) (admin.Sent, error) {
	f.envelopes = append(f.envelopes, o)
	if f.send != nil {
		if sent, err := f.send(o); err != nil || sent.ID != "" {
			return sent, err
		}
	}
	text, err := io.ReadAll(m)
	f.messages = append(f.messages, string(text))
	return admin.Sent{ID: fmt.Sprintf("m%d", len(f.messages))}, err
}

// fake makes the commands of the site talk to f.
func (s *testSite) fake(f *fakeServer) {
	s.t.Helper()
	s.must("", "domain", "add", "example.test")
	lock, err := fsx.Lock(filepath.Join(s.dir, "lock"))
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := admin.ListenSocket(s.t.Context(), fsx.OS{}, filepath.Join(s.dir, controlName))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&admin.Server{Operations: f, Log: slog.New(slog.DiscardHandler)}).Serve(ctx, l)
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, lock.Unlock()); err != nil {
			s.t.Error(err)
		}
	})
}

// waitingRows are three recipients of two messages.
func waitingRows() []admin.QueueEntry {
	now := time.Now()
	return []admin.QueueEntry{
		{ID: "4x7k2m", Sender: "alice@example.test", Recipient: "bob@example.net", Destination: "example.net", State: "waiting", Size: 2048,
			Created: now.Add(-3*time.Hour - time.Minute), Due: now.Add(12*time.Minute + 30*time.Second), Deadline: now.Add(100 * time.Hour), Attempts: 3, Status: "4.2.2", Reply: "mailbox\nfull\x1b[1m"},
		{ID: "4x7k2m", Sender: "alice@example.test", Recipient: "carol@example.org", State: "sending", Size: 2048, Created: now.Add(-3*time.Hour - time.Minute)},
		{ID: "9qh3ta", Recipient: "dave@example.net", State: "held (limit: 100 messages an hour)", Created: now.Add(-72 * time.Hour)},
	}
}

func TestQueueList(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{}
	s.fake(f)
	if code, out, errs := s.do("", "queue", "list"); code != exitOK || out != "" || !strings.Contains(errs, "Nothing waits.") {
		t.Errorf("an empty queue: %d %q %q", code, out, errs)
	}
	if _, out, errs := s.do("", "queue", "list", "--domain", "x.test"); out != "" || !strings.Contains(errs, "Nothing that waits fits.") {
		t.Errorf("nothing fits: %q %q", out, errs)
	}
	if out := s.must("", "queue", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("an empty queue in JSON: %q", out)
	}
	f.rows = waitingRows()
	want := `ID      AGE  SIZE   SENDER              RECIPIENT          STATE    TRIES  LAST REPLY
4x7k2m  3h   2 KiB  alice@example.test  bob@example.net    in 12m   3      4.2.2 mailbox full?[1m
4x7k2m  3h   2 KiB  alice@example.test  carol@example.org  sending  0      
9qh3ta  3d   0 B    <>                  dave@example.net   held     0      limit: 100 messages an hour
2 messages, 3 recipients; 1 held
`
	if out := s.must("", "queue", "list"); out != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
	var rows []admin.QueueEntry
	if err := json.Unmarshal([]byte(s.must("", "queue", "list", "--json")), &rows); err != nil || len(rows) != 3 || rows[0].Reply != f.rows[0].Reply {
		t.Errorf("JSON: %+v, %v", rows, err)
	}
	code, out, errs := s.do("", "queue", "list", "--limit", "1")
	if code != exitOK || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "Only the first 1 line is shown; there are more.") {
		t.Errorf("--limit: %d %q %q", code, out, errs)
	}
	f.filters = nil
	s.must("", "queue", "list", "a", "b", "--domain", "d", "--sender", "@s", "--recipient", "r", "--account", "c", "--older", "2d", "--error", "full up", "--held", "--limit", "9")
	if want := []admin.QueueFilter{{IDs: []string{"a", "b"}, Domain: "d", Sender: "@s", Recipient: "r", Account: "c", Error: "full up", Held: true, MinAge: 48 * time.Hour, Limit: 10}}; !reflect.DeepEqual(f.filters, want) {
		t.Errorf("filter %+v", f.filters)
	}
}

func TestQueueShow(t *testing.T) {
	s := newTestSite(t)
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	due := time.Now().Add(10*time.Minute + 30*time.Second)
	f := &fakeServer{details: map[string]admin.QueueDetail{
		"gone": {ID: "gone", Sender: "alice@example.test", Events: []admin.QueueEvent{{At: at, Kind: "sent", Recipient: "bob@example.net"}}},
		"here": {
			ID: "here", RequireTLS: true, Priority: 3, DeliverBy: at, DeliverByReturn: true, Account: "alice@example.test", Client: "submission from [192.0.2.1]", Size: 5 << 20, Created: at,
			Recipients: []admin.QueueEntry{{Recipient: "bob@example.net", State: "waiting", Due: due, Deadline: at, Attempts: 1, Status: "4.2.2", Reply: "full\nup"}},
			Events: []admin.QueueEvent{
				{At: at, Kind: "accepted", Reply: "from alice"},
				{At: at, Kind: "deferred", Recipient: "bob@example.net", Host: "mx.example.net", Address: "192.0.2.25:25", TLS: "TLS 1.3, verified as mx.example.net", Policy: "mta-sts enforce", Code: 452, Status: "4.2.2", Reply: "full\nup"},
				{At: at, Kind: "deferred", Recipient: "bob@example.net", Host: "mx2.example.net", Address: "192.0.2.26:25", Code: 421, Reply: "no\x07"},
				{At: at, Kind: "deferred", Host: "mx3.example.net", Address: "192.0.2.27:25", Status: "4.4.1", Reply: "it refuses connections"},
			},
		},
	}}
	s.fake(f)
	out := s.must("", "queue", "show", "here")
	contains(t, out, "Message here\n", "  from      <>\n", "account   alice@example.test\n", "client    submission from [192.0.2.1]\n", "size      5 MiB\n", "tls       required all the way (REQUIRETLS)\n",
		"priority  +3\n", "until     2026-03-04 05:06:07, then it is returned\n",
		"accepted  2026-03-04 05:06:07", "Waiting:\n", "bob@example.net: next try "+timeText(due)+" (in 10m), last try 2026-03-04 05:06:07, 1 try so far\n    4.2.2 full up\n",
		"History:\n  2026-03-04 05:06:07  accepted\n    from alice\n  2026-03-04 05:06:07  deferred  bob@example.net\n    mx.example.net 192.0.2.25:25, TLS 1.3, verified as mx.example.net\n    TLS policy: mta-sts enforce\n    452 4.2.2 full up\n",
		"    mx2.example.net 192.0.2.26:25, without TLS\n    421 no?\n", "    mx3.example.net 192.0.2.27:25\n    4.4.1 it refuses")
	contains(t, s.must("", "queue", "show", "gone"), "Nobody waits for it any more.", "sent  bob@example.net")
	contains(t, s.must("", "queue", "show", "here", "--json"), `"tls": "TLS 1.3, verified as mx.example.net"`, `"reply": "full\nup"`, `"policy": "mta-sts enforce"`)
	code, _, errs := s.do("", "queue", "show", "none")
	if code != exitFailed {
		t.Errorf("exit %d", code)
	}
	contains(t, errs, "no such message", "kurir queue list")
}

func TestQueueChange(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{rows: waitingRows(), changed: admin.Changed{Recipients: 2}}
	s.fake(f)
	for _, tt := range []struct {
		line, want string
		change     admin.QueueChange
	}{
		{"retry a b", "2 recipients due now.", admin.QueueChange{Action: "retry", Filter: admin.QueueFilter{IDs: []string{"a", "b"}}}},
		{"retry --all", "2 recipients due now.", admin.QueueChange{Action: "retry", All: true}},
		{"hold --account c", "2 recipients held; to let them go on: kurir queue release.", admin.QueueChange{Action: "hold", Filter: admin.QueueFilter{Account: "c"}}},
		{"release --held", "2 recipients released.", admin.QueueChange{Action: "release", Filter: admin.QueueFilter{Held: true}}},
		{"drop --older 3h --yes", "2 recipients dropped; their senders are not told.", admin.QueueChange{Action: "drop", Filter: admin.QueueFilter{MinAge: 3 * time.Hour}}},
		{"bounce a -y --json", `"recipients": 2`, admin.QueueChange{Action: "bounce", Filter: admin.QueueFilter{IDs: []string{"a"}}}},
	} {
		f.changes, f.filters = nil, nil
		contains(t, s.must("", append([]string{"queue"}, strings.Fields(tt.line)...)...), tt.want)
		if !reflect.DeepEqual(f.changes, []admin.QueueChange{tt.change}) || len(f.filters) > 0 {
			t.Errorf("%s: changes %+v", tt.line, f.changes)
		}
	}
	f.changed = admin.Changed{}
	if code, out, errs := s.do("", "queue", "retry", "--domain", "d"); code != exitOK || out != "" || !strings.Contains(errs, "Nothing fits that waits for its next try (what is held: kurir queue release); nothing was changed.") {
		t.Errorf("nothing: %d %q %q", code, out, errs)
	}
	if _, _, errs := s.do("", "queue", "release", "--domain", "d"); !strings.Contains(errs, "Nothing that is held fits") {
		t.Errorf("nothing held: %q", errs)
	}
	f.changed = admin.Changed{Recipients: 1, Problem: "queue: 2 are being tried"}
	if code, out, errs := s.do("", "queue", "drop", "a", "-y"); code != exitFailed || !strings.Contains(out, "1 recipient dropped") || errs != "kurir: 2 are being tried\n" {
		t.Errorf("in part: %d %q %q", code, out, errs)
	}
}

// What goes for good is asked about if it is more than one message, and refused where
// nobody can be asked.
func TestQueueConfirm(t *testing.T) {
	s := newTestSite(t)
	f := &fakeServer{rows: waitingRows(), changed: admin.Changed{Recipients: 3}}
	s.fake(f)
	for _, action := range []string{"drop", "bounce"} {
		if code, _, errs := s.do("", "queue", action, "--all"); code != exitUsage || !strings.Contains(errs, "add --yes") {
			t.Errorf("%s without a terminal: %d %q", action, code, errs)
		}
		for answer, want := range map[string]int{"n\n": exitFailed, "\n": exitFailed, "y\n": exitOK} {
			f.changes = nil
			c := newConsole(t)
			c.typing()
			c.stdin = strings.NewReader(answer)
			if code := run(t.Context(), c.env, []string{"-c", s.config, "queue", action, "--all"}); code != want || len(f.changes) != 1-want {
				t.Errorf("%s, answer %q: %d, changes %+v", action, answer, code, f.changes)
			}
			contains(t, c.err.String(), "2 messages with 3 recipients")
		}
	}
	f.rows = f.rows[:2]
	if code, _, errs := s.do("", "queue", "drop", "4x7k2m"); code != exitOK {
		t.Errorf("one message: %d %q", code, errs)
	}
}

func TestQueueUsage(t *testing.T) {
	for line, want := range map[string]string{
		"queue retry":               "say which messages",
		"queue drop --all -y a":     "--all is everything",
		"queue list --older soon":   "is not an age",
		"queue list --older -1h":    "is not an age",
		"queue list --limit -1":     "has to be 0, for all, or more",
		"queue show":                "ID is missing",
		"queue show a b":            `"b" is one argument too many`,
		"queue lst":                 "did you mean list?",
		"queue retry --yes a":       "unknown flag: --yes",
		"queue hold --domain":       "flag needs an argument",
		"queue release --held=what": "it has to be true or false",
	} {
		c := newConsole(t)
		if code := run(t.Context(), c.env, strings.Fields(line)); code != exitUsage {
			t.Errorf("kurir %s: exit %d", line, code)
		}
		contains(t, c.err.String(), want)
	}
}

func TestQueueActionsAreAll(t *testing.T) {
	if got, want := sortedKeys(queueActions()), admin.QueueActions(); len(got) != len(want) || slices.ContainsFunc(want, func(a string) bool { return !slices.Contains(got, a) }) {
		t.Errorf("commands for %q, actions %q", got, want)
	}
}

func TestAgeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 59 * time.Second: "59s", time.Minute: "1m", 59*time.Minute + 59*time.Second: "59m",
		time.Hour: "1h", 47 * time.Hour: "47h", 48 * time.Hour: "2d", 1000 * time.Hour: "41d",
	} {
		if got := ageText(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
	if untilText(0) != "due now" || untilText(-time.Hour) != "due now" || untilText(90*time.Second) != "in 1m" {
		t.Error(untilText(90 * time.Second))
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		line string
		n    int
		want string
	}{{"abc\n", 3, "abc\n"}, {"abcd\n", 3, "ab…\n"}, {"äöüß", 3, "äö…"}, {"", 1, ""}, {"ab", 1, "…"}} {
		if got := cut(tt.line, tt.n); got != tt.want {
			t.Errorf("%q to %d: %q", tt.line, tt.n, got)
		}
	}
	c := newConsole(t)
	if c.width() != 0 {
		t.Error("a buffer is no terminal")
	}
}
