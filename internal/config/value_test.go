package config

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1B": 1, "50MiB": 50 << 20, "50mib": 50 << 20, "50 MiB": 50 << 20, "50M": 50 << 20, "2k": 2048,
		"1kB": 1000, "1KB": 1000, "3GB": 3e9, "3GiB": 3 << 30, "1TB": 1e12, "1TiB": 1 << 40, "9223372036854775807": math.MaxInt64,
		"": -1, "MiB": -1, "-1": -1, "1.5GiB": -1, "1XB": -1, "1iB": -1, "9223372036854775808": -1, "9007199254740992KiB": -1, "0x10": -1, "1 2": -1,
	} {
		got, err := ParseSize(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, n := range []int64{0, 1, 999, 1000, 1024, 1500, 50 << 20, 3e9, math.MaxInt64} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 {
			return
		}
		if got, err := ParseSize(Size(n).String()); err != nil || got != Size(n) {
			t.Errorf("%d is written %s and read %d, %v", n, Size(n), got, err)
		}
	})
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "0d": 0, "100ms": 100 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if got, err := ParseDuration(formatDuration(want)); err != nil || got != want {
			t.Errorf("%v is written %q and read %v, %v", want, formatDuration(want), got, err)
		}
	}
	for _, text := range []string{"", "5", "d", "-1d", "1d12h", "99999d", "soon"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 61 * time.Second: "1m1s", 10 * time.Second: "10s",
		time.Hour + time.Second: "1h0m1s", 20 * time.Hour: "20h",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"smtp", "smtp", 0}, {"smpt", "smtp", 1}, {"adress", "address", 1},
		{"kitten", "sitting", 3}, {"abc", "cab", 2}, {"submision", "submissions", 2},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("%q to %q: %d", tt.a, tt.b, got)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("%q to %q: %d", tt.b, tt.a, got)
		}
	}
	if got := nearest("relay.host_user", []string{"relay.host_tls", "relay.host_username"}); got != "relay.host_username" {
		t.Errorf("%q", got)
	}
	if got := nearest("imapz", []string{"pop3", "imap", "imaps"}); got != "imap" {
		t.Errorf("%q", got)
	}
}

// Whatever stands in the file, Load gives a Config or mistakes, and none twice.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte(name + "[smpt]\naddress=[1]\n[[imap]]\nx={y={z=1}}\nlimits.errors=0x7\n\"\".''=1"))
	f.Add([]byte("a=[[[1]]]\n[a.b.c]\ninf=inf\nt=07:32:00\n[limits]\nrecipients=0b1"))
	f.Add([]byte(uncommented()))
	f.Add([]byte(name + "[[route]]\nrecipients=['x y','x y']\n[route]\nx=1\n[[device]]\nnetworks=['::/0','::/0']\naccount='x'\ndevice=[{a=1},{networks=[]}]"))
	f.Add([]byte("route=[{smarthost='mx',tls='tls'},{}]\nrelay.ipv4=false\nrelay.ipv6=false\n\"route[1]\".tls='x'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := newLoader("x.toml")
		l.readTOML(text)
		l.check()
		seen := map[string]bool{}
		for _, err := range l.mistakes {
			if seen[err.Error()] {
				t.Errorf("twice: %v", err)
			}
			seen[err.Error()] = true
		}
	})
}
