package main

import (
	"cmp"
	"context"
	"errors"

	"kurir/internal/notice"
	"kurir/internal/queue"
)

// newNotice makes what tells the administrator by mail. The server of the command local
// tells nobody.
func (d *data) newNotice(o dataOptions) *notice.Notice {
	n := notice.Options{DB: d.db, Log: o.log}
	if !d.isLocal(o) {
		n.Post = func(ctx context.Context, subject, text string) error {
			return d.postToAdmin(ctx, d.admin(), o.cfg.Hostname, subject, text)
		}
	}
	if o.metrics != nil {
		n.Observe = o.metrics.Notice
	}
	return notice.New(n)
}

// errNoAdmin: there is nobody to tell.
var errNoAdmin = errors.New("there is no domain yet, and \"admin\" is not set in the configuration")

// postToAdmin mails the administrator: the one of the configuration, or the postmaster of
// the oldest domain.
func (d *data) postToAdmin(ctx context.Context, admin, hostname, subject, text string) error {
	if admin == "" {
		all, err := d.directory.ListDomains(ctx)
		if err != nil {
			return err
		}
		oldest := int64(0)
		for _, dom := range all {
			if dom.AliasOf == "" && (oldest == 0 || dom.ID < oldest) {
				oldest, admin = dom.ID, "postmaster@"+dom.Name
			}
		}
	}
	if admin == "" {
		return errNoAdmin
	}
	_, err := d.queue.Post(ctx, queue.Letter{
		To: admin, Subject: cmp.Or(hostname, "kurir") + ": " + subject, Text: text, About: "notice to the administrator",
	})
	return err
}
