package dnsutil

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	LevelOK      Level = "ok"
	LevelNote    Level = "note"    // could be better, or is worth knowing
	LevelWarning Level = "warning" // some mail is lost or mistrusted, or will be
	LevelError   Level = "error"   // mail is lost, refused or mistrusted by most
)

// Finding is one thing that a check has seen.
type Finding struct {
	Level   Level    `json:"level"`
	Area    string   `json:"area"` // "zone", "mx", "address", "ptr", "spf", …
	Name    string   `json:"name"` // the name in the DNS that it is about
	What    string   `json:"what"` // what is seen, in one sentence
	Why     string   `json:"why,omitempty"`
	Mend    string   `json:"mend,omitempty"`    // how to mend it, in a sentence; "": see Records
	Records []Record `json:"records,omitempty"` // to be published
	// Replace tells that they take the place of what is there.
	Replace bool `json:"replace,omitempty"`
	// OldUntil is until when other resolvers may still have the old answer, once it is
	// mended; zero: not known.
	OldUntil time.Time `json:"old_until,omitzero"`
}

// Report is all that a check has found.
type Report struct {
	Domain   string    `json:"domain"`
	Host     string    `json:"host"`
	Findings []Finding `json:"findings"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
}

// Checker compares what the world sees of a site with what it should see. Site and
// Resolver are needed.
type Checker struct {
	Site     Site
	Resolver *Resolver
	// SPF judges a sender by the published records: a result of RFC 7208 section 2.6, and
	// words about it. Nil: that is left out.
	SPF func(ctx context.Context, ip netip.Addr, helo, sender string) (result, reason string)
	// Policy fetches the policy for MTA-STS, as [STSFetcher.Fetch] does. Nil: that is left
	// out.
	Policy func(ctx context.Context, domain string) (STSPolicy, error)
	// Lists are blocklists that the site's addresses are looked up in.
	Lists []List
	// Areas are those of findings that are wanted, such as "ptr". Empty: all.
	Areas []string
}

// List is a blocklist in the DNS (RFC 5782).
type List struct {
	Zone string
	// Counts tells which answers are listings. Nil: all that can be.
	Counts func(answer netip.Addr) bool
}

// checkTime bounds a whole check.
const checkTime = time.Minute

// Check asks for everything and says what is right, missing, wrong or dangerous. It takes
// a minute at most; what the DNS does not answer is a finding, too.
func (c *Checker) Check(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	report := Report{Domain: c.Site.Domain, Host: c.Site.Host}
	if c.wants("zone") {
		zone := c.finder(ctx, "zone")
		there := zone.checkZone()
		report.add(zone.found)
		if !there {
			return report
		}
	}
	areas := []struct {
		area  string
		check func(*finder)
	}{
		{"mx", (*finder).checkMX}, {"address", (*finder).checkAddress}, {"ptr", (*finder).checkPTR},
		{"spf", (*finder).checkSPF}, {"dkim", (*finder).checkDKIM}, {"dmarc", (*finder).checkDMARC},
		{"mta-sts", (*finder).checkMTASTS}, {"tls-rpt", (*finder).checkTLSRPT}, {"tlsa", (*finder).checkTLSA}, {"caa", (*finder).checkCAA}, {"srv", (*finder).checkSRV},
		{"autoconfig", (*finder).checkAutoconfig}, {"wildcard", (*finder).checkWildcard}, {"list", (*finder).checkLists},
	}
	found := make([][]Finding, len(areas))
	var all sync.WaitGroup
	for i, a := range areas {
		if !c.wants(a.area) {
			continue
		}
		all.Go(func() {
			f := c.finder(ctx, a.area)
			a.check(f)
			found[i] = f.found
		})
	}
	all.Wait()
	for _, one := range found {
		report.add(one)
	}
	return report
}

// wants tells whether an area is to be looked at.
func (c *Checker) wants(area string) bool {
	return len(c.Areas) == 0 || slices.Contains(c.Areas, area)
}

func (r *Report) add(found []Finding) {
	for _, f := range found {
		switch f.Level {
		case LevelError:
			r.Errors++
		case LevelWarning:
			r.Warnings++
		}
		r.Findings = append(r.Findings, f)
	}
}

// finder collects what is found in one area.
type finder struct {
	*Checker
	ctx   context.Context
	area  string
	old   time.Time // until when the last answer is kept elsewhere
	found []Finding
}

func (c *Checker) finder(ctx context.Context, area string) *finder {
	return &finder{Checker: c, ctx: ctx, area: area}
}

// ok notes what is right.
func (f *finder) ok(name, format string, args ...any) {
	f.found = append(f.found, Finding{Level: LevelOK, Area: f.area, Name: name, What: fmt.Sprintf(format, args...)})
}

// trouble is what a finding has beside its level: what is seen, why that matters and how
// it is mended.
type trouble struct {
	name, what, why, mend string
	records               []Record
	replace               bool
}

// bad notes what is not right. Records or mend say how to mend it.
func (f *finder) bad(level Level, t trouble) {
	one := Finding{Level: level, Area: f.area, Name: t.name, What: t.what, Why: t.why, Mend: t.mend, Records: t.records, Replace: t.replace && len(t.records) > 0}
	if level != LevelNote && f.old.After(f.Resolver.now()) {
		one.OldUntil = f.old
	}
	f.found = append(f.found, one)
}

// look asks for records. If the DNS does not answer, that is noted, and ok is false; that
// there are none is an answer without records.
func (f *finder) look(name string, qtype uint16) (answer Answer, ok bool) {
	answer, err := f.Resolver.lookupAny(f.ctx, name, qtype)
	f.old = answer.Expires
	if errors.Is(err, ErrTemporary) {
		f.old = time.Time{}
		f.bad(LevelWarning, trouble{
			name: name, what: fmt.Sprintf("%s of %s could not be looked up: %v.", dns.Type(qtype), name, err),
			why:  "What cannot be looked up here may not be found by others either.",
			mend: "Try again; if it stays, ask who runs the name servers.",
		})
		return answer, false
	}
	return answer, true
}

// addresses asks for those of a host, of both kinds.
func (f *finder) addresses(host string) (all []netip.Addr, ok bool) {
	four, ok4 := f.look(host, dns.TypeA)
	old := f.old
	six, ok6 := f.look(host, dns.TypeAAAA)
	if !old.IsZero() && old.Before(f.old) {
		f.old = old
	}
	return append(addressesOf(four.Records), addressesOf(six.Records)...), ok4 && ok6
}

// want are the site's records of an area and a name.
func (f *finder) want(area, name string) []Record {
	return slices.DeleteFunc(f.Site.Records(), func(r Record) bool { return r.Area != area || r.Name != name })
}

// isOurs tells whether an address is one of the site's; all are if they are not known.
func (f *finder) isOurs(a netip.Addr) bool {
	return len(f.Site.Addresses) == 0 || slices.Contains(f.Site.Addresses, a)
}

// joined are addresses in a row.
func joined(all []netip.Addr) string {
	var s []string
	for _, a := range all {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}
