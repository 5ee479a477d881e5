package dnsutil

import (
	"strings"
	"testing"
)

// FuzzSPFRecord: no record makes trouble, and what a term prints is read as the same term.
func FuzzSPFRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1", "v=spf1 mx -all", "v=spf1 +a/24//64 a:x.test/8 mx//128 ?ptr:x.test ~all", "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32",
		"v=spf1 ip4:300.1.1.1 ip4:::1 ip6:1.2.3.4 ip4:1.2.3.4/33", "v=spf1 include:%{i}.x.test exists:x redirect=x.test exp=y.test exp=z.test",
		"v=spf1 include: redirect= all:x mx=y = : / + - ~", "v=spf1 all -all", "\x00\xff v=spf1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, problems := parseSPF(text)
		if len(terms)+len(problems) > 2*maxSPFTerms+2 {
			t.Fatalf("%d terms, %d problems", len(terms), len(problems))
		}
		for _, p := range problems {
			if strings.ContainsAny(p, "\n\r\x00\x1b") {
				t.Errorf("%q", p)
			}
		}
		for _, one := range terms {
			opensAll(one)
			again, problem := parseSPFTerm(one.String())
			if problem != "" || again != one {
				t.Errorf("%+v prints %q, which is %+v %s", one, one.String(), again, problem)
			}
		}
	})
}

// FuzzKeyRecord: no record of a key or a policy makes trouble, and a key is itself.
func FuzzKeyRecord(f *testing.F) {
	for _, s := range []string{ed25519Text, "v=DKIM1; p=", "p=x; t=y:s; h=sha1:sha256; s=*", ";;=;a=;=b", "v=DMARC1; p=none; rua=mailto:a@b.test!1m,https://x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, odd := tagList(text)
		if len(tags)+len(odd) > strings.Count(text, ";")+1 {
			t.Errorf("%v %v", tags, odd)
		}
		problem, _ := compareKey(text, text)
		if key := strings.TrimRight(strings.Join(strings.Fields(valueOf(tags, "p")), ""), "="); problem == "it has another key" && key != "" {
			t.Errorf("%q differs from itself", text)
		}
		if problem, _ := compareKey(text, ed25519Text); problem == "" && !strings.Contains(text, "11qY") && !strings.ContainsAny(text, " \t\r\n") {
			t.Errorf("%q is taken for the key", text)
		}
		versioned([]string{text}, "v=spf1")
	})
}
