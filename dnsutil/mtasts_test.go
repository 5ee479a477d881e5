package dnsutil

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// # RFC 8461 section 3.1: the record, and what is none.
func TestParseSTSRecord(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
		{"v=STSv1;id=1", "1"},
		{"v=STSv1 \t; \tid=1 ; ext_1.x-y=any!thing ; ", "1"},
		{"v=STSv1; id=1; id=2", "1"},
		{"v=STSv1; id=" + strings.Repeat("a", 32), strings.Repeat("a", 32)},
		{"v=STSv1; id=" + strings.Repeat("a", 33), ""},
		{"", ""}, {"v=STSv1", ""}, {"v=STSv1;", ""}, {"v=STSv1; id=", ""}, {"v=STSv1; id", ""}, {"v=STSv1; id=a b", ""},
		{"v=STSv1; id=a-b", ""}, {"V=STSv1; id=1", ""}, {"v=stsv1; id=1", ""}, {"v=STSv2; id=1", ""}, {" v=STSv1; id=1", ""},
		{"id=1; v=STSv1", ""}, {"v=STSv1;; id=1", ""}, {"v=STSv1; id=1;;", ""}, {"v=STSv1; ID=1", ""}, {"v=STSv1; id=1; x=a=b", ""},
		{"v=STSv1; id=1; -x=a", ""}, {"v=STSv1; id=1; x=\xc3\xa9", ""},
	} {
		if got, err := ParseSTSRecord(c.text); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q, %v", c.text, got, err)
		}
	}
}

// policies are texts of policies, and what they say; "" is none.
func policies() [][2]string {
	const rest = "\nmode: enforce\nmax_age: 86400\nmx: a.test"
	long := "version: STSv1" + rest + strings.Repeat("\nmx: b.test", 1000)
	return [][2]string{
		{"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n", "{enforce [mail.example.com *.example.net] 168h0m0s}"},
		{"version:STSv1\nmode:testing\nmx:A.Test\nmax_age:0", "{testing [a.test] 0s}"},
		{"mode: none  \nmax_age: 1\t\n\nversion: STSv1\nmx_extra: \xc3\xa9 x\n", "{none [] 1s}"},
		{"version: STSv1\nmode: enforce\nmode: none\nmx: a.test\nmax_age: 9999999999\nmax_age: 1", "{enforce [a.test] 8766h0m0s}"},
		{"version: STSv1\nmode: enforce\nmax_age: 1", ""}, // no mx
		{"version: STSv1\nmx: a.test\nmax_age: 1", ""},
		{"version: STSv1\nmode: enforce\nmx: a.test", ""},
		{"mode: enforce\nmx: a.test\nmax_age: 1", ""},
		{"version: STSv2" + rest, ""}, {"Version: STSv1" + rest, ""}, {"version: STSv1" + rest + "\nno line", ""},
		{"version: STSv1" + rest + "\nmx: *", ""}, {"version: STSv1" + rest + "\nmx: *.", ""}, {"version: STSv1" + rest + "\nmx: a.*.test", ""},
		{"version: STSv1" + rest + "\nmx: ", ""}, {"version: STSv1" + rest + "\nmx: 192.0.2.1", ""}, {"version: STSv1" + rest + "\nx: \x01", ""},
		{"version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1", ""}, {"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1", ""},
		{"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 12345678901", ""}, {"<html>", ""}, {"", ""},
		{long, "{enforce [a.test" + strings.Repeat(" b.test", 1000) + "] 24h0m0s}"},
	}
}

// # RFC 8461 section 3.2: the policy, and what is none.
func TestParseSTSPolicy(t *testing.T) {
	for _, c := range policies() {
		p, err := ParseSTSPolicy(c[0])
		if got := fmt.Sprint(p); err == nil && fmt.Sprintf("{%s %v %v}", p.Mode, p.MX, p.MaxAge) != c[1] || err != nil && c[1] != "" {
			t.Errorf("%.80q: %.200s, %v", c[0], got, err)
		}
	}
}

// # RFC 8461 section 4.1: a wildcard stands for one label at the left.
func TestSTSAllows(t *testing.T) {
	p := STSPolicy{MX: []string{"mail.example.com", "*.example.net"}}
	for host, want := range map[string]bool{
		"mail.example.com": true, "MAIL.example.com.": true, "mx.example.net": true, "MX.Example.NET": true,
		"a.mail.example.com": false, "example.net": false, ".example.net": false, "a.mx.example.net": false, "example.com": false,
		"evil-example.net": false, "mail.example.com.evil.test": false, "": false,
	} {
		if got := p.Allows(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
	if (STSPolicy{}).Allows("mail.example.com") {
		t.Error("nobody is allowed")
	}
}

// # RFC 8461 section 3.1: records that are something else are left aside; two are as none.
func TestSTSRecord(t *testing.T) {
	r, s := resolver(t, `
_mta-sts.good.test.  TXT "v=STS" "v1; id=" "42;"
_mta-sts.good.test.  TXT "something else"
_mta-sts.alias.test. CNAME _mta-sts.good.test.
_mta-sts.two.test.   TXT "v=STSv1; id=1"
_mta-sts.two.test.   TXT "v=STSv1; id=2"
_mta-sts.bad.test.   TXT "v=STSv1; id=?"
_mta-sts.other.test. TXT "v=STSv10; id=1"`)
	s.ServFail("_mta-sts.out.test")
	for _, c := range []struct {
		domain, want, text string
		err                error
	}{
		{"good.test", "42", "", nil},
		{"alias.test", "42", "", nil},
		{"two.test", "", "_mta-sts.two.test has 2 records of MTA-STS, where one is allowed", ErrNoData},
		{"bad.test", "", `the record of MTA-STS at _mta-sts.bad.test cannot be read: no id of a policy: "?"`, ErrNoData},
		{"other.test", "", "_mta-sts.other.test has no TXT record in the DNS", ErrNoData},
		{"none.test", "", "_mta-sts.none.test does not exist in the DNS", ErrNotFound},
		{"out.test", "", "the DNS of _mta-sts.out.test is out of order", ErrTemporary},
		{"no name", "", `"no name" is not a domain name`, ErrName},
	} {
		id, err := r.STSRecord(t.Context(), c.domain)
		if id != c.want || !errors.Is(err, c.err) || err != nil && err.Error() != c.text {
			t.Errorf("%s: %q, %v", c.domain, id, err)
		}
	}
}

func FuzzSTSPolicy(f *testing.F) {
	for _, c := range policies() {
		f.Add(c[0])
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseSTSPolicy(text)
		if err != nil {
			return
		}
		again, err := ParseSTSPolicy(p.String())
		if err != nil || !reflect.DeepEqual(p, again) || p.MaxAge < 0 || p.MaxAge > 8766*time.Hour || p.Mode != STSNone && len(p.MX) == 0 {
			t.Errorf("%+v is read as %+v, %v", p, again, err)
		}
	})
}

func FuzzSTSRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Add("v=STSv1 ; x=y; id=1")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseSTSRecord(text)
		if again, _ := ParseSTSRecord("v=STSv1; id=" + id); (err == nil) != (id != "") || again != id || !strings.Contains(text, id) {
			t.Errorf("%q: %q, %v", text, id, err)
		}
	})
}
