package main

import (
	"context"
)

// finish prints the records and what remains.
func (r *setupRun) finish(ctx context.Context) error {
	t, err := r.dnsSite(ctx, r.result.Domain, &dnsFlags{ipv4: r.flags.ipv4, ipv6: r.flags.ipv6, dmarc: "quarantine"})
	if err != nil {
		return err
	}
	records := newRecordsJSON(t)
	r.result.Records = &records
	r.heading("What the DNS has to say: publish this where " + showDomain(r.result.Domain) + " is registered")
	r.printRecords(t)
	r.printNotes(t, "")
	return nil
}
