package setup

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Port is an address that the server is to listen on.
type Port struct {
	Name    string // of the protocol, for people
	Address string // host:port or :port
}

// Holder is a program that listens.
type Holder struct {
	At      netip.AddrPort
	PID     int    // 0: not known, as of other users' programs
	Program string // "" if PID is 0
}

// Ports looks whether the server can have its ports. listen opens one and closes it again;
// proc is the folder /proc, and own the process of a server that runs already, 0 if none
// does. Ports that this user may not open are for Rights.
func Ports(ctx context.Context, wanted []Port, listen func(ctx context.Context, address string) error, proc fs.FS, own int) []Step {
	var free []string
	taken := map[string][]string{} // what the holder is called, to ports
	holders := map[string]Holder{}
	var order []string
	var steps []Step
	var listening []Holder
	for _, p := range wanted {
		err := listen(ctx, p.Address)
		_, number, _ := net.SplitHostPort(p.Address)
		label := number + " (" + p.Name + ")"
		switch {
		case err == nil, errors.Is(err, fs.ErrPermission):
			free = append(free, number)
		case !errors.Is(err, syscall.EADDRINUSE):
			steps = append(steps, step("ports", Problem, "Port %s cannot be opened: %v.", label, err).
				because("", "Correct the address in the configuration; leave it out to listen on all of this machine."))
		default:
			if listening == nil {
				listening = Listening(proc)
			}
			h := holding(listening, p.Address)
			if own != 0 && h.PID == own {
				free = append(free, number)
				continue
			}
			who := holderName(h)
			if _, ok := holders[who]; !ok {
				order = append(order, who)
			}
			holders[who], taken[who] = h, append(taken[who], label)
		}
	}
	for _, who := range order {
		steps = append(steps, step("ports", Problem, "%s has port %s.", who, strings.Join(taken[who], ", ")).
			because("Two programs cannot have the same port.", remedy(holders[who], taken[who])))
	}
	if len(steps) == 0 && own != 0 {
		return []Step{step("ports", OK, "The server runs and has its ports: %s.", strings.Join(free, " "))}
	}
	if len(steps) == 0 {
		return []Step{step("ports", OK, "The ports are free: %s.", strings.Join(free, " "))}
	}
	return steps
}

// Rights looks whether this user may open the ports. served says that a service manager
// will start the server with the right to do so.
func Rights(ctx context.Context, wanted []Port, listen func(ctx context.Context, address string) error, served bool) Step {
	var denied []string
	for _, p := range wanted {
		if err := listen(ctx, p.Address); errors.Is(err, fs.ErrPermission) {
			_, number, _ := net.SplitHostPort(p.Address)
			denied = append(denied, number)
		}
	}
	switch {
	case len(denied) == 0:
		return step("rights", OK, "The server may open its ports.")
	case served:
		return step("rights", OK, "This user may not open the ports %s, but the service kurir may.", strings.Join(denied, " "))
	}
	return step("rights", Todo, "This user may not open the ports %s.", strings.Join(denied, " ")).
		because("Ports below 1024 need a right of their own.",
			"Let systemd start the server (docs/systemd.md), or give the program that right: sudo setcap cap_net_bind_service=+ep $(command -v kurir)")
}

// holderName names a program for people.
func holderName(h Holder) string {
	switch s, known := services[h.Program]; {
	case h.PID == 0:
		return "Another program"
	case known && s.name != "":
		return fmt.Sprintf("%s (pid %d)", s.name, h.PID)
	}
	return fmt.Sprintf("%s (pid %d)", h.Program, h.PID)
}

// service is a well-known program that has ports of ours.
type service struct {
	name string // what people call it; "": as the program
	unit string // of systemd; "": not one
	web  bool
}

// services are programs by the name that the system gives their processes.
var services = map[string]service{
	"master": {name: "postfix", unit: "postfix"}, "exim4": {unit: "exim4"}, "exim": {unit: "exim"}, "smtpd": {name: "opensmtpd", unit: "opensmtpd"},
	"sendmail-mta": {name: "sendmail", unit: "sendmail"}, "sendmail": {unit: "sendmail"},
	"dovecot": {unit: "dovecot"}, "cyrmaster": {name: "cyrus", unit: "cyrus-imapd"}, "couriertcpd": {name: "courier", unit: "courier-imap"},
	"nginx": {unit: "nginx", web: true}, "apache2": {unit: "apache2", web: true}, "httpd": {unit: "httpd", web: true},
	"caddy": {unit: "caddy", web: true}, "lighttpd": {unit: "lighttpd", web: true}, "haproxy": {unit: "haproxy", web: true}, "traefik": {unit: "traefik", web: true},
	"docker-proxy": {name: "a container"}, "rootlessport": {name: "a container"}, "maddy": {unit: "maddy"}, "mox": {unit: "mox"}, "stalwart": {unit: "stalwart"},
}

