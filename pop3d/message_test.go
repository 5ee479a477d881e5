package pop3d

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"kurir/internal/fsx"
	"kurir/internal/fsx/fsxtest"
	"kurir/store"
)

// A large message with every kind of line comes back byte for byte, and TOP agrees with it.
func TestRetrieveLarge(t *testing.T) {
	var body strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&body, "%sline %d%s\r\n", strings.Repeat(".", i%3), i, strings.Repeat("x", i%90))
	}
	msg := "Subject: large\r\nFrom: a@example.org\r\n\r\n" + body.String()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		w.deliver(msg)
		w.run("login", loggedIn)
		w.send("RETR 1\r\n")
		w.expect("RETR", fmt.Sprintf("+OK %d octets", len(msg)))
		if got := w.multiline(); got != msg {
			t.Errorf("%d bytes came back of %d", len(got), len(msg))
		}
		w.send("TOP 1 10000\r\n")
		w.expect("TOP", "+OK")
		if got := w.multiline(); !strings.HasPrefix(msg, got) || strings.Count(got, "\n") != 3+10000 {
			t.Errorf("TOP gave %d lines", strings.Count(got, "\n"))
		}
	})
}

// multiline reads a multi-line reply to its end and undoes the dots.
func (w *world) multiline() string {
	var got strings.Builder
	for {
		line, err := w.in.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		if line == ".\r\n" {
			return got.String()
		}
		got.WriteString(strings.TrimPrefix(line, "."))
	}
}

// Messages with lone line feeds, without an end of line, or with nothing at all still make a
// reply that ends where it should.
func TestRetrieveOdd(t *testing.T) {
	for _, msg := range []string{"A: 1\r\n\r\nno end", "no header", "\r\n", ".", "A: 1\r\n\r\n.\r\n", "A: 1\r\n\n.\n.\n", "A: 1\r\n\r\na\n.\r\nb\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			defer w.close()
			w.deliver(msg)
			w.run("login", loggedIn)
			w.send("RETR 1\r\nNOOP\r\n")
			w.expect("RETR", "+OK …")
			got := w.multiline()
			if strings.TrimSuffix(strings.ReplaceAll(got, "\n..", "\n."), "\r\n") != strings.TrimSuffix(msg, "\r\n") {
				t.Errorf("%q came back as %q", msg, got)
			}
			w.expect("NOOP", "+OK")
		})
	}
}

// Many messages: the listings are complete and the unique-ids differ.
func TestManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		const n = 1500 // more than one chunk
		w.fill(n)
		w.run("login", loggedIn)
		w.send("UIDL\r\n")
		w.expect("UIDL", "+OK")
		seen := map[string]bool{}
		for i := range n {
			line, err := w.in.ReadString('\n')
			num, id, ok := strings.Cut(strings.TrimSpace(line), " ")
			if err != nil || !ok || num != fmt.Sprint(i+1) || id == "" || seen[id] {
				t.Fatalf("line %d: %q, %v", i+1, line, err)
			}
			seen[id] = true
		}
		w.expect("UIDL", ".")
		for i := 1; i <= n; i += 2 {
			w.send(fmt.Sprintf("DELE %d\r\n", i))
			w.expect("DELE", fmt.Sprintf("+OK Message %d is deleted", i))
		}
		w.run("quit", "C: QUIT\nS: +OK Goodbye\n! end\n! left 750\n")
	})
}

// fill appends n small messages.
func (w *world) fill(n int) {
	w.t.Helper()
	w.inbox(func(m *store.Mailbox, _ *store.View) {
		var msgs []store.Appending
		for i := range n {
			s, err := w.store.Stage()
			if err != nil {
				w.t.Fatal(err)
			}
			defer s.Close()
			fmt.Fprintf(s, "Subject: %d\r\n\r\nbody\r\n", i)
			msgs = append(msgs, store.Appending{Message: s})
		}
		if _, err := m.Append(w.t.Context(), msgs); err != nil {
			w.t.Fatal(err)
		}
	})
}

// newFaulty is a world whose file system fails when it is told to.
func newFaulty(t *testing.T) (*world, *fsxtest.Faulty) {
	disk := fsxtest.NewFaulty(fsx.OS{})
	return newWorldOn(t, disk, nil), disk
}

// RFC 1939 section 6: if some or all of the deleted messages are not removed, the reply to
// QUIT is negative. They are there in the next session.
func TestQuitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, disk := newFaulty(t)
		defer w.close()
		w.deliver("A: 1\r\n\r\none\r\n")
		w.run("delete", loggedIn+"C: DELE 1\nS: +OK …\n")
		disk.Fail(1, fsxtest.Kinds(fsxtest.Rename, fsxtest.RenameNoReplace, fsxtest.Remove), fsxtest.Fault{Err: syscall.EIO, Forever: true})
		w.run("quit", "C: QUIT\nS: -ERR [SYS/TEMP] Some deleted messages not removed\n! end\n")
		disk.Reset()
		w.run("again", "! left 1\n"+loggedIn+"C: STAT\nS: +OK 1 13\nC: DELE 1\nS: +OK …\nC: QUIT\nS: +OK …\n! end\n! left 0\n")
	})
}

// A message whose file cannot be opened costs one error; the session goes on.
func TestRetrieveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, disk := newFaulty(t)
		defer w.close()
		w.deliver("A: 1\r\n\r\none\r\n")
		w.run("login", loggedIn)
		disk.Fail(1, fsxtest.Kinds(fsxtest.Open), fsxtest.Fault{Err: syscall.EIO})
		w.run("retr", "C: RETR 1\nS: -ERR [SYS/TEMP] Cannot get at the mailbox, try again later\nC: RETR 1\nS: +OK 13 octets\nS: A: 1\nS: \nS: one\nS: .\n")
	})
}

// A message that breaks off is never ended with a dot: the connection closes.
func TestRetrieveBreaksOff(t *testing.T) {
	for _, command := range []string{"RETR 1", "TOP 1 1"} {
		synctest.Test(t, func(t *testing.T) {
			w, disk := newFaulty(t)
			defer w.close()
			w.deliver("A: 1\r\n\r\n" + strings.Repeat("too much to be read at once\r\n", 4000))
			w.run("login", loggedIn)
			disk.Fail(1, fsxtest.Kinds(fsxtest.Read), fsxtest.Fault{Err: syscall.EIO, Forever: true})
			w.run(command, "C: "+command+"\nS: +OK…\n! end\n")
		})
	}
}
