package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"kurir/internal/fsx"
)

// stageBuffer is how much of a message waits in memory: its trace headers come first, but
// are known last. What is longer is written to a file and copied once behind its headers.
const stageBuffer = 1 << 20

// Staged is a message on its way into the store: bytes as they are on the wire, lines
// ending in CRLF. It is stored with LF alone where that can be undone exactly, that is if
// all its LFs come after a CR and no CR stands before a CRLF; otherwise as it came. Not
// safe for concurrent use. Close must be called in any case.
type Staged struct {
	s     *Store
	buf   []byte // all of it, while it is short
	spool fsx.File
	path  string // of the finished file in stage/, or of the spool
	held  int64  // bytes of the store's budget of staging memory

	edits    []edit // what Insert adds
	scan     lineScan
	wire     int64 // bytes on the wire
	stored   int64 // bytes of the finished file
	finished bool
	keep     bool      // path is not ours to remove
	date     time.Time // of the file; zero is now
	err      error
}

// lineScan follows the line ends of a message across writes.
type lineScan struct {
	lfs  int64 // LFs so far
	bad  bool  // a bare LF, or CR CR LF: not to be stored with LF alone
	tail [2]byte
}

func (l *lineScan) write(p []byte) {
	for q := p; !l.bad; {
		i := bytes.IndexByte(q, '\n')
		if i < 0 {
			break
		}
		at := len(p) - len(q) + i
		if l.at(p, at-1) != '\r' || l.at(p, at-2) == '\r' {
			l.bad = true
			break
		}
		l.lfs++
		q = q[i+1:]
	}
	switch {
	case len(p) >= 2:
		l.tail = [2]byte(p[len(p)-2:])
	case len(p) == 1:
		l.tail = [2]byte{l.tail[1], p[0]}
	}
}

// at gives the byte at index i of p, where -1 and -2 are what was written before p.
func (l *lineScan) at(p []byte, i int) byte {
	if i >= 0 {
		return p[i]
	}
	return l.tail[2+i]
}

var stagePool = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

