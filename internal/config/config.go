// Package config owns kurir's configuration: a TOML file, KURIR_… environment
// variables over it, and a documented default for every key but hostname. Load finds
// all mistakes at once and says where each is. Example writes the whole configuration,
// annotated.
//
// The name of a key's environment variable is its path in upper case, joined by
// underscores, after KURIR: smtp.address is KURIR_SMTP_ADDRESS. Lists there are
// separated by commas or blanks. Only cmd/kurir uses this package; all others get
// their settings as fields.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Config is the whole configuration, checked, with no defaults left to fill in.
type Config struct {
	Hostname string // the name other servers know this one by, lower case
	Data     string // directory of the mail and the database
	Control  string // path of the control socket
	Confine  bool   // have the kernel keep the server to its folders
	Admin    string // mail address that is told of things; empty: postmaster of the domain concerned

	SMTP        SMTP
	LMTP        LMTP
	Submission  Listener
	Submissions Listener
	IMAP        Listener
	IMAPS       Listener
	POP3        Listener
	POP3S       Listener
	HTTP        Listener
	Web         Web

	TLS      TLS
	Login    Login
	ACME     ACME
	Limits   Limits
	Inbound  Inbound
	Proxy    Proxy
	Trust    Trust
	Accounts Accounts
	Store    Store
	Trace    Trace
	Log      Log

	DNS     DNS
	Relay   Relay
	DKIM    DKIM
	Forward Forward
	Routes  []Route  // the first that fits decides, before Relay
	Devices []Device // clients that need no login
	// Destinations say how TLS is used with other servers; the first that fits decides.
	Destinations []Destination

	public   bool // the file can be read by every user of the machine
	warnings []string
}

// Listener is where one protocol is spoken.
type Listener struct {
	Address []string // each host:port or :port; empty means off
}

// SMTP is where mail from other servers comes in.
type SMTP struct {
	Address   []string      // each host:port or :port; empty means off
	EarlyTalk time.Duration // wait before the greeting for a client that talks first; 0 means none
}

// TLS says which certificate is served, and who may do without.
type TLS struct {
	Cert, Key              string         // PEM files; both empty means a certificate of kurir's own CA
	PlaintextLoginNetworks []netip.Prefix // clients that may log in without TLS
	ClientCA               string         // PEM; clients of mail apps may log in with a certificate of these CAs; empty: none
}

// Limits are the bounds on what clients may do.
type Limits struct {
	MessageSize           Size          // of one message
	Recipients            int           // of one message
	Messages              int           // in one SMTP connection
	Errors                int           // bad commands in one SMTP connection
	Connections           int           // open at once, for each protocol
	ConnectionsPerAddress int           // of these from one IPv4 address or IPv6 /64, those logged in to IMAP and POP3 aside
	ConnectionsPerAccount int           // logged in to one account from one address, in IMAP and POP3; four times as many from all
	SMTPTimeout           time.Duration // a silent SMTP client is cut off after it
	IMAPTimeout           time.Duration // the same for IMAP
	POP3Timeout           time.Duration // the same for POP3
	WriteTimeout          time.Duration // a client that takes nothing is cut off after it

	// What one account may send to other domains; 0 means no limit.
	AccountMessagesHour, AccountMessagesDay     int
	AccountRecipientsHour, AccountRecipientsDay int
}

// Store is how the mail is kept.
type Store struct {
	ExpungedKeep time.Duration // how long expunged messages can be brought back
	Reserve      string        // room that mail leaves free; see StoreReserve
}

// Log is what goes to standard error.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "text" or "json"
}

// Default is the configuration of an empty file, without what Load derives from other
// keys: Hostname, which has no default, and Control.
func Default() *Config {
	return &Config{
		Data:        "/var/lib/kurir",
		Confine:     true,
		SMTP:        SMTP{Address: []string{":25"}},
		LMTP:        LMTP{Address: []string{}, SocketMode: "0660"},
		Submission:  Listener{[]string{":587"}},
		Submissions: Listener{[]string{":465"}},
		IMAP:        Listener{[]string{":143"}},
		IMAPS:       Listener{[]string{":993"}},
		POP3:        Listener{[]string{":110"}},
		POP3S:       Listener{[]string{":995"}},
		HTTP:        Listener{[]string{"127.0.0.1:8080"}},
		Web:         Web{HTTP: []string{}, HTTPS: []string{}, MTASTS: "enforce"},
		ACME:        ACME{Directory: LetsEncrypt, Challenges: []string{}, Names: []string{}},
		Limits: Limits{
			MessageSize: 50 << 20, Recipients: 100, Messages: 1000, Errors: 10,
			Connections: 2000, ConnectionsPerAddress: 50, ConnectionsPerAccount: 50,
			SMTPTimeout: 5 * time.Minute, IMAPTimeout: 30 * time.Minute,
			POP3Timeout: 10 * time.Minute, WriteTimeout: 5 * time.Minute,
			AccountMessagesHour: 100, AccountMessagesDay: 500,
			AccountRecipientsHour: 500, AccountRecipientsDay: 2000,
		},
		Login:    Login{Mechanisms: []string{}, OwnPassword: LoginProtocols()},
		Inbound:  defaultInbound(),
		Trust:    defaultTrust(),
		Accounts: Accounts{PlusFolders: true},
		Store:    Store{ExpungedKeep: time.Hour, Reserve: reserveAuto},
		Trace:    Trace{Keep: 14 * day},
		Log:      Log{Level: "info", Format: "text"},
		Forward:  Forward{CopiesHour: 500},
		DNS:      DNS{Servers: []string{}, Trusted: "auto", Addresses: []string{}},
		DKIM:     DKIM{Sign: true},
		Relay: Relay{
			Smarthost: Smarthost{TLS: TLSStartTLS}, Fallback: Smarthost{TLS: TLSStartTLS}, IPv4: true, IPv6: true,
			Connections: 200, ConnectionsPerDestination: 20, QueueMessages: 100_000,
			RetryFirst: 5 * time.Minute, RetryMost: 4 * time.Hour, GiveUp: 5 * day,
			DelayNotice: 4 * time.Hour, History: 14 * day, SuppressFor: 30 * day,
		},
	}
}

