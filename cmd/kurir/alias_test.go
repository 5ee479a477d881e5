package main

import (
	"testing"

	"kurir/internal/admin"
)

// TestMaySend: the list says of each alias what a sender would be told.
func TestMaySend(t *testing.T) {
	rows := []admin.Alias{
		{Address: "one@x.test", Targets: []string{"alice@x.test"}},
		{Address: "tag@x.test", Targets: []string{"alice+shop@x.test", "alice@x.test"}},
		{Address: "two@x.test", Targets: []string{"alice@x.test", "bob@x.test"}},
		{Address: "said@x.test", Targets: []string{"alice@x.test", "bob@x.test"}, MaySend: true},
		{Address: "nested@x.test", Targets: []string{"two@x.test"}},
		{Address: "chain@x.test", Targets: []string{"one@x.test"}},
		{Address: "@x.test", Targets: []string{"alice@x.test"}},
		{Address: "far@x.test", Targets: []string{"Friend@y.test"}, Remote: []string{"Friend@y.test"}},
		{Address: "both@x.test", Targets: []string{"alice@x.test", "far@x.test"}},
	}
	for i, want := range []bool{true, true, false, true, false, true, false, false, false} {
		if got := maySend(rows, rows[i]); got != want {
			t.Errorf("%s: %v, want %v", rows[i].Address, got, want)
		}
	}
}
