package main

import (
	"fmt"
	"strconv"
	"strings"

	"kurir/internal/config"
)

// leastQuota is the least limit in bytes; anything below is a forgotten unit.
const leastQuota = 1 << 20

// parseQuota reads a size such as "2GiB" or "1048576"; empty, "none" and "0" are no limit.
func parseQuota(s string) (int64, error) {
	if s == "" || strings.EqualFold(s, "none") {
		return 0, nil
	}
	n, err := config.ParseSize(s)
	if err != nil {
		return 0, usagef("%v, or \"none\"", err)
	}
	if n > 0 && n < leastQuota {
		return 0, usagef("a quota of %s leaves no room for mail: was a unit meant, as in 5GiB?", n)
	}
	return int64(n), nil
}

// showQuota is a limit for people.
func showQuota(n int64) string {
	if n == 0 {
		return "none"
	}
	for _, u := range []struct { // as it was given: 2GB is not 1.9 GiB
		size int64
		name string
	}{{1 << 40, "TiB"}, {1e12, "TB"}, {1 << 30, "GiB"}, {1e9, "GB"}, {1 << 20, "MiB"}, {1e6, "MB"}} {
		if n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return showSize(n)
}

// showSize is a number of bytes for people, with at most one decimal.
func showSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	const units = "KMGTP"
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	text := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0") + " " + units[i:i+1] + "iB"
}
