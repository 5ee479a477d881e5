package config

import (
	"io/fs"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// LMTP is where programs and servers of the administrator's deliver mail.
type LMTP struct {
	Address    []string       // each unix:path, host:port or :port; empty means off
	Networks   []netip.Prefix // clients by TCP, beside this machine
	SocketMode string         // permissions of unix sockets, in octal
}

// lmtpFields are the keys of [lmtp].
func lmtpFields(c *Config) []field {
	return []field{
		{key: "lmtp.address", target: &c.LMTP.Address, listen: true,
			doc: "Addresses to listen on: \"unix:/run/kurir/lmtp.sock\", host:port, or :port for all of this\nmachine. [] turns it off."},
		{key: "lmtp.networks", target: &c.LMTP.Networks,
			doc: "Networks whose clients may connect by TCP, such as [\"192.0.2.25\"]. This machine always may.\nName your own servers alone: what they deliver is not judged."},
		{key: "lmtp.socket_mode", target: &c.LMTP.SocketMode,
			doc: "Permissions of unix sockets: \"0660\" is for the user and the group that run kurir, \"0666\" for\nevery user of this machine."},
	}
}

// unixPrefix begins the address of a unix socket.
const unixPrefix = "unix:"

// UnixPath is the path of a unix socket's address; ok is false for any other address.
func UnixPath(address string) (path string, ok bool) { return strings.CutPrefix(address, unixPrefix) }

// Mode is SocketMode as permissions.
func (l LMTP) Mode() fs.FileMode {
	n, err := strconv.ParseUint(l.SocketMode, 8, 9)
	if err != nil { // the check has looked at it
		return 0o600
	}
	return fs.FileMode(n)
}

// checkLMTP looks at [lmtp]. What comes by it is not judged: a port that the Internet can
// reach would be a way around all that guards this server.
func (l *loader) checkLMTP() {
	c := &l.c.LMTP
	taken := map[string]bool{}
	for _, address := range c.Address {
		if path, ok := UnixPath(address); ok {
			switch {
			case !filepath.IsAbs(path):
				l.wrong("lmtp.address", `%q must have a path from the root, such as "unix:/run/kurir/lmtp.sock"`, address)
			case taken[filepath.Clean(path)] || filepath.Clean(path) == filepath.Clean(l.c.Control):
				l.wrong("lmtp.address", "%s is taken already", path)
			}
			taken[filepath.Clean(path)] = true
			continue
		}
		host, port, err := splitAddress(address)
		if err == nil && port == 25 {
			l.wrong("lmtp.address", "%s has the port of SMTP, where LMTP must not be spoken (RFC 2033 section 5): 24 is usual", address)
			continue
		}
		if ip, ipErr := netip.ParseAddr(host); err == nil && host != "localhost" && (ipErr != nil || !ip.IsLoopback()) && len(c.Networks) == 0 {
			l.wrong("lmtp.address", "%s can be reached from elsewhere: name in lmtp.networks who may deliver there, or write 127.0.0.1 for the host", address)
		}
	}
	for _, p := range c.Networks {
		if tooWide(p) {
			l.wrong("lmtp.networks", "%s is a good part of the Internet: everyone there could deliver mail past all checks. Name your own servers alone, such as \"192.0.2.25\"", p)
		}
	}
	if n, err := strconv.ParseUint(c.SocketMode, 8, 9); err != nil || n&0o600 != 0o600 || n&0o111 != 0 {
		l.wrong("lmtp.socket_mode", `%q is none of the permissions of a socket, such as "0660" or "0666"`, c.SocketMode)
	}
}
