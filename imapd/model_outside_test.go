package imapd

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"kurir/internal/maildir"
)

// What happens to sessions from outside: other programs, lost connections, restarts.

// path is a mailbox's folder.
func (w *modelWorld) path(b *modelBox, elem ...string) string {
	user, domain, _ := strings.Cut(b.account, "@")
	dir := filepath.Join(w.dir, "mail", domain, user)
	if b.name != "INBOX" {
		dir = filepath.Join(dir, "."+b.name)
	}
	return filepath.Join(append([]string{dir}, elem...)...)
}

// theirs draws a message with its file; nil if there is none.
func (w *modelWorld) theirs() (*modelBox, *modelMsg, string) {
	b := modelPick(w, w.boxes)
	if w.pct(60) {
		b = w.box("alice@example.org", "INBOX")
	}
	w.settle()
	live := b.after(0)
	if len(live) == 0 {
		return b, nil, ""
	}
	uid := modelPick(w, live)
	names, err := os.ReadDir(w.path(b, "cur"))
	w.must(err)
	for _, e := range names {
		if n := maildir.ParseName(e.Name()); n.UID == uid {
			return b, b.msgs[uid], e.Name()
		}
	}
	return b, nil, ""
}

// foreign runs f, which changes a folder, and waits until the folder's time shows it.
func (w *modelWorld) foreign(dir string, f func() error) {
	before, err := os.Stat(dir)
	w.must(err)
	w.must(f())
	for range 100_000 {
		st, err := os.Stat(dir)
		w.must(err)
		if !st.ModTime().Equal(before.ModTime()) {
			break
		}
		probe := filepath.Join(dir, ".tick")
		w.must(os.WriteFile(probe, nil, 0o600))
		w.must(os.Remove(probe))
	}
	w.tick(dir)
}

// tick waits for the clock of a folder's file system to move on.
func (w *modelWorld) tick(dir string) {
	var first time.Time
	probe := filepath.Join(filepath.Dir(dir), "tmp", ".tick")
	for i := range 100_000 {
		w.must(os.WriteFile(probe, nil, 0o600))
		st, err := os.Stat(probe)
		w.must(err)
		w.must(os.Remove(probe))
		if i == 0 {
			first = st.ModTime()
		} else if !st.ModTime().Equal(first) {
			return
		}
	}
}

func (w *modelWorld) actForeignFlags(*modelClient) bool {
	b, m, file := w.theirs()
	if m == nil {
		return false
	}
	letters, flags := "", []string(nil)
	for i, f := range []string{`\draft`, `\flagged`, `\answered`, `\seen`, `\deleted`} {
		if w.pct(40) {
			letters, flags = letters+string("DFRST"[i]), append(flags, f)
		}
	}
	n := maildir.ParseName(file)
	keep := strings.Map(func(r rune) rune {
		if strings.ContainsRune("DFRST", r) {
			return -1
		}
		return r
	}, n.Letters)
	for _, f := range strings.Fields(m.flags()) {
		if f[0] != '\\' {
			flags = append(flags, f)
		}
	}
	to := file[:strings.IndexByte(file, ':')] + ":2," + letters + keep
	w.note("another program renames %s to %s in %s", file, to, b.name)
	w.foreign(w.path(b, "cur"), func() error { return os.Rename(w.path(b, "cur", file), w.path(b, "cur", to)) })
	m.set(flagKey(flags...))
	w.settle()
	return true
}

func (w *modelWorld) actForeignRemove(*modelClient) bool {
	b, m, file := w.theirs()
	if m == nil {
		return false
	}
	w.note("another program removes UID %d of %s", m.uid, b.name)
	w.foreign(w.path(b, "cur"), func() error { return os.Remove(w.path(b, "cur", file)) })
	m.gone = true
	w.settle()
	return true
}

// actCut loses the connection in the middle of an answer, or of a command.
func (w *modelWorld) actCut(c *modelClient) bool {
	i := slices.Index(w.clients, c)
	switch {
	case c.idle != nil || c.box == nil || w.pct(25):
		c.remember()
	case w.pct(30):
		c.remember()
		c.write(modelPick(w, []string{"x FETCH 1:", "x APPEND INBOX {500+}\r\nSubject: half", "x STORE 1 +FLAGS (\\Deleted", "x UID MOVE 1:* {5}\r\n"}))
	default:
		w.cutAnswer(c)
	}
	c.conn.Close()
	synctest.Wait()
	w.reconnect(i)
	return true
}

// cutAnswer runs a command of whose answer the client sees a part.
func (w *modelWorld) cutAnswer(c *modelClient) {
	m := c.command()
	key, left := cacheKey{c.id, c.account, c.box.name}, w.rng.IntN(6)
	c.remember()
	seen := w.caches[key]
	takes := m.takes
	m.takes = func(r *wireResponse) bool {
		if left--; left == 0 && c.box != nil {
			c.remember()
			seen = w.caches[key]
		}
		return takes != nil && takes(r)
	}
	c.run(m)
	c.note("of the last answer the client saw no more than a part")
	w.caches[key] = seen
}

// actDrop is LOGOUT.
func (w *modelWorld) actDrop(c *modelClient) bool {
	if c.awake(); c.bye {
		return false
	}
	c.remember()
	c.box = nil
	c.run(&modelCommand{name: "LOGOUT", want: "OK"})
	c.conn.Close()
	w.reconnect(slices.Index(w.clients, c))
	return true
}

// actRestart starts the server anew: after a stop or a crash, with its index or without.
func (w *modelWorld) actRestart(*modelClient) bool {
	w.settle()
	synctest.Wait()
	for _, c := range w.clients {
		c.drain()
		c.remember()
		c.conn.Close()
	}
	synctest.Wait()
	dir := w.dir
	crash := w.pct(40)
	if crash {
		dir = modelDir(w.t)
		w.must(copyTree(dir, w.dir))
	}
	w.server.stop()
	lost, boot := w.pct(40), w.pct(40)
	if lost {
		files, err := filepath.Glob(filepath.Join(dir, "mail", "*", "*", "index.db*"))
		w.must(err)
		for _, f := range files {
			w.must(os.Remove(f))
		}
	}
	if boot {
		w.boot++
	}
	w.note("restart: crash %v, index lost %v, new boot %v", crash, lost, boot)
	w.renumbered = lost || crash
	w.open(w.t, dir)
	for i := range w.clients {
		w.reconnect(i)
	}
	w.settle()
	return true
}

// copyTree copies a folder with its files' times.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dest, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dest, data, 0o600); err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(dest, st.ModTime(), st.ModTime())
	})
}
