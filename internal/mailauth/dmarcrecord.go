package mailauth

import (
	"net/url"
	"strings"
)

// Bounds of what is read at one _dmarc name.
const (
	maxDMARCRecords = 50
	maxDMARCRecord  = 8 << 10 // octets
)

// dmarcRecord is a DMARC policy record (RFC 9989 section 4.7). Tags that are not known, or
// not as they should be, are as if they were not there, but for policies.
type dmarcRecord struct {
	p, sp, np   string // "none", "quarantine" or "reject"; sp and np "" if not said
	psd         byte   // 'y', 'n' or 'u'
	testing     bool   // t=y
	strictDKIM  bool   // adkim=s
	strictSPF   bool   // aspf=s
	unusable    bool   // a policy is none that there is, and nobody is to be told either
	nonexistent bool   // the domain asked about is not in the DNS, so that np counts
}

// onlyRecord is the one DMARC record among the TXT records of a name; nil if there is none
// or more than one (RFC 9989 section 4.10).
func onlyRecord(txts []string) *dmarcRecord {
	var found *dmarcRecord
	for _, txt := range txts[:min(len(txts), maxDMARCRecords)] {
		record := parseDMARC(txt)
		if record == nil {
			continue
		}
		if found != nil {
			return nil
		}
		found = record
	}
	return found
}

// parseDMARC reads a record; nil if its first tag is not v=DMARC1.
func parseDMARC(txt string) *dmarcRecord {
	if len(txt) > maxDMARCRecord {
		return nil
	}
	version, rest, _ := strings.Cut(txt, ";")
	name, value := tag(version)
	if name != "v" || value != "DMARC1" {
		return nil
	}
	tags := map[string]string{}
	for spec := range strings.SplitSeq(rest, ";") {
		name, value := tag(spec)
		if _, twice := tags[name]; !twice {
			tags[name] = value
		}
	}
	r := &dmarcRecord{psd: 'u'}
	valid := true
	for _, m := range []struct {
		name string
		to   *string
	}{{"p", &r.p}, {"sp", &r.sp}, {"np", &r.np}} {
		value, has := tags[m.name]
		value = strings.ToLower(value)
		switch {
		case value == "none" || value == "quarantine" || value == "reject":
			*m.to = value
		case has:
			valid = false
		}
	}
	if !valid { // section 4.10.1
		r.p, r.sp, r.np, r.unusable = "none", "", "", !hasReportURI(tags["rua"])
	}
	if r.p == "" {
		r.p = "none"
	}
	if psd := strings.ToLower(tags["psd"]); psd == "y" || psd == "n" {
		r.psd = psd[0]
	}
	r.testing = strings.EqualFold(tags["t"], "y")
	r.strictDKIM = strings.EqualFold(tags["adkim"], "s")
	r.strictSPF = strings.EqualFold(tags["aspf"], "s")
	return r
}

// tag parts "name = value", the name in lower case.
func tag(spec string) (name, value string) {
	name, value, _ = strings.Cut(spec, "=")
	return strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
}

// hasReportURI tells whether a list has an address for reports.
func hasReportURI(rua string) bool {
	for uri := range strings.SplitSeq(rua, ",") {
		u, err := url.Parse(strings.Trim(uri, " \t"))
		if err == nil && u.Scheme != "" && (u.Opaque != "" || u.Host != "") {
			return true
		}
	}
	return false
}

// policy is what the record asks for: for the very domain it stands at, or for one below.
func (r *dmarcRecord) policy(below bool) string {
	policy := r.p
	if below {
		switch {
		case r.nonexistent && r.np != "":
			policy = r.np
		case r.sp != "":
			policy = r.sp
		}
	}
	if r.testing { // one step less, as pct=0 had it (RFC 9989 appendix A.6)
		policy = map[string]string{"reject": "quarantine"}[policy]
		if policy == "" {
			policy = "none"
		}
	}
	return policy
}