// A Mistake is one thing wrong with the configuration.
type Mistake struct {
	Source       string // the file, or the environment variable
	Line, Column int    // in the file, from 1; 0 if it is nowhere in particular
	Key          string // its path, "" if it is about no single key; "route[1].tls" is of the first [[route]]
	Problem      string
	Err          error // what the system said of a file, nil for none
}

// Unwrap is the system's error.
func (m Mistake) Unwrap() error { return m.Err }

// Error is file:line:column: key: problem, without the parts that are not there.
func (m Mistake) Error() string {
	s := m.Source
	if m.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d", s, m.Line, m.Column)
	}
	if m.Key != "" {
		s += ": " + m.Key
	}
	return s + ": " + m.Problem
}

// maxFile is the size in bytes of the largest configuration file that is read.
const maxFile = 1 << 20

// Load reads the file at path and the KURIR_… variables in env, which holds strings
// like "KEY=value" as os.Environ does. No path means no file. Relative paths in the
// file start from its directory, those in the environment from the working directory.
// The error is a Mistake for each mistake, joined (errors.Join); the Config is nil then.
func Load(path string, env []string) (*Config, error) {
	l := newLoader(path)
	if path != "" {
		text, public, err := readFile(path)
		if err != nil {
			return nil, err
		}
		l.c.public = public
		l.readTOML(text)
	}
	l.readEnv(env)
	l.check()
	if len(l.mistakes) > 0 {
		slices.SortStableFunc(l.mistakes, byLine)
		return nil, errors.Join(l.mistakes...)
	}
	for _, r := range l.routes {
		l.c.Routes = append(l.c.Routes, *r)
	}
	for _, d := range l.devices {
		l.c.Devices = append(l.c.Devices, *d)
	}
	for _, d := range l.destinations {
		l.c.Destinations = append(l.c.Destinations, *d)
	}
	return l.c, nil
}

// byLine orders mistakes by their line in the file, those without one at the end.
func byLine(a, b error) int {
	line := func(err error) int {
		if m := err.(Mistake); m.Line > 0 {
			return m.Line
		}
		return math.MaxInt
	}
	return cmp.Compare(line(a), line(b))
}

// readFile reads the configuration file; public says that every user of the machine can.
func readFile(path string) (text []byte, public bool, err error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, false, unreadable(path, err)
	case st.Size() > maxFile || st.IsDir():
		return nil, false, Mistake{Source: path, Problem: "is not a configuration file"}
	}
	if text, err = os.ReadFile(path); err != nil {
		return nil, false, unreadable(path, err)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // which some editors put in front
	return text, runtime.GOOS != "windows" && st.Mode()&0o004 != 0, nil
}

func unreadable(path string, err error) Mistake {
	return Mistake{Source: path, Problem: fmt.Sprintf("cannot be read: %v", errors.Unwrap(err)), Err: err}
}

// loader collects settings and mistakes.
type loader struct {
	path         string
	dir          string // absolute: where relative paths in the file start
	c            *Config
	fields       []field
	byKey        map[string]*field
	routes       []*Route
	devices      []*Device
	destinations []*Destination
	origin       map[string]Mistake // of each key that was set: where, without a Problem
	cut          bool               // the file is no TOML from somewhere on
	mistakes     []error            // each a Mistake
}

func newLoader(path string) *loader {
	l := &loader{path: path, dir: filepath.Dir(path), c: Default(), byKey: make(map[string]*field), origin: make(map[string]Mistake)}
	if dir, err := filepath.Abs(l.dir); err == nil {
		l.dir = dir // messages and the log name whole paths
	}
	l.addFields(fields(l.c))
	return l
}

// addFields makes keys known.
func (l *loader) addFields(more []field) {
	for i := range more {
		l.byKey[more[i].key] = &more[i]
	}
	l.fields = append(l.fields, more...)
}

// wrong notes a mistake at the place where key was set, once.
func (l *loader) wrong(key, format string, args ...any) {
	m, ok := l.origin[key]
	if !ok {
		m = Mistake{Source: l.path, Key: key}
		if l.path == "" {
			m.Source = "configuration"
		}
	}
	m.Problem = fmt.Sprintf(format, args...)
	if !slices.Contains(l.mistakes, error(m)) { // as of two same entries in a list
		l.mistakes = append(l.mistakes, m)
	}
}

// set gives a field its value; from says where that stands. dir is where relative
// paths start.
func (l *loader) set(f *field, v any, from Mistake, dir string) {
	l.origin[f.key] = from
	if err := f.set(v); err != nil {
		l.wrong(f.key, "%v", err)
		return
	}
	if p, ok := f.target.(*string); ok && f.path && *p != "" && !filepath.IsAbs(*p) {
		*p = filepath.Join(dir, *p)
	}
}
