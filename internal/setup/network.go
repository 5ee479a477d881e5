package setup

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"kurir/dnsutil"
)

// Resolver is what the steps ask the DNS; a dnsutil.Resolver does it.
type Resolver interface {
	// Addresses gives a host's addresses.
	Addresses(ctx context.Context, host string, f dnsutil.Families) ([]netip.Addr, error)
	// MX gives the hosts that take a domain's mail, the preferred ones first.
	MX(ctx context.Context, domain string) ([]dnsutil.Host, error)
}

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Addresses says by which addresses the world reaches the server. own are the public ones
// that this machine has itself, given those that the person has named. A machine without
// any is behind a router: then what the DNS says of host is taken, if it is public.
func Addresses(ctx context.Context, r Resolver, host string, given, own []netip.Addr) ([]netip.Addr, Step) {
	if len(given) > 0 {
		return given, step("addresses", OK, "The world reaches this server at %s, as you say.", join(given))
	}
	if len(own) > 0 {
		return own, step("addresses", OK, "This machine has the public %s %s.", plural(len(own), "address", "addresses"), join(own))
	}
	found, err := r.Addresses(ctx, host, dnsutil.Families{})
	found = slices.DeleteFunc(found, func(a netip.Addr) bool { return !dnsutil.Routable(a) || a.IsPrivate() })
	if err == nil && len(found) > 0 {
		slices.SortFunc(found, netip.Addr.Compare)
		return found, step("addresses", OK, "This machine is behind a router; the DNS has %s for %s, which is taken.", join(found), host)
	}
	return nil, step("addresses", Todo, "This machine has no public address of its own, and the DNS knows none for %s yet.", host).
		because("Without it the records cannot be made, and others not come here.",
			"Look up the address in your provider's panel or your router, and run this again with --ipv4 ADDRESS (and --ipv6); or with --detect, which asks a server of OpenDNS. The router has to pass on the ports 25, 80, 443, 465, 587, 993 to this machine.")
}

// OutsideName is a name that the resolvers of OpenDNS answer with the address of who asks,
// and OutsideServers are these, one of each kind.
const OutsideName = "myip.opendns.com"

// OutsideServers are the resolvers that know [OutsideName].
func OutsideServers() []string { return []string{"208.67.222.222", "2620:119:35::35"} }

