package config

import (
	"slices"
	"strings"
	"testing"
)

func TestTrust(t *testing.T) {
	c := good(t, name+"[trust]\ndmarc = 'mark'\nown_domains = 'off'\nspf_reject = true\narc_sealers = ['Lists.Example.NET.', 'bücher.example']\n")
	if c.Trust.DMARC != TrustMark || c.Trust.OwnDomains != TrustOff || !c.Trust.SPFReject {
		t.Errorf("%+v", c.Trust)
	}
	if want := []string{"lists.example.net", "xn--bcher-kva.example"}; !slices.Equal(c.Trust.ARCSealers, want) {
		t.Errorf("%q, want %q", c.Trust.ARCSealers, want)
	}
	c = good(t, name)
	if c.Trust.DMARC != TrustEnforce || c.Trust.OwnDomains != TrustEnforce || c.Trust.SPFReject || len(c.Trust.ARCSealers) != 0 {
		t.Errorf("default %+v", c.Trust)
	}
}

func TestTrustMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"dmarc = 'reject'", `trust.dmarc: "reject" is none of`},
		{"own_domains = ''", `trust.own_domains: "" is none of`},
		{"arc_sealers = ['*.example.net']", `trust.arc_sealers: "*.example.net" is not a domain`},
		{"arc_sealers = ['a@b.example']", `"a@b.example" is not a domain`},
	} {
		_, mistakes := load(t, name+"[trust]\n"+tt.text)
		if len(mistakes) != 1 || !strings.Contains(mistakes[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.text, mistakes, tt.want)
		}
	}
}

func TestTrustWarnings(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "",
		"dmarc = 'mark'":        "trust.dmarc is mark",
		"own_domains = 'off'":   "trust.own_domains is off",
		"spf_reject = true":     "trust.spf_reject is true",
		"arc_sealers = ['a.b']": "",
	} {
		got := ""
		for _, w := range good(t, name+"[trust]\n"+text).Warnings() {
			if strings.HasPrefix(w, "trust.") {
				got += w
			}
		}
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
