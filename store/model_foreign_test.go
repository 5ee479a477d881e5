package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kurir/internal/maildir"
)

// What other programs do to the files. After each the folders' times of change differ
// from before, as they would but for the clock's tick.

// changing runs f and waits until the folders' times have changed.
func (w *world) changing(f func(), dirs ...string) {
	times := make([]time.Time, len(dirs))
	for i, d := range dirs {
		st, err := os.Stat(d)
		w.must(err)
		times[i] = st.ModTime()
	}
	f()
	for i, d := range dirs {
		for {
			st, err := os.Stat(d)
			w.must(err)
			if !st.ModTime().Equal(times[i]) {
				break
			}
			time.Sleep(time.Millisecond)
			probe := filepath.Join(d, ".tick")
			w.must(os.WriteFile(probe, nil, 0o600))
			w.must(os.Remove(probe))
		}
	}
}

// files lists a folder's files by UID, those without a UID of the mailbox apart.
func (w *world) files(b *wantBox) (own map[UID]string, keywords maildir.Keywords) {
	own = map[UID]string{}
	data, err := os.ReadFile(w.boxPath(b, maildir.MailboxFileName))
	if err != nil {
		return own, keywords
	}
	f, err := maildir.ParseMailboxFile(data)
	w.must(err)
	entries, err := os.ReadDir(w.boxPath(b, "cur"))
	w.must(err)
	for _, e := range entries {
		if n := maildir.ParseName(e.Name()); n.Tag == f.Tag && b.msgs[UID(n.UID)] != nil {
			own[UID(n.UID)] = e.Name()
		}
	}
	data, _ = os.ReadFile(w.boxPath(b, maildir.KeywordsFile))
	return own, maildir.ParseKeywords(data)
}

// letters draws flag letters, in no order, now and then one that means nothing.
func (w *world) letters() string {
	var s []byte
	for _, c := range []byte("SRFTDPabcX") {
		if w.pct(20) {
			s = append(s, c)
		}
	}
	w.rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return string(s)
}

func namesOf(letters string, k maildir.Keywords) []string {
	return strings.Fields(flagNames(Flags(maildir.ParseFlags(letters)), k[:]))
}

// foreignDrop delivers a message as another program does.
func (w *world) foreignDrop() bool {
	b := w.anyBox()
	wire := strings.NewReplacer("\r\r\n", "\n", "\r", "").Replace(w.text())
	wire = strings.ReplaceAll(wire, "\n", "\r\n")
	stored := strings.ReplaceAll(wire, "\r\n", "\n")
	crlf := w.pct(30)
	if crlf {
		stored = wire
	}
	w.texts[w.serial] = wire
	sub, letters := "new", ""
	if w.pct(50) {
		sub, letters = "cur", w.letters()
	}
	sec := time.Now().Unix()
	var name string
	switch w.rng.IntN(7) {
	case 0:
		name = fmt.Sprintf("%d.%d_%d.other", sec, 77, w.serial)
	case 1:
		name = fmt.Sprintf("%d.M%dP%dQ%d.other,S=%d,W=%d", sec, w.serial%1000000, 99, w.serial, len(stored), len(wire))
	case 2: // mbsync
		name = fmt.Sprintf("%d.%d_%d.other,U=%d", sec, 78, w.serial, 1+w.rng.IntN(300))
	case 3:
		name = fmt.Sprintf("msg-%d", w.serial)
	case 4:
		name = fmt.Sprintf("%d.%s%d.other", sec, strings.Repeat("long", 45), w.serial)
	case 5: // W= that is no way to serve it, and fields of other programs
		name = fmt.Sprintf("%d.%d.other,S=%d,W=%d,X=1", sec, w.serial, len(stored), len(wire)+3)
	default: // another mailbox's tag
		name = fmt.Sprintf("%d.M%dP%dQ%d.other,S=%d,W=%d,U=3,V=00112233", sec, w.serial%1000000, 98, w.serial, len(stored), len(wire))
	}
	if sub == "cur" || w.pct(20) {
		name += ":2," + letters
	} else {
		letters = ""
	}
	_, k := w.files(b)
	date := time.Unix(1_200_000_000+w.rng.Int64N(400_000_000), 0)
	w.note("drop %d: %s into %s of %s (%s)", w.serial, name, sub, b.name, b.a.address)
	tmp := w.boxPath(b, "tmp", name)
	w.must(os.WriteFile(tmp, []byte(stored), 0o600))
	w.must(os.Chtimes(tmp, date, date))
	w.changing(func() { w.must(os.Rename(tmp, w.boxPath(b, sub, name))) }, w.boxPath(b, sub))
	b.fresh = append(b.fresh, &wantMsg{text: wire, flags: namesOf(letters, k), date: date.Unix()})
	return true
}

