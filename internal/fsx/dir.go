package fsx

import "path/filepath"

// Dir is an open directory in which many files are renamed: where the file system allows
// it, without walking the path to it each time.
type Dir interface {
	// Rename replaces newname, if it is there. Both are names in the directory.
	Rename(oldname, newname string) error
	// RenameNoReplace fails with fs.ErrExist if newname is there.
	RenameNoReplace(oldname, newname string) error
	Close() error
}

// OpenDir opens a directory for renaming in it.
func OpenDir(fsys FS, dir string) (Dir, error) {
	if o, ok := fsys.(interface{ OpenDir(string) (Dir, error) }); ok {
		return o.OpenDir(dir)
	}
	return pathDir{fsys, dir}, nil
}

// pathDir is a Dir by full paths.
type pathDir struct {
	fs  FS
	dir string
}

func (d pathDir) Rename(oldname, newname string) error {
	return d.fs.Rename(filepath.Join(d.dir, oldname), filepath.Join(d.dir, newname))
}

func (d pathDir) RenameNoReplace(oldname, newname string) error {
	return d.fs.RenameNoReplace(filepath.Join(d.dir, oldname), filepath.Join(d.dir, newname))
}

func (d pathDir) Close() error { return nil }
