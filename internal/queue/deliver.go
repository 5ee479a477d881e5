package queue

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"kurir/internal/directory"
	"kurir/store"
)

// deliver delivers a message to a mailbox here, unless an earlier attempt has and could
// not say so: then its copy has a second name. The copy stays until that is written down.
func (q *Queue) deliver(ctx context.Context, r *row) error {
	name := q.path(r.copyName())
	switch n, err := q.links(name); {
	case err == nil && n > 1:
		return nil
	case err == nil:
		// Maybe half-written.
		if err := q.o().FS.Remove(name); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := q.copy(q.path(r.mail.file), name); err != nil {
		return err
	}
	if err := q.o().Deliverer.DeliverFile(ctx, name, r.account, r.address); err != nil {
		q.remove(r.copyName())
		return err
	}
	return nil
}

func (q *Queue) links(path string) (int, error) {
	st, err := q.o().FS.Stat(path)
	if err != nil {
		return 0, err
	}
	return linkCount(st), nil
}

// copy makes a durable copy with the same time.
func (q *Queue) copy(from, to string) error {
	src, err := q.o().FS.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	return q.create(to, st.ModTime(), func(w io.Writer) error {
		_, err := io.Copy(w, src)
		return err
	})
}

// create makes a durable file of what write writes.
func (q *Queue) create(path string, at time.Time, write func(io.Writer) error) error {
	f, err := q.o().FS.Create(path, 0o600)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.SetModTime(at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = q.o().FS.SyncDir(q.o().Dir)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(q.o().FS.Remove(path)))
	}
	return nil
}

// strangers is what a stranger may know of why a delivery here has not worked, so far: a
// code of RFC 3463, and words for it.
func strangers(err error) (status, words string) {
	for _, m := range []struct {
		is     error
		status string
	}{
		{ErrNoRecipient, "5.1.1"},
		{store.ErrOverQuota, "4.2.2"},
		{directory.ErrDeferred, "4.2.1"},
	} {
		if errors.Is(err, m.is) {
			return m.status, localWords(m.status)
		}
	}
	return "4.3.0", localWords("4.3.0")
}

// localWords says why a mailbox here has not got a message.
func localWords(status string) string {
	switch status {
	case "5.1.1":
		return "There is no such mailbox any more."
	case "4.2.2":
		return "The mailbox is full."
	case "4.2.1":
		return "The mailbox takes no mail at the moment."
	}
	return "The message could not be stored."
}
