package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"

	"kurir/internal/config"
)

// localConfig is the configuration of local: every protocol on the loopback address, on
// the usual port's number behind a 1, or 10 for those of two digits, plus offset.
func localConfig(dir string, offset int) (*config.Config, error) {
	c := config.Default()
	c.Data = dir
	c.Control = filepath.Join(dir, controlName)
	c.Hostname = "localhost"
	c.TLS.PlaintextLoginNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, p := range []struct {
		addresses *[]string
		port      int
	}{
		{&c.SMTP.Address, 1025},
		{&c.Submission.Address, 1587},
		{&c.Submissions.Address, 1465},
		{&c.IMAP.Address, 1143},
		{&c.IMAPS.Address, 1993},
		{&c.POP3.Address, 1110},
		{&c.POP3S.Address, 1995},
		{&c.HTTP.Address, 1080},
	} {
		port := p.port + offset
		if port < 1 || port > 65535 {
			return nil, usagef("--port-offset %d makes port %d, which does not exist", offset, port)
		}
		*p.addresses = []string{net.JoinHostPort(localAddress, strconv.Itoa(port))}
	}
	return c, nil
}
