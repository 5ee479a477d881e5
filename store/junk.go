package store

import (
	"path/filepath"
	"strings"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// junkDir gives the directory, below the account's, of the mailbox for junk: the one
// whose special use is Junk (RFC 6154), or one of that name that has no other use; ""
// (INBOX) if there is none.
func (s *Store) junkDir(account string) string {
	named := ""
	switch use, ok := s.specialUse(filepath.Join(account, ".Junk")); {
	case ok && use == "Junk":
		return ".Junk"
	case ok && use == "":
		named = ".Junk"
	}
	names, err := s.fs.ReadNames(account)
	if err != nil {
		return named
	}
	for _, n := range names {
		if len(n) < 2 || n[0] != '.' || n == ".." || fsx.IsTemp(n) {
			continue
		}
		if use, ok := s.specialUse(filepath.Join(account, n)); ok && use == "Junk" {
			return n
		}
	}
	return named
}

// specialUse reads the use of the mailbox at path; false if it can take no message.
func (s *Store) specialUse(path string) (use string, ok bool) {
	if st, err := s.fs.Stat(filepath.Join(path, "tmp")); err != nil || !st.IsDir() {
		return "", false
	}
	b, err := fsx.ReadFile(s.fs, filepath.Join(path, maildir.MailboxFileName), 64<<10)
	if err != nil {
		return "", true
	}
	f, err := maildir.ParseMailboxFile(b)
	if err != nil {
		return "", true
	}
	return strings.TrimPrefix(f.SpecialUse, `\`), true
}
