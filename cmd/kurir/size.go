package main

import (
	"fmt"
	"strconv"
	"strings"

	"kurir/internal/config"
)

// parseQuota reads a size such as "2GiB" or "1048576"; empty, "none" and "0" are no limit.
func parseQuota(s string) (int64, error) {
	if s == "" || strings.EqualFold(s, "none") {
		return 0, nil
	}
	n, err := config.ParseSize(s)
	if err != nil {
		return 0, usagef("%v, nor \"none\"", err)
	}
	return int64(n), nil
}

// showQuota is a limit for people.
func showQuota(n int64) string {
	if n == 0 {
		return "none"
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