// Stage begins a message.
func (s *Store) Stage() (*Staged, error) {
	if s.isClosed() {
		return nil, ErrClosed
	}
	return &Staged{s: s, buf: (*stagePool.Get().(*[]byte))[:0]}, nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// stagePath makes a new name in stage/.
func (s *Store) stagePath() string {
	return filepath.Join(s.stageDir(), fmt.Sprintf("%x-%d", s.o.Now().UnixNano(), s.stageSeq.Add(1)))
}

// Write adds to the message. After an error the message is of no more use, and every
// later call gives that error.
func (m *Staged) Write(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if m.finished {
		return 0, errors.New("store: write to a finished message")
	}
	m.scan.write(p)
	m.wire += int64(len(p))
	if m.spool == nil && (len(m.buf)+len(p) > stageBuffer || !m.reserve(len(p))) {
		m.err = m.spill()
	}
	if m.err == nil {
		if m.spool != nil {
			_, m.err = m.spool.Write(p)
		} else {
			m.buf = append(m.buf, p...)
		}
	}
	if m.err != nil {
		m.err = kindOf(m.err)
		return 0, m.err
	}
	return len(p), nil
}

// reserve takes n bytes of the memory that all messages share; false if there are none.
func (m *Staged) reserve(n int) bool {
	if m.s.stageMem.Add(int64(n)) > m.s.o.StageMemory {
		m.s.stageMem.Add(-int64(n))
		return false
	}
	m.held += int64(n)
	return true
}

// spill moves what is in memory to a file.
func (m *Staged) spill() error {
	path := m.s.stagePath()
	f, err := m.s.fs.Create(path, 0o600)
	if err != nil {
		return err
	}
	m.spool, m.path = f, path
	_, err = f.Write(m.buf)
	m.freeBuffer()
	return err
}

func (m *Staged) freeBuffer() {
	m.s.stageMem.Add(-m.held)
	m.held = 0
	if cap(m.buf) > 0 && cap(m.buf) <= 256<<10 {
		b := m.buf[:0]
		stagePool.Put(&b)
	}
	m.buf = nil
}

// Size is the message's size on the wire so far.
func (m *Staged) Size() int64 { return m.wire }

// Prepend puts header lines, each ending in CRLF, in front of the message. It is called
// once at most, after the last Write.
func (m *Staged) Prepend(header []byte) error {
	if m.err != nil {
		return m.err
	}
	if m.finished {
		return errors.New("store: headers for a finished message")
	}
	m.err = kindOf(m.finish(header))
	return m.err
}

// finish writes the file that is delivered: header and message, with LF alone if that can
// be undone.
func (m *Staged) finish(header []byte) error {
	if m.finished {
		return nil
	}
	m.finished = true
	lf := !m.scan.bad && m.scan.lfs > 0
	var hs lineScan
	hs.write(header)
	if len(header) > 0 {
		lf = !m.scan.bad && !hs.bad
	}
	m.wire += int64(len(header)) + m.inserted()
	if m.wire > 1<<32-1 {
		return fmt.Errorf("message of %d bytes", m.wire)
	}
	m.stored = m.wire
	if lf {
		m.stored -= m.scan.lfs + hs.lfs
	}
	if m.spool != nil {
		return m.finishSpool(header, lf)
	}
	content := make([]byte, 0, m.stored)
	content = appendStored(content, header, lf)
	err := m.pieces(func(from, to int64, text string) error {
		content = append(appendStored(content, m.buf[from:to], lf), text...)
		return nil
	}, int64(len(m.buf)))
	m.freeBuffer()
	if err != nil {
		return err
	}
	m.path = m.s.stagePath()
	return m.write(func(f fsx.File) error { _, err := f.Write(content); return err })
}

// finishSpool copies a long message once, behind its headers.
func (m *Staged) finishSpool(header []byte, lf bool) error {
	spool, path := m.spool, m.path
	if !lf && len(header) == 0 && len(m.edits) == 0 {
		m.spool = nil
		return m.seal(spool)
	}
	m.path = m.s.stagePath()
	err := m.write(func(f fsx.File) error {
		if _, err := f.Write(appendStored(nil, header, lf)); err != nil {
			return err
		}
		in, out := make([]byte, 128<<10), make([]byte, 0, 128<<10)
		return m.pieces(func(from, to int64, text string) error {
			if err := copyStored(f, io.NewSectionReader(spool, from, to-from), lf, in, out); err != nil {
				return err
			}
			_, err := io.WriteString(f, text)
			return err
		}, m.wire-int64(len(header))-m.inserted())
	})
	m.spool = nil
	return errors.Join(err, spool.Close(), m.s.fs.Remove(path))
}

// copyStored copies src to w, with each CRLF as LF if lf; in and out are room to work in.
func copyStored(w io.Writer, src *io.SectionReader, lf bool, in, out []byte) error {
	for {
		n, err := io.ReadFull(src, in)
		chunk := in[:n]
		if lf && n > 0 && chunk[n-1] == '\r' && err == nil { // its LF may come next
			chunk = chunk[:n-1]
			if _, serr := src.Seek(-1, io.SeekCurrent); serr != nil {
				return serr
			}
		}
		if _, werr := w.Write(appendStored(out[:0], chunk, lf)); werr != nil {
			return werr
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// appendStored appends p, with each CRLF as LF if lf.
func appendStored(b, p []byte, lf bool) []byte {
	if !lf {
		return append(b, p...)
	}
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return append(b, p...)
		}
		b = append(append(b, p[:i-1]...), '\n')
		p = p[i+1:]
	}
}

// write makes the file at m.path with what f writes, and seals it.
func (m *Staged) write(f func(fsx.File) error) error {
	file, err := m.s.fs.Create(m.path, 0o600)
	if err != nil {
		m.path = ""
		return err
	}
	if err := f(file); err != nil {
		return errors.Join(err, file.Close())
	}
	return m.seal(file)
}

// seal gives the file its time and makes it durable. A file whose fsync failed is
// dropped by Close and never synced again.
func (m *Staged) seal(f fsx.File) error {
	if m.date.IsZero() {
		m.date = m.s.o.Now()
	}
	err := f.SetModTime(m.date)
	if err == nil {
		err = m.s.group.SyncFile(f)
	}
	return errors.Join(err, f.Close())
}

// setDate changes the time of a file that is already durable. Its own fsync follows.
func (m *Staged) setDate(t time.Time) error {
	f, err := m.s.fs.Open(m.path)
	if err != nil {
		return err
	}
	if err = f.SetModTime(t); err == nil {
		err = m.s.group.SyncFile(f)
	}
	return errors.Join(err, f.Close())
}

// KeepAs makes a durable hard link of the finished message at path, which must not exist,
// on the store's file system.
func (m *Staged) KeepAs(path string) error {
	if err := m.ready(); err != nil {
		return err
	}
	if err := m.s.linkOrCopy(m.path, path); err != nil {
		return kindOf(err)
	}
	return kindOf(m.s.group.SyncDir(filepath.Dir(path)))
}

func (m *Staged) ready() error {
	if m.err == nil {
		m.err = kindOf(m.finish(nil))
	}
	return m.err
}

// Close drops the message if it was not delivered, and its file in stage/ anyway.
func (m *Staged) Close() error {
	if m.err == nil {
		m.err = errors.New("store: message is closed")
	}
	m.freeBuffer()
	var err error
	if m.spool != nil {
		err = m.spool.Close()
		m.spool = nil
	}
	if m.path != "" && !m.keep {
		if rerr := m.s.fs.Remove(m.path); !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		m.path = ""
	}
	return err
}

// StageFile takes a message that KeepAs kept, to deliver it again. The file stays.
func (s *Store) StageFile(path string) (*Staged, error) {
	if s.isClosed() {
		return nil, ErrClosed
	}
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, kindOf(err)
	}
	defer f.Close()
	stored, wire, err := measure(f, -1)
	if err != nil {
		return nil, kindOf(err)
	}
	return &Staged{s: s, path: path, stored: stored, wire: wire, finished: true, keep: true}, nil
}

// linkOrCopy makes a hard link, or where that can't be done a durable copy: in tmp/ first,
// if to is in new/ or cur/, where nobody may find half a message.
func (s *Store) linkOrCopy(from, to string) error {
	err := s.fs.Link(from, to)
	if err == nil || !linkRefused(err) {
		return err
	}
	dir := filepath.Dir(to)
	if sub := filepath.Base(dir); sub != "new" && sub != "cur" {
		return s.copyFile(from, to)
	}
	tmp := filepath.Join(filepath.Dir(dir), "tmp", s.run+randomHex(8))
	if err := s.copyFile(from, tmp); err != nil {
		return err
	}
	if err := s.fs.RenameNoReplace(tmp, to); err != nil {
		return errors.Join(err, s.forget(tmp))
	}
	return nil
}

func (s *Store) copyFile(from, to string) error {
	src, st, err := fsx.OpenRegular(s.fs, from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := s.fs.Create(to, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.SetModTime(st.ModTime())
	}
	if err == nil {
		err = s.group.SyncFile(dst)
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return errors.Join(err, s.fs.Remove(to))
	}
	return nil
}
