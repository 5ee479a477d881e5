package dnsutil

import (
	"testing"

	"kurir/dnsutil/dnstest"
)

// Only the areas that are wanted are looked at, also of a domain that is not there yet.
func TestCheckAreas(t *testing.T) {
	only := func(c *Checker, _ *dnstest.Server) { c.Areas = []string{"ptr"} }
	r := checkOf(t, wholeSite(t), "", false, only)
	if len(r.Findings) == 0 || r.Errors == 0 {
		t.Fatalf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Area != "ptr" {
			t.Errorf("%+v", f)
		}
	}
	if r := checkOf(t, wholeSite(t), rightZone(t), false, only); r.Errors+r.Warnings > 0 || len(r.Findings) == 0 {
		t.Errorf("%+v", r)
	}
}
