package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// acmeRest is what each key of [acme] needs beside it.
var acmeRest = map[string]string{
	"acme.enabled":         "\nacme.challenges = ['http-01']",
	"acme.eab_key_id":      "\nacme.eab_key = 'k'",
	"acme.eab_key":         "\nacme.eab_key_id = 'i'",
	"acme.eab_key_file":    "\nacme.eab_key_id = 'i'",
	"acme.dns_provider":    "\nacme.dns_token = 't'",
	"acme.dns_server":      "\nacme.dns_provider = 'rfc2136'\nacme.dns_user = 'u'\nacme.dns_token = 't'",
	"acme.dns_user":        "\nacme.dns_provider = 'rfc2136'\nacme.dns_server = 's'\nacme.dns_token = 't'",
	"acme.dns_subdomain":   "\nacme.dns_provider = 'acmedns'\nacme.dns_server = 's'\nacme.dns_user = 'u'\nacme.dns_token = 't'",
	"acme.dns_token":       "\nacme.dns_provider = 'desec'",
	"acme.dns_token_file":  "\nacme.dns_provider = 'desec'",
	"acme.dns_secret":      "\nacme.dns_provider = 'porkbun'\nacme.dns_token = 't'",
	"acme.dns_secret_file": "\nacme.dns_provider = 'porkbun'\nacme.dns_token = 't'",
}

func TestACMEMistakes(t *testing.T) {
	for text, problem := range map[string]string{
		"enabled = true": "acme.enabled: no way is left",
		"enabled = true\nchallenges = ['tls-alpn-01']":                  "needs web.https",
		"challenges = ['http-1']":                                       `acme.challenges: "http-1" is none of`,
		"challenges = ['dns-01']":                                       "needs acme.dns_provider, one of acmedns, cloudflare",
		"challenges = ['http-01']\ndns_provider='desec'\ndns_token='t'": "which acme.challenges does not name",
		"dns_provider = 'godaddy'":                                      `"godaddy" is none of acmedns, cloudflare, desec`,
		"dns_provider = 'desec'":                                        "acme.dns_provider: desec needs acme.dns_token as well",
		"dns_provider = 'rfc2136'\ndns_token = 'k'\ndns_server = 's'":   "rfc2136 needs acme.dns_user as well",
		"dns_provider = 'desec'\ndns_token = 't'\ndns_user = 'u'":       "acme.dns_user: desec has no such setting; it needs acme.dns_token",
		"dns_token = 't'":                                               "acme.dns_token: means nothing without acme.dns_provider",
		"dns_provider = 'desec'\ndns_token = 't'\ndns_token_file='f'":   "acme.dns_token_file: acme.dns_token is set as well",
		"dns_provider = 'desec'\ndns_token = \"a\\nb\"":                 "must be one line",
		"email = 'nobody'":                                              "acme.email: ",
		"directory = 'http://ca.example/'":                              "acme.directory: ",
		"directory = ''":                                                "acme.directory: ",
		"names = ['*.example.com']":                                     "acme.names: ",
		"names = ['192.0.2.1']":                                         "acme.names: ",
		"names = ['localhost']":                                         "acme.names: ",
		"eab_key_id = 'i'":                                              "acme.eab_key_id: needs acme.eab_key ",
		"eab_key = 'k'":                                                 "acme.eab_key: needs acme.eab_key_id",
	} {
		_, mistakes := load(t, name+"[acme]\n"+text)
		if len(mistakes) != 1 || !strings.Contains(mistakes[0], problem) {
			t.Errorf("%s: %q", text, mistakes)
		}
	}
}

// The ways that the CA can go follow from the ports, unless they are named.
func TestChallenges(t *testing.T) {
	for text, want := range map[string][]string{
		"":                     nil,
		"web.http = [':80']":   {"http-01"},
		"web.https = [':443']": {"tls-alpn-01"},
		"web.http = [':80']\nweb.https = [':443']":                                                        {"http-01", "tls-alpn-01"},
		"web.http = [':80']\nacme.dns_provider='desec'\nacme.dns_token = 't'":                             {"dns-01"},
		"web.http = [':80']\nacme.challenges=['dns-01']\nacme.dns_provider='desec'\nacme.dns_token = 't'": {"dns-01"},
		"acme.challenges = ['http-01']":                                                                   {"http-01"},
	} {
		if got := good(t, name+text).Challenges(); !slices.Equal(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// Each provider is right with what it must have and no less.
func TestProviders(t *testing.T) {
	for _, p := range DNSProviders() {
		needs := providerNeeds[p]
		full := name + "acme.dns_provider = '" + p + "'\n"
		for _, k := range needs.must {
			full += "acme.dns_" + k + " = 'x'\n"
		}
		good(t, full)
		for _, k := range needs.must {
			less := strings.Replace(full, "acme.dns_"+k+" = 'x'\n", "", 1)
			if _, mistakes := load(t, less); len(mistakes) != 1 || !strings.Contains(mistakes[0], p+" needs acme.dns_"+k) {
				t.Errorf("%s without %s: %q", p, k, mistakes)
			}
		}
		for _, k := range needs.may {
			good(t, full+"acme.dns_"+k+" = 'x'\n")
		}
	}
}

func TestACMESecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := good(t, name+"acme.dns_provider = 'porkbun'\nacme.dns_token_file = '"+file+"'\nacme.dns_secret_file = '"+file+"'\nacme.eab_key_id = 'i'\nacme.eab_key_file = '"+file+"'")
	if !c.ACME.DNS.Token.Empty() {
		t.Error("Load has read it")
	}
	if err := c.ReadPasswords(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Secret{c.ACME.DNS.Token, c.ACME.DNS.Secret, c.ACME.EABKey} {
		if s.Reveal() != "t0ken" {
			t.Errorf("%q", s.Reveal())
		}
	}
	c = good(t, name+"acme.dns_provider = 'desec'\nacme.dns_token_file = '/nowhere/token'")
	if err := c.ReadPasswords(); err == nil || !strings.Contains(err.Error(), "/nowhere/token: acme.dns_token_file: cannot be read") {
		t.Errorf("%v", err)
	}
}

func TestACMENames(t *testing.T) {
	c := good(t, name+"acme.names = ['Webmail.Example.com.', 'bücher.example']")
	if want := []string{"webmail.example.com", "xn--bcher-kva.example"}; !reflect.DeepEqual(c.ACME.Names, want) {
		t.Errorf("%q", c.ACME.Names)
	}
}

func TestACMEWarnings(t *testing.T) {
	on := name + "web.http = [':80']\nacme.enabled = true\n"
	for text, want := range map[string]string{
		"": "acme.email and admin are not set",
		"tls.cert = '/c'\ntls.key = '/k'\nadmin='a@b.example'": "acme.enabled means nothing: tls.cert is set",
	} {
		if got := strings.Join(good(t, on+text).Warnings(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%q", got)
		}
	}
	if got := good(t, on+"admin='a@b.example'").Warnings(); len(got) > 0 {
		t.Errorf("%q", got)
	}
	path := filepath.Join(t.TempDir(), "kurir.toml")
	if err := os.WriteFile(path, []byte(name+"acme.dns_provider = 'desec'\nacme.dns_token = 't'"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil || !strings.Contains(strings.Join(c.Warnings(), "\n"), "the secrets of [acme]") {
		t.Errorf("%v", err)
	}
}
