package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestNeedle(t *testing.T) {
	for _, tt := range []struct {
		needle, text string
		want         bool
	}{
		{"", "", true}, {"", "x", true}, {"x", "", false}, {"ABC", "xabcx", true}, {"grüße", "GRÜßE", true},
		{"GRÜSSE", "grüße", false}, {"σ", "ς", true}, {"kelvin", "\u212Aelvin", true}, {"ab", "a b", false},
		{"\xff", "a\xffb", true}, {"日本", "東京日本橋", true},
		{"Zoe\u0308", "ZOË", true}, {"ｋｕｒｉｒ", "Kurir", true}, {"Й", "привет, Майя", true},
	} {
		n := newNeedle(tt.needle)
		if got := n.in(tt.text); got != tt.want {
			t.Errorf("%q in %q: %v", tt.needle, tt.text, got)
		}
		if n.empty() {
			continue
		}
		got, err := n.inText(t.Context().Err, strings.NewReader(tt.text))
		if got != tt.want || err != nil {
			t.Errorf("%q in the text %q: %v, %v", tt.needle, tt.text, got, err)
		}
	}
}

// The window that is searched slides over the text without missing anything, however
// the text comes in pieces.
func TestNeedleAcrossWindows(t *testing.T) {
	needle := newNeedle("Nädel日")
	for _, before := range []int{0, 1, searchWindow - 8, searchWindow - 5, searchWindow - 1, searchWindow, 3*searchWindow - 3} {
		text := strings.Repeat("ä", before/2) + strings.Repeat("x", before%2) + "nÄDEL日" + strings.Repeat("y", 100)
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text)), "halves": iotest.HalfReader(strings.NewReader(text)),
			"data with EOF": iotest.DataErrReader(strings.NewReader(text)),
		} {
			if ok, err := needle.inText(t.Context().Err, r); !ok || err != nil {
				t.Errorf("%d bytes before, %s: %v, %v", before, name, ok, err)
			}
		}
	}
	if ok, err := needle.inText(t.Context().Err, iotest.ErrReader(io.ErrNoProgress)); ok || !errors.Is(err, io.ErrNoProgress) {
		t.Error("a read error was not passed on", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := needle.inText(ctx.Err, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Error("the context was not looked at", err)
	}
}

// FuzzFolded: folding in pieces is folding at once.
func FuzzFolded(f *testing.F) {
	f.Add([]byte("Aä\xff日"), 2)
	f.Add([]byte("A\xe6\x97"), 2)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		whole, n := appendFolded(nil, p, true)
		if n != len(p) {
			t.Fatalf("took %d of %d", n, len(p))
		}
		if cut < 0 || cut > len(p) {
			return
		}
		parts, used := appendFolded(nil, p[:cut], false)
		parts, _ = appendFolded(parts, p[used:], true)
		if !bytes.Equal(parts, whole) {
			t.Errorf("in pieces %q, at once %q", parts, whole)
		}
	})
}

const searchMail = "Date: %s\r\nFrom: %s <x@example.org>\r\nSubject: %s\r\nContent-Type: text/plain; charset=%s\r\n" +
	"Content-Transfer-Encoding: %s\r\n\r\n%s\r\n"

// searchBox opens a mailbox with a few messages, and a view of it.
func searchBox(t *testing.T) (*Mailbox, *View) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), NoWatch: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.CreateAccount(t.Context(), "a@example.org"); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), "a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	m, err := a.Mailbox(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	day := time.Date(2020, 5, 10, 12, 0, 0, 0, time.UTC)
	for i, msg := range []string{
		fmt.Sprintf(searchMail, "Sun, 10 May 2020 23:30:00 -0800", "Anna", "one", "utf-8", "8bit", "Grüße aus Köln"),
		fmt.Sprintf(searchMail, "Mon, 11 May 2020 00:30:00 +0900", "=?utf-8?q?J=C3=BCrgen?=", "=?iso-8859-1?q?zw=F6lf?=\r\n more", "iso-8859-1", "quoted-printable", "Gr=FC=DFe aus K=\r\n=F6ln"),
		fmt.Sprintf(searchMail, "yesterday", "Zoë", "three", "utf-8", "base64", "R3LDvMOfZSBhdXMgS8O2bG4="),
	} {
		st, err := s.Stage()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(st, msg)
		set := []FlagSet{{Flags: Seen}, {Flags: Seen | Flagged, Keywords: []string{"$Junk"}}, {}}[i]
		if _, err := m.Append(t.Context(), []Appending{{Message: st, Flags: set, Date: day.AddDate(0, 0, i)}}); err != nil {
			t.Fatal(err)
		}
		st.Close()
	}
	v, err := m.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return m, v
}