// theirs draws a message with its file; nil if there is none.
func (w *world) theirs() (*wantBox, UID, string, maildir.Keywords) {
	b := w.anyBox()
	own, k := w.files(b)
	if len(own) == 0 {
		return nil, 0, "", k
	}
	for uid := range own {
		if b.msgs[uid].or != nil { // it could have other flags by now
			delete(own, uid)
		}
	}
	for _, uid := range b.uids() {
		if own[uid] != "" && w.rng.IntN(len(own)) == 0 {
			return b, uid, own[uid], k
		}
	}
	return nil, 0, "", k
}

func (w *world) foreignFlags() bool {
	b, uid, file, k := w.theirs()
	if b == nil {
		return false
	}
	letters := w.letters()
	name, _, _ := strings.Cut(file, ":")
	name += ":2," + letters
	if name == file {
		return false
	}
	w.note("reflag %s as %q in %s", file, letters, b.name)
	w.changing(func() { w.must(os.Rename(w.boxPath(b, "cur", file), w.boxPath(b, "cur", name))) }, w.boxPath(b, "cur"))
	b.msgs[uid].flags = namesOf(letters, k)
	b.foreign[uid] = true
	return true
}

// foreignSeen moves what is in new/ to cur/, as a mail reader does.
func (w *world) foreignSeen() bool {
	b := w.anyBox()
	entries, err := os.ReadDir(w.boxPath(b, "new"))
	w.must(err)
	if len(entries) == 0 {
		return false
	}
	for _, e := range entries {
		data, err := os.ReadFile(w.boxPath(b, "new", e.Name()))
		w.must(err)
		name, old, _ := strings.Cut(e.Name(), ":2,")
		_, k := w.files(b)
		letters := w.letters()
		for _, f := range b.fresh {
			f.rename(k[:])
		}
		msg := w.freshWith(b, data, namesOf(old, k))
		if msg == nil {
			w.fatalf("%s in new/ of %s is not known", e.Name(), b.name)
		}
		w.note("see %s in %s, %q", e.Name(), b.name, letters)
		w.changing(func() { w.must(os.Rename(w.boxPath(b, "new", e.Name()), w.boxPath(b, "cur", name+":2,"+letters))) }, w.boxPath(b, "new"), w.boxPath(b, "cur"))
		msg.flags = namesOf(letters, k)
	}
	return true
}

