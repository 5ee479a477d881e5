package policy

import (
	"slices"
	"strings"

	"kurir/internal/mailauth"
	"kurir/internal/message"
)

// onlyAuthor is the address in the From field of a raw header, "" unless there is one
// field with one address.
func onlyAuthor(raw []byte) (address string) {
	fields := 0
	for f := range message.Fields(raw) {
		if !strings.EqualFold(f.Name, "From") {
			continue
		}
		if fields++; fields > 1 {
			return ""
		}
		all := message.ParseAddressList(f.Value())
		if len(all) == 1 && all[0].Mailbox != "" && all[0].Host != "" {
			address = all[0].Mailbox + "@" + all[0].Host
		}
	}
	return address
}

// provenAuthor is the author's address if his domain stands behind the message: by DMARC,
// by the word of a trusted sealer or, where its owner publishes nothing for DMARC, by SPF
// or DKIM of just this domain.
func (f *facts) provenAuthor(sealers []string) string {
	if f.err != nil || f.fromErr != nil || f.from == "" {
		return ""
	}
	is := func(domain string) bool { return strings.EqualFold(domain, f.from) }
	switch {
	case f.dmarc.Result == mailauth.Pass, f.vouched(sealers) != "":
		return f.address
	case f.dmarc.Result == mailauth.Fail, f.dmarc.Result == mailauth.TempError:
		return ""
	case f.spf.Result == mailauth.Pass && !f.spf.Helo && is(f.spf.Domain),
		slices.ContainsFunc(f.dkim, func(d mailauth.DKIM) bool { return d.Result == mailauth.Pass && is(d.Domain) }):
		return f.address
	}
	return ""
}
