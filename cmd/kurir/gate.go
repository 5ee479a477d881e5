package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/internal/config"
	"kurir/internal/fsx"
	"kurir/internal/gate"
	"kurir/internal/listen"
	"kurir/smtpd"
)

// sharedName is the file, in the data directory, of the addresses that have turned out to
// stand for everybody.
const sharedName = "shared-addresses.json"

// maxShared bounds what is read of it, in bytes.
const maxShared = 1 << 20

// openGate makes what strangers meet, and says which addresses have stood for everybody.
// The server of the command local has no strangers.
func (s *site) openGate() error {
	if s.local {
		return nil
	}
	path := filepath.Join(s.cfg.Data, sharedName)
	known, err := readShared(s.env.files, path)
	if err != nil {
		s.log.Warn("what is known of addresses that stand for everybody cannot be read", "error", err)
	}
	s.shared = gate.NewShared(gate.SharedOptions{
		Hostname: s.cfg.Hostname, Known: known, Log: s.log,
		Save: func(all []gate.Sighting) error { return writeShared(s.env.files, path, all) },
	})
	for _, k := range s.shared.Sightings() {
		s.log.Warn("an address stands for everybody", "address", k.Address, "problem", k.String())
	}
	if all := s.shared.Gateways(); inContainer() && len(all) > 0 {
		s.log.Info("this is a container: connections from its gateway are taken for everybody's", "gateways", all)
	}
	s.gate, err = gate.New(s.gateOptions())
	return err
}

// gateOptions are those of the configuration.
func (s *site) gateOptions() gate.Options {
	i := s.cfg.Inbound
	o := gate.Options{
		Hostname: s.cfg.Hostname, Shared: s.shared, Log: s.log, Allow: i.Allow, Block: i.Block,
		Resolver: s.data.dns,
		DNSBL:    gateLists(i.DNSBL), DNSWL: gateLists(i.DNSWL), Refuse: i.DNSBLRefuse,
		StrictHELO:        i.StrictHELO,
		ConnectionsMinute: i.ConnectionsMinute, MessagesHour: i.MessagesHour, RefusalsHour: i.RefusalsHour,
	}
	if i.Greylist {
		o.DB, o.Delay = s.data.db, i.GreylistDelay
	}
	return o
}

// gateLists are lists of the configuration, which has been checked.
func gateLists(texts []string) []gate.List {
	var all []gate.List
	for _, text := range texts {
		l, err := config.ParseDNSList(text)
		if err != nil {
			continue
		}
		list := gate.List{Zone: l.Zone, Weight: l.Weight}
		for _, a := range l.Answers {
			list.Answers = append(list.Answers, gate.Answer{First: a.First, Last: a.Last})
		}
		all = append(all, list)
	}
	return all
}

// smtpGate is the gate for the SMTP servers, nil if there is none.
func (s *site) smtpGate() smtpd.Gate {
	if s.gate == nil {
		return nil
	}
	return smtpd.MailGate{Gate: s.gate}
}

// readShared reads what writeShared has written; no file is nothing.
func readShared(files fsx.FS, path string) ([]gate.Sighting, error) {
	b, err := fsx.ReadFile(files, path, maxShared)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []gate.Sighting
	return all, json.Unmarshal(b, &all)
}

func writeShared(files fsx.FS, path string, all []gate.Sighting) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return fsx.WriteFile(files, path, append(b, '\n'), 0o600)
}

// inContainer tells whether this is a container of Docker or Podman.
func inContainer() bool {
	for _, path := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// checkShared tells of the addresses that stand for everybody.
func (e *env) checkShared(r *report, cfg *config.Config, now time.Time) {
	known, err := readShared(e.files, filepath.Join(cfg.Data, sharedName))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		r.warn("network", "%s: %v", sharedName, err)
	}
	shared := gate.NewShared(gate.SharedOptions{Known: known, Now: func() time.Time { return now }})
	found := shared.Sightings()
	for _, k := range found {
		r.warn("network", "%s", k)
		for _, d := range cfg.Devices {
			if slices.ContainsFunc(d.Networks, func(n netip.Prefix) bool { return n.Contains(k.Address) }) {
				r.fail("network", "a [[device]] network of %s has %s, which stands for everybody: all the world may send as that account", d.Account, k.Address)
			}
		}
	}
	var all []string
	for _, g := range shared.Gateways() {
		all = append(all, g.String())
	}
	if len(found) == 0 && len(all) > 0 && inContainer() {
		r.pass("network", "in a container, and no connections of everybody have been seen from its gateway (%s)", strings.Join(all, ", "))
	}
}

// checkLists asks each list in the DNS for its test entries (RFC 5782 section 5).
func checkLists(ctx context.Context, r *report, o dataOptions) {
	lists := append(gateLists(o.cfg.Inbound.DNSBL), gateLists(o.cfg.Inbound.DNSWL)...)
	faults := make([]error, len(lists))
	var all sync.WaitGroup // each ends in a few seconds
	resolver := o.resolver()
	for i, l := range lists {
		all.Go(func() { faults[i] = l.Probe(ctx, resolver) })
	}
	all.Wait()
	for i, l := range lists {
		if faults[i] != nil {
			r.warn("lists", "the list %s: %v", l.Zone, faults[i])
		} else {
			r.pass("lists", "the list %s answers as it should", l.Zone)
		}
	}
}

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
		"web":  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" + text,
		"http": "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" + text,
	}[p.protocol]
	if line == "" {
		return nil
	}
	return func() []byte { return []byte(line) }
}
