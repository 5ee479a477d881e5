package fsxtest

import (
	"crypto/sha256"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Database is an SQLite database in WAL mode, which writes past the Recorder. Copies
// are taken whenever it has changed before an operation, so that a crash can leave it
// as it was then.
type Database struct {
	Name string // below the Recorder's root; "-wal" and "-shm" belong to it
	// Lazy says that a commit need not survive a power cut (synchronous=NORMAL): it
	// leaves any state since the last checkpoint, or no file at all; Strict leaves that
	// of the checkpoint. Otherwise (FULL) it leaves the last copy.
	Lazy bool
}

// owns says whether name is one of the database's files.
func (d Database) owns(name string) bool {
	rest, ok := strings.CutPrefix(name, d.Name)
	return ok && (rest == "" || rest == "-wal" || rest == "-shm" || rest == "-journal")
}

// A foreignLog holds the copies of a Recorder's databases, by their place in its list.
type foreignLog struct {
	copies [][]dbCopy
	pages  map[[32]byte][]byte // shared by all copies
}

// A dbCopy is a database as it was before operation op. Either file may be nil.
type dbCopy struct {
	op         int
	db, wal    *fileCopy
	checkpoint bool // the database itself has changed, not just its log
}

type fileCopy struct {
	mtime time.Time
	size  int64
	perm  fs.FileMode
	pages [][]byte
}

// A foreignFile is a file that a crash leaves.
type foreignFile struct {
	name string
	copy *fileCopy
}

const pageSize = 4096

// settled is when a file's time of change tells its next change apart from the last.
const settled = 50 * time.Millisecond

func (c *fileCopy) bytes() []byte {
	b := make([]byte, 0, c.size)
	for _, p := range c.pages {
		b = append(b, p...)
	}
	return b
}

// look copies the databases that have changed since the last look.
func (l *foreignLog) look(r *Recorder) {
	op := len(r.ops)
	if l.copies == nil {
		l.copies, l.pages = make([][]dbCopy, len(r.databases)), map[[32]byte][]byte{}
		op = -1 // it was there before the first operation
	}
	for i, d := range r.databases {
		var last dbCopy
		if n := len(l.copies[i]); n > 0 {
			last = l.copies[i][n-1]
		}
		path := filepath.Join(r.root, d.Name)
		c := dbCopy{op: op, db: l.read(path, last.db), wal: l.read(path+"-wal", last.wal)}
		c.checkpoint = c.db != last.db
		if c.checkpoint || c.wal != last.wal {
			l.copies[i] = append(l.copies[i], c)
		}
	}
}

// read copies a file; the answer is old if that is what it holds, nil if it is gone.
func (l *foreignLog) read(path string, old *fileCopy) *fileCopy {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if old != nil && old.size == fi.Size() && old.mtime.Equal(fi.ModTime()) && time.Since(old.mtime) > settled {
		return old
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	c := &fileCopy{mtime: fi.ModTime(), size: int64(len(b)), perm: fi.Mode().Perm()}
	same := old != nil && old.size == c.size
	for i := 0; i < len(b); i += pageSize {
		page := b[i:min(i+pageSize, len(b))]
		sum := sha256.Sum256(page)
		if l.pages[sum] == nil {
			l.pages[sum] = page
		}
		same = same && &l.pages[sum][0] == &old.pages[i/pageSize][0]
		c.pages = append(c.pages, l.pages[sum])
	}
	if same {
		old.mtime = c.mtime
		return old
	}
	return c
}

// left chooses what a crash after prefix operations leaves of each database. The crash
// may have come right after the last operation, or later: what was committed between it
// and the next one is left in half of the cases.
func (l *foreignLog) left(r *Recorder, prefix int, mode Mode, rnd *rand.Rand) []foreignFile {
	if mode != Strict && rnd.IntN(2) == 0 {
		prefix++
	}
	var files []foreignFile
	for i, copies := range l.copies {
		last, checkpoint := -1, 0
		for j, c := range copies {
			if c.op >= prefix {
				break
			}
			last = j
			if c.checkpoint {
				checkpoint = j
			}
		}
		pick := last
		if r.databases[i].Lazy && last >= 0 {
			pick = pickLazy(checkpoint, last, mode, rnd)
		}
		if pick < 0 {
			continue
		}
		if c := copies[pick]; c.db != nil {
			files = append(files, foreignFile{r.databases[i].Name, c.db})
			if c.wal != nil {
				files = append(files, foreignFile{r.databases[i].Name + "-wal", c.wal})
			}
		}
	}
	return files
}

// pickLazy chooses among the copies from that of the last checkpoint; -1 is none.
func pickLazy(checkpoint, last int, mode Mode, rnd *rand.Rand) int {
	switch mode {
	case All:
		return last
	case Strict:
		return checkpoint
	}
	switch rnd.IntN(4) {
	case 0:
		return -1
	case 1:
		return last
	}
	return checkpoint + rnd.IntN(last-checkpoint+1)
}

// write puts the files where a crash left their directories.
func (f foreignFile) write(dir string) error {
	path := filepath.Join(dir, f.name)
	if fi, err := os.Stat(filepath.Dir(path)); err != nil || !fi.IsDir() {
		return nil
	}
	return os.WriteFile(path, f.copy.bytes(), f.copy.perm)
}
