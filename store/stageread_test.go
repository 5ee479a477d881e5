package store

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// readStaged reads a message on its way.
func readStaged(m *Staged) ([]byte, error) {
	r, err := m.Reader()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// What is inserted stands in the finished message and nowhere before, in memory and in a
// file, with LF and with CRLF, and at the ends of what is copied at once.
func TestInsert(t *testing.T) {
	long := strings.Repeat(strings.Repeat("x", 4094)+"\r\n", 64) // two copies of 128 KiB
	for _, c := range []struct{ name, before, after string }{
		{"short", "A: 1\r\n", "B: 2\r\n\r\nbody\r\n"},
		{"at once", "", "B: 2\r\n\r\nbody\r\n"},
		{"at the end", "A: 1\r\n", ""},
		{"bare LF", "A: 1\n", "B: 2\r\n\r\nbody"},
		{"long", "A: 1\r\n" + long, "B: 2\r\n\r\n" + long},
	} {
		for _, memory := range []int64{0, 1} {
			for _, head := range []string{"", "Received: x\r\n"} {
				t.Run(fmt.Sprint(c.name, memory, len(head)), func(t *testing.T) {
					s, a := testAccount(t, func(o *Options) { o.StageMemory = memory })
					m, err := s.Stage()
					if err != nil {
						t.Fatal(err)
					}
					defer m.Close()
					writeBits(t, m, c.before+c.after)
					if err := m.Insert(int64(len(c.before)), "X-Original-"); err != nil {
						t.Fatal(err)
					}
					if got, err := readStaged(m); err != nil || string(got) != c.before+c.after {
						t.Fatalf("before the end: %v, %.60q", err, got)
					}
					if head != "" {
						if err := m.Prepend([]byte(head)); err != nil {
							t.Fatal(err)
						}
					}
					if _, err := s.Deliver(t.Context(), m, []Target{{Address: testAddress}}); err != nil {
						t.Fatal(err)
					}
					want := head + c.before + "X-Original-" + c.after
					v := testView(t, testBox(t, a, "INBOX"))
					if got, err := readMessage(t.Context(), v, v.UIDs()[0]); err != nil || got != want {
						t.Errorf("stored %v %.90q, want %.90q", err, got, want)
					}
					if m.Size() != int64(len(want)) {
						t.Errorf("size %d, want %d", m.Size(), len(want))
					}
				})
			}
		}
	}
}

func TestInsertOutOfOrder(t *testing.T) {
	s, _ := testAccount(t, nil)
	m, err := s.Stage()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	writeBits(t, m, "A: 1\r\nB: 2\r\n")
	if err := m.Insert(6, "X-"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{-1, 0, 6, 13} {
		if err := m.Insert(at, "X-"); err == nil {
			t.Errorf("text at %d was taken", at)
		}
	}
	if err := m.Prepend([]byte("C: 3\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := m.Insert(12, "X-"); err == nil {
		t.Error("text in a finished message")
	}
}
