package store

import (
	"errors"
	"fmt"
	"testing"

	"kurir/internal/message"
)

// Structures and headings come in the order asked for, nil for what is gone, and an error
// of the caller's ends the walk.
func TestStructuresAndHeadings(t *testing.T) {
	_, a := testAccount(t, nil)
	ctx := t.Context()
	m := testBox(t, a, "INBOX")
	var texts []string
	for i := range 150 {
		texts = append(texts, fmt.Sprintf("Subject: no %d\r\nsubject: again\r\nFrom: a@b\r\n\r\n", i+1))
	}
	uids := testAppend(t, m, texts...)
	v := testView(t, m)
	if _, err := m.Remove(ctx, []UID{3, 149}); err != nil {
		t.Fatal(err)
	}
	m.state.Lock()
	m.graves = nil // as if long ago
	m.state.Unlock()
	for range 3 { // not kept, waiting, kept
		n := 0
		if err := v.Structures(ctx, uids, func(i int, p *message.Part) error {
			if i != n {
				t.Fatal(i, n)
			}
			n++
			gone := uids[i] == 3 || uids[i] == 149
			if gone != (p == nil) || !gone && p.Envelope.Subject != "again" {
				t.Fatalf("%d: %+v", i, p)
			}
			return nil
		}); err != nil || n != len(uids) {
			t.Fatal(n, err)
		}
		n = 0
		if err := v.Headings(ctx, uids, func(i int, h *message.Heading) error {
			if i != n {
				t.Fatal(i, n)
			}
			n++
			gone := uids[i] == 3 || uids[i] == 149
			if gone != (h == nil) {
				t.Fatal(i, h)
			}
			if gone {
				return nil
			}
			if s, _ := h.First(message.FieldSubject); s != fmt.Sprint("no ", i+1) || len(h.Fields) != 3 {
				t.Fatal(i, h)
			}
			return nil
		}); err != nil || n != len(uids) {
			t.Fatal(n, err)
		}
		if err := a.index().flushKept(); err != nil {
			t.Fatal(err)
		}
	}
	stop := errors.New("enough")
	for _, walk := range []func() error{
		func() error { return v.Structures(ctx, uids, func(int, *message.Part) error { return stop }) },
		func() error { return v.Headings(ctx, uids, func(int, *message.Heading) error { return stop }) },
	} {
		if err := walk(); !errors.Is(err, stop) {
			t.Error(err)
		}
	}
}
