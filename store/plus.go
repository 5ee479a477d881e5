package store

import (
	"errors"
	"path/filepath"
	"strings"

	"kurir/internal/fsx"
	"kurir/internal/maildir"
)

// maxDetail bounds the detail of an address that is looked for among mailboxes, in bytes;
// local parts are shorter.
const maxDetail = 64

// plusDir gives the directory, below the account's, of the mailbox that an address with
// detail (user+detail) is meant for: one of that name, else one of it in another case. It is
// "" (INBOX) if there is none, and for mailboxes with a special use: strangers choose the
// detail, and have no business in Sent or Trash.
func (s *Store) plusDir(account, detail string) (string, error) {
	if len(detail) > maxDetail {
		return "", nil
	}
	detail, err := maildir.CanonicalFolder(strings.Trim(detail, "/"))
	if err != nil || detail == "INBOX" {
		return "", nil
	}
	names, err := s.fs.ReadNames(account)
	if errors.Is(missing(err), ErrNoMailbox) {
		return "", nil // there is no account, which the delivery will find
	}
	if err != nil {
		return "", err
	}
	found := ""
	for _, n := range names {
		if len(n) < 2 || n[0] != '.' || n == ".." || fsx.IsTemp(n) {
			continue
		}
		name, ok := maildir.ParseFolderDir(n)
		switch {
		case !ok:
		case name == detail:
			return s.ordinary(account, n)
		case strings.EqualFold(name, detail) && (found == "" || n < found):
			found = n
		}
	}
	return s.ordinary(account, found)
}

// ordinary is dir, or "" if that is no mailbox, or one with a special use.
func (s *Store) ordinary(account, dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	use, ok, err := s.specialUse(filepath.Join(account, dir))
	if err != nil || !ok || use != "" {
		return "", err
	}
	return dir, nil
}
