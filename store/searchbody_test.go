package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kurir/internal/message"
)

// plainBodyHas is BODY as it is defined: each text part, decoded as it is on the wire.
func plainBodyHas(t *testing.T, b *Body, needle string) bool {
	t.Helper()
	wire, err := io.ReadAll(b.Whole().Reader())
	if err != nil {
		t.Fatal(err)
	}
	root, err := message.Parse(bytes.NewReader(wire), message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	folded := message.Fold(nil, []byte(needle))
	var has func(p *message.Part) bool
	has = func(p *message.Part) bool {
		if slices.ContainsFunc(p.Children, has) {
			return true
		}
		text, err := io.ReadAll(message.DecodeText(bytes.NewReader(wire[p.BodyOff:p.EndOff]), p.Encoding, p.Param("charset")))
		if err != nil {
			t.Fatal(err)
		}
		return len(p.Children) == 0 && p.IsText() && bytes.Contains(message.Fold(nil, text), folded)
	}
	return has(root)
}

// BODY finds the same in small messages and large ones, in texts in one piece and in many,
// in files with LF and with CRLF, and whether or not line ends are looked for.
func TestSearchBodyInEveryForm(t *testing.T) {
	m, v := searchBox(t)
	words := []string{"Größe", "naïve", "Ünterwegs", "plain", "text", "=3D", "日本", "zebra"}
	rng := rand.New(rand.NewPCG(5, 6))
	text := func(size int) string {
		var b strings.Builder
		for b.Len() < size {
			for range 1 + rng.IntN(9) {
				b.WriteString(words[rng.IntN(len(words)-1)] + " ")
			}
			b.WriteString("\r\n")
		}
		return b.String()
	}
	for _, size := range []int{10, 5000, smallBody, 150_000, maxTextInMemory + 5000} {
		for _, lf := range []string{"\r\n", "\r\nbare\n"} { // the second is stored as it is
			for _, end := range []string{"", "a Zebra", "Text\r\nZebra"} {
				body := text(size) + end + lf
				addMessage(t, m, "Content-Type: text/plain; charset=utf-8\r\n\r\n"+body)
				addMessage(t, m, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nzebra\r\n--b\r\n"+
					"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
					base64.StdEncoding.EncodeToString([]byte(body))+"\r\n--b--\r\nzebra\r\n")
			}
		}
	}
	if _, err := v.Refresh(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, needle := range []string{"zebra", "ZEBRA", "a zebra", "größe naïve", "text\r\nzebra", "t\nZ", "\r\nbare\n", "bare", "nowhere", "日本 "} {
		var want []UID
		for _, uid := range v.UIDs() {
			b, err := v.Open(t.Context(), uid)
			if err != nil {
				t.Fatal(err)
			}
			if plainBodyHas(t, b, needle) {
				want = append(want, uid)
			}
			b.Close()
		}
		got, err := v.Search(t.Context(), BodyHas(needle))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %d %v; want %d", needle, got, err, want)
		}
	}
}

func addMessage(t *testing.T, m *Mailbox, content string) {
	t.Helper()
	st, err := m.s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := io.WriteString(st, content); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(t.Context(), []Appending{{Message: st}}); err != nil {
		t.Fatal(err)
	}
}

func FuzzNeedleFound(f *testing.F) {
	f.Add("zebra", "a ZEBRA")
	f.Add("aab", strings.Repeat("aa", 200)+"b")
	f.Add("zz", strings.Repeat("z ", 300))
	f.Fuzz(func(t *testing.T, what, text string) {
		n := newNeedle(what)
		if got := n.found([]byte(text)); got != strings.Contains(text, string(n.folded)) {
			t.Errorf("%q in %q: %v", n.folded, text, got)
		}
	})
}

// No more work goes on at once than there are turns, and nobody waits longer than the
// turns of those before.
func TestTurnsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cores, jobs = 2, 6
		all := newTurns(cores)
		var running, most atomic.Int64
		var wg sync.WaitGroup
		steps := make([]int, jobs)
		end := time.Now().Add(300 * turn)
		for job := range jobs {
			wg.Go(func() {
				for time.Now().Before(end) {
					all.take(t.Context(), func(func()) bool {
						if n := running.Add(1); n > most.Load() {
							most.Store(n)
						}
						time.Sleep(turn / 10)
						running.Add(-1)
						steps[job]++
						return true
					})
				}
			})
		}
		wg.Wait()
		if most.Load() != cores {
			t.Errorf("%d at once, want %d", most.Load(), cores)
		}
		if lo, hi := slices.Min(steps), slices.Max(steps); lo*2 < hi {
			t.Errorf("unfair: %d", steps)
		}
	})
}

// A step that has much to do leaves the others their turns.
func TestTurnsAreYielded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := newTurns(1)
		var done atomic.Bool
		go all.take(t.Context(), func(yield func()) bool {
			for !done.Load() {
				time.Sleep(turn / 10)
				yield()
			}
			return false
		})
		time.Sleep(turn / 2)
		for range 10 {
			before := time.Now()
			all.take(t.Context(), func(func()) bool { return false })
			if d := time.Since(before); d > 2*turn {
				t.Errorf("waited for %v", d)
			}
			time.Sleep(turn / 2)
		}
		done.Store(true)
		synctest.Wait()
		time.Sleep(2 * turn)
		if len(all) != 0 {
			t.Error("a turn was not given back")
		}
	})
}

func TestTurnsEndWithTheirContext(t *testing.T) {
	all := newTurns(1)
	ctx, cancel := context.WithCancel(t.Context())
	if all.take(t.Context(), func(func()) bool {
		cancel()
		return all.take(ctx, func(func()) bool { t.Error("worked"); return false }) // the one turn is taken
	}) {
		t.Error("more to do")
	}
	if len(all) != 0 {
		t.Error("a turn was not given back")
	}
}

// Several searches at once find what each finds alone.
func TestSearchesAtOnce(t *testing.T) {
	m, v := searchBox(t)
	for i := range 200 {
		addMessage(t, m, fmt.Sprintf("Content-Type: text/plain\r\n\r\nnumber %d of %s\r\n", i%7, strings.Repeat("many ", i*20)))
	}
	v.Close()
	var wg sync.WaitGroup
	for n := range 7 {
		wg.Go(func() {
			v, err := m.View(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer v.Close()
			got, err := v.Search(t.Context(), BodyHas(fmt.Sprintf("number %d of", n)))
			if want := 200/7 + 1; err != nil || len(got) != want && len(got) != want-1 {
				t.Errorf("%d: %d found, %v", n, len(got), err)
			}
		})
	}
	wg.Wait()
}
