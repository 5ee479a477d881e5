package mailauth

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What other programs sign verifies, in all forms and with odd bodies, and nothing else
// does.
func TestDKIMPeers(t *testing.T) {
	for _, p := range []struct {
		name, module string
		command      []string
		algorithms   []string
	}{
		{"dkimpy", "import dkim, nacl", []string{"/usr/bin/python3", "-c"}, []string{"rsa-sha256", "ed25519-sha256"}},
		{"Mail::DKIM", "use Mail::DKIM::Signer", []string{"/usr/bin/perl", "-e"}, []string{"rsa-sha256"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			out, err := exec.Command(p.command[0], p.command[1], p.module).CombinedOutput()
			switch {
			case err != nil && os.Getenv("KURIR_REAL_CLIENTS") == "require":
				t.Fatalf("not installed, and KURIR_REAL_CLIENTS=require\n%s", out)
			case err != nil:
				t.Skip("not installed")
			}
			script := map[string]string{"dkimpy": "testdata/dkim/sign.py", "Mail::DKIM": "testdata/dkim/sign.pl"}[p.name]
			for _, algorithm := range p.algorithms {
				for _, form := range []string{"simple simple", "simple relaxed", "relaxed simple", "relaxed relaxed"} {
					signedByPeer(t, []string{p.command[0], script, algorithm, form})
				}
			}
		})
	}
}

// signedByPeer has letters signed by a program, script, algorithm and forms, and verifies
// them.
func signedByPeer(t *testing.T, how []string) {
	t.Helper()
	kind := map[string]string{"rsa-sha256": "2048", "ed25519-sha256": "ed25519"}[how[2]]
	dir := t.TempDir()
	args := append([]string{how[1], how[2]}, strings.Fields(how[3])...)
	args = append(args, writeKey(t, dir, kind))
	for i, body := range letterBodies {
		path := filepath.Join(dir, fmt.Sprint(i))
		if body != "" && !strings.HasSuffix(body, "\n") {
			body += "\r\n" // as all that travels has it; dkimpy forgets white space at an end without it
		}
		must(t, os.WriteFile(path, []byte(letterHeader+body), 0o600))
		args = append(args, path)
	}
	if out, err := exec.CommandContext(t.Context(), how[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", how, err, out)
	}
	z := texts("s._domainkey.example.org", published(keys()[kind]))
	for i, body := range letterBodies {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)+".signed"))
		must(t, err)
		if d := verified(t, z, string(text)); d.Result != Pass {
			t.Errorf("%v, body %.20q: %+v", how, body, d)
		}
		if d := verified(t, z, strings.Replace(string(text), "Subject:  two", "Subject:  too", 1)); d.Result != Fail {
			t.Errorf("%v, body %.20q, changed: %+v", how, body, d)
		}
	}
}

// writeKey writes a private key as these programs read it.
func writeKey(t *testing.T, dir, kind string) string {
	t.Helper()
	var text []byte
	switch key := keys()[kind].(type) {
	case ed25519.PrivateKey:
		text = []byte(base64.StdEncoding.EncodeToString(key.Seed()))
	case *rsa.PrivateKey:
		text = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	}
	path := filepath.Join(dir, "key")
	must(t, os.WriteFile(path, text, 0o600))
	return path
}
