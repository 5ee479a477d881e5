package message

import (
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a date-time (RFC 5322 sections 3.3 and 4.3): comments anywhere, the
// day of the week and the seconds optional, years of two or three digits, zones by
// name. The time keeps its zone; one without a zone, or with an unknown one, is UTC.
// It reports false if there is no day, month, year and time of day that can be.
func ParseDate(s string) (time.Time, bool) {
	t, hasClock, ok := parseDate(s)
	return t, ok && hasClock
}

// SentDate is ParseDate for those who need the day above all: where a time of day is
// missing or can't be, it is 00:00:00 (RFC 5256 section 2.2).
func SentDate(s string) (time.Time, bool) {
	t, _, ok := parseDate(s)
	return t, ok
}

func parseDate(s string) (t time.Time, hasClock, ok bool) {
	w := dateWords(s)
	if len(w) > 0 && !isDigit(w[0][0]) && month(w[0]) == 0 {
		w = w[1:] // the day of the week, whatever it says
	}
	if len(w) >= 4 && month(w[0]) != 0 {
		w = asctime(w)
	}
	if len(w) < 3 {
		return time.Time{}, false, false
	}
	day, err := strconv.Atoi(w[0])
	m := month(w[1])
	y, ok := year(w[2])
	if err != nil || m == 0 || !ok || day < 1 || day > daysIn(m, y) {
		return time.Time{}, false, false
	}
	var h, mi, sec int
	if len(w) > 3 {
		if h, mi, sec, hasClock = clock(w[3]); !hasClock {
			h, mi, sec = 0, 0, 0
		}
	}
	zone := time.UTC
	if len(w) > 4 {
		zone = location(w[4])
	}
	return time.Date(y, m, day, h, mi, sec, 0, zone), hasClock, true
}

// dateWords splits at white space, commas and comments, and makes one word of a time
// of day with white space around its colons.
func dateWords(s string) (words []string) {
	l := lexer{s: unfold(s)}
	glue := false
	for len(words) < 16 && l.skip() && !l.end() {
		start := l.i
		if l.at(',') {
			l.i++
			continue
		}
		for !l.end() && strings.IndexByte(" \t(,", l.s[l.i]) < 0 {
			l.i++
		}
		w := l.s[start:l.i]
		if n := len(words); n > 0 && (glue || w[0] == ':') {
			words[n-1] += w
		} else {
			words = append(words, w)
		}
		glue = w[len(w)-1] == ':'
	}
	if len(words) == 0 {
		return words
	}
	if first := words[0]; strings.Count(first, "-") == 2 { // 2-Jan-2006, RFC 850
		words = append(strings.Split(first, "-"), words[1:]...)
	} else if len(words) > 1 && strings.Count(words[1], "-") == 2 {
		words = append(strings.Split(words[1], "-"), words[2:]...)
	}
	for _, w := range words {
		if w == "" {
			return nil
		}
	}
	return words
}

// asctime puts the words of "Jan 2 15:04:05 [zone] 2006" into RFC 5322's order.
func asctime(w []string) []string {
	zone := w[4:]
	last := w[3]
	if _, ok := year(last); !ok && len(w) > 4 {
		last, zone = w[4], w[3:4]
	}
	return append([]string{w[1], w[0], last, w[2]}, zone...)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// month reads the name of a month, at least its first three letters; 0 is none.
func month(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		if name := m.String(); len(s) <= len(name) && strings.EqualFold(s, name[:len(s)]) {
			return m
		}
	}
	return 0
}

// year reads a year; two and three digits are those of RFC 5322 section 4.3.
func year(s string) (int, bool) {
	y, err := strconv.Atoi(s)
	if err != nil || !isDigit(s[0]) || y > 9999 {
		return 0, false
	}
	switch {
	case len(s) == 2 && y < 50:
		y += 2000
	case len(s) == 2 || len(s) == 3:
		y += 1900
	case len(s) < 2:
		return 0, false
	}
	return y, true
}

func daysIn(m time.Month, y int) int { return time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day() }

// clock reads hour ":" minute [":" second]; a leap second is 59.
func clock(s string) (h, m, sec int, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, p := range parts {
		p, _, _ = strings.Cut(p, ".") // fractions, which some put there
		v, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return 0, 0, 0, false
		}
		n[i] = int(v)
	}
	if n[2] == 60 {
		n[2] = 59
	}
	return n[0], n[1], n[2], n[0] < 24 && n[1] < 60 && n[2] < 60
}

// location reads a zone: +hhmm, a name of RFC 5322 section 4.3, or anything else, which
// is UTC since its meaning is unknown.
func location(s string) *time.Location {
	upper := strings.ToUpper(s)
	switch upper {
	case "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT":
		hours := map[byte]int{'E': -5, 'C': -6, 'M': -7, 'P': -8}[upper[0]]
		if upper[1] == 'D' {
			hours++
		}
		return time.FixedZone(upper, hours*3600)
	}
	sign := 1
	if s[0] == '-' {
		sign = -1
	}
	digits := strings.ReplaceAll(strings.TrimLeft(s, "+-"), ":", "")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || s[0] != '+' && s[0] != '-' || len(digits) != 4 || n%100 > 59 || n/100 > 23 || n == 0 {
		return time.UTC
	}
	return time.FixedZone("", sign*int(n/100*3600+n%100*60))
}
