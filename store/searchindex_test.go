package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/message"
)

// modelMail is a message of the model: what its header and body hold.
type modelMail struct {
	subject, from, list string // "" in list: no such field
	day                 int    // of May 2020, 0: no Date
	body                string
}

var modelWords = []string{"alpha", "Beta", "GRÜßE", "ß", "o", "ünter"}

func (m *modelMail) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %s\r\nFrom: =?utf-8?q?%s?= <x@example.org>\r\n", m.subject, strings.ReplaceAll(m.from, "ü", "=C3=BC"))
	if m.list != "" {
		fmt.Fprintf(&b, "X-List: %s\r\n", m.list)
	}
	if m.day > 0 {
		fmt.Fprintf(&b, "Date: %d May 2020 23:30:00 -0800\r\n", m.day)
	}
	return b.String() + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + m.body + "\r\n"
}

// modelQuery makes a query at random, and what it should find.
func modelQuery(rnd *rand.Rand, depth int) (Query, func(*modelMail) bool) {
	word := modelWords[rnd.IntN(len(modelWords))]
	needle := strings.ToLower(word)
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), needle) }
	kind := rnd.IntN(9)
	if depth == 0 {
		kind = rnd.IntN(6)
	}
	switch kind {
	case 0:
		return HeaderHas{"subject", word}, func(m *modelMail) bool { return has(m.subject) }
	case 1:
		return HeaderHas{"From", word}, func(m *modelMail) bool { return has(m.from + " <x@example.org>") }
	case 2:
		return HeaderHas{"X-List", word}, func(m *modelMail) bool { return m.list != "" && has(m.list) }
	case 3:
		return BodyHas(word), func(m *modelMail) bool { return has(m.body) }
	case 4:
		day := 1 + rnd.IntN(4)
		at := time.Date(2020, 5, day, 0, 0, 0, 0, time.UTC)
		return Sent{Since: at, Before: at.AddDate(0, 0, 2)}, func(m *modelMail) bool { return m.day == day || m.day == day+1 }
	case 5:
		return HeaderHas{"Date", ""}, func(m *modelMail) bool { return m.day > 0 }
	case 6:
		q, f := modelQuery(rnd, depth-1)
		return Not{q}, func(m *modelMail) bool { return !f(m) }
	case 7:
		a, f := modelQuery(rnd, depth-1)
		b, g := modelQuery(rnd, depth-1)
		return AllOf{a, b}, func(m *modelMail) bool { return f(m) && g(m) }
	}
	a, f := modelQuery(rnd, depth-1)
	b, g := modelQuery(rnd, depth-1)
	return AnyOf{a, b}, func(m *modelMail) bool { return f(m) || g(m) }
}

// Whatever the columns, the index and the files decide each, all together find what the
// query says.
func TestSearchModel(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	rnd := rand.New(rand.NewPCG(3, 4))
	words := func() string {
		var w []string
		for range rnd.IntN(3) {
			w = append(w, modelWords[rnd.IntN(len(modelWords))])
		}
		return strings.Join(w, "-")
	}
	var mails []modelMail
	var texts []string
	for range 200 {
		mail := modelMail{words(), words(), words(), rnd.IntN(6), words()}
		mails, texts = append(mails, mail), append(texts, mail.text())
	}
	uids := testAppend(t, m, texts...)
	v := testView(t, m)
	for i := range 300 {
		q, f := modelQuery(rnd, 3)
		var want []UID
		for i := range mails {
			if f(&mails[i]) {
				want = append(want, uids[i])
			}
		}
		if got, err := v.Search(t.Context(), q); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%#v: %v, %v; want %v", q, got, err, want)
		}
		if i == 100 {
			if err := a.index().flushKept(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What the index is asked about is only what is open still, and its errors end the search.
func TestSearchIndexAsks(t *testing.T) {
	_, v := searchBox(t)
	var asked [][]UID
	c := &compiler{ctx: t.Context(), v: v}
	list := func(hits ...UID) func([]UID) ([]UID, error) {
		return func(uids []UID) ([]UID, error) { asked = append(asked, slices.Clone(uids)); return hits, nil }
	}
	dear, cheap := c.indexed(costHeading, list(3)), c.indexed(costFolds, list(1, 3))
	both := &term{judge: func(m *Info) verdict { return min(dear.judge(m), cheap.judge(m)) }}
	found, left, err := c.searchIndex(both, v.Infos(1, 3, nil))
	if err != nil || !slices.Equal(found, []UID{3}) || len(left) != 0 || fmt.Sprint(asked) != "[[1 2 3] [1 3]]" {
		t.Error(found, left, err, asked)
	}
	bad := errors.New("bad")
	c = &compiler{ctx: t.Context(), v: v}
	c.indexed(costFolds, func([]UID) ([]UID, error) { return nil, bad })
	if _, _, err := c.searchIndex(both, v.Infos(1, 3, nil)); !errors.Is(err, bad) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, q := range []Query{HeaderHas{"Subject", "x"}, Sent{Since: time.Now()}} {
		if _, err := v.Search(ctx, q); !errors.Is(err, context.Canceled) {
			t.Errorf("%T went on without its context: %v", q, err)
		}
	}
}

// The first of several Date fields counts, as in ENVELOPE; all of other fields do.
func TestSearchDuplicates(t *testing.T) {
	_, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	testAppend(t, m, "Date: 1 May 2020\r\nDate: 2 May 2020 10:00\r\nTo: a@b\r\nTo: c@d\r\nX: y\r\nX: z\r\n\r\n")
	v := testView(t, m)
	day := func(d int) Sent {
		at := time.Date(2020, 5, d, 0, 0, 0, 0, time.UTC)
		return Sent{Since: at, Before: at.AddDate(0, 0, 1)}
	}
	for _, tt := range []struct {
		q    Query
		want int
	}{{day(1), 1}, {day(2), 0}, {HeaderHas{"to", "A@B"}, 1}, {HeaderHas{"to", "C@D"}, 1}, {HeaderHas{"to", "bc"}, 0}, {HeaderHas{"x", "z"}, 1}} {
		if got, err := v.Search(t.Context(), tt.q); err != nil || len(got) != tt.want {
			t.Errorf("%v: %v, %v", tt.q, got, err)
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	const n = 20_000
	_, a, m := openBench(b, 0)
	var batch []Appending
	for i := range n {
		st, err := a.s.Stage()
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(st, "Subject: Re: message number %d about something or other\r\nFrom: Person %d <p%d@example.org>\r\nTo: a@example.org\r\nDate: %d May 2020 10:00:00 +0000\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n", i, i%500, i%500, 1+i%28, i)
		if batch = append(batch, Appending{Message: st}); len(batch) == 1000 {
			if _, err := m.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			for _, a := range batch {
				a.Message.Close()
			}
			batch = batch[:0]
		}
	}
	v, err := m.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := v.Headings(b.Context(), v.UIDs(), func(int, *message.Heading) error { return nil }); err != nil {
		b.Fatal(err)
	}
	for _, q := range []Query{HeaderHas{"Subject", "number 777 "}, HeaderHas{"From", "nobody"}, HeaderHas{"Message-ID", "777@"}, Sent{Since: time.Date(2020, 5, 20, 0, 0, 0, 0, time.UTC)},
		Received{Since: time.Now()}, AllOf{HeaderHas{"Subject", "number"}, HeaderHas{"From", "Person 7 "}}} {
		b.Run(fmt.Sprintf("%T", q), func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