func TestSearch(t *testing.T) {
	_, v := searchBox(t)
	date := func(d int) time.Time { return time.Date(2020, 5, d, 0, 0, 0, 0, time.UTC) }
	size := func(seq int) int64 { i, _ := v.Info(seq); return i.Size }
	for _, tt := range []struct {
		q    Query
		want []UID
	}{
		{nil, []UID{1, 2, 3}},
		{AllOf{}, []UID{1, 2, 3}},
		{AnyOf{}, nil},
		{Not{AnyOf{}}, []UID{1, 2, 3}},
		{HasFlags(Seen), []UID{1, 2}},
		{HasFlags(Seen | Flagged), []UID{2}},
		{HasKeyword("$JUNK"), []UID{2}},
		{HasKeyword("none"), nil},
		{Not{HasKeyword("none")}, []UID{1, 2, 3}},
		{SeqRanges{{3, 3}, {1, 1}}, []UID{1, 3}},
		{SeqRanges{{1, 3}, {2, 2}}, []UID{1, 2, 3}},
		{SeqRanges{}, nil},
		{LargerThan(0), []UID{1, 2, 3}},
		{AllOf{LargerThan(size(1) - 1), SmallerThan(size(1) + 1)}, []UID{1}},
		{ChangedAt(3), []UID{2, 3}},
		{Received{Since: date(11)}, []UID{2, 3}},
		{Received{Since: date(10), Before: date(11)}, []UID{1}},
		{Sent{Since: date(11)}, []UID{2}},
		{Sent{Before: date(11)}, []UID{1}},
		{Not{Sent{Since: date(11)}}, []UID{1, 3}},
		{HeaderHas{"from", "jürgen"}, []UID{2}},
		{HeaderHas{"FROM", "ZOË"}, []UID{3}},
		{HeaderHas{"Subject", "ZWÖLF MORE"}, []UID{2}},
		{HeaderHas{"Subject", ""}, []UID{1, 2, 3}},
		{HeaderHas{"Cc", ""}, nil},
		{BodyHas("grüße aus köln"), []UID{1, 2, 3}},
		{BodyHas("three"), nil},
		{BodyHas(""), []UID{1, 2, 3}},
		{TextHas("three"), []UID{3}},
		{TextHas("content-type: text"), []UID{1, 2, 3}},
		{AllOf{HasFlags(Flagged), BodyHas("köln")}, []UID{2}},
		{AnyOf{HasFlags(Flagged), HeaderHas{"Subject", "one"}}, []UID{1, 2}},
		{Not{AllOf{BodyHas("köln"), HasFlags(Seen)}}, []UID{3}},
		{AllOf{BodyHas("köln"), Not{Received{Since: date(12)}}}, []UID{1, 2}},
	} {
		got, err := v.Search(t.Context(), tt.q)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%#v: %v, %v; want %v", tt.q, got, err, tt.want)
		}
	}
}

func TestSearchStops(t *testing.T) {
	m, v := searchBox(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Search(ctx, BodyHas("x")); !errors.Is(err, context.Canceled) {
		t.Error("a search went on without its context", err)
	}
	if _, err := m.Remove(t.Context(), []UID{2}); err != nil {
		t.Fatal(err)
	}
	got, err := v.Search(t.Context(), HasFlags(Seen))
	if err != nil || !slices.Contains(got, 1) || slices.Contains(got, 3) {
		t.Error("with a message gone", got, err)
	}
}

// What seqTerm finds by bisection is what a walk over the ranges finds.
func TestSeqRanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var rs SeqRanges
		for range rnd.IntN(6) {
			first := 1 + rnd.IntN(20)
			rs = append(rs, SeqRange{first, first + rnd.IntN(5)})
		}
		term := seqTerm(rs)
		for seq := range 30 {
			want := slices.ContainsFunc(rs, func(r SeqRange) bool { return r.First <= seq && seq <= r.Last })
			if got := term.judge(&Info{Seq: seq}) == proven; got != want {
				t.Fatalf("%v: %d: %v", rs, seq, got)
			}
		}
	}
}

func TestInternalDates(t *testing.T) {
	m, v := searchBox(t)
	got, err := v.InternalDates(t.Context(), v.UIDs(), make([]time.Time, 1))
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	for i, d := range got[1:] {
		want, err := v.InternalDate(t.Context(), v.UIDs()[i])
		if err != nil || !d.Equal(want) {
			t.Errorf("%d: %v, not %v, %v", i+1, d, want, err)
		}
	}
	if _, err := m.Remove(t.Context(), []UID{2}); err != nil {
		t.Fatal(err)
	}
	if got, err = v.InternalDates(t.Context(), []UID{1, 99}, nil); err != nil || !got[1].IsZero() || got[0].IsZero() {
		t.Error("a message that never was", got, err)
	}
}

// A bug that a message brings out fails the search, not the program.
func TestSearchPanic(t *testing.T) {
	_, v := searchBox(t)
	bad := &term{holds: func(*searched, *Info) (bool, error) { panic("a bug") }}
	_, err := v.searchContents(t.Context(), bad, v.Infos(1, 2, nil))
	if err == nil || !strings.Contains(err.Error(), "panic: a bug") {
		t.Error(err)
	}
}
