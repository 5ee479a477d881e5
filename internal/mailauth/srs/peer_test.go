package srs

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const peerSecret = "the secret of both"

// must skips where a peer is missing, or fails where it has to be there.
func must(t *testing.T, command string, args ...string) {
	t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("KURIR_REAL_CLIENTS") == "require":
		t.Fatalf("%s is not installed, and KURIR_REAL_CLIENTS=require: %v\n%s", command, err, out)
	default:
		t.Skipf("%s is not installed", command)
	}
}

// peerSenders come from anywhere, some of them rewritten already.
var peerSenders = []string{
	"joe@example.com", "Joe.Doe+tag@Example.COM", "a=b=c@example.com",
	"SRS0=aaaa=GZ=example.org=joe@first.example", "SRS0+aaaa=GZ=example.org=joe@first.example",
	"SRS1=aaaa=first.example==bbbb=GZ=example.org=joe@second.example",
}

// compare lets a peer and us rewrite the same, and read and refuse the same.
func compare(t *testing.T, forward, reverse func(address string) string) {
	w := &Rewriter{Secret: []byte(peerSecret), Domain: "our.example"}
	for _, sender := range peerSenders {
		ours, err := w.Forward(sender)
		if err != nil {
			t.Fatal(err)
		}
		if theirs := forward(sender); !strings.EqualFold(theirs, ours) {
			t.Errorf("%s: we say %s, they %s", sender, ours, theirs)
		}
		want, err := w.Reverse(ours)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range []string{ours, strings.ToLower(ours)} {
			if theirs := reverse(address); !strings.EqualFold(theirs, want) {
				t.Errorf("%s: we read %s, they %s", address, want, theirs)
			}
		}
		local, _, _ := strings.Cut(ours, "@")
		if forged := strings.Replace(local, "=joe", "=jim", 1) + "@our.example"; forged != ours {
			theirs := reverse(forged)
			if _, err := w.Reverse(forged); err == nil || strings.Contains(theirs, "@") {
				t.Errorf("%s: we say %v, they %s", forged, err, theirs)
			}
		}
	}
}

// Mail::SRS is what the scheme was first written in.
func TestPeerMailSRS(t *testing.T) {
	must(t, "/usr/bin/perl", "-MMail::SRS", "-e1")
	cmd := exec.CommandContext(t.Context(), "/usr/bin/perl", "testdata/peer.pl", peerSecret, fmt.Sprint(hashLength))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = cmd.Wait() }()
	answers := bufio.NewReader(out)
	ask := func(line string) string {
		fmt.Fprintln(in, line)
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return strings.TrimSpace(answer)
	}
	compare(t, func(a string) string { return ask("forward " + a + " our.example") }, func(a string) string { return ask("reverse " + a) })
}

// postsrsd answers as a table of Postfix does, on two ports.
func TestPeerPostsrsd(t *testing.T) {
	must(t, "/usr/sbin/postsrsd", "-v")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(peerSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ports := [2]string{freePort(t), freePort(t)}
	length := fmt.Sprint(hashLength)
	cmd := exec.CommandContext(t.Context(), "/usr/sbin/postsrsd", "-4", "-s"+secret, "-dour.example", "-n"+length, "-N"+length, "-f"+ports[0], "-r"+ports[1])
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	ask := [2]func(string) string{}
	for i, port := range ports {
		conn := dial(t, port)
		defer conn.Close()
		answers := bufio.NewReader(conn)
		ask[i] = func(address string) string {
			fmt.Fprintf(conn, "get %s\n", strings.NewReplacer("%", "%25", "+", "%2b").Replace(address))
			answer, err := answers.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", address, err)
			}
			answer, found := strings.CutPrefix(strings.TrimSpace(answer), "200 ")
			if !found {
				return "refused"
			}
			return strings.NewReplacer("%2b", "+", "%2B", "+", "%3D", "=", "%3d", "=").Replace(answer)
		}
	}
	compare(t, ask[0], ask[1])
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// dial waits until the program listens.
func dial(t *testing.T, port string) net.Conn {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			return conn
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
