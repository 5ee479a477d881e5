package dnsutil_test

import (
	"context"
	"fmt"
	"net/netip"

	"kurir/dnsutil"
	"kurir/dnsutil/dnstest"
)

// The way of mail to a domain, and what a bounce says when there is none.
func Example() {
	server, err := dnstest.New(`
example.net.    MX 10 mx1.example.net.
example.net.    MX 20 mx2.example.net.
mx1.example.net. A 192.0.2.1
mx2.example.net. AAAA 2001:db8::2
example.org.    MX 0 .`)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	r := &dnsutil.Resolver{Servers: []string{server.Addr()}}
	self := dnsutil.Self{
		Names: []string{"mail.example.com"},
		Is:    func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.1") },
	}
	for _, domain := range []string{"example.net", "example.org", "exmaple.net"} {
		route, err := r.Route(context.Background(), domain, self, dnsutil.Families{})
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, host := range route.Hosts {
			fmt.Println(host.Preference, host.Name, host.Addresses)
		}
	}
	// Output:
	// 10 mx1.example.net [192.0.2.1]
	// 20 mx2.example.net [2001:db8::2]
	// example.org takes no mail: its DNS says so
	// exmaple.net does not exist in the DNS
}