// Outside asks for the address that this machine is seen with outside. Each resolver asks
// another server.
func Outside(ctx context.Context, resolvers []Resolver) (all []netip.Addr) {
	for i, r := range resolvers {
		found, err := r.Addresses(ctx, OutsideName, dnsutil.Families{NoIPv4: i > 0, NoIPv6: i == 0})
		if err != nil {
			continue
		}
		for _, a := range found {
			if a = a.Unmap(); dnsutil.Routable(a) && !a.IsPrivate() && !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// LargeProviders are domains whose mail servers are always there: whether mail can leave
// shows at them. Nothing is sent.
func LargeProviders() []string {
	return []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com"}
}

// probeTime bounds one try of a connection with its greeting.
const probeTime = 12 * time.Second

// Port25Out tries whether connections to the port 25 of others succeed, which many hosting
// providers forbid. targets are host:port and stand for themselves; without any the mail
// servers of domains are tried.
func Port25Out(ctx context.Context, r Resolver, dial Dial, domains, targets []string) Step {
	ctx, cancel := context.WithTimeout(ctx, 2*probeTime)
	defer cancel()
	var unknown []string
	if len(targets) == 0 {
		for _, d := range domains {
			hosts, err := r.MX(ctx, d)
			if err != nil || len(hosts) == 0 {
				unknown = append(unknown, d)
				continue
			}
			targets = append(targets, net.JoinHostPort(hosts[0].Name, "25"))
		}
	}
	if len(targets) == 0 {
		return step("port25-out", Todo, "Whether mail can leave was not found out: the DNS knows no mail server of %s.", strings.Join(unknown, ", ")).
			because("Without the DNS no mail leaves.", "Look whether this machine's DNS works: /etc/resolv.conf, or dns.servers in the configuration.")
	}
	greeted, failures := greetings(ctx, r, dial, targets)
	if len(greeted) > 0 {
		return step("port25-out", OK, "Mail can leave: %s answers on port 25.", greeted[0])
	}
	return step("port25-out", Todo, "No mail server outside answers on port 25: %s.", strings.Join(failures, "; ")).
		because("Many hosting providers, and nearly all home connections, block port 25 until they are asked. Mail to others waits in the queue until then.",
			"Ask your provider to open port 25 for outgoing mail; or let mail leave through a smarthost, such as your provider's: relay.smarthost in the configuration (docs/sending.md).")
}

// greetings connects to all targets at once, and returns those that greet as mail servers
// do, and why the others do not.
func greetings(ctx context.Context, r Resolver, dial Dial, targets []string) (greeted, failures []string) {
	const most = 8
	targets = targets[:min(len(targets), most)]
	errs := make([]error, len(targets))
	var all sync.WaitGroup
	for i, target := range targets {
		all.Go(func() { errs[i] = greeting(ctx, r, dial, target) })
	}
	all.Wait()
	for i, err := range errs {
		host, _, _ := net.SplitHostPort(targets[i])
		if err == nil {
			greeted = append(greeted, host)
		} else {
			failures = append(failures, fmt.Sprintf("%s (%v)", host, err))
		}
	}
	return greeted, failures
}

// greeting connects to host:port and reads the first line, which has to be a reply.
func greeting(ctx context.Context, r Resolver, dial Dial, target string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	addresses, err := r.Addresses(ctx, host, dnsutil.Families{})
	if err != nil {
		return fmt.Errorf("the DNS has no address of it")
	}
	// IPv4 first: it is there nearly everywhere, and the block is nearly always of both.
	slices.SortStableFunc(addresses, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	conn, err := dial(ctx, "tcp", net.JoinHostPort(addresses[0].String(), port))
	if err != nil {
		return dialError(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
	switch {
	case len(line) >= 4 && (line[0] == '2' || line[0] == '4' || line[0] == '5'):
		return nil // any reply shows that the way is open
	case err != nil:
		return fmt.Errorf("it is connected but says nothing, as where something on the way keeps the connection")
	}
	return fmt.Errorf("what answers is no mail server")
}

// dialError is why a connection failed, in few words.
func dialError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer")
	}
	text := err.Error()
	if at := strings.LastIndex(text, ": "); at >= 0 {
		text = text[at+2:]
	}
	return fmt.Errorf("%s", text)
}

// Port25In connects to the server's own public addresses, port 25, from inside. That it
// works shows that the server listens there and nothing on this machine is in the way;
// where a router does not send connections back, that it fails shows nothing. Only a message from
// outside proves the way in.
func Port25In(ctx context.Context, r Resolver, dial Dial, addresses []netip.Addr, port string) Step {
	var open, shut []string
	for _, a := range addresses[:min(len(addresses), 4)] {
		if err := greeting(ctx, r, dial, net.JoinHostPort(a.String(), port)); err != nil {
			shut = append(shut, fmt.Sprintf("%s (%v)", a, err))
		} else {
			open = append(open, a.String())
		}
	}
	switch {
	case len(addresses) == 0:
		return step("port25-in", Skipped, "Whether mail can come in cannot be tried: the public address is not known.")
	case len(shut) == 0:
		return step("port25-in", OK, "The server answers at %s, port %s, seen from this machine. Only mail from outside proves that nothing is in its way.", strings.Join(open, ", "), port)
	}
	return step("port25-in", Todo, "From this machine the server is not reached at %s, port %s.", strings.Join(shut, "; "), port).
		because("Behind a router that may be so although others can reach it. Else something is in the way.",
			"Open the ports 25, 80, 443, 465, 587 and 993 in the firewall of this machine, in your provider's panel, and in the router; then send yourself a message from an address elsewhere.")
}

// PTR is what the check of the DNS found about the names of the server's addresses.
func PTR(found []dnsutil.Finding) []Step {
	var all []Step
	for _, f := range found {
		s := step("ptr", OK, "%s", f.What)
		if f.Level == dnsutil.LevelError || f.Level == dnsutil.LevelWarning {
			s.Outcome = Todo
			s = s.because(f.Why, f.Mend)
		}
		all = append(all, s)
	}
	return all
}

func join(all []netip.Addr) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
