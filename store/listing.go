package store

import (
	"context"
	"slices"
	"strings"

	"kurir/internal/maildir"
)

// Mailboxes lists the account's mailboxes by name, INBOX first, and the levels above
// them that are none themselves.
func (a *Account) Mailboxes(ctx context.Context) ([]MailboxInfo, error) {
	dirs, err := a.folderDirs()
	if err != nil {
		return nil, kindOf(err)
	}
	subs, err := a.subscribed(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]*MailboxInfo{}
	for _, d := range dirs {
		name, _ := maildir.ParseFolderDir(d)
		f, ok := a.folder(d)
		if !ok {
			continue
		}
		all[name] = &MailboxInfo{Name: name, ID: f.id, SpecialUse: f.specialUse, Exists: true}
		for p := parent(name); p != ""; p = parent(p) {
			if all[p] == nil {
				all[p] = &MailboxInfo{Name: p}
			}
		}
	}
	list := make([]MailboxInfo, 0, len(all))
	for name := range all {
		if p := parent(name); p != "" {
			all[p].HasChildren = true
		}
	}
	for _, i := range all {
		i.Subscribed = subs[i.Name]
		list = append(list, *i)
	}
	slices.SortFunc(list, func(x, y MailboxInfo) int {
		if (x.Name == "INBOX") != (y.Name == "INBOX") {
			if x.Name == "INBOX" {
				return -1
			}
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return list, nil
}

// MailboxInfo says of one name what Mailboxes says of all. That there is no such mailbox is
// no error: then Exists is false. Errors: ErrInvalidName, ErrNameTooLong.
func (a *Account) MailboxInfo(ctx context.Context, name string) (MailboxInfo, error) {
	dir, name, err := dirOf(name)
	if err != nil {
		return MailboxInfo{}, err
	}
	subs, err := a.subscribed(ctx)
	if err != nil {
		return MailboxInfo{}, err
	}
	dirs, err := a.folderDirs()
	if err != nil {
		return MailboxInfo{}, kindOf(err)
	}
	m := MailboxInfo{Name: name, Subscribed: subs[name]}
	if f, ok := a.folder(dir); ok {
		m.ID, m.SpecialUse, m.Exists = f.id, f.specialUse, true
	}
	below := dir + "."
	if dir == "" {
		below = ".INBOX."
	}
	m.HasChildren = slices.ContainsFunc(dirs, func(d string) bool {
		if !strings.HasPrefix(d, below) {
			return false
		}
		if _, ok := maildir.ParseFolderDir(d); !ok { // shown under a name of its own
			return false
		}
		_, ok := a.folder(d)
		return ok
	})
	return m, nil
}

// subscribed gives the subscribed names as a set.
func (a *Account) subscribed(ctx context.Context) (map[string]bool, error) {
	names, err := a.Subscriptions(ctx)
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set, err
}

func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ""
	}
	return name[:i]
}
