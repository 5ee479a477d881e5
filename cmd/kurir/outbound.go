package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"kurir/dnsutil"
	"kurir/internal/config"
	"kurir/internal/queue"
	"kurir/internal/relay"
	"kurir/internal/telemetry"
	"kurir/smtpd"
)

// holdLocal is why mail for elsewhere waits in the server of the command local.
const holdLocal = "kurir local sends nothing to other domains"

// resolver asks the DNS as configured. Each has a cache of its own.
func (o dataOptions) resolver() *dnsutil.Resolver {
	trust, err := dnsutil.ParseTrust(o.cfg.DNS.Trusted)
	if err != nil { // config has looked at it
		trust = dnsutil.TrustNone
	}
	return &dnsutil.Resolver{Servers: o.cfg.DNS.Servers, Trust: trust, Log: o.log}
}

// relay hands messages to other hosts as configured.
func (o dataOptions) relay(dns *dnsutil.Resolver) *relay.Relay {
	c := o.cfg.Relay
	r := &relay.Relay{
		Hostname: o.cfg.Hostname, Resolver: dns, Self: self(o.cfg), Log: o.log,
		Families: dnsutil.Families{NoIPv4: !c.IPv4, NoIPv6: !c.IPv6},
		Source4:  c.SourceIPv4, Source6: c.SourceIPv6,
	}
	for _, route := range o.cfg.Routes {
		r.Routes = append(r.Routes, relayRoute(route))
	}
	if c.Smarthost.Address != "" {
		r.Routes = append(r.Routes, relayRoute(config.Route{Smarthost: c.Smarthost}))
	}
	if c.Fallback.Address != "" {
		r.Fallback = relayRoute(config.Route{Smarthost: c.Fallback})
	}
	return r
}

func relayRoute(r config.Route) relay.Route {
	h := r.Smarthost
	return relay.Route{
		Recipients: r.Recipients, Senders: r.Senders, Smarthost: h.Address, TLS: h.TLS,
		Username: h.Username, Password: h.Password.Reveal(),
	}
}

// self is how mail that would come back to this server is known: by its name, and by the
// addresses on which it takes mail.
func self(c *config.Config) dnsutil.Self {
	var named []netip.Addr
	all := false
	for _, address := range c.SMTP.Address {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		ip, err := netip.ParseAddr(host)
		if err != nil || ip.IsUnspecified() { // a name, or every address of this machine
			all = true
			continue
		}
		named = append(named, ip.Unmap())
	}
	return dnsutil.Self{
		Names: []string{c.Hostname},
		Is: func(a netip.Addr) bool {
			for _, n := range named {
				if n == a {
					return true
				}
			}
			return all && isOnThisMachine(a)
		},
	}
}

// isOnThisMachine tells whether a network interface has the address.
func isOnThisMachine(a netip.Addr) bool {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, f := range found {
		if n, ok := f.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a.Unmap() {
				return true
			}
		}
	}
	return false
}

// queueOptions are those of the queue that come from the configuration.
func (o dataOptions) queueOptions() queue.Options {
	c, l := o.cfg.Relay, o.cfg.Limits
	q := queue.Options{
		FS: o.files, Hostname: o.cfg.Hostname, Admin: o.cfg.Admin, Log: o.log,
		Limits: queue.Limits{
			MessagesHour: l.AccountMessagesHour, MessagesDay: l.AccountMessagesDay,
			RecipientsHour: l.AccountRecipientsHour, RecipientsDay: l.AccountRecipientsDay,
		},
		MaxMessages: c.QueueMessages, MaxRecipients: 2 * c.QueueMessages,
		PerDestination: c.ConnectionsPerDestination, InAll: c.Connections,
		First: c.RetryFirst, Most: c.RetryMost, Expire: c.GiveUp,
		DelayNotice: c.DelayNotice, KeepEvents: c.History,
	}
	if o.local {
		q.HoldRemote = holdLocal
	}
	if m := o.metrics; m != nil {
		q.Observe = func(kind string, took time.Duration) { countAttempt(m, kind, took) }
		q.Reach = func(destination string, why *relay.Reply) { smarthostHealth(m.Health, destination, why) }
	}
	return q
}

// smarthostHealth makes health red while a smarthost takes no mail: nothing, or all that
// goes its way, leaves this server then.
func smarthostHealth(h *telemetry.Health, destination string, why *relay.Reply) {
	if name, ok := strings.CutPrefix(destination, relay.SmarthostPrefix); ok {
		var err error
		if why != nil && why.Code/100 == 4 {
			return // it answers, and wants us to come again
		}
		if why != nil {
			err = errors.New(why.String())
		}
		h.Set("smarthost "+name, err)
	}
}

// countAttempt counts the end of a recipient's attempt.
func countAttempt(m *telemetry.Metrics, kind string, took time.Duration) {
	if kind == queue.EventDelivered { // into a mailbox here, which is counted there
		return
	}
	m.Relayed(kind, 1)
	m.RelayTook(took)
}

// checkDevices warns of networks whose account can't be used: what comes from there is
// taken for strangers' mail.
func (s *site) checkDevices(ctx context.Context) {
	for _, d := range s.cfg.Devices {
		found, err := s.data.directory.Resolve(ctx, d.Account)
		switch {
		case err != nil:
		case len(found) != 1:
			err = errors.New("it leads to several accounts")
		case found[0].Remote != "":
			err = errors.New("it leads to another server")
		case found[0].Account.Disabled:
			err = errors.New("it is disabled")
		}
		if err != nil {
			s.log.Warn("the account of a [[device]] cannot be used, nothing is sent for its networks", "account", d.Account, "networks", d.Networks, "error", err)
		}
	}
}

// devices are the networks that need no login.
func (s *site) devices() []smtpd.Device {
	var all []smtpd.Device
	for _, d := range s.cfg.Devices {
		all = append(all, smtpd.Device{Networks: d.Networks, Account: d.Account})
	}
	return all
}
