//go:build !linux

package main

import "net/netip"

// passingAddresses are the IPv6 addresses of this machine that will be others tomorrow;
// here they cannot be told from those that last.
func passingAddresses() map[netip.Addr]bool { return nil }