// remedy says how to get the ports.
func remedy(h Holder, ports []string) string {
	s, known := services[h.Program]
	switch {
	case h.PID == 0:
		number, _, _ := strings.Cut(ports[0], " ")
		return "To see which, as root: ss -ltnp 'sport = :" + number + "'"
	case h.Program == "docker-proxy" || h.Program == "rootlessport":
		return "See which with: docker ps; then stop it, or publish other ports of it."
	case known && s.web:
		return fmt.Sprintf("If it is not needed: sudo systemctl disable --now %s. If it is, give kurir other ports, such as --set web.http=127.0.0.1:8025 --set web.https=127.0.0.1:8443, and let it pass kurir's names on: docs/docker.md, \"A web server is there already\".", s.unit)
	case known && s.unit != "":
		return "If it is not needed any more: sudo systemctl disable --now " + s.unit
	}
	return fmt.Sprintf("Stop it (sudo kill %d, and what starts it), or give kurir another address in the configuration.", h.PID)
}

// holding is the listener that keeps an address from being opened.
func holding(all []Holder, address string) Holder {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return Holder{}
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Holder{}
	}
	wanted, _ := netip.ParseAddr(host) // the zero value, for a name or nothing, is all
	var found Holder
	for _, h := range all {
		at := h.At.Addr().Unmap()
		fits := !wanted.IsValid() || wanted.IsUnspecified() || at.IsUnspecified() || at == wanted.Unmap()
		if h.At.Port() == uint16(port) && fits && found.PID == 0 {
			found = h
		}
	}
	return found
}

// Bounds of what is read in /proc.
const (
	maxSockets = 100_000 // lines of a table
	maxFiles   = 200_000 // open files of all processes
)

// Listening are the programs that listen on TCP ports. Those of other users have no name,
// unless this one is root.
func Listening(proc fs.FS) []Holder {
	inodes := map[string]int{} // of sockets, to the place in all
	var all []Holder
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		f, err := proc.Open(table)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		for n := 0; lines.Scan() && n < maxSockets; n++ {
			if at, inode, ok := parseSocket(lines.Text()); ok {
				inodes[inode] = len(all)
				all = append(all, Holder{At: at})
			}
		}
		f.Close()
	}
	nameHolders(proc, all, inodes)
	return all
}

// parseSocket reads a line of /proc/net/tcp or tcp6, such as
// "0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 31337 …";
// ok is false unless it is of a socket that listens.
func parseSocket(line string) (at netip.AddrPort, inode string, ok bool) {
	words := strings.Fields(line)
	if len(words) < 10 || words[3] != "0A" {
		return at, "", false
	}
	host, number, _ := strings.Cut(words[1], ":")
	raw, err := hex.DecodeString(host)
	port, perr := strconv.ParseUint(number, 16, 16)
	if err != nil || perr != nil {
		return at, "", false
	}
	for i := 0; i+4 <= len(raw); i += 4 { // words in the order of this machine, in effect little-endian
		slices.Reverse(raw[i : i+4])
	}
	a, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a, uint16(port)), words[9], ok
}

// nameHolders finds the processes whose open files the sockets are.
func nameHolders(proc fs.FS, all []Holder, inodes map[string]int) {
	entries, err := fs.ReadDir(proc, ".")
	if err != nil {
		return
	}
	left := maxFiles
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		files, err := fs.ReadDir(proc, path.Join(e.Name(), "fd"))
		if err != nil {
			continue // another user's, or gone
		}
		for _, f := range files {
			if left--; left < 0 {
				return
			}
			target, err := fs.ReadLink(proc, path.Join(e.Name(), "fd", f.Name()))
			if err != nil {
				continue
			}
			i, ok := inodes[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")]
			if !ok || all[i].PID != 0 {
				continue
			}
			name, _ := fs.ReadFile(proc, path.Join(e.Name(), "comm"))
			all[i].PID, all[i].Program = pid, printable(strings.TrimSpace(string(name)))
		}
	}
}

// printable is a program's name without what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
