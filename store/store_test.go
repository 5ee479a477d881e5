package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kurir/internal/maildir"
)

// A gotMessage is a message as a store serves it.
type gotMessage struct {
	bits   Flags
	uid    UID
	modseq ModSeq
	text   string // as on the wire
	flags  string // names, sorted
	date   int64
}

// A gotBox is a mailbox as a store serves it.
type gotBox struct {
	name, id string
	validity uint32
	next     UID
	modseq   ModSeq
	msgs     []gotMessage
}

// A gotAccount is an account as a store serves it.
type gotAccount struct {
	boxes map[string]*gotBox
	subs  []string // sorted
}

// observe reads all that a store serves of an account, of the mailboxes that open says.
func observe(ctx context.Context, s *Store, address string, open func(name string) bool) (*gotAccount, error) {
	a, err := s.Account(ctx, address)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	list, err := a.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	got := &gotAccount{boxes: map[string]*gotBox{}}
	for _, i := range list {
		if !i.Exists {
			continue
		}
		b := &gotBox{name: i.Name, id: i.ID}
		got.boxes[i.Name] = b
		if open == nil || open(i.Name) {
			if err := observeBox(ctx, a, b); err != nil {
				return nil, fmt.Errorf("%s: %w", i.Name, err)
			}
		}
	}
	got.subs, err = a.Subscriptions(ctx)
	slices.Sort(got.subs)
	return got, err
}

func observeBox(ctx context.Context, a *Account, b *gotBox) error {
	m, err := a.Mailbox(ctx, b.name)
	if err != nil {
		return err
	}
	defer m.Close()
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	st, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if b.id == "" {
		b.id = st.ID
	}
	if b.id != st.ID || int(st.Messages) != v.Count() || st.UIDNext != v.UIDNext() || st.HighestModSeq != v.ModSeq() {
		return fmt.Errorf("STATUS %+v beside a view of %d messages, UIDNEXT %d, mod-sequence %d, id %s", st, v.Count(), v.UIDNext(), v.ModSeq(), b.id)
	}
	b.validity, b.next, b.modseq = st.UIDValidity, st.UIDNext, st.HighestModSeq
	unseen := 0
	for _, i := range v.Infos(1, v.Count(), nil) {
		text, err := readMessage(ctx, v, i.UID)
		if err != nil {
			return fmt.Errorf("UID %d: %w", i.UID, err)
		}
		if int64(len(text)) != i.Size {
			return fmt.Errorf("UID %d has %d bytes and says %d", i.UID, len(text), i.Size)
		}
		date, err := v.InternalDate(ctx, i.UID)
		if err != nil {
			return err
		}
		g := gotMessage{bits: i.Flags, uid: i.UID, modseq: i.ModSeq, text: text, flags: flagNames(i.Flags, v.Keywords()), date: date.Unix()}
		if i.Flags&Seen == 0 {
			unseen++
		}
		if n := len(b.msgs); n > 0 && b.msgs[n-1].uid >= g.uid || g.uid >= b.next || g.modseq > b.modseq || g.modseq == 0 {
			return fmt.Errorf("UID %d, mod-sequence %d: out of order, or not below UIDNEXT %d, or above %d", g.uid, g.modseq, b.next, b.modseq)
		}
		b.msgs = append(b.msgs, g)
	}
	if unseen != int(st.Unseen) {
		return fmt.Errorf("STATUS says %d unseen, there are %d", st.Unseen, unseen)
	}
	return nil
}

func readMessage(ctx context.Context, v *View, uid UID) (string, error) {
	b, err := v.Open(ctx, uid)
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	_, err = b.Whole().WriteTo(&buf)
	return buf.String(), errors.Join(err, b.Close())
}

// flagNames lists flags in a form to compare.
func flagNames(f Flags, keywords []string) string {
	var names []string
	for i, n := range []string{"Seen", "Answered", "Flagged", "Deleted", "Draft", "Forwarded"} {
		if f&(1<<i) != 0 {
			names = append(names, `\`+n)
		}
	}
	for i := range MaxKeywords {
		switch {
		case f&KeywordFlag(i) == 0:
		case i < len(keywords) && keywords[i] != "":
			names = append(names, keywords[i])
		default:
			names = append(names, fmt.Sprintf("?%d", i))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func setNames(f FlagSet) string {
	names := slices.Clone(f.Keywords)
	if s := flagNames(f.Flags, nil); s != "" {
		names = append(names, strings.Fields(s)...)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// memDir makes a directory in memory where there is such a file system: these tests make
// thousands, and sync them for real.
func memDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "store-")
	if err != nil {
		dir, err = os.MkdirTemp("", "store-")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// leftovers lists what lies where only work under way does: stage/, tmp/ and the
// temporary files of WriteFile.
func leftovers(dir string) (left []string) {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		parent := filepath.Base(filepath.Dir(path))
		if err == nil && (parent == "stage" || parent == "tmp" || strings.HasSuffix(path, ".kurir-tmp")) {
			left = append(left, rel)
			if e.IsDir() {
				return filepath.SkipDir
			}
		}
		return nil
	})
	return left
}

// indexOf is the path of an account's index below the data directory.
func indexOf(t testing.TB, address string) string {
	t.Helper()
	d, err := maildir.AccountDir(address)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join("mail", d, "index.db")
}

// copyTree copies a directory with the times of change of all that it holds.
func copyTree(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := e.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(to, strings.TrimPrefix(path, from)), time.Time{}, i.ModTime())
	})
}

// ahead is a clock of which all times of change on disk are well in the past, so that
// they are believed at once.
func ahead() time.Time { return time.Now().Add(time.Minute) }

// kill ends the store the way a crash would: nothing more is written.
func (s *Store) kill() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	if s.watch != nil {
		s.watch.close()
	}
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		<-a.ready
		if a.err == nil {
			a.index().close()
		}
	}
}
