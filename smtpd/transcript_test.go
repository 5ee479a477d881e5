package smtpd

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTranscripts runs the conversations in testdata. Their lines are:
//
//	# text           a comment: the sentence that the conversation proves
//	mode: m          inbound, submission, submissions, trusted, lmtp (from one of the peers),
//	                 or plaintext (submission where this client may log in without TLS)
//	set: name value  an option of the server
//	C: line          the client says; lines in a row are sent in one piece
//	R: "text"        the client sends octets, as a Go string, after a C: in its piece
//	S: line          the server answers; … stands for anything
//	T:               the client begins TLS
//	W: 5m            the client waits
//	E:               the server has closed
//	X:               the client cuts the connection
//	N:               the client opens another connection
//	D: address       the account has got one message more, and it is:
//	Q: envelope      the queue has got one message more, with that envelope; what follows
//	                 is a line for each recipient, a blank one, and the message
//	O: steps         what store and queue have been asked for since the last O:
//	> line           a line of it, with CR LF after it
//	V: "text"        or its text as a Go string; … as above
//	Z: 3             so many messages are there that no D: or Q: has asked for
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		// A file has several conversations, parted by lines of dashes.
		for i, text := range regexp.MustCompile(`(?m)^---.*\n`).Split(string(b), -1) {
			name := fmt.Sprintf("%s/%d", strings.TrimSuffix(filepath.Base(f), ".txt"), i+1)
			t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { runTranscript(t, text) }) })
		}
	}
}

// talk is a conversation being run.
type talk struct {
	t     *testing.T
	srv   *Server
	st    *fakeStore
	mode  Mode
	l     *pipeListener
	end   func()
	conn  net.Conn
	lines chan string
	piece []byte
	gate  string // settings of the gate
}

func runTranscript(t *testing.T, text string) {
	k := &talk{t: t, l: newPipeListener()}
	k.srv, k.st = testServer(t)
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		key, arg, _ := strings.Cut(line, ":")
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "> ") || line == ">" {
			continue
		}
		arg = strings.TrimPrefix(arg, " ")
		if key != "C" && key != "R" {
			k.flush()
		}
		switch key {
		case "D":
			arg += "\n" + bodyAfter(text, n)
		case "Q":
			arg = "queue\n" + arg + "\r\n" + bodyAfter(text, n)
		}
		k.do(n+1, key, arg)
		if t.Failed() {
			break
		}
	}
	if k.conn != nil {
		k.flush()
		k.conn.Close()
		k.end()
	}
	if k.st.open != 0 || k.st.queue.open != 0 {
		t.Errorf("%d staged messages were not closed, %d kept ones are nobody's", k.st.open, k.st.queue.open)
	}
}

// bodyAfter is the message that the lines after line n have.
func bodyAfter(text string, n int) string {
	var b strings.Builder
	for _, l := range strings.Split(text, "\n")[n+1:] {
		if v, ok := strings.CutPrefix(l, "V: "); ok {
			s, _ := strconv.Unquote(v)
			return s
		}
		if !strings.HasPrefix(l, ">") {
			break
		}
		b.WriteString(strings.TrimPrefix(strings.TrimPrefix(l, ">"), " ") + "\r\n")
	}
	return b.String()
}

func (k *talk) do(n int, key, arg string) {
	t := k.t
	if k.conn == nil && key != "mode" && key != "set" {
		k.serve()
	}
	switch key {
	case "mode":
		k.setMode(arg)
	case "set":
		k.set(arg)
	case "C":
		k.piece = append(k.piece, arg+"\r\n"...)
	case "R":
		s, err := strconv.Unquote(arg)
		if err != nil {
			t.Fatalf("line %d: %v", n, err)
		}
		k.piece = append(k.piece, s...)
	case "S":
		got, ok := <-k.lines
		if !ok || !matches(arg, got) {
			t.Errorf("line %d: server said %q, want %q", n, got, arg)
		}
	case "T":
		c := tls.Client(k.conn, &tls.Config{InsecureSkipVerify: true})
		k.start(c)
	case "W":
		d, _ := time.ParseDuration(arg)
		time.Sleep(d)
	case "E":
		if got, ok := <-k.lines; ok {
			t.Errorf("line %d: server said %q, should have closed", n, got)
		}
	case "X", "N":
		k.conn.Close()
		synctest.Wait()
		if key == "N" {
			k.start(k.l.dial())
		}
	case "D", "Q":
		address, want, _ := strings.Cut(arg, "\n")
		if got, ok := k.st.take(address); !ok || !matches(want, got) {
			t.Errorf("line %d: %s got %q, want %q", n, address, got, want)
		}
	case "V":
	case "O":
		if got := strings.Join(k.st.queue.steps, " "); got != arg {
			t.Errorf("line %d: steps %q, want %q", n, got, arg)
		}
		k.st.queue.steps = nil
	case "Z":
		synctest.Wait()
		if got := strconv.Itoa(k.st.left()); got != arg {
			t.Errorf("line %d: %s messages left, want %s", n, got, arg)
		}
	default:
		t.Fatalf("line %d: what is %q?", n, key)
	}
}

