package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// list is a table that may be there several times, each under [[name]].
type list struct {
	name, doc string
	sample    func() []field                         // of one as Example shows it, keys without a section
	add       func(l *loader, prefix string) []field // one more, the keys of which begin with prefix
	count     func(l *loader) int                    // how many there are
}

// lists are all of them, in the order of Example.
func lists() []list {
	return []list{{
		name: "route",
		doc: "Mail that takes another way than [relay] says. There may be several: the first one that\n" +
			"fits both the recipient and the sender decides.",
		sample: func() []field {
			return routeFields("", &Route{
				Recipients: []string{"example.net", "*.example.net"}, Senders: []string{},
				Smarthost: Smarthost{Address: "smtp.example.net:587", TLS: TLSStartTLS, Username: "kurir", PasswordFile: "/etc/kurir/smtp.example.net.password"},
			})
		},
		add: func(l *loader, prefix string) []field {
			r := &Route{}
			l.routes = append(l.routes, r)
			return routeFields(prefix, r)
		},
		count: func(l *loader) int { return len(l.routes) },
	}, destinationList(), {
		name: "device",
		doc: "Printers, scanners and programs of one's own that send without a login: who connects\n" +
			"from one of the networks may send as the account does, to anywhere. There may be several;\n" +
			"of networks that overlap, the narrowest counts.",
		sample: func() []field {
			return deviceFields("", &Device{Networks: []netip.Prefix{netip.MustParsePrefix("192.168.1.64/27")}, Account: "scanner@example.com"})
		},
		add: func(l *loader, prefix string) []field {
			d := &Device{}
			l.devices = append(l.devices, d)
			return deviceFields(prefix, d)
		},
		count: func(l *loader) int { return len(l.devices) },
	}}
}

func routeFields(prefix string, r *Route) []field {
	h := &r.Smarthost
	return []field{
		{key: prefix + "recipients", target: &r.Recipients, entry: true,
			doc: "Domains of the recipients; \"*.example.net\" is all below example.net. [] is any."},
		{key: prefix + "senders", target: &r.Senders, entry: true, doc: "Domains of the sender, in the same form. [] is any."},
		{key: prefix + "smarthost", target: &h.Address, entry: true,
			doc: "The server that takes this mail, as host or host:port; or \"mx\" for each domain's own\nmail servers. It must be set."},
		{key: prefix + "tls", target: &h.TLS, entry: true,
			doc: "As relay.smarthost_tls. By default \"starttls\", and \"opportunistic\" for \"mx\"."},
		{key: prefix + "username", target: &h.Username, entry: true, doc: "Name for the login there. \"\" is no login."},
		{key: prefix + "password", target: &h.Password, entry: true, doc: "Its password: here, or in a file, of which password_file is the name."},
		{key: prefix + "password_file", target: &h.PasswordFile, entry: true, path: true, doc: "File that holds the password, on one line."},
	}
}

func deviceFields(prefix string, d *Device) []field {
	return []field{
		{key: prefix + "networks", target: &d.Networks, entry: true,
			doc: "Networks, or single addresses. An IPv4 network shorter than /8 or an IPv6 network shorter\nthan /32 is refused. It must be set."},
		{key: prefix + "account", target: &d.Account, entry: true,
			doc: "The account whose addresses they may send as, and whose limits count. It must be set."},
	}
}

// listNamed is the list of that name, nil if there is none.
func listNamed(name string) *list {
	for _, l := range lists() {
		if l.name == name {
			return &l
		}
	}
	return nil
}

// addEntry begins one more table of a list at a place in the file, and returns what
// its keys begin with.
func (l *loader) addEntry(li *list, at Mistake) string {
	name := fmt.Sprintf("%s[%d]", li.name, li.count(l)+1)
	l.addFields(li.add(l, name+"."))
	at.Key = name
	l.origin[name] = at
	return name
}

// given tells whether a key was set.
func (l *loader) given(key string) bool {
	_, ok := l.origin[key]
	return ok
}

// exampleLists writes the lists for Example. They are empty by default, so that the
// keys are comments: "#key = value", without a blank.
func exampleLists(b *strings.Builder) {
	for _, li := range lists() {
		b.WriteString("\n")
		comment(b, li.doc)
		fmt.Fprintf(b, "#[[%s]]\n", li.name)
		for i, f := range li.sample() {
			if i > 0 {
				b.WriteString("#\n")
			}
			comment(b, f.doc)
			b.WriteString("#" + f.key + " = " + f.format() + "\n")
		}
	}
}

// comment writes lines of text as comments.
func comment(b *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		b.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
	}
}
