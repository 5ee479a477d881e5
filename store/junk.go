package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// junkDir gives the directory, below the account's, of the mailbox for junk: the one
// whose special use is Junk (RFC 6154), or one of that name that has no other use; ""
// (INBOX) if there is none.
func (s *Store) junkDir(account string) (string, error) {
	named := ""
	use, ok, err := s.specialUse(filepath.Join(account, ".Junk"))
	switch {
	case err != nil:
		return "", err
	case ok && use == "Junk":
		return ".Junk", nil
	case ok && use == "":
		named = ".Junk"
	}
	names, err := s.fs.ReadNames(account)
	if errors.Is(missing(err), ErrNoMailbox) {
		return "", nil // there is no account, which the delivery will find
	}
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if len(n) < 2 || n[0] != '.' || n == ".." || fsx.IsTemp(n) {
			continue
		}
		use, ok, err := s.specialUse(filepath.Join(account, n))
		if err != nil {
			return "", err
		}
		if ok && use == "Junk" {
			return n, nil
		}
	}
	return named, nil
}

// specialUse reads the use of the mailbox at path; it is not ok if that can take no message.
func (s *Store) specialUse(path string) (use string, ok bool, err error) {
	st, err := s.fs.Stat(filepath.Join(path, "tmp"))
	if errors.Is(missing(err), ErrNoMailbox) || err == nil && !st.IsDir() {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	b, err := fsx.ReadFile(s.fs, filepath.Join(path, maildir.MailboxFileName), 64<<10)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EISDIR):
		return "", true, nil // another program has made it, or spoilt it for good
	case err != nil:
		return "", false, err
	}
	f, err := maildir.ParseMailboxFile(b)
	if err != nil {
		return "", true, nil
	}
	return strings.TrimPrefix(f.SpecialUse, `\`), true, nil
}
