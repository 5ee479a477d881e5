// Package maildirtest has Maildir++ trees of other servers, for tests. It writes nothing:
// callers lay the files out where they want them.
package maildirtest

import (
	_ "embed"
	"strings"
)

//go:embed dovecot.txtar
var dovecot string

//go:embed courier.txtar
var courier string

// File is a file or directory of a tree.
type File struct {
	Name string // relative to the account's directory, with slashes
	Dir  bool
	Data string
}

// Dovecot gives the tree of a Dovecot account: parents before what they hold.
func Dovecot() []File { return parse(dovecot) }

// Courier gives the tree of a Courier account: parents before what they hold.
func Courier() []File { return parse(courier) }

// Find gives the content of the file called name; "" if there is none.
func Find(files []File, name string) string {
	for _, f := range files {
		if f.Name == name && !f.Dir {
			return f.Data
		}
	}
	return ""
}

// parse reads an archive: a comment, then each file under a line "-- name --".
func parse(archive string) []File {
	var files []File
	for line := range strings.Lines(archive) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		name, ok2 := strings.CutSuffix(name, " --")
		switch {
		case ok && ok2:
			dir := strings.HasSuffix(name, "/")
			files = append(files, File{Name: strings.TrimSuffix(name, "/"), Dir: dir})
		case len(files) > 0:
			files[len(files)-1].Data += line
		}
	}
	return files
}
