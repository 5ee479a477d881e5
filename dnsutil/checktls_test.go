package dnsutil

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"kurir/dnsutil/dnstest"
)

func TestCheckTLSFaults(t *testing.T) {
	const sts, tlsa = "_mta-sts.example.org.", "_25._tcp.mail.example.org."
	fits := find(t, wholeSite(t).Records(), "tlsa", "_25._tcp.mail.example.org").Value
	other := tlsa + " TLSA 3 1 1 " + strings.Repeat("ab", 32) + "\n"
	run(t, []fault{
		{what: "no record of MTA-STS", old: sts, want: []string{"note mta-sts: example.org has no record of MTA-STS."}, records: []string{"v=STSv1; id="}},
		{what: "two of them", new: sts + ` TXT "v=STSv1; id=2"`, want: []string{"warning mta-sts: _mta-sts.example.org has 2 records of MTA-STS."}},
		{what: "a broken one", old: sts, new: sts + ` TXT "v=STSv1; id=2026-11-22"`, want: []string{`warning mta-sts: The record of MTA-STS is broken: no id of a policy: "2026-11-22".`}},
		{what: "a server that the policy does not name", new: "example.org. MX 50 backup.example.com.", want: []string{
			"note mx: backup.example.com takes mail", "error mta-sts: The MTA-STS policy does not name the mail server backup.example.com, but *.example.org, *.example.net."}},
		{what: "no TLSA", old: tlsa},
		{what: "TLSA of another key", old: tlsa, new: other, want: []string{"error tlsa: The TLSA records (3 1 1 abababab"}, records: []string{fits}},
		{what: "TLSA of two keys, for the change", new: other},
		{what: "a usage that is not for mail", new: tlsa + " TLSA 1 1 1 " + strings.Repeat("ab", 32), want: []string{"warning tlsa: 1 of 2 TLSA records cannot be used for mail."}, records: []string{fits}},
	})
}

func TestCheckPolicies(t *testing.T) {
	week := 7 * 24 * time.Hour
	for _, c := range []struct {
		policy STSPolicy
		err    error
		want   string
	}{
		{STSPolicy{STSTesting, []string{"mail.example.org"}, week}, nil, "note mta-sts: The MTA-STS policy is in the mode testing."},
		{STSPolicy{STSTesting, []string{"mx.example.org"}, week}, nil, "warning mta-sts: The MTA-STS policy does not name the mail server mail.example.org, but mx.example.org."},
		{STSPolicy{STSNone, nil, week}, nil, "note mta-sts: The MTA-STS policy has the mode none."},
		{STSPolicy{STSEnforce, []string{"mail.example.org"}, time.Hour}, nil, "note mta-sts: The MTA-STS policy is kept for 1h0m0s only."},
		{STSPolicy{}, errors.New("it answers with status 404"), "warning mta-sts: The MTA-STS policy at https://mta-sts.example.org/.well-known/mta-sts.txt cannot be had: it answers with status 404."},
	} {
		r := checkOf(t, wholeSite(t), rightZone(t), true, func(ch *Checker, _ *dnstest.Server) {
			ch.Policy = func(context.Context, string) (STSPolicy, error) { return c.policy, c.err }
		})
		if got := bads(r); len(got) != 1 || got[0] != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	s := wholeSite(t)
	s.Chain = []*x509.Certificate{certificate(t, "other.example.org", "Let's Encrypt")} // of the same key
	if got := bads(checkOf(t, s, rightZone(t), true)); len(got) != 1 || got[0] != "error mta-sts: The certificate in service is not for mail.example.org." {
		t.Errorf("%q", got)
	}
}

// TLSA records that nobody can verify are of no use and do no harm.
func TestCheckTLSAUnsigned(t *testing.T) {
	r := checkOf(t, wholeSite(t), rightZone(t), false)
	if text := strings.Join(bads(r), "\n"); !strings.Contains(text, "note tlsa: The TLSA records were not verified by DNSSEC here.") || r.Warnings+r.Errors > 0 {
		t.Error(text)
	}
	zone := strings.Replace(rightZone(t), "TLSA 3 1 1 1", "TLSA 3 1 1 2", 1)
	if text := strings.Join(bads(checkOf(t, wholeSite(t), zone, false)), "\n"); !strings.Contains(text, "warning tlsa: The TLSA records (3 1 1 2") {
		t.Error(text)
	}
	s := wholeSite(t)
	s.Chain = nil
	if text := strings.Join(bads(checkOf(t, s, rightZone(t), true)), "\n"); text != "note tlsa: Whether the TLSA records fit the certificate was not seen: it is not known here." {
		t.Error(text)
	}
}
