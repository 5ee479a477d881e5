package main

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"kurir/internal/fsx"
)

// Flags of IPv6 addresses, <linux/if_addr.h>.
const (
	flagTemporary  = 0x01
	flagDeprecated = 0x20
)

// passingAddresses are the IPv6 addresses of this machine that are of another kind
// tomorrow: temporary ones, and those no longer preferred.
func passingAddresses() map[netip.Addr]bool {
	text, err := fsx.ReadFile(fsx.OS{}, "/proc/net/if_inet6", 1<<20)
	if err != nil {
		return nil
	}
	return parseIfInet6(string(text))
}

// parseIfInet6 reads lines such as "20010db8…01 02 40 00 01 eth0": address, interface,
// length of the prefix, scope and flags, all in hexadecimal.
func parseIfInet6(text string) map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 6 {
			continue
		}
		octets, err := hex.DecodeString(words[0])
		flags, ferr := strconv.ParseUint(words[4], 16, 32)
		a, ok := netip.AddrFromSlice(octets)
		if err == nil && ferr == nil && ok && flags&(flagTemporary|flagDeprecated) != 0 {
			all[a] = true
		}
	}
	return all
}
