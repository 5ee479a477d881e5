package mailauth

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// suite is a section of the openspf.org test suites.
type suite struct {
	Description string
	Tests       map[string]struct {
		Spec       any
		Helo, Host string
		MailFrom   string
		Result     []string
	}
	Zone map[string][]map[string]json.RawMessage
}

// notAsTested are the cases whose outcome is another one here. No host has a slash in its
// name; and section 7.3 says that the macro p is not to be used, so it is always unknown.
var notAsTested = map[string]Result{
	"a-colon-domain":            PermError,
	"a-colon-domain-ip4mapped":  PermError,
	"mx-colon-domain":           PermError,
	"mx-colon-domain-ip4mapped": PermError,
	"p-macro-multiple":          Neutral,
}

func TestOpenSPFSuites(t *testing.T) {
	for _, name := range []string{"rfc7208", "rfc4408"} {
		data, err := os.ReadFile("testdata/spf/" + name + "-tests.json")
		if err != nil {
			t.Fatal(err)
		}
		var suites []suite
		if err := json.Unmarshal(data, &suites); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range suites {
			z := s.zone(t)
			for test, c := range s.Tests {
				n++
				got := CheckSPF(t.Context(), z, netip.MustParseAddr(c.Host), c.Helo, c.MailFrom)
				if ours, ok := notAsTested[test]; ok {
					c.Result = []string{string(ours)}
				}
				if !slices.Contains(c.Result, string(got.Result)) {
					t.Errorf("%s: %s (%v): %s (%s), want %v", name, test, c.Spec, got.Result, got.Reason, c.Result)
				}
			}
		}
		if n < 150 {
			t.Errorf("%s has only %d tests", name, n)
		}
	}
}

// zone makes the records of a suite. A record of the old type SPF stands for a TXT record,
// unless the name has such as well.
func (s suite) zone(t *testing.T) *zone {
	z := &zone{txt: map[string][]string{}, mx: map[string][]*net.MX{}, ip: map[string][]string{}, ptr: map[string][]string{}, fail: map[string]bool{}}
	aliases := map[string]string{}
	for name, records := range s.Zone {
		name = strings.ToLower(name)
		var old []string
		none, failing := false, false
		for _, record := range records {
			for kind, raw := range record {
				var list []string
				var text string
				switch kind {
				case "TXT", "SPF":
					must(t, json.Unmarshal(raw, &list))
					text = strings.Join(list, "")
					if kind == "SPF" {
						old = append(old, text)
					} else if none = text == "NONE"; !none {
						z.txt[name] = append(z.txt[name], text)
					}
				case "A", "AAAA":
					must(t, json.Unmarshal(raw, &text))
					z.ip[name] = append(z.ip[name], text)
				case "MX":
					var pair []any
					must(t, json.Unmarshal(raw, &pair))
					z.mx[name] = append(z.mx[name], &net.MX{Pref: uint16(pair[0].(float64)), Host: pair[1].(string)})
				case "PTR":
					must(t, json.Unmarshal(raw, &text))
					addr := reversed(t, name)
					z.ptr[addr] = append(z.ptr[addr], text)
				case "CNAME":
					must(t, json.Unmarshal(raw, &text))
					aliases[name] = strings.ToLower(strings.TrimSuffix(text, "."))
				case "TIMEOUT", "CNAMELOOP", "SERVFAIL":
					failing = true
					if strings.HasSuffix(name, ".arpa") {
						z.fail[reversed(t, name)] = true
					}
				default:
					t.Fatalf("a record of type %s", kind)
				}
			}
		}
		z.fail[name] = failing && len(z.txt[name]) == 0 // else only SPF records fail
		if len(z.txt[name]) == 0 && !none {
			z.txt[name] = old
		}
	}
	for name, to := range aliases {
		z.txt[name], z.ip[name], z.mx[name] = z.txt[to], z.ip[to], z.mx[to]
		z.fail[name] = z.fail[name] || z.fail[to]
	}
	return z
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reversed is the address that a name below in-addr.arpa or ip6.arpa stands for.
func reversed(t *testing.T, name string) string {
	labels := strings.Split(name, ".")
	labels = labels[:len(labels)-2]
	slices.Reverse(labels)
	text := strings.Join(labels, ".")
	if strings.HasSuffix(name, ".ip6.arpa") {
		text = ""
		for i, digit := range labels {
			if i > 0 && i%4 == 0 {
				text += ":"
			}
			text += digit
		}
	}
	addr, err := netip.ParseAddr(text)
	must(t, err)
	return addr.String()
}
