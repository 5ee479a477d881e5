package imapd

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kurir/store"
)

// Many UIDs that vanish are told in lines of bearable length, ranges as ranges.
func TestSendVanished(t *testing.T) {
	for _, c := range []struct{ step, count, lines int }{{1, 1_000_000, 1}, {2, 0, 0}, {2, 1, 1}, {2, 1000, 1}, {3, 100_000, 90}} {
		var uids []store.UID
		for i := range c.count {
			uids = append(uids, store.UID(1+i*c.step))
		}
		var sent bytes.Buffer
		s := &session{out: writer{dst: &sent}}
		s.sendVanished("VANISHED ", uidRuns(uids))
		if err := s.out.flush(); err != nil {
			t.Fatal(err)
		}
		var got []store.UID
		lines := 0
		for l := range strings.SplitSeq(strings.TrimSuffix(sent.String(), "\r\n"), "\r\n") {
			set, ok := strings.CutPrefix(l, "* VANISHED ")
			if !ok || len(l) > vanishedLine+64 {
				if c.count > 0 {
					t.Fatalf("%d octets: %.80q", len(l), l)
				}
				continue
			}
			lines++
			p := parser{b: []byte(set)}
			for _, r := range uidRanges(p.set(), 0) {
				for u := r.First; u <= r.Last; u++ {
					got = append(got, u)
				}
			}
		}
		if !slices.Equal(got, uids) || lines > c.lines {
			t.Errorf("%d UIDs, each %d: %d came in %d lines", c.count, c.step, len(got), lines)
		}
	}
}

// number64 reads all of 63 bits and nothing above.
func TestNumber64(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"007", 7, true}, {"9223372036854775799", 1<<63 - 9, true}, {"9223372036854775807", 1<<63 - 1, true},
		{"9223372036854775808", 0, false}, {"18446744073709551617", 0, false}, {"99999999999999999999999", 0, false}, {"-1", 0, false}, {"", 0, false},
	} {
		p := parser{b: []byte(c.text)}
		if got := p.number64("number"); got != c.want || (p.end() == nil) != c.ok {
			t.Errorf("%q is %d, %v", c.text, got, p.err)
		}
	}
}

// Sets of UIDs with "*", and the messages that ranges name.
func TestUIDRanges(t *testing.T) {
	for _, c := range []struct {
		set, want, spans string
	}{
		{"1:*", "[{1 9}]", "[{1 4}]"}, {"*", "[{9 9}]", "[{4 4}]"}, {"7:3,*,5", "[{3 7} {9 9}]", "[{2 4}]"}, {"12:*", "[{9 12}]", "[{4 4}]"},
		{"1", "[{1 1}]", "[]"}, {"2,4:7", "[{2 2} {4 7}]", "[{1 1} {3 3}]"}, {"10:20", "[{10 20}]", "[]"},
	} {
		p := parser{b: []byte(c.set)}
		got := uidRanges(p.set(), 9)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.set, got, c.want)
		}
		if spans := fmt.Sprint(knownSpans([]store.UID{2, 3, 5, 9}, got)); spans != c.spans {
			t.Errorf("%s: %s, want %s", c.set, spans, c.spans)
		}
	}
}
