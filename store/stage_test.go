package store

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const testAddress = "alice@local.test"

// testAccount opens a store with one account.
func testAccount(t *testing.T, change func(*Options)) (*Store, *Account) {
	t.Helper()
	s := openTest(t, memDir(t), change)
	if err := s.CreateAccount(t.Context(), testAddress); err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), testAddress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return s, a
}

func testBox(t *testing.T, a *Account, name string) *Mailbox {
	t.Helper()
	m, err := a.Mailbox(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func testView(t *testing.T, m *Mailbox) *View {
	t.Helper()
	v, err := m.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// testAppend appends messages with these texts.
func testAppend(t *testing.T, m *Mailbox, texts ...string) []UID {
	t.Helper()
	var msgs []Appending
	for _, text := range texts {
		msgs = append(msgs, Appending{Message: stage(t, m.s, text)})
	}
	uids, err := m.Append(t.Context(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	return uids
}

// writeBits writes in pieces of random size, so that line ends fall between them.
func writeBits(t *testing.T, m *Staged, text string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(len(text)), 3))
	for len(text) > 0 {
		n := 1 + rng.IntN(min(len(text), 1+len(text)/7))
		if _, err := m.Write([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
}

// What is staged is served as it came, and stored with LF alone only where that inverts.
func TestStage(t *testing.T) {
	line := strings.Repeat("long ", 14) + "\r\n"
	big := strings.Repeat(line, 30000) // 2 MiB
	texts := map[string]struct {
		text string
		lf   bool
	}{
		"empty":          {"", false},
		"no line end":    {"x", false},
		"CRLF":           {"A: b\r\n\r\nx\r\n", true},
		"bare LF":        {"A: b\r\n\nx\r\n", false},
		"only LF":        {"A: b\n\nx\n", false},
		"LF first":       {"\nA: b\r\n", false},
		"CR CR LF":       {"A: b\r\r\n\r\n", false},
		"bare CR":        {"A: b\rc\r\n\r\n", true},
		"CR at the end":  {"A: b\r\n\r", true},
		"NUL":            {"A: b\r\n\r\n\x00\x00\r\n", true},
		"long":           {big, true},
		"long bare":      {big + "\n" + big, false},
		"long CR CR LF":  {big + "\r\r\n", false},
		"almost a block": {strings.Repeat("x", 128<<10-1) + "\r\n" + strings.Repeat("x", stageBuffer) + "\r\n", true},
	}
	for name, c := range texts {
		for _, memory := range []int64{0, 1} { // 1: nothing waits in memory
			for _, head := range []string{"", "Received: x\r\n"} {
				t.Run(name, func(t *testing.T) {
					s, a := testAccount(t, func(o *Options) { o.StageMemory = memory })
					m, err := s.Stage()
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					writeBits(t, m, c.text)
					if got, err := readStaged(m); err != nil || string(got) != c.text {
						t.Fatalf("read before the end: %v, %.40q", err, got)
					}
					if head != "" {
						if err := m.Prepend([]byte(head)); err != nil {
							t.Fatal(err)
						}
						if _, err := m.Write([]byte("x")); err == nil {
							t.Error("a write behind the headers")
						}
						m.err = nil
					}
					want := head + c.text
					kept := filepath.Join(s.o.Dir, "kept")
					if err := m.KeepAs(kept); err != nil {
						t.Fatal(err)
					}
					if got, err := readStaged(m); err != nil || string(got) != want || m.Size() != int64(len(want)) {
						t.Fatalf("read at the end: %v, %d bytes, Size %d, want %d", err, len(got), m.Size(), len(want))
					}
					if _, err := s.Deliver(t.Context(), m, []Target{{Address: testAddress}}); err != nil {
						t.Fatal(err)
					}
					v := testView(t, testBox(t, a, "INBOX"))
					if v.Count() != 1 {
						t.Fatal(v.Count())
					}
					got, err := readMessage(t.Context(), v, v.UIDs()[0])
					if err != nil || got != want {
						t.Fatalf("delivered: %v, %d bytes, want %d", err, len(got), len(want))
					}
					b, err := v.Open(t.Context(), v.UIDs()[0])
					if err != nil {
						t.Fatal(err)
					}
					defer b.Close()
					_, size := b.Stored()
					lf := c.lf || head != "" && !strings.Contains(name, "LF") && !strings.Contains(name, "bare") || head != "" && name == "CRLF"
					if lf != (size < b.Size()) {
						t.Errorf("%d bytes on disk, %d on the wire, want LF alone: %v", size, b.Size(), lf)
					}
					if again, err := os.ReadFile(kept); err != nil || int64(len(again)) != size {
						t.Errorf("kept: %d bytes %v", len(again), err)
					}
				})
			}
		}
	}
}

func TestStageMemoryComesBack(t *testing.T) {
	s, _ := testAccount(t, nil)
	for i := range 20 {
		m, err := s.Stage()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(bytes.Repeat([]byte("x"), 100_000*(i%12+1))); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := m.Prepend(nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error("closed twice:", err)
		}
		if _, err := m.Write(nil); err == nil {
			t.Error("a write after Close")
		}
	}
	if n := s.stageMem.Load(); n != 0 {
		t.Errorf("%d bytes of memory are still counted", n)
	}
	if left, err := os.ReadDir(s.stageDir()); err != nil || len(left) > 0 {
		t.Errorf("left in stage/: %v %v", left, err)
	}
}

func TestStageFile(t *testing.T) {
	s, a := testAccount(t, nil)
	text := "A: b\r\n\r\nx\r\n"
	m := stage(t, s, text)
	path := filepath.Join(s.o.Dir, "kept")
	if err := m.KeepAs(path); err != nil {
		t.Fatal(err)
	}
	if err := m.KeepAs(path); err == nil {
		t.Error("kept twice in one place")
	}
	m.Close()
	for range 2 { // the file stays
		m, err := s.StageFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Deliver(t.Context(), m, []Target{{Address: testAddress}, {Address: testAddress, Mailbox: "Junk"}}); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	v := testView(t, testBox(t, a, "INBOX"))
	for _, uid := range v.UIDs() {
		if got, err := readMessage(t.Context(), v, uid); err != nil || got != text {
			t.Errorf("%q %v", got, err)
		}
	}
	if v.Count() != 2 {
		t.Error(v.Count())
	}
}

func TestAppendDate(t *testing.T) {
	s, a := testAccount(t, nil)
	m := testBox(t, a, "INBOX")
	date := time.Date(1999, 1, 2, 3, 4, 5, 0, time.UTC)
	msg := stage(t, s, "A: b\r\n\r\n")
	if err := msg.Prepend([]byte("B: c\r\n")); err != nil { // it has its file, and a date, already
		t.Fatal(err)
	}
	uids, err := m.Append(t.Context(), []Appending{{Message: msg, Date: date}})
	if err != nil {
		t.Fatal(err)
	}
	v := testView(t, m)
	if d, err := v.InternalDate(t.Context(), uids[0]); err != nil || !d.Equal(date) {
		t.Error(d, err)
	}
	p, _ := v.locate(uids[0])
	if st, err := os.Stat(p.path); err != nil || !st.ModTime().Equal(date) {
		t.Error(st, err)
	}
}
