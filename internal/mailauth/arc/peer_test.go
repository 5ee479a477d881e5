package arc

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kurir/internal/mailauth"
)

// peer is another implementation of ARC; it runs as a program.
type peer struct {
	name    string
	command []string
	probe   []string // succeeds where it is installed
}

var peers = []peer{
	{"dkimpy", []string{"/usr/bin/python3", "testdata/peer.py"}, []string{"/usr/bin/python3", "-c", "import dkim, nacl, authres"}},
	{"Mail-DKIM", []string{"/usr/bin/perl", "testdata/peer.pl"}, []string{"/usr/bin/perl", "-MMail::DKIM::ARC::Signer", "-e1"}},
}

// exchange is one message that goes from peer to peer.
type exchange struct {
	t       *testing.T
	records *records
	dir     string
	msg     string
}

func (e *exchange) run(p peer, action string, more ...string) string {
	e.t.Helper()
	message := filepath.Join(e.dir, "message")
	if err := os.WriteFile(message, []byte(e.msg), 0o600); err != nil {
		e.t.Fatal(err)
	}
	args := append(p.command[1:len(p.command):len(p.command)], action, message, filepath.Join(e.dir, "records"))
	cmd := exec.CommandContext(e.t.Context(), p.command[0], append(args, more...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("%s %s: %v\n%s", p.name, action, err, &stderr)
	}
	return string(out)
}

// agree wants all of them, and us, to say the same of the message.
func (e *exchange) agree(want mailauth.Result, sets int) {
	e.t.Helper()
	c := verifyText(e.t, e.records, e.msg)
	if c.Result != want || want == mailauth.Pass && len(c.Sets) != sets {
		e.t.Fatalf("%s %s, %d sets, want %s, %d\n%s", c.Result, c.Reason, len(c.Sets), want, sets, e.msg)
	}
	for _, p := range peers {
		if got := e.run(p, "verify"); !strings.HasPrefix(got, string(want)+" ") {
			e.t.Errorf("%s says %q where we say %s %s\n%s", p.name, got, c.Result, c.Reason, e.msg)
		}
	}
}

// newExchange skips where a peer is missing, or fails where it has to be there.
func newExchange(t *testing.T) (*exchange, map[string]*Sealer) {
	t.Helper()
	for _, p := range peers {
		out, err := exec.Command(p.probe[0], p.probe[1:]...).CombinedOutput()
		switch {
		case err == nil:
		case os.Getenv("KURIR_REAL_CLIENTS") == "require":
			t.Fatalf("%s is not installed, and KURIR_REAL_CLIENTS=require\n%s", p.name, out)
		default:
			t.Skipf("%s is not installed", p.name)
		}
	}
	by, r := sealers(t)
	e := &exchange{t: t, records: r, dir: t.TempDir(), msg: crlf(plain)}
	var lines string
	for name, texts := range r.texts {
		lines += name + "\t" + texts[0] + "\n"
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())})
	for name, text := range map[string]string{"records": lines, "key": string(key)} {
		if err := os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return e, by
}

// A message goes round: each seals what the others sealed, and all believe it, until it is
// changed.
func TestPeersSeal(t *testing.T) {
	e, by := newExchange(t)
	e.agree(mailauth.None, 0)
	for i := range 6 {
		switch i % 3 {
		case 0:
			e.msg = sealText(t, by["r"], e.records, e.msg) + e.msg
		default:
			id := fmt.Sprintf("mx%d.example.net", i)
			e.msg = "Authentication-Results: " + id + "; spf=pass smtp.mailfrom=d1.example.org; arc=pass\r\n" + e.msg
			e.msg = e.run(peers[i%3-1], "seal", filepath.Join(e.dir, "key"), "r", "example.net", id) + e.msg
		}
		e.msg = "Received: by a.hop; Thu, 14 Jan 2015 15:01:30 -0800\r\n" + e.msg
		e.agree(mailauth.Pass, i+1)
	}
	e.msg = strings.Replace(e.msg, "Subject: Example", "Subject: [list] Example", 1)
	e.agree(mailauth.Fail, 0)
}

// What was changed in a sealed message neither we nor they believe.
func TestPeersDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts many programs")
	}
	e, by := newExchange(t)
	e.msg = sealText(t, by["r"], e.records, e.msg) + e.msg
	e.msg = sealText(t, by["r"], e.records, e.msg) + e.msg
	e.agree(mailauth.Pass, 2)
	good := e.msg
	for _, change := range [][2]string{
		{"cv=pass", "cv=none"}, {"cv=none", "cv=pass"}, {"cv=pass", "cv=fail"}, {"i=2;", "i=3;"}, {"\tspf=pass", "\tspf=fail"},
		{"--J.", "--K."}, {"To: arc", "To: ark"}, {"ARC-Message-Signature: i=1", "X: i=1"}, {"ARC-Authentication-Results: i=1", "X: i=1"},
		{"s=r;", "s=q;"}, {"d=example.net", "d=example.org"},
	} {
		e.msg = strings.Replace(good, change[0], change[1], 1)
		if e.msg == good {
			t.Fatal("nothing was changed:", change[0])
		}
		if c := verifyText(t, e.records, e.msg); c.Result != mailauth.Fail {
			t.Errorf("%v: we say %+v", change, c)
		}
		for _, p := range peers {
			if got := e.run(p, "verify"); strings.HasPrefix(got, "pass") {
				t.Errorf("%v: %s says %q", change, p.name, got)
			}
		}
	}
}
