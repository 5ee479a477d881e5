package main

import "testing"

func TestParseQuota(t *testing.T) {
	for in, want := range map[string]int64{
		"": 0, "none": 0, "None": 0, "0": 0, "1048576": 1 << 20, "1024K": 1 << 20, "2000kB": 2000000,
		"500MiB": 500 << 20, "2GiB": 2 << 30, "3T": 3 << 40,
	} {
		got, err := parseQuota(in)
		if err != nil || got != want {
			t.Errorf("parseQuota(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"much", "-1", "1X", "1KK", "GiB", "9999999999T", "1.5G", "5", "1000KiB"} {
		if got, err := parseQuota(in); !isUsage(err) {
			t.Errorf("parseQuota(%q) = %d, %v; want a usage error", in, got, err)
		}
	}
}

func TestShowSize(t *testing.T) {
	for in, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 5 << 20: "5 MiB", 2 << 30: "2 GiB", 1<<63 - 1: "8192 PiB",
	} {
		if got := showSize(in); got != want {
			t.Errorf("showSize(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "none", 2e9: "2 GB", 5 << 30: "5 GiB", 1536 << 20: "1536 MiB", 1234567891: "1.1 GiB"} {
		if got := showQuota(in); got != want {
			t.Errorf("showQuota(%d) = %q, want %q", in, got, want)
		}
	}
}
