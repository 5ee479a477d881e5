package main

import (
	"net"

	"kurir/internal/listen"
)

// proxied puts a port behind the proxies of the configuration, if there are any.
func (s *site) proxied(p *port, l net.Listener) net.Listener {
	return listen.Proxied(l, listen.ProxyOptions{
		Protocol: p.protocol, Networks: s.cfg.Proxy.Networks, Missing: p.headerless(), Log: s.log,
	})
}

// headerless is what a proxy is told that does not say whose connection it makes; nil
// where TLS comes first.
func (p *port) headerless() func() []byte {
	const text = "a proxy has to send a header of the PROXY protocol first\r\n"
	line := map[string]string{
		"smtp": "421 4.7.0 " + text, "submission": "421 4.7.0 " + text, // RFC 5321 section 3.8
		"imap": "* BYE " + text,           // RFC 9051 section 7.1.5
		"pop3": "-ERR [SYS/PERM] " + text, // RFC 3206
		"http": "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" + text,
	}[p.protocol]
	if line == "" {
		return nil
	}
	return func() []byte { return []byte(line) }
}
