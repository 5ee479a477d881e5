package smtpd

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"kurir/internal/directory"
)

// TestPassedCopies: an address counts once a message, however many names lead to it, so
// that nobody uses up an alias's hour with one message.
func TestPassedCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &talk{t: t, l: newPipeListener()}
		k.srv, k.st = testServer(t)
		f := &fakeForward{}
		k.srv.Forward = f
		lines := []string{"HELO x", "MAIL FROM:<bob@there.example>"}
		for i := range 20 {
			lines = append(lines, fmt.Sprintf("RCPT TO:<friend+%d@local.test>", i))
		}
		for i, line := range append(lines, "RCPT TO:<choir@local.test>", "DATA", "x\r\n.") {
			if i == 0 {
				k.do(0, "S", "220 …")
			}
			k.do(i, "C", line)
			k.flush()
			code := "250 …"
			if line == "DATA" {
				code = "354 …"
			}
			k.do(i, "S", code)
		}
		k.conn.Close()
		k.end()
		if len(f.passed) != 2 || f.passed["friend@local.test"] != 1 || f.passed["choir@local.test"] != 2 {
			t.Errorf("%v", f.passed)
		}
		if m, _ := k.st.take("queue"); strings.Count(m, "\r\nto <") != 3 {
			t.Errorf("%s", m)
		}
	})
}

// TestOnwardBound: the aliases of one message lead to so many addresses and no more.
func TestOnwardBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &talk{t: t, l: newPipeListener()}
		k.srv, k.st = testServer(t)
		k.srv.Directory = wideDirectory{}
		k.do(0, "S", "220 …")
		for i, c := range []struct{ line, code string }{
			{"HELO x", "250 …"}, {"MAIL FROM:<bob@there.example>", "250 …"},
			{"RCPT TO:<a@local.test>", "250 …"}, {"RCPT TO:<b@local.test>", "250 …"}, {"RCPT TO:<c@local.test>", "452 4.5.3 …"},
		} {
			k.do(i, "C", c.line)
			k.flush()
			k.do(i, "S", c.code)
		}
		k.conn.Close()
		k.end()
	})
}

// wideDirectory has aliases that lead to as many as they may.
type wideDirectory struct{ fakeDirectory }

func (wideDirectory) Resolve(_ context.Context, address string) (rs []directory.Recipient, err error) {
	for i := range directory.MaxRecipients {
		rs = append(rs, directory.Recipient{Remote: fmt.Sprint(i, "@elsewhere.example"), Alias: address})
	}
	return rs, nil
}
