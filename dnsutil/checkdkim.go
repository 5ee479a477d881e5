package dnsutil

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// checkDKIM looks whether the keys that mail is signed with are published.
func (f *finder) checkDKIM() {
	if len(f.Site.DKIM) == 0 {
		f.bad(LevelNote, trouble{name: f.Site.Domain, what: "The DKIM keys are not known here, so their records were not looked at.",
			why: "Unsigned mail, and mail whose signature cannot be verified, is mistrusted by many.", mend: "Where kurir signs, run this as the user that runs it, on its data."})
		return
	}
	for _, k := range f.Site.DKIM {
		f.checkKey(k)
	}
}

func (f *finder) checkKey(k DKIMKey) {
	answer, ok := f.look(k.Name, dns.TypeTXT)
	if !ok {
		return
	}
	texts := textsOf(answer.Records)
	want := f.want("dkim", k.Name)
	selector, _, _ := strings.Cut(k.Name, ".")
	if k.Retired {
		if len(texts) > 0 {
			f.ok(k.Name, "The former DKIM key %s is still published; kurir dkim list says when it can go.", selector)
		}
		return
	}
	level := LevelError
	why := "Others cannot verify the signatures of the domain's mail."
	if k.Next {
		level, why = LevelWarning, "kurir goes on with the present key until it can see this one."
	}
	switch {
	case len(texts) == 0:
		f.bad(level, trouble{name: k.Name, what: fmt.Sprintf("The DKIM key %s is not published.", selector), why: why, records: want})
	case len(texts) > 1:
		f.bad(level, trouble{name: k.Name, what: fmt.Sprintf("%s has %d texts where there should be one.", k.Name, len(texts)),
			why: "Which of them counts is not defined. " + why, mend: "Leave only this one.", records: want, replace: true})
	default:
		problem, testing := compareKey(texts[0], k.Value)
		switch {
		case problem != "":
			f.bad(level, trouble{name: k.Name, what: fmt.Sprintf("The DKIM record %s is not right: %s.", selector, problem), why: why, records: want, replace: true})
		case testing:
			f.bad(LevelWarning, trouble{name: k.Name, what: fmt.Sprintf("The DKIM key %s is marked as a test (t=y).", selector),
				why: "Others may treat the mail as if it had no signature.", records: want, replace: true})
		default:
			f.ok(k.Name, "The DKIM key %s is published.", selector)
		}
	}
}

// compareKey says what is wrong with a key's record (RFC 6376 section 3.6.1), and whether
// the key is marked as a test.
func compareKey(text, want string) (problem string, testing bool) {
	got, _ := tagList(text)
	tags, _ := tagList(want)
	key := func(tags []tag) string {
		return strings.TrimRight(strings.Join(strings.Fields(valueOf(tags, "p")), ""), "=")
	}
	kind := func(tags []tag) string { return strings.ToLower(orText(valueOf(tags, "k"), "rsa")) }
	has := slices.ContainsFunc(got, func(t tag) bool { return t.name == "p" })
	hashes, services := valueOf(got, "h"), valueOf(got, "s")
	listed := func(list, word string) bool {
		return list == "" || slices.ContainsFunc(strings.Split(list, ":"), func(s string) bool {
			return strings.EqualFold(strings.TrimSpace(s), word) || strings.TrimSpace(s) == "*"
		})
	}
	switch v := valueOf(got, "v"); {
	case !has:
		return "it has no key (p=)", false
	case v != "" && (v != "DKIM1" || got[0].name != "v"):
		return "it does not begin with v=DKIM1", false
	case key(got) == "":
		return "its key is empty, by which it is revoked", false
	case kind(got) != kind(tags):
		return fmt.Sprintf("it is of the kind %s, not %s", shown(kind(got)), kind(tags)), false
	case !listed(hashes, "sha256"):
		return "it does not allow the hash sha256 (h=)", false
	case !listed(services, "email"):
		return "it is not for mail (s=)", false
	case key(got) == key(tags):
		return "", listedFlag(valueOf(got, "t"), "y")
	case strings.HasPrefix(key(tags), key(got)):
		return fmt.Sprintf("its key ends after %d of %d characters; a long text has to be entered whole, or in several strings of one record", len(key(got)), len(key(tags))), false
	}
	if _, err := base64.RawStdEncoding.DecodeString(key(got)); err != nil {
		return "its key cannot be read: something is missing or was added", false
	}
	return "it has another key", false
}

// listedFlag tells whether a list between colons has a flag.
func listedFlag(list, flag string) bool {
	return slices.ContainsFunc(strings.Split(list, ":"), func(s string) bool { return strings.TrimSpace(s) == flag })
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
