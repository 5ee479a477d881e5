package config

import (
	"slices"
	"testing"
)

func TestFiles(t *testing.T) {
	c := Default()
	if got := c.Files(); len(got) > 0 {
		t.Errorf("by default: %q", got)
	}
	c.TLS.Cert, c.TLS.Key, c.Relay.CAFile = "/c", "/k", "/ca"
	c.Routes = []Route{{Smarthost: Smarthost{PasswordFile: "/p"}}}
	got := c.Files()
	if slices.Sort(got); !slices.Equal(got, []string{"/c", "/ca", "/k", "/p"}) {
		t.Errorf("%q", got)
	}
}
