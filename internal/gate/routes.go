package gate

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
)

// routes4 reads the gateways of default routes out of /proc/net/route: a line of names,
// then for each route its interface, destination, gateway, flags … mask, in tabs.
// Addresses are in hexadecimal as the machine has them in memory.
func routes4(table string) (all []netip.Addr) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(f[2])
		if err != nil || len(b) != 4 {
			continue
		}
		var ip [4]byte
		binary.NativeEndian.PutUint32(ip[:], binary.BigEndian.Uint32(b))
		if ip != [4]byte{} { // a route without a gateway
			all = append(all, netip.AddrFrom4(ip))
		}
	}
	return all
}

// routes6 does likewise with /proc/net/ipv6_route: destination and its length, source and
// its length, gateway …
func routes6(table string) (all []netip.Addr) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 5 || strings.Trim(f[0], "0") != "" || f[1] != "00" {
			continue
		}
		b, err := hex.DecodeString(f[4])
		if err != nil || len(b) != 16 {
			continue
		}
		if ip := netip.AddrFrom16([16]byte(b)); !ip.IsUnspecified() {
			all = append(all, ip)
		}
	}
	return all
}
