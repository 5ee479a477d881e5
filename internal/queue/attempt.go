package queue

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"kurir/internal/directory"
)

// try makes one attempt for a row. An error is the database's or the file system's: the
// row is as it was.
func (q *Queue) try(ctx context.Context, r row) error {
	log := q.o.Log.With("account", r.account, "recipient", r.recipient, "sender", r.sender, "file", r.file)
	done, err := q.deliver(ctx, r)
	if done {
		log.Info("message delivered after retry", "attempts", r.attempts)
		return q.finish(ctx, r, nil)
	}
	now := q.o.Now()
	if !errors.Is(err, ErrNoRecipient) && now.Sub(r.created) < q.o.Expire {
		log.Warn("delivery failed again", "attempts", r.attempts, "error", err)
		return q.postpone(ctx, r, now.Add(q.backoff(r.attempts)), text(err))
	}
	if r.sender == "" {
		log.Error("notice given up", "error", err)
		return q.finish(ctx, r, nil)
	}
	notice, err := q.notice(ctx, r, err)
	if err != nil {
		log.Error("no notice could be made", "error", err)
		return q.postpone(ctx, r, now.Add(q.o.Most), text(err))
	}
	log.Warn("message given up, sender is told", "notices", len(notice), "attempts", r.attempts)
	return q.finish(ctx, r, notice)
}

// backoff is the wait after so many attempts.
func (q *Queue) backoff(attempts int) time.Duration {
	d := q.o.First
	for range attempts {
		if d >= q.o.Most {
			return q.o.Most
		}
		d *= 2
	}
	return min(d, q.o.Most)
}

// deliver delivers the message, unless an earlier attempt has and could not say so: then
// its copy has a second name.
func (q *Queue) deliver(ctx context.Context, r row) (done bool, err error) {
	name := q.path(r.copyName())
	switch n, err := q.links(name); {
	case err == nil && n > 1:
		return true, nil
	case err == nil:
		// Maybe half-written.
		if err := q.o.FS.Remove(name); err != nil {
			return false, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if err := q.copy(q.path(r.file), name); err != nil {
		return false, err
	}
	if err := q.o.Deliverer.DeliverFile(ctx, name, r.account); err != nil {
		q.remove(r.copyName())
		return false, err
	}
	return true, nil
}

func (q *Queue) links(path string) (int, error) {
	st, err := q.o.FS.Stat(path)
	if err != nil {
		return 0, err
	}
	return linkCount(st), nil
}

// copy makes a durable copy with the same time.
func (q *Queue) copy(from, to string) error {
	src, err := q.o.FS.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	return q.create(to, src, st.ModTime())
}

// create makes a durable file.
func (q *Queue) create(path string, content io.Reader, at time.Time) error {
	f, err := q.o.FS.Create(path, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.SetModTime(at)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = q.o.FS.SyncDir(q.o.Dir)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(q.o.FS.Remove(path)))
	}
	return nil
}

// remove removes a file that nothing needs. If that fails, it is done at the next start.
func (q *Queue) remove(name string) {
	if err := ignoreMissing(q.o.FS.Remove(q.path(name))); err != nil {
		q.o.Log.Warn("file in the queue could not be removed", "file", name, "error", err)
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// notice makes the file of a notice of failure and the rows that send it. No rows: the
// sender does not exist, and nobody is told.
func (q *Queue) notice(ctx context.Context, r row, cause error) ([]row, error) {
	now := q.o.Now()
	next := row{file: newName(), recipient: r.sender, created: now, next: now}
	var rows []row
	switch to, err := q.o.Directory.Resolve(ctx, r.sender); {
	case err == nil:
		for _, t := range to {
			next.account = t.Account.Address
			rows = append(rows, next)
		}
	case errors.Is(err, directory.ErrNoDomain):
		next.held = true
		rows = append(rows, next)
	case errors.Is(err, directory.ErrNoAccount), errors.Is(err, directory.ErrInvalidAddress), errors.Is(err, directory.ErrLoop):
		q.o.Log.Error("sender of an undeliverable message can't be told", "sender", r.sender, "error", err)
		return nil, nil
	default:
		return nil, err
	}
	header, err := q.header(r.file)
	if err != nil { // the sender is told all the same
		q.o.Log.Error("header of an undeliverable message can't be read", "file", r.file, "error", err)
	}
	n := failure{hostname: q.o.Hostname, now: now, to: r.sender, recipient: r.recipient,
		arrived: r.created, cause: cause, header: header, returnPath: !next.held}
	return rows, q.create(q.path(next.file), n.reader(), now)
}
