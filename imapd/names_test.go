package imapd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kurir/store"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		wire       string
		utf7, utf8 string // "-": refused
	}{
		{"a", "a", "a"},
		{"inbox", "INBOX", "INBOX"},
		{"InBox/x", "INBOX/x", "INBOX/x"},
		{"inboxes", "inboxes", "inboxes"},
		{"a/inbox", "a/inbox", "a/inbox"},
		{"&APw-", "ü", "&APw-"},
		{"&-", "&", "&-"},
		{"&", "-", "&"},
		{"A & B", "-", "A & B"},
		{"A &- B", "A & B", "A &- B"},
		{"&APw", "-", "&APw"},
		{"&AGE-", "-", "&AGE-"},
		{"&APw-&APw-", "-", "&APw-&APw-"},
		{"&apw-", "檜", "&apw-"},
		{"ü", "ü", "ü"},
		{"ü&APw-ü&-", "üüü&", "ü&APw-ü&-"},
		{"ü & x", "-", "ü & x"},
		{"u\u0308", "ü", "ü"},
		{"&AHUDCA-", "-", "&AHUDCA-"}, // "u" stands for itself
		{"u&Awg-", "ü", "u&Awg-"},
		{"\xfc", "-", "-"},
		{"a\xc3", "-", "-"},
		{"\xed\xa0\x80", "-", "-"}, // half of a pair
		{"😀", "😀", "😀"},
		{"&2D3eAA-", "😀", "&2D3eAA-"},
		{"&2D0-", "-", "&2D0-"},
		{"", "", ""},
	} {
		for mode, want := range map[bool]string{false: tt.utf7, true: tt.utf8} {
			got, ok := decodeName(tt.wire, mode)
			if !ok {
				got = "-"
			}
			if got != want {
				t.Errorf("%q, UTF-8 %v: %q, want %q", tt.wire, mode, got, want)
			}
		}
	}
}

// FuzzName: the name that a client is told leads back to the mailbox.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"a", "&APw-", "A & B", "ü", "u\u0308", "inbox/&-", "&2D3eAA-", "\xff", "ü&APw-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		for _, mode := range []bool{false, true} {
			name, ok := decodeName(wire, mode)
			if !ok || strings.Contains(name, "\x00") {
				continue
			}
			p := parser{b: appendMailbox(nil, name, mode), utf8: mode}
			if got := p.mailbox(); p.end() != nil || got != name || p.sent != "" {
				t.Errorf("%q is %q, told as %q, and that is %q (%v)", wire, name, p.b, got, p.err)
			}
		}
	})
}

// The time of LIST grows with the number of mailboxes, not with its square.
func TestManyMailboxes(t *testing.T) {
	const n = 100_000
	boxes := make([]store.MailboxInfo, 0, n)
	for i := range n / 2 {
		boxes = append(boxes, store.MailboxInfo{Name: fmt.Sprintf("top/%d", i), Exists: true, HasChildren: true},
			store.MailboxInfo{Name: fmt.Sprintf("top/%d/sub", i), Exists: true, Subscribed: true})
	}
	l := &listing{patterns: []string{"top/%"}}
	l.SelectSubscribed, l.SelectRecursiveMatch = true, true
	start := time.Now()
	below := 0
	for i, c := range l.choose(boxes) {
		if c.below {
			below++
		}
		if c.matches == boxes[i].Subscribed || c.chosen != boxes[i].Subscribed {
			t.Fatalf("%s: %+v", boxes[i].Name, c)
		}
	}
	if below != n/2 {
		t.Errorf("%d mailboxes listed for those below them, want %d", below, n/2)
	}
	if d := time.Since(start); d > 5*time.Second { // a tenth of a second is usual
		t.Errorf("%v for %d mailboxes", d, n)
	}
}

// A pattern made to be slow costs no more than its length times that of the name.
func TestSlowPattern(t *testing.T) {
	l := &listing{patterns: []string{strings.Repeat("*a", 500) + "b", "b" + strings.Repeat("%", 1000)}}
	name := strings.Repeat("a", 250)
	start := time.Now()
	for range 1000 {
		if l.matches(name, false) {
			t.Fatal("matched")
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%v for 1000 names", d)
	}
}
