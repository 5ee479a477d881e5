package maildirtest

import (
	"strings"
	"testing"
)

// A tree can be laid out in its order: each directory comes before what it holds.
func TestTrees(t *testing.T) {
	for server, tree := range map[string][]File{"Dovecot": Dovecot(), "Courier": Courier()} {
		dirs := map[string]bool{"": true}
		for _, f := range tree {
			parent := ""
			if i := strings.LastIndexByte(f.Name, '/'); i >= 0 {
				parent = f.Name[:i]
			}
			if !dirs[parent] || f.Name == "" || strings.HasPrefix(f.Name, "/") || f.Dir && f.Data != "" {
				t.Errorf("%s: %+v", server, f)
			}
			if f.Dir {
				dirs[f.Name] = true
			}
		}
		if !dirs["cur"] || !dirs["new"] || !dirs["tmp"] {
			t.Errorf("%s: not a Maildir", server)
		}
	}
	if Find(Dovecot(), "dovecot-keywords") == "" || Find(Dovecot(), "none") != "" || Find(Courier(), "cur") != "" {
		t.Error("Find")
	}
}
