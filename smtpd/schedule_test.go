package smtpd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseBy(t *testing.T) {
	for value, want := range map[string]*deliverBy{
		"3600;R": {time.Hour, true, false}, "1;rt": {time.Second, true, true}, "+60;N": {time.Minute, false, false},
		"0;N": {}, "-999999999;nT": {-999999999 * time.Second, false, true}, "000000001;R": {time.Second, true, false},
		"": nil, ";R": nil, "60": nil, "60;": nil, "60;T": nil, "60;RR": nil, "60;RTT": nil, "0;R": nil, "-1;R": nil, "+-1;N": nil,
		"1000000000;N": nil, "1.5;N": nil, "60;N;N": nil, "60 ;N": nil, "0x10;N": nil,
	} {
		got, ok := parseBy(value)
		if ok != (want != nil) || ok && *got != *want {
			t.Errorf("%q: %+v, %v", value, got, ok)
		}
	}
}

func TestParsePriority(t *testing.T) {
	for n := -9; n <= 9; n++ {
		if got, ok := parsePriority(fmt.Sprint(n)); !ok || got != n {
			t.Errorf("%d: %d, %v", n, got, ok)
		}
	}
	for _, bad := range []string{"", "-", "10", "-10", "+1", "00", "01", "-0", "x", "1.0", "١"} {
		if got, ok := parsePriority(bad); ok {
			t.Errorf("%q is taken as %d", bad, got)
		}
	}
}

func FuzzParseBy(f *testing.F) {
	f.Add("3600;R")
	f.Add("-60;nt")
	f.Fuzz(func(t *testing.T, value string) {
		by, ok := parseBy(value)
		if !ok {
			return
		}
		if by.giveUp && by.within <= 0 || by.within.Abs() > 999_999_999*time.Second || strings.Count(value, ";") != 1 {
			t.Errorf("%q: %+v", value, by)
		}
	})
}
