package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReserve: a size, or the server's choice.
func TestReserve(t *testing.T) {
	for _, c := range []struct {
		value string
		size  Size
		auto  bool
		bad   bool
	}{
		{"", 0, true, false},
		{"auto", 0, true, false},
		{"0", 0, false, false},
		{"500MiB", 500 << 20, false, false},
		{"5%", 0, false, true},
		{"-1", 0, false, true},
		{"much", 0, false, true},
	} {
		text := "hostname = \"mail.example.org\"\n[trace]\nkeep = \"3d\"\n"
		if c.value != "" {
			text += "[store]\nreserve = \"" + c.value + "\"\n"
		}
		path := filepath.Join(t.TempDir(), "kurir.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path, nil)
		if c.bad {
			if err == nil || !strings.Contains(err.Error(), "kurir.toml:5:") || !strings.Contains(err.Error(), "store.reserve") {
				t.Errorf("%q: %v", c.value, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if size, auto := cfg.StoreReserve(); size != c.size || auto != c.auto || cfg.Trace.Keep != 72*time.Hour {
			t.Errorf("%q: %d, %v, %v", c.value, size, auto, cfg.Trace.Keep)
		}
	}
	if d := Default(); d.Trace.Keep != 14*24*time.Hour {
		t.Error(d.Trace.Keep)
	}
}