func (w *world) freshWith(b *wantBox, data []byte, flags []string) *wantMsg {
	text := string(data)
	if !bytes.Contains(data, []byte("\r\n")) {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	k := slices.IndexFunc(b.fresh, func(m *wantMsg) bool { return m.text == text && slices.Equal(m.flags, flags) })
	if k < 0 {
		return nil
	}
	return b.fresh[k]
}

// foreignMove moves a file to another folder, as it is named.
func (w *world) foreignMove() bool {
	b, uid, file, _ := w.theirs()
	to := w.anyBox()
	if b == nil || to == b {
		return false
	}
	_, k := w.files(to)
	_, letters, _ := strings.Cut(file, ":2,")
	sub := pick(w, []string{"cur", "new"})
	if w.hasBase(to, file) {
		return false
	}
	w.note("move %s of %s to %s of %s (%s)", file, b.name, sub, to.name, to.a.address)
	w.changing(func() { w.must(os.Rename(w.boxPath(b, "cur", file), w.boxPath(to, sub, file))) }, w.boxPath(b, "cur"), w.boxPath(to, sub))
	n := b.msgs[uid].clone()
	n.flags = namesOf(letters, k)
	to.fresh = append(to.fresh, n)
	w.bury(b, []UID{uid}, false)
	return true
}

func (w *world) foreignRemove() bool {
	b, uid, file, _ := w.theirs()
	if b == nil {
		return false
	}
	w.note("remove %s of %s", file, b.name)
	w.changing(func() { w.must(os.Remove(w.boxPath(b, "cur", file))) }, w.boxPath(b, "cur"))
	w.bury(b, []UID{uid}, false)
	return true
}

// foreignTwin makes a second file of one message, as a sync that was cut short does. The
// one that the index knows stays.
func (w *world) foreignTwin() bool {
	b, uid, file, k := w.theirs()
	if b == nil || b.foreign[uid] || w.s.isClosed() {
		return false
	}
	w.compare(b)
	if own, _ := w.files(b); own[uid] != file {
		return false
	}
	letters := w.letters()
	name, _, _ := strings.Cut(file, ":")
	name += ":2," + letters
	if Flags(maildir.ParseFlags(letters)) == Flags(maildir.ParseName(file).Flags()) {
		return false
	}
	w.note("twin of %s of %s, %q", file, b.name, letters)
	w.changing(func() { w.must(os.Link(w.boxPath(b, "cur", file), w.boxPath(b, "cur", name))) }, w.boxPath(b, "cur"))
	_ = k
	w.settled(b, uid, name)
	return true
}

// settled compares until the file is gone.
func (w *world) settled(b *wantBox, uid UID, name string) {
	for end := time.Now().Add(time.Second); ; time.Sleep(2 * time.Millisecond) {
		w.compare(b)
		_, err := os.Stat(w.boxPath(b, "cur", name))
		if os.IsNotExist(err) {
			return
		}
		if !w.watch || time.Now().After(end) {
			w.fatalf("the twin of UID %d of %s is still there", uid, b.name)
		}
	}
}

// hasBase says whether a mailbox has a file with the base of another.
func (w *world) hasBase(b *wantBox, file string) bool {
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(w.boxPath(b, sub))
		w.must(err)
		for _, e := range entries {
			if maildir.BaseOf(e.Name()) == maildir.BaseOf(file) {
				return true
			}
		}
	}
	return false
}

// foreignCopy copies a file within its folder, or to another, where it is a new message.
func (w *world) foreignCopy() bool {
	b, uid, file, _ := w.theirs()
	if b == nil {
		return false
	}
	to, sub := b, "new"
	if w.pct(50) {
		if to = w.anyBox(); to != b {
			sub = pick(w, []string{"cur", "new"})
		}
	}
	_, k := w.files(to)
	_, letters, _ := strings.Cut(file, ":2,")
	w.note("copy %s of %s to %s of %s (%s)", file, b.name, sub, to.name, to.a.address)
	data, err := os.ReadFile(w.boxPath(b, "cur", file))
	w.must(err)
	if to != b && w.hasBase(to, file) {
		return false
	}
	w.changing(func() { w.must(os.WriteFile(w.boxPath(to, sub, file), data, 0o600)) }, w.boxPath(to, sub))
	if to == b { // no more than a second file of the message
		if !w.s.isClosed() {
			w.compare(b)
		}
		return true
	}
	to.fresh = append(to.fresh, &wantMsg{text: b.msgs[uid].text, flags: namesOf(letters, k)})
	return true
}

// foreignReturn brings an expunged file back: it is a new message.
func (w *world) foreignReturn() bool {
	b := w.anyBox()
	data, err := os.ReadFile(w.boxPath(b, maildir.MailboxFileName))
	if err != nil || w.s.isClosed() {
		return false
	}
	f, err := maildir.ParseMailboxFile(data)
	w.must(err)
	dir := filepath.Join(w.accountPath(b.a), "expunged")
	entries, err := os.ReadDir(dir)
	w.must(err)
	for _, e := range entries {
		if maildir.ParseName(e.Name()).Tag != f.Tag {
			continue
		}
		w.compare(b)
		_, letters, _ := strings.Cut(e.Name(), ":2,")
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		w.must(err)
		n := maildir.ParseName(e.Name())
		text := string(data)
		if n.Wire != n.Size {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		_, k := w.files(b)
		if _, err := os.Stat(w.boxPath(b, "cur", e.Name())); err == nil || b.msgs[UID(n.UID)] != nil {
			continue
		}
		w.note("return %s to %s", e.Name(), b.name)
		w.changing(func() { w.must(os.Rename(filepath.Join(dir, e.Name()), w.boxPath(b, "cur", e.Name()))) }, w.boxPath(b, "cur"))
		b.fresh = append(b.fresh, &wantMsg{text: text, flags: namesOf(letters, k)})
		for _, c := range w.sessions {
			if c.b == b {
				clear(c.buried)
			}
		}
		w.compare(b)
		return true
	}
	return false
}
