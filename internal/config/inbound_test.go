package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseDNSList(t *testing.T) {
	at := netip.MustParseAddr
	for text, want := range map[string]DNSList{
		"bl.example":                        {"bl.example", nil, 1},
		"BL.Example.":                       {"bl.example", nil, 1},
		"my-key_1.bl.example*12":            {"my-key_1.bl.example", nil, 12},
		"zen.example=127.0.0.2-11":          {"zen.example", []AddrRange{{at("127.0.0.2"), at("127.0.0.11")}}, 1},
		"b.example=127.0.0.2;127.0.0.4-5*3": {"b.example", []AddrRange{{at("127.0.0.2"), at("127.0.0.2")}, {at("127.0.0.4"), at("127.0.0.5")}}, 3},
		"wl.example=127.0.0.0-127.0.255.3":  {"wl.example", []AddrRange{{at("127.0.0.0"), at("127.0.255.3")}}, 1},
	} {
		if got, err := ParseDNSList(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", "bl", "bl..example", ".bl.example", "http://bl.example", "bl.example*0", "bl.example*-1", "bl.example*256", "bl.example*x", "bl.example*",
		"bl.example=", "bl.example=2", "bl.example=127.0.0.2-1", "bl.example=192.0.2.1", "bl.example=127.0.0.2-192.0.2.1", "bl.example=127.0.0.2,127.0.0.3",
		"bl.example=127.0.0.2-", "bl.example=::1", "a b.example", strings.Repeat("a.", 100) + "example",
	} {
		if got, err := ParseDNSList(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, got)
		}
	}
}

func FuzzParseDNSList(f *testing.F) {
	f.Add("zen.example=127.0.0.2-11;127.0.0.15*3")
	f.Add("bl.example")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseDNSList(text)
		if err != nil {
			return
		}
		if l.Weight < 1 || l.Zone == "" || l.Zone != strings.ToLower(l.Zone) {
			t.Errorf("%q: %+v", text, l)
		}
		for _, r := range l.Answers {
			if !r.First.Is4() || !r.Last.Is4() || r.Last.Less(r.First) {
				t.Errorf("%q: %+v", text, r)
			}
		}
	})
}

func TestInbound(t *testing.T) {
	c := good(t, name+`[inbound]
allow = ["192.0.2.0/24", "2001:db8::1", "example.org", ".example.net", "alice@example.com", "o'hara@example.com"]
dnsbl = ["zen.example=127.0.0.2-11"]
greylist = true
connections_minute = 0
[proxy]
networks = ["10.0.0.1", "172.16.0.0/12", "2001:db8::/32"]
`)
	if len(c.Inbound.Allow) != 6 || !c.Inbound.Greylist || c.Inbound.ConnectionsMinute != 0 || len(c.Proxy.Networks) != 3 {
		t.Errorf("%+v, %+v", c.Inbound, c.Proxy)
	}
	_, mistakes := load(t, name+`[inbound]
allow = ["192.0.2.1/24", "exam ple", "@example.com", "alice@", "a@b@example.com", "1.2.3", "same.example"]
block = ["Same.example"]
dnsbl = ["bl"]
dnswl = ["wl.example*0"]
dnsbl_refuse = -1
greylist_delay = "5h"
messages_hour = -1
[proxy]
networks = ["0.0.0.0/0", "10.0.0.0/7", "::/0"]
`)
	all := strings.Join(mistakes, "\n")
	for _, want := range []string{
		`allow: "192.0.2.1/24" has bits set beyond its length`, `allow: "exam ple" is neither`, `allow: "@example.com" is not a mail address`,
		`allow: "alice@" is not`, `allow: "a@b@example.com" is not`, `allow: "1.2.3" is neither a network`, `block: "Same.example" is in inbound.allow as well`,
		`dnsbl: "bl" is not the name of a list`, `dnswl: "wl.example*0": the weight`, "dnsbl_refuse: must be 0 or more", "greylist_delay: must be 4h or less",
		"messages_hour: must be 0 or more", "networks: 0.0.0.0/0 is too wide", "networks: 10.0.0.0/7 is too wide", "networks: ::/0 is too wide",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(mistakes) != 15 {
		t.Errorf("%d mistakes:\n%s", len(mistakes), all)
	}
	wise := good(t, name+"inbound.allow = ['10.0.0.0/7']\nproxy.networks = ['198.51.100.0/24', '10.0.0.0/8', '198.51.100.7']")
	warnings := strings.Join(wise.Warnings(), "\n")
	if strings.Count(warnings, "proxy.networks has") != 1 || !strings.Contains(warnings, "inbound.allow has 10.0.0.0/7") {
		t.Errorf("%s", warnings)
	}
}