func (k *talk) setMode(s string) {
	switch s {
	case "submission":
		k.mode = Submission
	case "submissions":
		k.mode = SubmissionTLS
	case "trusted":
		k.mode = Trusted
	case "lmtp":
		k.mode = LMTP
		k.srv.Peers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	case "plaintext":
		k.mode = Submission
		k.srv.AllowPlaintext = func(a netip.Addr) bool { return a.String() == "192.0.2.1" }
	}
}

func (k *talk) set(s string) {
	name, value, _ := strings.Cut(s, " ")
	n, _ := strconv.Atoi(value)
	d, _ := time.ParseDuration(value)
	switch name {
	case "MaxSize":
		k.srv.MaxSize = int64(n)
	case "MaxRecipients":
		k.srv.MaxRecipients = n
	case "MaxMessages":
		k.srv.MaxMessages = n
	case "MessageTimeout":
		k.srv.MessageTimeout = d
	case "NoTLS":
		k.srv.TLS = nil
	case "failing":
		k.st.failing = map[string]error{}
		for _, a := range strings.Fields(value) {
			k.st.failing[a] = errBroken
		}
	case "writeErr":
		k.st.writeErr = errOf(value)
	case "stageErr":
		k.st.stageErr = errOf(value)
	case "keepErr":
		k.st.queue.keepErr = errOf(value)
	case "commitErr":
		k.st.queue.commitErr = errOf(value)
	case "held":
		k.st.queue.held = value
	case "failAfter":
		k.st.queue.failAfter = n
	case "Signer":
		k.srv.Signer = fakeSigner{}
	case "signErr":
		k.srv.Signer = fakeSigner{errOf(value)}
	case "policy":
		k.srv.Policy = fakePolicy{}
	case "suppressed":
		k.srv.Suppressed = func(address string) (string, bool) {
			return address + " does not exist, said mx.elsewhere.example: größe", strings.EqualFold(address, value)
		}
	case "PlusFolders":
		k.srv.PlusFolders = true
	case "NoPeers":
		k.srv.Peers = nil
	case "NoForward":
		k.srv.Forward = nil
	case "gate", "gateway":
		k.setGate(name, value)
	case "NoQueue":
		k.srv.Queue = nil
	case "judge":
		k.srv.Policy = echoPolicy{}
	case "shared":
		k.srv.Shared = func(a netip.Addr) bool { return a.String() == value }
	case "device":
		f := strings.Fields(value)
		d := Device{Account: f[0]}
		for _, n := range f[1:] {
			d.Networks = append(d.Networks, netip.MustParsePrefix(n))
		}
		k.srv.Devices = append(k.srv.Devices, d)
	default:
		k.t.Fatalf("no option %s", name)
	}
}

func (k *talk) serve() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.srv.Serve(ctx, k.l, k.mode) }()
	k.end = func() {
		cancel()
		if err := <-done; err != nil {
			k.t.Errorf("Serve: %v", err)
		}
	}
	k.start(k.l.dial())
}

// start reads what the server says on c.
func (k *talk) start(c net.Conn) {
	k.conn = c
	_, isTLS := c.(*tls.Conn)
	if k.mode == SubmissionTLS && !isTLS {
		return
	}
	lines := make(chan string, 1000)
	k.lines = lines
	go func() {
		defer close(lines)
		r := bufio.NewReaderSize(oneByOne{c}, 16)
		for {
			l, err := r.ReadString('\n')
			if err != nil {
				return
			}
			lines <- strings.TrimSuffix(l, "\r\n")
			if !isTLS && strings.HasPrefix(l, "220 2.0.0 ") {
				return // TLS comes next
			}
		}
	}()
}

// oneByOne never reads further than it is asked to use, so that TLS can take over.
type oneByOne struct{ net.Conn }

func (o oneByOne) Read(p []byte) (int, error) { return o.Conn.Read(p[:1]) }

func (k *talk) flush() {
	if len(k.piece) > 0 {
		k.conn.Write(k.piece)
		k.piece = nil
	}
}

// matches compares with a pattern in which … stands for anything.
func matches(pattern, s string) bool {
	parts := strings.Split(pattern, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(s)
}
